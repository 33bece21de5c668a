"""Check a GPU machine in a few minutes: `python -m tests.gpu.check`, one line a check.

Nothing but the checkout and its packages is needed: no git, no network, no pytest. The checks run
in a process of their own; one that hangs, or takes its process with it, fails and the next goes on
in a new one. The exit code is 0 if all are well, 1 if one failed or was not reached, 2 for a
mistake in the options.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmark.environment import cpu_count, device_environment
from benchmark.records.store import write_atomic
from tests.gpu.judge import CHECKS, Check
from tests.gpu.process import Process, as_json

SCHEMA = "irstd-bench/gpu-check/1"
MODULES = (
    "tests.gpu.networks", "tests.gpu.numerics", "tests.gpu.training", "tests.gpu.steps",
    "tests.gpu.commands",
)  # fmt: skip
"""Where the checks are."""
MOST_THREADS = 16
"""Of the CPU, for what a GPU is compared with."""
GRACE = 15.0
"""Seconds that a check may still take when the time of all is over."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.check", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--json", type=Path, metavar="FILE", help="rewritten after each check")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="these checks")
    parser.add_argument("--small", action="store_true", help="little of everything, for a CPU")
    parser.add_argument("--minutes", type=float, default=8.5, help="no check starts later (8.5)")
    parser.add_argument("--list", action="store_true", help="say what is checked, and stop")
    parser.add_argument(
        "--modules", nargs="+", metavar="MODULE", default=MODULES, help="other checks than ours"
    )
    options = parser.parse_args(arguments)
    for module in options.modules:
        importlib.import_module(module)
    if options.list:
        for check in CHECKS.values():
            print(f"{check.name:<16} {check.about}")
        return 0
    if unknown := [name for name in options.only if name not in CHECKS]:
        parser.error(f"no check '{unknown[0]}'; there are: {', '.join(CHECKS)}")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such folder")
    if not options.minutes > 0:
        parser.error(f"--minutes {options.minutes:g}: give more than 0")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this torch sees no GPU; use --device cpu")
    os.environ.update(device_environment("cpu"))  # as a worker's, but for the choice of the GPU
    names = [name for name in CHECKS if name in options.only or not options.only]
    with tempfile.TemporaryDirectory(prefix="gpu-check-", ignore_cleanup_errors=True) as folder:
        os.environ["IRSTD_CACHE"] = str(Path(folder) / "cache")
        return Run(options, [CHECKS[name] for name in names], Path(folder)).run()


class Run:
    """One run of the checks.

    Args:
        options: of the command line.
        checks: to be run.
        folder: for what they write.
    """

    def __init__(self, options: argparse.Namespace, checks: list[Check], folder: Path) -> None:
        self.options, self.checks, self.folder = options, checks, folder
        threads = 1 if options.device == "cpu" else min(cpu_count(), MOST_THREADS)
        self.setup = (options.device, options.small, folder, threads, tuple(options.modules))
        self.started = time.monotonic()
        self.process: Process | None = None
        self.report: dict[str, Any] = {
            "schema": SCHEMA,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "options": {k: v for k, v in vars(options).items() if k not in ("json", "list")},
            "machine": None,
            "seconds": 0.0,
            "checks": [],
            "left": [check.name for check in checks],
        }

    def run(self) -> int:
        """Run all of them; returns the exit code."""
        self.write()
        try:
            for check in self.checks:
                if self.seconds_left() <= 0:
                    break
                self.add(self.ask(check))
        finally:
            if self.process is not None:
                self.process.end()
        found = [entry["status"] for entry in self.report["checks"]]
        left = self.report["left"]
        text = ", ".join(f"{found.count(status)} {status}" for status in ("ok", "FAIL", "skip"))
        text += f", {len(left)} left for lack of time: {' '.join(left)}" if left else ""
        print(f"{text}; {time.monotonic() - self.started:.0f} s", flush=True)
        return 1 if left or "FAIL" in found else 0

    def seconds_left(self) -> float:
        """Until no further check starts."""
        return self.started + 60 * self.options.minutes - time.monotonic()

    def ask(self, check: Check) -> dict[str, Any]:
        """What became of a check."""
        started = time.monotonic()
        try:
            if self.process is None:
                self.process = Process(self.setup)
                machine = self.process.answer(min(120.0, self.seconds_left() + GRACE))
                if self.report["machine"] is None:
                    self.report["machine"] = machine
                    print(", ".join(f"{k} {v}" for k, v in machine.items() if v), flush=True)
                started = time.monotonic()
            patience = min(check.seconds, self.seconds_left() + GRACE)
            answer = self.process.ask(check.name, patience)
        except (EOFError, OSError, TimeoutError) as error:
            answer = {"status": "FAIL", "detail": str(error), "numbers": {}, "broken": True}
        answer["seconds"] = round(time.monotonic() - started, 2)
        if answer["status"] == "FAIL":
            answer["log"] = self.process.log_tail() if self.process else ""
        if answer.pop("broken", False) and self.process is not None:
            self.process.end()
            self.process = None
        return {"name": check.name, **answer}

    def add(self, entry: dict[str, Any]) -> None:
        """Say and keep what became of a check."""
        line = f"{entry['status']:<4} {entry['name']:<16} {entry['seconds']:6.1f} s  "
        print(line + entry["detail"], flush=True)
        self.report["checks"].append(entry)
        self.report["left"].remove(entry["name"])
        self.write()

    def write(self) -> None:
        """Write all that is known by now."""
        self.report["seconds"] = round(time.monotonic() - self.started, 1)
        if self.options.json:
            write_atomic(self.options.json, as_json(self.report) + "\n")


if __name__ == "__main__":
    sys.exit(main())
