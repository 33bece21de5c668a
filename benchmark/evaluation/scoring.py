"""Predictions of a whole test set under several protocols, one pass of the network per geometry."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from benchmark.evaluation import create_protocol
from benchmark.evaluation.protocol import Geometry, Protocol
from benchmark.evaluation.resize import fit
from benchmark.records.record import Scores
from datasets.base import Sample

Network = Callable[[Sequence[np.ndarray], Geometry], Iterable[tuple[int, np.ndarray]]]
"""Images (H, W) and how to pad them -> number of an image and its probabilities (H, W), in any
order; see `inference.Predictor`."""
WINDOW = 128
"""Images that the network gets at once; their maps are in memory together."""


def score(
    network: Network, samples: Iterable[Sample], protocols: Sequence[str], details: bool = True
) -> dict[str, Scores]:
    """Score a network under several protocols; those of the same geometry share one pass.

    What the network answers is judged in a thread beside it, in the order of the samples.

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
    samples = iter(samples)
    beside = ThreadPoolExecutor(1)
    try:
        while window := list(itertools.islice(samples, WINDOW)):
            for geometry, group in by_geometry.items():
                _score_window(network, window, geometry, group, beside)
    finally:  # whoever is stopped does not wait for what is queued
        beside.shutdown(wait=False, cancel_futures=True)
    return {name: finish(scorer) for name, scorer in scorers.items()}


def _score_window(
    network: Network,
    window: list[Sample],
    geometry: Geometry,
    group: list[Protocol],
    beside: ThreadPoolExecutor,
) -> None:
    fitted = [fit(sample.image, sample.mask, geometry) for sample in window]

    def judge(number: int, prob: np.ndarray) -> None:
        image, mask = fitted[number]
        for scorer in group:
            scorer.update(prob, mask, window[number].name, image)

    pending: list[Future] = []
    for number, prob in _in_order(network([image for image, _ in fitted], geometry)):
        if pending and pending[0].done():
            pending.pop(0).result()  # raises what went wrong
        pending.append(beside.submit(judge, number, prob))
    for future in pending:
        future.result()


def _in_order(answers: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """What comes numbered in any order, from number 0 on."""
    early: dict[int, np.ndarray] = {}
    number = 0
    for found, prob in answers:
        early[found] = prob
        while number in early:
            yield number, early.pop(number)
            number += 1


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
