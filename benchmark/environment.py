"""What a record says about the machine; device names, thread counts and the commit."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

from benchmark.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


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


def gpu_count() -> int:
    """NVIDIA GPUs that this process may use, without importing torch."""
    if shutil.which("nvidia-smi") is None:
        return 0
    run = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    count = sum(line.startswith("GPU ") for line in run.stdout.splitlines())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return count
    return min(count, sum(v.strip() not in ("", "-1") for v in visible.split(",")))


def devices(option: str) -> list[str]:
    """The devices that `--device` names: `cpu`, or `cuda:K` each.

    Raises:
        UserError: not auto, cpu, cuda or cuda:0,1, or a GPU that is not there.
    """
    if option == "cpu":
        return ["cpu"]
    available = gpu_count()
    if option == "auto":
        return [f"cuda:{k}" for k in range(available)] or ["cpu"]
    kind, colon, numbers = option.partition(":")
    if kind != "cuda" or (colon and not all(n.strip().isdigit() for n in numbers.split(","))):
        raise UserError(f"--device {option}: write auto, cpu, cuda or cuda:0,1")
    wanted = [int(n) for n in numbers.split(",")] if colon else list(range(available))
    missing = [k for k in wanted if k >= available]
    if missing or not wanted:
        raise UserError(
            f"--device {option}: {available} NVIDIA GPU(s) can be used here; try --device cpu"
        )
    return [f"cuda:{k}" for k in wanted]


def worker_environment(device: str) -> dict[str, str]:
    """The variables of a process that works on `device` (`cpu` or `cuda:K`) and sees no other."""
    environment = dict(os.environ)
    paths = [str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
    environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # what deterministic cuBLAS asks for
    if device.startswith("cuda:"):
        number = device.partition(":")[2]
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None:
            number = visible.split(",")[int(number)].strip()
        environment["CUDA_VISIBLE_DEVICES"] = number
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # as nvidia-smi counts
    return environment


def git_commit() -> str | None:
    """The commit of the harness, with `+changes` where the tree is not clean; None outside git."""
    if shutil.which("git") is None:
        return None

    def git(*args: str) -> str | None:
        run = subprocess.run(
            ["git", "-C", str(ROOT), *args], capture_output=True, text=True, check=False
        )
        return run.stdout.strip() if run.returncode == 0 else None

    commit = git("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return None
    return commit + ("+changes" if git("status", "--porcelain") else "")
