"""The command line on a GPU: packing, device names, time limits, and what is left of a crash."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmark.environment import ROOT, ask_nvidia_smi, driver_version
from benchmark.execute.worker import PATIENCE
from benchmark.records.record import Record, read_profile, read_record
from tests.gpu.judge import Judge, check

PLUGINS = ROOT / "tests" / "gpu" / "plugins"
TINY = (
    "--plugins", PLUGINS, "--dataset", "synthetic:size=64:test=8:train=16", "--no-profile",
    "--batch-size", "4", "--crop-size", "64",
)  # fmt: skip
"""Runs of a second: 14 training images, three steps an epoch."""
MORE_TO_DO = 75
"""Exit code of a run whose time was over."""


def environment(**changed: str) -> dict[str, str]:
    """That of a user; what these checks have set for their own process is left out."""
    kept = {k: v for k, v in os.environ.items() if k != "CUBLAS_WORKSPACE_CONFIG"}
    return kept | {"COLUMNS": "200"} | changed


def run(*arguments: object, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; standard output and error come back together."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run_benchmark.py"), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(**changed),
        timeout=140,
        check=False,
    )


def ended(judge: Judge, what: str, done: subprocess.CompletedProcess[str], code: int) -> None:
    """Judge the exit code; the output is printed, so that it stands beside a failure."""
    print(done.stdout, flush=True)
    judge.same(f"{what}: exit code", done.returncode, code)
    judge.need("Traceback" not in done.stdout, f"{what}: a traceback in the output")


def records(output: Path) -> dict[tuple[str, str], Record]:
    """By detector and loss."""
    found = [read_record(path) for path in output.glob("runs/*/*/*/record.json")]
    return {(record.cell.detector, record.cell.loss): record for record in found}


def weights(output: Path, detector: str) -> dict[str, Any]:
    """What a run with SLS was scored with."""
    (path,) = output.glob(f"runs/*/{detector}+sls/*/weights.pt")
    return torch.load(path, weights_only=True)["state_dict"]


def good(judge: Judge, what: str, record: Record, gpu: bool = True, **wanted: Any) -> None:
    """Judge a record that should be done: on the device, or on a CPU though there is a GPU."""
    gpu = gpu and judge.cuda
    judge.same(f"{what}: status", record.status, "done")
    judge.same(f"{what}: deterministic", record.environment.deterministic, True)
    judge.same(f"{what}: cuda", record.environment.cuda, torch.version.cuda)
    judge.same(f"{what}: driver", record.environment.driver, driver_version() if gpu else None)
    if gpu:
        judge.same(f"{what}: card", record.environment.device, torch.cuda.get_device_name())
    for key, value in wanted.items():
        judge.same(f"{what}: {key}", getattr(record.environment, key), value)


def packed(judge: Judge) -> tuple[Path, subprocess.CompletedProcess[str] | None]:
    """Eight cells, four at a time, of which four fail; run once, whichever check asks first."""
    output = judge.folder / "packed"
    if output.exists():
        return output, None
    done = run(
        *TINY, "--detectors", "ok_net,hungry,crash,ok_net:width=4",
        "--loss", "sls" if judge.small else "sls,soft_iou", "--epochs", "2",
        "--device", judge.device.type, "--jobs-per-device", "4", "--output", output,
    )  # fmt: skip
    return output, done


@check(seconds=150)
def packing(judge: Judge) -> None:
    """Eight runs, four at a time: those that crash or fill the memory leave the others alone."""
    output, done = packed(judge)
    if done is not None:
        ended(judge, "packing", done, 1)
        again = done.stdout.count("once more, alone on a device")
        judge.same("runs repeated alone", again, 1 if judge.small else 2)
    found = records(output)
    judge.same("records", len(found), 4 if judge.small else 8)
    for (detector, loss), record in found.items():
        what = f"{detector}+{loss}"
        if detector == "hungry":
            judge.same(f"{what}: status", record.status, "oom")
            judge.same(f"{what}: runs beside it at last", record.environment.jobs, 1)
            judge.need("out of memory" in (record.error or ""), f"{what}: {record.error}")
        elif detector == "crash":
            judge.same(f"{what}: status", record.status, "failed")
            judge.need("IndexError" in (record.error or ""), f"{what}: {record.error}")
        else:
            good(judge, what, record)
            judge.need(2 <= record.environment.jobs <= 4, f"{what}: {record.environment.jobs} jobs")
            judge.same(f"{what}: epochs", len(record.history), 2)


@check(seconds=120, only_cuda="on a CPU `auto` is one run at a time")
def packing_auto(judge: Judge) -> None:
    """As many runs as the memory holds; the weights are those of the runs packed by number."""
    output = judge.folder / "auto"
    done = run(
        *TINY, "--detectors", "ok_net,ok_net:width=4", "--loss", "sls,soft_iou", "--epochs", "2",
        "--device", "cuda", "--jobs-per-device", "auto", "--output", output, OK_NET_SLEEP="0.5",
    )  # fmt: skip
    ended(judge, "auto", done, 0)
    found = records(output)
    judge.same("records", len(found), 4)
    for (detector, loss), record in found.items():
        good(judge, f"{detector}+{loss}", record)
        judge.need(record.cost.reserved_memory_bytes, f"{detector}+{loss}: no memory noted")
    most = max(record.environment.jobs for record in found.values())
    judge.need(most > 1, "never two runs at a time")
    judge.note("runs at a time", most)
    judge.same("weights", weights(output, "ok_net"), weights(packed(judge)[0], "ok_net"))


@check(seconds=120, only_cuda="a CPU has no graphs")
def cuda_graph(judge: Judge) -> None:
    """Runs with --cuda-graph auto on cuda:0: recorded, and with the weights of eager ones."""
    output = judge.folder / "graph"
    done = run(
        *TINY, "--detectors", "ok_net,mshnet", "--loss", "sls", "--epochs", "2",
        "--device", "cuda:0", "--cuda-graph", "auto", "--output", output,
    )  # fmt: skip
    ended(judge, "graph", done, 0)
    for name in ("ok_net", "mshnet"):
        good(judge, name, records(output)[name, "sls"], cuda_graph="graph")
    judge.same("weights", weights(output, "ok_net"), weights(packed(judge)[0], "ok_net"))


@check(seconds=90, only_cuda="a CPU has no UUID")
def uuid(judge: Judge) -> None:
    """A GPU that CUDA_VISIBLE_DEVICES names by its UUID."""
    lines = (ask_nvidia_smi("-L") or "").splitlines()
    found = [line.partition("UUID: ")[2].rstrip(")") for line in lines if "UUID: GPU-" in line]
    judge.need(found, f"nvidia-smi -L names no GPU: {lines}")
    output = judge.folder / "uuid"
    done = run(
        *TINY, "--detectors", "ok_net", "--loss", "sls", "--epochs", "1", "--output", output,
        CUDA_VISIBLE_DEVICES=found[0],
    )  # fmt: skip
    ended(judge, "uuid", done, 0)
    judge.need("on cuda:0" in done.stdout, "it did not run on cuda:0")
    good(judge, "ok_net", records(output)["ok_net", "sls"], cuda_graph="eager")


@check(seconds=90)
def no_gpu(judge: Judge) -> None:
    """With no GPU visible a run takes the CPU; one that is not there is refused."""
    output = judge.folder / "no-gpu"
    one = (*TINY, "--detectors", "ok_net", "--loss", "sls", "--epochs", "1", "--output", output)
    refused = run(*one, "--device", "cuda:99")
    ended(judge, "cuda:99", refused, 2)
    judge.need("--device cuda:99" in refused.stdout, f"cuda:99: {refused.stdout}")
    judge.need(not output.exists(), "cuda:99: something was written")
    done = run(*one, "--jobs-per-device", "auto", CUDA_VISIBLE_DEVICES="")
    ended(judge, "no GPU", done, 0)
    good(judge, "ok_net", records(output)["ok_net", "sls"], gpu=False, cudnn=None, jobs=1)


@check(seconds=140)
def time_limit(judge: Judge) -> None:
    """A run whose time is over ends in time with code 75, and the same command goes on."""
    output, limit = judge.folder / "limit", 25
    epochs = 2 * limit  # of 1.2 s each
    command = (
        *TINY, "--detectors", "ok_net", "--loss", "sls", "--epochs", epochs, "--set",
        "selection=last", "--device", judge.device.type, "--time-limit", f"{limit}s",
        "--output", output,
    )  # fmt: skip
    started = time.monotonic()
    ended(judge, "time limit", run(*command, OK_NET_SLEEP="0.4"), MORE_TO_DO)
    judge.below("seconds", time.monotonic() - started, limit + 25)  # the report comes after it
    (checkpoint,) = output.glob("runs/*/*/*/checkpoint.pt")
    done = torch.load(checkpoint, weights_only=True)["next_epoch"]
    judge.note("epochs in time", done)
    judge.need(1 <= done < epochs, f"{done} of {epochs} epochs in the first session")
    ended(judge, "going on", run(*command), 0)
    record = records(output)["ok_net", "sls"]
    good(judge, "ok_net", record, sessions=2)
    judge.same("epochs", [epoch.epoch for epoch in record.history], [*range(epochs)])


@check(seconds=100)
def killed(judge: Judge) -> None:
    """The parent is killed: its workers save themselves and leave, and the GPU is free of them."""
    output, steps = judge.folder / "killed", judge.folder / "killed-steps"
    command = [
        *(sys.executable, ROOT / "run_benchmark.py"), *TINY, "--detectors",
        "ok_net,ok_net:width=4", "--loss", "sls", "--epochs", "500", "--jobs-per-device", "2",
        "--device", judge.device.type, "--output", output,
    ]  # fmt: skip
    parent = subprocess.Popen(
        [*map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(OK_NET_SLEEP="0.2", OK_NET_STEPS=str(steps)),
    )
    try:
        reached = wait_for(lambda: steps.exists() and steps.stat().st_size > 16, 60)
        judge.need(reached, "the runs did not start")
        pids = workers(output)
        judge.same("workers", len(pids), 2)
    finally:
        parent.kill()
        parent.wait()
    started = time.monotonic()
    gone = wait_for(lambda: not workers(output), PATIENCE + 5)
    judge.need(gone, f"workers are left: {workers(output)} of {pids}")
    judge.note("seconds until they had left", time.monotonic() - started)
    judge.need([*output.glob("runs/*/*/*/checkpoint.pt")], "no run saved its epochs")
    if judge.cuda:
        # the driver lists a process for a moment after its end
        wait_for(lambda: not on_gpu(pids), 10)
        judge.need(not on_gpu(pids), f"still on the GPU: {on_gpu(pids)}")


def on_gpu(pids: list[int]) -> set[str]:
    """Those of them that the driver lists."""
    text = ask_nvidia_smi("--query-compute-apps=pid", "--format=csv,noheader") or ""
    return {*text.split()} & {*map(str, pids)}


def workers(output: Path) -> list[int]:
    """Processes that work on runs in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        here = any(word.startswith(str(output.resolve()).encode()) for word in words)
        if here and b"benchmark.execute.worker" in words:
            found.append(int(path.parent.name))
    return found


def wait_for(condition: Any, seconds: float) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@check(seconds=90)
def profile(judge: Judge) -> None:
    """The latency of a detector, alone on the device."""
    output, name = judge.folder / "profile", "mshnet" if judge.cuda else "ok_net"
    done = run(
        "profile", "--detectors", name, "--side", "64", "--batch", "2", "--plugins", PLUGINS,
        "--device", judge.device.type, "--output", output,
    )  # fmt: skip
    ended(judge, "profile", done, 0)
    (path,) = output.glob("profiles/*.json")
    found = read_profile(path)
    judge.need(found.single.median_ms > 0, "no time of one image")
    judge.need(found.throughput > 0, "no throughput")
    if judge.cuda:
        judge.same("card", found.device, torch.cuda.get_device_name())
        judge.need(found.graph, "no time of a CUDA graph")
        judge.note("graph ms", found.graph and found.graph.median_ms)
    judge.note("ms", found.single.median_ms)
