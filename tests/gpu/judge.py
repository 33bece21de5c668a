"""What a check is, and how it judges: every comparison is kept as a number, and none ends it."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.environment import ROOT


class Skip(Exception):  # noqa: N818  # no error
    """The check cannot be made here; the message says why."""


@dataclass(frozen=True)
class Check:
    """A function that judges; `check` registers one."""

    name: str
    run: Callable[[Judge], None]
    seconds: float  # it gets no longer
    only_cuda: str | None  # why it needs CUDA

    @property
    def about(self) -> str:
        """The first line of its docstring."""
        return (self.run.__doc__ or "").partition("\n")[0]


CHECKS: dict[str, Check] = {}
"""By name, in the order in which they run."""


def check(seconds: float = 60.0, only_cuda: str | None = None) -> Callable:
    """Register a function under its name.

    Args:
        seconds: it gets no longer.
        only_cuda: why it makes no sense on a CPU, if it does not.
    """

    def register(run: Callable[[Judge], None]) -> Callable[[Judge], None]:
        name = run.__name__
        assert name not in CHECKS, name
        CHECKS[name] = Check(name, run, seconds, only_cuda)
        return run

    return register


class Judge:
    """What a check gets: where to compute, and what takes its findings.

    Args:
        device: that is checked; `cpu` shows only that the program runs.
        small: take little of everything.
        folder: for files; the checks share it.
        threads: of the CPU.
    """

    def __init__(self, device: torch.device, small: bool, folder: Path, threads: int = 1) -> None:
        self.device, self.small, self.folder, self.threads = device, small, folder, threads
        self.cuda = device.type == "cuda"
        self.numbers: dict[str, Any] = {}  # for the JSON file
        self.notes: list[str] = []  # for the line
        self.wrong: list[str] = []
        self.traces: list[str] = []
        self.count = 0  # comparisons
        self._worst: tuple[float, str] | None = None

    def need(self, truth: object, what: str) -> None:
        """Something must hold."""
        self.count += 1
        if not truth:
            self.wrong.append(what)

    def below(self, what: str, value: float, limit: float) -> None:
        """A number must not be above its limit (nor NaN)."""
        value = float(value)
        self.numbers[what] = value
        good = value <= limit
        self.need(good, f"{what}: {value:.2g}, at most {limit:.2g}")
        share = value / limit if math.isfinite(value) else math.inf
        if self._worst is None or share > self._worst[0]:
            self._worst = share, f"worst {value:.1e} of {limit:.2g}: {what}"

    def near(self, what: str, got: Tensor, expected: Tensor, limit: float) -> None:
        """The largest difference, as a part of the largest number expected."""
        got, expected = (t.detach().to("cpu", torch.float64) for t in (got, expected))
        if got.shape != expected.shape:
            self.need(False, f"{what}: shape {tuple(got.shape)}, not {tuple(expected.shape)}")
            return
        scale = float(expected.abs().max()) or 1.0
        self.below(what, float((got - expected).abs().max()) / scale, limit)

    def same(self, what: str, got: Any, expected: Any) -> None:
        """Equal to the bit: tensors, or dictionaries and lists of them or of plain data."""
        self.need(*_same(what, got, expected))

    def note(self, what: str, value: Any) -> None:
        """Something to know, in the JSON file only."""
        self.numbers[what] = value

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """An error within is a finding, and what follows goes on."""
        try:
            yield
        except Skip:
            raise
        except Exception as error:
            self.raised(error, f"{name}: ")

    def raised(self, error: BaseException, where: str = "") -> None:
        """An error that ended a check or a part of it."""
        text = (str(error).strip() or "no message").splitlines()[0]
        self.count += 1
        self.wrong.append(f"{where}{type(error).__name__}: {text}")
        trace = traceback.format_exception(type(error), error, error.__traceback__)
        self.traces.append("".join(trace).replace(f"{ROOT}/", ""))

    @property
    def detail(self) -> str:
        """What the line says."""
        if self.wrong:
            more = f"; and {len(self.wrong) - 3} more" if len(self.wrong) > 3 else ""
            return "; ".join(self.wrong[:3]) + more
        worst = [self._worst[1]] if self._worst else []
        return "; ".join([f"{self.count} comparisons", *worst, *self.notes])


def _same(what: str, got: Any, expected: Any) -> tuple[bool, str]:
    """Whether both are equal to the bit, and where not."""
    if isinstance(expected, Tensor):
        got, expected = got.detach().cpu(), expected.detach().cpu()
        if got.dtype != expected.dtype or got.shape != expected.shape:
            return False, f"{what}: other shape or dtype"
        where = got != expected
        if not where.any():
            return True, what
        most = float((got.double() - expected.double()).abs().max())
        return False, f"{what}: {int(where.sum())} of {where.numel()} differ, by {most:.1e} at most"
    if not isinstance(expected, (dict, list, tuple)):
        return bool(got == expected), f"{what}: {got}, not {expected}"
    if not isinstance(expected, dict):
        got, expected = dict(enumerate(got)), dict(enumerate(expected))
    if got.keys() != expected.keys():
        return False, f"{what}: {len(got)} items, not the {len(expected)} expected"
    found = [_same(f"{what}[{key}]", got[key], value) for key, value in expected.items()]
    bad = [text for good, text in found if not good]
    return not bad, f"{bad[0]} ({len(bad)} such)" if bad else what
