"""Predictions of a whole test set under several protocols, one pass of the network per geometry."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from benchmark.evaluation import create_protocol
from benchmark.evaluation.geometry import fit
from benchmark.evaluation.metrics.protocol import Geometry, Protocol
from benchmark.record import Scores
from datasets.base import Sample

Network = Callable[[np.ndarray, Geometry], np.ndarray]
"""Image (H, W) and how to pad it -> probabilities (H, W)."""


def score(
    network: Network, samples: Iterable[Sample], protocols: Sequence[str], details: bool = True
) -> dict[str, Scores]:
    """Score a network under several protocols; those of the same geometry share one pass.

    Args:
        network: gives the probabilities.
        samples: the test set.
        protocols: names, see `list_protocols`.
        details: keep curves and targets, too.
    """
    scorers = {name: create_protocol(name, details=details) for name in protocols}
    by_geometry: dict[Geometry, list[Protocol]] = defaultdict(list)
    for scorer in scorers.values():
        by_geometry[scorer.geometry].append(scorer)
    for sample in samples:
        for geometry, group in by_geometry.items():
            image, mask = fit(sample.image, sample.mask, geometry)
            prob = network(image, geometry)
            for scorer in group:
                scorer.update(prob, mask, sample.name, image)
    return {name: finish(scorer) for name, scorer in scorers.items()}


def finish(scorer: Protocol) -> Scores:
    """What a record keeps; numbers that are not defined (NaN) are left out."""
    numbers = scorer.compute()
    return Scores(
        protocol=scorer.name,
        version=scorer.version,
        metrics={key: value for key, value in numbers.items() if math.isfinite(value)},
        rules=scorer.rules,
        images=scorer.rows,
        **scorer.details(),
    )
