"""What a record says about the machine; device names, thread counts and the commit."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
VISIBLE = "CUDA_VISIBLE_DEVICES"
SMI_PATIENCE = 5.0
"""Seconds that nvidia-smi gets to answer."""


def cpu_count() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_computes_bf16() -> bool:
    """Whether the processor multiplies bf16 numbers (AMX or AVX512-BF16)."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool({"amx_tile", "avx512_bf16"} & words)


def host_memory() -> int | None:
    """Memory with swap that this process may use, bytes; None where that cannot be told."""
    import psutil  # here: not every command asks for it

    try:
        limits = [psutil.virtual_memory().total + psutil.swap_memory().total]
    except (OSError, RuntimeError, psutil.Error):
        return None
    for path in _cgroup_limits():
        with suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(path.read_text(encoding="utf-8")))
    return min(limits)


def _cgroup_limits() -> list[Path]:
    """Where the limits of this process's control groups stand, of version 2 and 1."""
    root = Path("/sys/fs/cgroup")
    own = [root / "memory.max", root / "memory/memory.limit_in_bytes"]
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, kinds, group = line.split(":", 2)
            if not kinds:
                place = root / group.lstrip("/")
                own += [p / "memory.max" for p in (place, *place.parents) if root in p.parents]
            elif "memory" in kinds.split(","):
                own.append(root / "memory" / group.lstrip("/") / "memory.limit_in_bytes")
    return own


class Gpu(NamedTuple):
    """A GPU, or an instance of one that is in MIG mode."""

    label: str  # what CUDA_VISIBLE_DEVICES may call it: the GPU's index, or an instance's UUID
    uuid: str
    name: str  # as torch says it


def gpu_count() -> int:
    """NVIDIA GPUs that this process may use, without importing torch."""
    return len(_visible_gpus())


def devices(option: str) -> list[str]:
    """The devices that `--device` names: `cpu`, or `cuda:K` for the K-th GPU that is visible.

    Raises:
        UserError: not auto, cpu, cuda or cuda:0,1; a GPU that is not there, or named twice; a
            wrong CUDA_VISIBLE_DEVICES; nvidia-smi hangs.
    """
    if option == "cpu":
        return ["cpu"]
    kind, colon, text = option.partition(":")
    numbers = [number.strip() for number in text.split(",")] if colon else []
    if option != "auto" and (kind != "cuda" or not all(n.isdecimal() for n in numbers)):
        raise UserError(f"--device {option}: write auto, cpu, cuda or cuda:0,1")
    wanted = [int(number) for number in numbers]
    if len(set(wanted)) < len(wanted):
        raise UserError(
            f"--device {option}: names a GPU twice; for several runs at a time on each use "
            "--jobs-per-device"
        )
    available = gpu_count()
    if option == "auto":
        return [f"cuda:{k}" for k in range(available)] or ["cpu"]
    wanted = wanted or list(range(available))
    if not wanted or max(wanted) >= available:
        raise UserError(
            f"--device {option}: {available} NVIDIA GPU(s) can be used here; try --device cpu"
        )
    return [f"cuda:{k}" for k in wanted]


def find_gpu(device: str) -> Gpu:
    """The GPU that is `cuda:K` here."""
    return _visible_gpus()[_number(device)][1]


def gpu_memory(device: str) -> int | None:
    """All memory of `cuda:K`, bytes; None where that cannot be told, as of a MIG instance."""
    uuid = find_gpu(device).uuid
    try:
        text = ask_nvidia_smi("--query-gpu=uuid,memory.total", "--format=csv,noheader,nounits")
    except subprocess.TimeoutExpired:
        return None
    rows = (line.partition(",") for line in (text or "").splitlines())
    sizes = {name.strip(): size.strip() for name, _, size in rows}
    return int(sizes[uuid]) * 2**20 if sizes.get(uuid, "").isdecimal() else None


def device_environment(device: str) -> dict[str, str]:
    """The variables with which a process works on `device` (`cpu` or `cuda:K`), sees no other GPU
    and calls it `cuda`. They count where they are set before CUDA starts."""
    variables = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # what deterministic cuBLAS asks for
    if device != "cpu":
        variables[VISIBLE] = _visible_gpus()[_number(device)][0]
        variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # an index counts as in nvidia-smi
    return variables


def ask_nvidia_smi(*options: str) -> str | None:
    """What `nvidia-smi` prints; None where there is none, or it fails.

    Raises:
        subprocess.TimeoutExpired: it hangs, as it does when the driver is broken.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    process = subprocess.Popen(
        [tool, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        text, _ = process.communicate(timeout=SMI_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # inside the driver nothing can kill it
            process.wait(timeout=0.5)
        raise
    return text if process.returncode == 0 else None


def driver_version() -> str | None:
    """The version of the NVIDIA driver; None if it cannot be told."""
    try:
        text = ask_nvidia_smi("--query-gpu=driver_version", "--format=csv,noheader")
    except subprocess.TimeoutExpired:
        return None
    return next(iter((text or "").split()), None)


def _number(device: str) -> int:
    return int(device.partition(":")[2])


def _visible_gpus() -> list[tuple[str, Gpu]]:
    """The GPUs that this process may use, each with its entry of CUDA_VISIBLE_DEVICES.

    Raises:
        UserError: the variable names something else; nvidia-smi hangs.
    """
    value = os.environ.get(VISIBLE)
    if value is not None and value.strip() in ("", "-1"):
        return []
    cards = _cards(shutil.which("nvidia-smi"))
    if value is None:
        seen = [gpu for card, *instances in cards for gpu in instances or [card]]
        return [(gpu.label, gpu) for gpu in seen]
    every = [gpu for card in cards for gpu in card]
    entries = [entry.strip() for entry in value.split(",")]
    found: dict[str, tuple[str, Gpu]] = {}  # by UUID
    for entry in entries:
        if entry == "-1":
            raise UserError(
                f"{VISIBLE}={value}: -1 hides every GPU after it; leave it out, or set it to -1 "
                "alone for no GPU"
            )
        gpu = _find(entry, every, value)
        if gpu.uuid in found:
            other = found[gpu.uuid][0]
            names = entry if entry == other else f"{other} and {entry}, the same GPU"
            raise UserError(f"{VISIBLE}={value}: repeats {names}; name each GPU once")
        found[gpu.uuid] = entry, gpu
    return list(found.values())


def _find(entry: str, gpus: list[Gpu], value: str) -> Gpu:
    """What an entry of CUDA_VISIBLE_DEVICES names: an index, a UUID or the start of one."""
    is_uuid = entry.startswith(("GPU-", "MIG-"))
    fit = [g for g in gpus if g.label == entry or (is_uuid and g.uuid.startswith(entry))]
    if len(fit) == 1:
        return fit[0]
    what = f"{entry} is the start of {len(fit)} UUIDs" if fit else f"there is no GPU {entry!r}"
    raise UserError(
        f"{VISIBLE}={value}: {what}; name some of the {len(gpus)} that nvidia-smi -L lists, by "
        "index or UUID, or unset it, or use --device cpu"
    )


@cache  # it may take seconds; the argument is for tests, which put tools of their own on the path
def _cards(_tool: str | None) -> list[list[Gpu]]:
    """Every GPU of this machine, followed by its MIG instances, whatever the variables say."""
    try:
        text = ask_nvidia_smi("-L")
    except subprocess.TimeoutExpired:
        raise UserError(
            f"nvidia-smi -L: no answer within {SMI_PATIENCE:g} s; repair the NVIDIA driver (a "
            "restart may do), or use --device cpu"
        ) from None
    cards: list[list[Gpu]] = []
    for line in (text or "").splitlines():
        if found := re.match(r"GPU (\d+): (.*?)\s*(?:\(UUID: (\S+)\))?$", line):
            index, name, uuid = found.groups()
            cards.append([Gpu(index, uuid or index, name)])
        elif cards and (found := re.match(r"\s+(MIG \S+).*\(UUID: (\S+)\)", line)):
            part, uuid = found.groups()
            cards[-1].append(Gpu(uuid, uuid, f"{cards[-1][0].name} {part}"))
    return cards


def git_commit() -> str | None:
    """The commit of the harness, with `+changes` where the tree is not clean.

    What IRSTD_COMMIT says where that is set: a copy on another machine may lie in a repository that
    knows nothing of it. None outside git without it.
    """
    if said := os.environ.get("IRSTD_COMMIT"):
        return said

    def git(*args: str) -> str | None:
        run = subprocess.run(
            ["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=False
        )
        return run.stdout.strip() if run.returncode == 0 else None

    commit = git("rev-parse", "--short=12", "HEAD") if shutil.which("git") else None
    if commit is None:
        return None
    return commit + ("+changes" if git("status", "--porcelain") else "")
