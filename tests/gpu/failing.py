"""Checks that fail on purpose, each in another way: whether `check` notices, see `test_check`."""

import os
import time

import torch

from tests.gpu.judge import Judge, Skip, check


@check()
def good(judge: Judge) -> None:
    """Passes."""
    judge.near("a number", torch.ones(2), torch.ones(2), 1e-6)


@check()
def off(judge: Judge) -> None:
    """A number that is not near enough."""
    judge.near("a number", torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]), 1e-3)


@check()
def undefined(judge: Judge) -> None:
    """NaN is near to nothing."""
    judge.near("a number", torch.full((2,), float("nan")), torch.ones(2), 1e-3)


@check()
def unequal(judge: Judge) -> None:
    """One bit."""
    one = {"a": torch.ones(3), "b": [torch.zeros(2)]}
    judge.same("weights", one | {"b": [torch.tensor([0.0, 1e-30])]}, one)


@check()
def raises(judge: Judge) -> None:
    """An error in one part, and the next part goes on."""
    with judge.part("first"):
        raise ValueError("a bug\nin two lines")
    judge.need(True, "second")


@check()
def idle(judge: Judge) -> None:
    """Compares nothing."""


@check(seconds=2)
def hangs(_judge: Judge) -> None:
    """Never ends."""
    time.sleep(600)


@check()
def dies(_judge: Judge) -> None:
    """Takes its process with it."""
    print("last words", flush=True)
    os.kill(os.getpid(), 11)


@check()
def skips(_judge: Judge) -> None:
    """Cannot be made."""
    raise Skip("no such device")


@check()
def too_late(judge: Judge) -> None:
    """What was wrong before it gave up counts."""
    judge.need(False, "wrong")
    raise Skip("no such device")


@check(only_cuda="a CPU has none")
def cuda(judge: Judge) -> None:
    """Not for a CPU."""


@check()
def last(judge: Judge) -> None:
    """Passes after all of them."""
    judge.need(judge.device.type == "cpu", "another device")
