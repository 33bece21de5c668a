"""The place where cells would run: devices, runs at a time, threads."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.environment import cpu_computes_bf16, cpu_name, find_gpu
from benchmark.execute.cards import Card, threads_of_a_run


@dataclass(frozen=True)
class Site:
    """The devices of a plan; all of the kind of the first."""

    cards: list[Card]

    @property
    def is_cpu(self) -> bool:
        return self.cards[0].name == "cpu"

    @property
    def device(self) -> str:
        """Its name, as records have it."""
        return cpu_name() if self.is_cpu else find_gpu(self.cards[0].name).name

    @property
    def threads(self) -> int:
        """CPU threads of a run."""
        return threads_of_a_run(self.cards)

    @property
    def at_once(self) -> int:
        """Runs at a time."""
        return sum(card.most for card in self.cards)

    @property
    def lanes(self) -> int:
        """Runs that do not slow each other down: those on one GPU share its time."""
        return self.at_once if self.is_cpu else len(self.cards)

    def precision(self, asked: str) -> str:
        """The meaning of `auto` here; see `run.resolve_precision`."""
        if asked != "auto":
            return asked
        return "bf16" if not self.is_cpu or cpu_computes_bf16() else "fp32"
