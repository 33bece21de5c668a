"""The process in which the checks run, from both of its sides."""

from __future__ import annotations

import gc
import importlib
import json
import math
import multiprocessing
import os
import platform
import signal
import sys
import tempfile
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmark.environment import cpu_count, cpu_name, driver_version, git_commit
from benchmark.networks.torch_setup import configure, describe
from tests.gpu.judge import CHECKS, Check, Judge, Skip

Setup = tuple[str, bool, Path, int, tuple[str, ...]]
"""Device, whether to take little, folder for files, threads of the CPU, modules with checks."""
LOG_LINES = 40
"""Of what a failed check printed that are kept."""


class Process:
    """The side that asks.

    Args:
        setup: for the other side.
    """

    def __init__(self, setup: Setup) -> None:
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        handle, name = tempfile.mkstemp(dir=setup[2], prefix="log-", suffix=".txt")
        os.close(handle)
        self.log, self._said = Path(name), 0
        self.pipe, theirs = context.Pipe()
        self.child = context.Process(target=serve, args=(theirs, setup, self.log), daemon=False)
        self.child.start()
        theirs.close()  # so that the end of the process is the end of the pipe

    def ask(self, name: str, seconds: float) -> Any:
        """Have a check run; see `answer`."""
        self._said = self.log.stat().st_size
        self.pipe.send(name)
        return self.answer(seconds)

    def answer(self, seconds: float) -> Any:
        """What comes from the other side.

        Raises:
            TimeoutError: nothing did.
            EOFError: it has ended.
        """
        if not self.pipe.poll(seconds):
            raise TimeoutError(f"no end within {seconds:.0f} s")
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.child.join(5)
            raise EOFError(f"its process ended, exit code {self.child.exitcode}") from None

    def log_tail(self) -> str:
        """The last lines that were printed since the last question."""
        with self.log.open("rb") as file:
            file.seek(self._said)
            return "\n".join(file.read().decode(errors="replace").splitlines()[-LOG_LINES:])

    def end(self) -> None:
        """End the process and what it has started."""
        self.pipe.close()
        with suppress(ProcessLookupError):  # its group is its own, see `serve`
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.kill()
        self.child.join(10)


def serve(pipe: Connection, setup: Setup, log: Path) -> None:
    """The side that answers: facts about the machine, then one check after the other."""
    device_name, small, folder, threads, modules = setup
    os.setsid()
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for module in modules:
        importlib.import_module(module)
    configure(threads)
    device = torch.device(device_name)
    pipe.send(machine(device))
    while True:
        try:
            name = pipe.recv()
        except EOFError:
            return
        result = judged(CHECKS[name], Judge(device, small, folder, threads))
        gc.collect()
        result["broken"] = not is_sound(device)
        sys.stdout.flush()
        pipe.send(result)


def judged(check: Check, judge: Judge) -> dict[str, Any]:
    """Run a check; an error is its failure, and so is having compared nothing."""
    try:
        if check.only_cuda and not judge.cuda:
            raise Skip(check.only_cuda)
        check.run(judge)
        if not judge.count:
            judge.wrong.append("nothing was compared")
    except Skip as reason:
        if not judge.wrong:
            return {"status": "skip", "detail": str(reason), "numbers": judge.numbers}
    except Exception as error:
        judge.raised(error)
    return {
        "status": "FAIL" if judge.wrong else "ok",
        "detail": judge.detail,
        "numbers": judge.numbers,
        "wrong": judge.wrong,
        "traceback": "\n".join(judge.traces) or None,
    }


def is_sound(device: torch.device) -> bool:
    """Whether CUDA still works: after some errors it never does again in the same process."""
    if device.type != "cuda":
        return True
    try:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        return float(torch.ones(2, device=device).sum()) == 2
    except RuntimeError:
        return False


def machine(device: torch.device) -> dict[str, Any]:
    """What the checks run on."""
    gpu = device.type == "cuda"
    facts = describe(device)
    return {
        "card": torch.cuda.get_device_name() if gpu else None,
        "memory": f"{torch.cuda.mem_get_info()[1] / 2**30:.0f} GiB" if gpu else None,
        "driver": driver_version() if gpu else None,
        "cuda": facts["cuda"],
        "cudnn": facts["cudnn"],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": f"{cpu_count()} cores of {cpu_name()}",
        "platform": platform.platform(),
        "commit": git_commit(),
    }


def as_json(value: Any) -> str:
    """JSON with what it has no word for as text."""
    return json.dumps(_plain(value), indent=1)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
