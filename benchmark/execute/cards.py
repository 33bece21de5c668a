"""Assignment of runs to devices, and of a GPU's memory to runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmark.environment import cpu_count, devices
from benchmark.settings.plan import Plan

MOST_PACKED = 4
"""Most runs on a GPU with `--jobs-per-device auto`, if memory allows; each wants a CPU core."""
USABLE = 0.95
"""Fraction of a GPU's memory for runs; the rest is for the driver and other users."""
HOPELESS = 3
"""Consecutive failures before a device was ready, after which it is left out."""


@dataclass(eq=False)
class Demand:
    """A run's demand on a device.

    Attributes:
        kind: runs of the same kind need the same memory.
        need: bytes of GPU memory; None while that is not known.
        alone: it has failed for lack of memory next to others.
    """

    kind: tuple[Any, ...]
    need: int | None = None
    alone: bool = False


@dataclass
class Card:
    """A device and what runs on it.

    Args:
        name: `cpu` or `cuda:K`.
        jobs: runs at a time; None: as many as fit.
        cores: CPU cores that the runs of this device may use.
    """

    name: str
    jobs: int | None
    cores: int
    memory: int | None = None  # bytes, as soon as a run has reported it
    running: list[Demand] = field(default_factory=list)
    failures: int = 0  # in a row, before the device was ready

    @property
    def lost(self) -> bool:
        """Whether the device is left out because nothing comes up on it; a CPU never is."""
        return self.name != "cpu" and self.failures >= HOPELESS

    @property
    def most(self) -> int:
        """Largest number of runs at a time."""
        if self.jobs is not None:
            return self.jobs
        return 1 if self.name == "cpu" else max(1, min(MOST_PACKED, self.cores))

    def admits(self, demand: Demand) -> bool:
        """Whether such a run may start now.

        Where the number of runs is given, it alone decides. Otherwise memory does: a run whose
        need is not known waits until those before it have reported theirs, and for as much room as
        the largest of them takes.
        """
        if self.lost or len(self.running) >= self.most:
            return False
        if not self.running:
            return True
        if demand.alone or any(other.alone for other in self.running):
            return False
        if self.jobs is not None:
            return True
        needs = [other.need for other in self.running]
        if self.memory is None or None in needs:
            return False
        taken = [need for need in needs if need is not None]
        return (demand.need or max(taken)) <= USABLE * self.memory - sum(taken)

    def share(self, demand: Demand) -> float | None:
        """Fraction of the GPU's memory that a run starting now may take; None: no bound."""
        if self.name == "cpu" or demand.alone or self.most == 1:
            return None
        if self.jobs is not None:
            return USABLE / self.jobs
        if self.memory is None:  # the first one here
            return USABLE
        free = USABLE - sum(other.need or 0 for other in self.running) / self.memory
        return free if demand.need is None else min(demand.need / self.memory, free)


def make_cards(plan: Plan) -> list[Card]:
    """The devices that a plan names.

    Raises:
        UserError: see `devices`.
    """
    names = devices(plan.device)
    jobs = None if plan.jobs_per_device == "auto" else plan.jobs_per_device
    return [Card(name, jobs, cpu_count() // len(names)) for name in names]


def threads_of_a_run(cards: list[Card]) -> int:
    """CPU threads of a run: results on a CPU depend on them, so all get the same number."""
    return max(cpu_count() // max(sum(card.most for card in cards), 1), 1)
