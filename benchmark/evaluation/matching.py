"""One-to-one matchings of targets and predicted components: ours, and the published ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmark.evaluation.protocol import RADIUS
from datasets.components import Components

STEP_BITS = 20  # distances are added up in whole steps of 2**-20 pixel
_EXACT = 2**52  # sums of integers below this are exact in float64

Pair = tuple[int, int]  # (target, prediction)
Areas = np.ndarray | Sequence[int] | Mapping[int, int]  # by number of the prediction


def match(targets: Components, predictions: Components) -> list[Pair]:
    """The best one-to-one matching under centroid distance < 3 pixels (strict, Euclidean).

    Best means, in this order: the most pairs; the smallest total distance; the largest total area
    of the matched predictions. The last rule only decides exact ties, which would otherwise be
    decided by scan order, so that false alarms would change when an image is flipped.

    Distances are decided on integers: with areas a, b and index sums R, C,
    D^2 = ((Ra b - Rb a)^2 + (Ca b - Cb a)^2) / (a b)^2. They are added up rounded down to steps
    of 2**-20 pixel, which makes the total independent of order and orientation.

    The published greedy rule (MSHNet `utils/metric.py`: first in scan order) finds fewer pairs in
    some orientations of an image than in others; this rule finds the most in all.

    Returns:
        Index pairs, in no particular order.
    """
    if not len(targets) or not len(predictions):
        return []
    delta = targets.centroids[:, None] - predictions.centroids[None]  # (M, N, 2)
    # A wide float filter first; the exact decision is made for the few pairs that pass.
    near = np.argwhere(np.einsum("mnk,mnk->mn", delta, delta) < RADIUS**2 + 1e-3)
    distances = {}
    for t, p in near.tolist():
        steps = distance_steps(targets, t, predictions, p)
        if steps is not None:
            distances[t, p] = steps
    return best_pairs(distances, predictions.area)


def best_pairs(distances: dict[Pair, int], area: Areas) -> list[Pair]:
    """The best one-to-one matching among pairs that may match, see `match`.

    Args:
        distances: of each such pair, see `distance_steps`.
        area: of each prediction, by its number.
    """
    return [
        pair
        for cluster in clusters(distances)
        for pair in _solve({pair: distances[pair] for pair in cluster}, area)
    ]


def match_greedy(targets: Components, predictions: Components) -> list[Pair]:
    """The published rule: each target takes the first free prediction less than 3 px away.

    Targets and predictions in scan order, so the result depends on the orientation of the image.
    MSHNet and DNANet `PD_FA`, BasicIRSTD `PD_FA`.

    Args:
        targets: in scan order (`label_components`).
        predictions: in scan order.
    """
    near = centroid_distances(targets, predictions) < RADIUS
    pairs = []
    for t in range(len(targets)):
        free = np.flatnonzero(near[t])
        if free.size:
            pairs.append((t, int(free[0])))
            near[:, free[0]] = False
    return pairs


def match_overlap_first(distance: np.ndarray, iou: np.ndarray) -> list[Pair]:
    """OPDC: overlap priority with distance compensation (arXiv:2509.16888; PyIRSTDMetrics 1.0.2).

    First the assignment of all components with the least total distance, of which pairs with
    IoU >= 0.5 are kept; then the same among the rest, of which pairs under 3 px are kept.

    Args:
        distance: (M, N) of centroids, px.
        iou: (M, N) of the components.
    """
    pairs = _assigned(distance, iou >= 0.5)
    rows = np.setdiff1d(np.arange(distance.shape[0]), [t for t, _ in pairs])
    columns = np.setdiff1d(np.arange(distance.shape[1]), [p for _, p in pairs])
    rest = distance[np.ix_(rows, columns)]
    return pairs + [(int(rows[t]), int(columns[p])) for t, p in _assigned(rest, rest < RADIUS)]


def centroid_distances(targets: Components, predictions: Components) -> np.ndarray:
    """(M, N) float64, px, Euclidean."""
    if not len(targets) or not len(predictions):
        return np.zeros((len(targets), len(predictions)))
    return np.linalg.norm(targets.centroids[:, None] - predictions.centroids[None], axis=2)


def _assigned(distance: np.ndarray, kept: np.ndarray) -> list[Pair]:
    """Pairs of the assignment with the least total distance for which `kept` is true."""
    return [(t, p) for t, p in zip(*linear_sum_assignment(distance), strict=True) if kept[t, p]]


def distance_steps(targets: Components, t: int, predictions: Components, p: int) -> int | None:
    """Centroid distance in steps of 2**-STEP_BITS pixel, rounded down; None from RADIUS on."""
    a, b = int(targets.area[t]), int(predictions.area[p])
    rows = int(targets.row_sum[t]) * b - int(predictions.row_sum[p]) * a
    columns = int(targets.column_sum[t]) * b - int(predictions.column_sum[p]) * a
    numerator, denominator = rows * rows + columns * columns, (a * b) ** 2
    if numerator >= RADIUS**2 * denominator:
        return None
    return math.isqrt((numerator << 2 * STEP_BITS) // denominator)


def clusters(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """Split into groups that have no target and no prediction in common."""
    group: dict[int, list[Pair]] = {}  # key: t for targets, ~p for predictions
    for t, p in pairs:
        mine, other = group.setdefault(t, []), group.setdefault(~p, [])
        if mine is not other:
            mine.extend(other)
            group[~p] = mine
            for t2, p2 in other:
                group[t2] = group[~p2] = mine
        mine.append((t, p))
    return list({id(members): members for members in group.values()}.values())


def _solve(distances: dict[Pair, int], area: Areas) -> list[Pair]:
    """The best matching of one cluster, by linear assignment.

    The three criteria are packed into one integer cost per pair. Where a crowded cluster would
    need more than float64 holds, the distance steps are made coarser; the number of pairs is
    never touched by that.
    """
    if len(distances) == 1:
        return list(distances)
    rows = {t: i for i, t in enumerate(sorted({t for t, _ in distances}))}
    columns = {p: j for j, p in enumerate(sorted({p for _, p in distances}))}
    most = min(len(rows), len(columns))
    largest = max(int(area[p]) for p in columns)
    step_cost = most * largest + 1  # one distance step outweighs any difference in area
    coarser = 0
    while True:
        worst = (RADIUS << STEP_BITS >> coarser) * step_cost + largest
        forbidden = most * worst + 1  # one pair more outweighs any distance
        if most * forbidden <= _EXACT:
            break
        coarser += 1
    cost = np.full((len(rows), len(columns)), float(forbidden))
    for (t, p), steps in distances.items():
        cost[rows[t], columns[p]] = (steps >> coarser) * step_cost + largest - int(area[p])
    chosen = set(zip(*linear_sum_assignment(cost), strict=True))
    return [(t, p) for t, p in distances if (rows[t], columns[p]) in chosen]
