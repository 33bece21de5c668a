"""The best matching at every threshold, from the components that come near a target at any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from benchmark.evaluation.metrics.components import Components
from benchmark.evaluation.metrics.matching import best_pairs, clusters, distance_steps
from benchmark.evaluation.metrics.sweep_kernel import AREA, COLUMN_SUM, ROW_SUM


class _Pair(NamedTuple):
    """A row of the table of `component_pairs` that may match, at the thresholds first .. last."""

    target: int
    component: int
    area: int
    first: int
    last: int
    steps: int


def match_over_thresholds(
    targets: Components, table: np.ndarray, thresholds: int
) -> tuple[np.ndarray, np.ndarray]:
    """What `matching.match` finds at each threshold.

    A pair is in the best matching where it has no rival: no pair with the same target or component
    at the same threshold. Rivals are matched anew wherever one of them begins or ends.

    Args:
        targets: M components.
        table: (P, 7), all pairs that may match and maybe more, see `component_pairs`.
        thresholds: K, their number.

    Returns:
        Hits, and the pixels of the components that hit: (K,) int64 both.
    """
    spans = [
        span for rivals in _groups_of_rivals(_pairs(targets, table)) for span in _spans(rivals)
    ]
    begin, end, *found = np.array(spans, np.int64).reshape(-1, 4).T
    change = np.zeros((2, thresholds + 1), np.int64)  # from each threshold to the next
    for row, number in zip(change, found, strict=True):
        np.add.at(row, begin, number)
        np.subtract.at(row, end, number)
    hits, area = change.cumsum(axis=1)[:, :-1]
    return hits, area


def _pairs(targets: Components, table: np.ndarray) -> list[_Pair]:
    components = Components(table[:, AREA], table[:, ROW_SUM], table[:, COLUMN_SUM])
    pairs = []
    for row, (component, area, _, _, target, first, last) in enumerate(table.tolist()):
        steps = distance_steps(targets, target, components, row)
        if steps is not None:
            pairs.append(_Pair(target, component, area, first, last, steps))
    return pairs


def _groups_of_rivals(pairs: list[_Pair]) -> list[list[_Pair]]:
    """Split so that pairs of different groups are never rivals."""
    keyed = {}
    target = last = episode = -1  # episode: pairs of one target without a gap between them
    for pair in sorted(pairs, key=attrgetter("target", "first")):
        if pair.target != target or pair.first > last:
            target, last = pair.target, pair.last
            episode += 1
        last = max(last, pair.last)
        keyed[episode, pair.component] = pair
    return [[keyed[key] for key in group] for group in clusters(keyed)]


def _spans(rivals: list[_Pair]) -> Iterator[tuple[int, int, int, int]]:
    """First threshold, first one beyond, hits, and their pixels, wherever these stay the same."""
    if len(rivals) == 1:
        (pair,) = rivals
        yield pair.first, pair.last + 1, 1, pair.area
        return
    area = {pair.component: pair.area for pair in rivals}
    begins, ends = defaultdict(list), defaultdict(list)
    for pair in rivals:
        begins[pair.first].append(pair)
        ends[pair.last + 1].append(pair)
    alive: dict[tuple[int, int], int] = {}
    for begin, end in pairwise(sorted({*begins, *ends})):
        for pair in ends.get(begin, ()):
            del alive[pair.target, pair.component]
        for pair in begins.get(begin, ()):
            alive[pair.target, pair.component] = pair.steps
        found = best_pairs(alive, area)
        yield begin, end, len(found), sum(area[component] for _, component in found)
