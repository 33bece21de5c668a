"""The best matching at every threshold, from the components that come near a target at any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from benchmark.evaluation.curves.kernel import AREA, COLUMN_SUM, ROW_SUM
from benchmark.evaluation.matching import best_pairs, clusters, distance_steps
from datasets.components import Components


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
    """Hits at each threshold, as `matching.match` finds them.

    Targets that never compete for a component are matched by themselves, and anew only where a
    component that is near one of them begins or ends.

    Args:
        targets: M components.
        table: (P, 7), all pairs that may match and perhaps others, see `component_pairs`.
        thresholds: K, their number.

    Returns:
        Hits, and the pixels of the components that hit: (K,) int64 both.
    """
    pairs = _pairs(targets, table)
    groups = [[pairs[key] for key in group] for group in clusters(pairs)]
    spans = [span for group in groups for span in _spans(group)]
    begin, end, *found = np.array(spans, np.int64).reshape(-1, 4).T
    change = np.zeros((2, thresholds + 1), np.int64)  # from each threshold to the next
    for row, number in zip(change, found, strict=True):
        np.add.at(row, begin, number)
        np.subtract.at(row, end, number)
    hits, area = change.cumsum(axis=1)[:, :-1]
    return hits, area


def _pairs(targets: Components, table: np.ndarray) -> dict[tuple[int, int], _Pair]:
    """Pairs that may match, keyed by target and component."""
    components = Components(table[:, AREA], table[:, ROW_SUM], table[:, COLUMN_SUM])
    pairs = {}
    for row, (component, area, _, _, target, first, last) in enumerate(table.tolist()):
        steps = distance_steps(targets, target, components, row)
        if steps is not None:
            pairs[target, component] = _Pair(target, component, area, first, last, steps)
    return pairs


def _spans(pairs: list[_Pair]) -> Iterator[tuple[int, int, int, int]]:
    """Spans of equal hits: first threshold, first one beyond, hits, and their pixels.

    Args:
        pairs: with no target and no component in common with others.
    """
    area = {pair.component: pair.area for pair in pairs}
    begins, ends = defaultdict(list), defaultdict(list)
    for pair in pairs:
        begins[pair.first].append(pair)
        ends[pair.last + 1].append(pair)
    alive: dict[tuple[int, int], int] = {}
    for begin, end in pairwise(sorted({*begins, *ends})):
        for pair in ends.get(begin, ()):
            del alive[pair.target, pair.component]
        for pair in begins.get(begin, ()):
            alive[pair.target, pair.component] = pair.steps
        found = best_pairs(alive, area) if len(alive) > 1 else alive
        yield begin, end, len(found), sum(area[component] for _, component in found)
