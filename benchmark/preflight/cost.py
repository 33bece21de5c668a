"""Sizes that detectors declare (`Detector.cost`), read without importing them."""

from __future__ import annotations

import detectors
from benchmark.plan.job import Job
from benchmark.registry.info import Cost
from benchmark.settings.run_settings import Settings

BYTES = 4
"""Bytes of a weight."""
_STATES = {"adam": 2, "adamw": 2}
"""Numbers that an optimizer keeps for each weight, where that is not one."""


def declared(detector: str) -> Cost:
    """`Detector.cost` of the default options, whatever the name says; empty where none is
    declared."""
    return detectors.REGISTRY.get(detector).info.cost


def sure(detector: str) -> Cost:
    """The same, but empty where options may make the detector smaller than it declares."""
    entry, chosen = detectors.REGISTRY.parse(detector)
    variant = chosen.pop("variant", None)
    known = variant is None or "cost" in entry.info.variant_data.get(variant, {})
    return entry.info.cost if known and not chosen else {}


def parameters(job: Job) -> float:
    """Weights of the network; 0 where that is not sure."""
    return 1e6 * sure(job.detector).get("parameters", 0.0)


def states(settings: Settings) -> int:
    """Numbers that the optimizer keeps for each weight."""
    return _STATES.get(settings.optimizer, 1)
