"""Probability maps of a whole test set under several protocols, one pass per geometry."""

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

Mapper = Callable[[Sequence[Sample], Geometry], Iterable[tuple[int, np.ndarray]]]
"""Samples at the size of a geometry, and how to pad them -> number of each sample and probabilities
of its pixels (H, W), in any order: those of a network (`inference.Predictor`) or of a folder
(`foreign.evaluate`)."""
WINDOW = 128
"""Samples requested at once; their maps are in memory together."""


def score(
    mapper: Mapper,
    samples: Iterable[Sample],
    protocols: Sequence[str],
    *,
    details: bool = True,
    thresholds: Sequence[float] | None = None,
    pictured: bool = True,
    window: int = WINDOW,
) -> dict[str, Scores]:
    """Score maps under several protocols; those of the same geometry share them.

    They are judged in the order of the samples, in a thread of their own while others are made.

    Args:
        mapper: gives the probabilities.
        samples: the test set.
        protocols: names, see `list_protocols`.
        details: also keep curves and targets.
        thresholds: of the curves; the protocols' own by default.
        pictured: whether the samples have their images: the contrast of targets is theirs.
        window: samples requested at once.
    """
    scorers = {
        name: create_protocol(name, details=details, thresholds=thresholds) for name in protocols
    }
    by_geometry: dict[Geometry, list[Protocol]] = defaultdict(list)
    for scorer in scorers.values():
        by_geometry[scorer.geometry].append(scorer)
    samples = iter(samples)
    beside = ThreadPoolExecutor(1)
    try:
        while some := list(itertools.islice(samples, window)):
            for geometry, group in by_geometry.items():
                _score_window(mapper, some, geometry, group, pictured, beside)
    finally:  # when stopped, do not wait for what is queued
        beside.shutdown(wait=False, cancel_futures=True)
    return {name: finish(scorer) for name, scorer in scorers.items()}


def _score_window(
    mapper: Mapper,
    samples: list[Sample],
    geometry: Geometry,
    group: list[Protocol],
    pictured: bool,
    beside: ThreadPoolExecutor,
) -> None:
    fitted = [fit(sample, geometry) for sample in samples]

    def judge(number: int, prob: np.ndarray) -> None:
        image, mask, name = fitted[number]
        for scorer in group:
            scorer.update(prob, mask, name, image if pictured else None)

    pending: list[Future] = []
    for number, prob in _in_order(mapper(fitted, geometry)):
        if pending and pending[0].done():
            pending.pop(0).result()  # raises what went wrong
        pending.append(beside.submit(judge, number, prob))
    for future in pending:
        future.result()


def _in_order(answers: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """Sort answers that come numbered in any order, from number 0 on."""
    early: dict[int, np.ndarray] = {}
    number = 0
    for found, prob in answers:
        early[found] = prob
        while number in early:
            yield number, early.pop(number)
            number += 1


def finish(scorer: Protocol) -> Scores:
    """Scores as a record keeps them; numbers that are not defined (NaN) are left out."""
    numbers = scorer.compute()
    return Scores(
        protocol=scorer.name,
        version=scorer.version,
        metrics={key: value for key, value in numbers.items() if math.isfinite(value)},
        rules=scorer.rules,
        empty=scorer.empty,
        threshold=scorer.threshold,
        radius=scorer.radius,
        images=scorer.rows,
        **scorer.details(),
    )
