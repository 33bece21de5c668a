"""The losses of an epoch's steps, and whether they are finite, without waiting for a GPU."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

LOOK_EVERY = 1.0
"""Seconds between two looks at what a GPU has finished."""


class Losses:
    """The loss of every step of an epoch, kept where it is computed.

    A CPU's is looked at after its step. From a GPU they are copied now and then, and looked at when
    the copy has arrived: to ask for one at once would be to wait for all that is queued before it.

    Args:
        steps: of the epoch.
        device: where the losses are computed.
    """

    def __init__(self, steps: int, device: torch.device) -> None:
        self.values = torch.zeros(steps, device=device)
        self.count = 0
        self._copy: Tensor | None = None  # on its way to the host
        self._arrived: torch.cuda.Event | None = None
        self._looked = time.monotonic()

    def add(self, value: Tensor) -> None:
        """Keep the loss of the next step."""
        self.values[self.count].copy_(value.detach())
        self.count += 1

    def bad_step(self) -> tuple[int, float] | None:
        """The first step (from 0) known to have a loss that is not finite, and the loss."""
        if self.values.is_cpu:
            value = float(self.values[self.count - 1])
            return None if math.isfinite(value) else (self.count - 1, value)
        if self._copy is None:
            if time.monotonic() - self._looked >= LOOK_EVERY:
                self._start_copy()
            return None
        if self._arrived is not None and not self._arrived.query():
            return None
        found, self._copy = first_bad(self._copy), None
        return found

    def finish(self, weights: Iterable[Tensor]) -> tuple[np.ndarray, bool]:
        """Wait for the end of the epoch.

        Args:
            weights: of the network.

        Returns:
            The losses of the steps, and whether the weights are finite.
        """
        sound = all_finite([*weights]).to(self.values.dtype)
        self.values = torch.cat((self.values[: self.count], sound[None]))
        if self.values.is_cpu:
            everything = self.values.numpy()
        else:
            self._start_copy()
            if self._arrived is not None:
                self._arrived.synchronize()
            assert self._copy is not None
            everything = self._copy.numpy()
        return everything[:-1], bool(everything[-1])

    def _start_copy(self) -> None:
        self._looked = time.monotonic()
        cuda = self.values.is_cuda
        self._copy = torch.empty(len(self.values), pin_memory=cuda)
        self._copy.copy_(self.values, non_blocking=True)
        if cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record()


def first_bad(values: Tensor) -> tuple[int, float] | None:
    """Place and value of the first number that is not finite."""
    bad = (~values.isfinite()).nonzero()
    return (int(bad[0]), float(values[bad[0]])) if len(bad) else None


def all_finite(tensors: list[Tensor]) -> Tensor:
    """Whether every floating-point number is finite, as one bool on their device."""
    numbers = [t for t in tensors if t.is_floating_point() and t.numel()]
    return torch.stack(torch._foreach_norm(numbers, math.inf)).isfinite().all()
