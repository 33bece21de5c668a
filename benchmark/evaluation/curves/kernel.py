"""The components of a map at all thresholds, in one pass over its pixels.

As the threshold falls, pixels are only added to a map, and its components only grow or join. So the
pixels are visited once, from the highest level to the lowest, and each is joined with those of its
8 neighbours that are on already. That is how component trees are built (Najman and Couprie, IEEE
TIP 15(11), 2006; Berger et al., ICIP 2007). The tree itself is not kept: of a component we need its
area and its index sums, which are integers and add up where two components join.

Cost for n pixels and K thresholds: O(n + K) to sort by counting; then at most 4 finds a pixel in a
union-find with union by size and path halving, O(n a(n)) with the inverse Ackermann function a,
which is at most 4 for any image (Tarjan and van Leeuwen, JACM 31(2), 1984). Memory: at most 21
bytes a pixel, a few int64 a threshold, and the table that is returned.

Importing this module imports Numba, which keeps the compiled code on disk, see `compiled`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

# Columns of the table of pairs. The first four are also those of the table of components.
COMPONENT, AREA, ROW_SUM, COLUMN_SUM, TARGET, FIRST, LAST = range(7)
_SUMS = (AREA, ROW_SUM, COLUMN_SUM)

# Values of a component in its column COMPONENT while no pair in the table is its own:
_FAR = -1  # no target is near
_CHANGED = -2  # its set of pixels changed at the present threshold

# `levels` keeps 8 bits of a float64's mantissa, and does not tell apart exponents below -40.
_DROPPED = 52 - 8
_LOWEST = (1023 - 40) << 8

Function = TypeVar("Function", bound=Callable)


def compiled(function: Function) -> Function:
    """Compile with Numba at the first call.

    The code is kept in `__pycache__` beside the file, or in the user's cache folder. Where neither
    can be written (a read-only install without a home), every process compiles for itself.
    """
    jit: Any = numba.njit
    try:
        return jit(function, cache=True, error_model="numpy", nogil=True)
    except RuntimeError:  # Numba found no place for the cache
        return jit(function, error_model="numpy", nogil=True)


def _runs() -> np.ndarray:
    """(256, 5) int8: for each set of neighbours, the first of each run of them, then -1.

    Neighbours that follow each other around a pixel touch, so one of them stands for all. Bit i of
    the set is the i-th neighbour clockwise from the upper left.
    """
    table = np.full((256, 5), -1, np.int8)
    for ring in range(1, 256):
        first = [i for i in range(8) if ring >> i & 1 and not ring >> (i - 1) % 8 & 1] or [0]
        table[ring, : len(first)] = first
    return table


_RUNS = _runs()


def component_pairs(
    level: np.ndarray, count: int, targets: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The components of a map at every threshold, and those that come near a target.

    Args:
        level: (H, W) int32 in C order, fewer than 2**31 pixels. A pixel is on at the thresholds
            0 .. level - 1.
        count: K, number of thresholds; no level is higher.
        targets: (M, 2) float64, centroids (row, column).
        reach: px; a component is near a target if its centroid is less than this away.

    Returns:
        (K,) int64, the pixels that are on at each threshold. (K,) int64, the components at each.
        (P, 7) int64, a row for each component and each target near it, where a component whose set
        of pixels changes becomes another component: COMPONENT, the first row of the component, is
        its name; AREA, ROW_SUM, COLUMN_SUM as in `Components`; TARGET, index; FIRST, LAST, the
        thresholds at which it exists, both inclusive.
    """
    height, width = level.shape
    # A frame of one pixel that is never on spares all tests for the border.
    label = np.full((height + 2, width + 2), -1, np.int32)
    # The founders of components are never neighbours, so there is at most one in 2 x 2 pixels.
    most = ((height + 1) // 2) * ((width + 1) // 2)
    order, end = sorted_pixels(level, count)
    by_row = np.argsort(targets[:, 0], kind="stable")
    targets = targets[by_row]
    number, pairs = _sweep(
        order,
        end,
        label.ravel(),
        width + 2,
        np.empty(most, np.int32),
        np.empty((most, 4), np.int64),
        targets,
        np.searchsorted(targets[:, 0], np.arange(height) - reach),
        reach,
    )
    pairs[:, TARGET] = by_row[pairs[:, TARGET]]
    return end[:0:-1], number, pairs


@compiled
def levels(prob: np.ndarray, thresholds: np.ndarray, below: np.ndarray) -> np.ndarray:
    """How many thresholds each pixel exceeds.

    `np.searchsorted(thresholds, prob)`, but several times faster: a table leaves few thresholds to
    search among, for most values none.

    Args:
        prob: (H, W) float64 in [0, 1], C order.
        thresholds: (K,) float64, increasing.
        below: see `thresholds_below`.

    Returns:
        (H, W) int32.
    """
    height, width = prob.shape
    level, bits = np.empty((height, width), np.int32), prob.view(np.int64)
    for row in range(height):
        for column in range(width):
            place = max((bits[row, column] >> _DROPPED) - _LOWEST, 0)  # the value's interval
            low, high = below[place], below[place + 1]
            while low < high:  # bisect among the thresholds within it
                middle = (low + high) >> 1
                if thresholds[middle] < prob[row, column]:
                    low = middle + 1
                else:
                    high = middle
            level[row, column] = low
    return level


def thresholds_below(thresholds: np.ndarray) -> np.ndarray:
    """The table for `levels`: int32, how many thresholds lie below the start of each interval.

    The leading bits of a float64 are its exponent and the start of its mantissa, and they order
    positive numbers. So intervals of numbers with the same leading bits are fine near 0, where most
    values of a map are. The first interval starts at 0; the last is 1 alone.
    """
    last = int(np.float64(1).view(np.int64)) >> _DROPPED
    starts = (np.arange(_LOWEST, last + 1) << _DROPPED).view(np.float64)
    below = np.searchsorted(thresholds, starts)
    below[0] = 0
    return np.append(below, thresholds.size).astype(np.int32)


@compiled
def sorted_pixels(level: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Counting sort of the pixels that are on anywhere, from the highest level to the lowest.

    Returns:
        (n,) int32, their positions in the framed map, in scan order within a level; (K + 1,)
        int64, how many have one of the k highest levels.
    """
    height, width = level.shape
    end = np.zeros(count + 1, np.int64)  # first a histogram, then its running sum
    for row in range(height):
        for column in range(width):
            if level[row, column]:
                end[count - level[row, column] + 1] += 1
    for k in range(count):
        end[k + 1] += end[k]
    order, free = np.empty(end[count], np.int32), end.copy()  # free: next place of each level
    for row in range(height):
        for column in range(width):
            if level[row, column]:
                k = count - level[row, column]
                order[free[k]] = (row + 1) * (width + 2) + column + 1
                free[k] += 1
    return order, end


@compiled
def _sweep(
    order: np.ndarray,
    end: np.ndarray,
    label: np.ndarray,
    width: int,
    parent: np.ndarray,
    sums: np.ndarray,
    targets: np.ndarray,
    first_target: np.ndarray,
    reach: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The pass over the sorted pixels; see `component_pairs`.

    A component is a tree of labels: `parent` leads to its root, which keeps its row of `sums`. A
    pixel is labelled once, with the root of the component that it joins.

    At each threshold, first the pixels of its level are switched on. One without neighbours founds
    a component; any other joins all components around it, the smaller below the root of the larger.
    The rows in `pairs` of a component that changes end at the threshold above. Then each component
    that changed and is still a root gets new rows, one for each target near its centroid, with a
    FIRST of 0, right for one that never changes again; `_end` corrects it for one that does.

    Args:
        order, end: see `sorted_pixels`. `order` is overwritten.
        label: of each pixel of the framed map, -1: off.
        width: of the framed map.
        parent, sums: room for the components.
        targets: (M, 2), ordered by row.
        first_target: for each row of the map, the first target that can be near a centroid in it.
        reach: px.
    """
    # Steps to the neighbours, clockwise from the upper left, as in `_RUNS`.
    around = np.array([-width - 1, -width, 1 - width, 1, width + 1, width, width - 1, -1])
    number = np.zeros(end.size - 1, np.int64)
    pairs, size = np.empty((64, 7), np.int64), 0
    labels = alive = 0
    for threshold in range(number.size - 1, -1, -1):
        begin = changed = end[number.size - 1 - threshold]  # order[begin:changed]: changed roots
        for i in range(begin, end[number.size - threshold]):
            pixel = order[i]
            ring = 0  # bits of the neighbours that are on
            for k in range(8):
                ring |= (label[pixel + around[k]] >= 0) << k

            if ring == 0:  # founds a component
                root = labels
                parent[root] = root
                sums[root] = 0
                sums[root, COMPONENT] = _FAR
                labels += 1
                alive += 1
            else:
                root = _find(parent, label[pixel + around[_RUNS[ring, 0]]])
                run = 1
                while _RUNS[ring, run] >= 0:
                    other = _find(parent, label[pixel + around[_RUNS[ring, run]]])
                    run += 1
                    if other == root:
                        continue
                    if sums[other, AREA] > sums[root, AREA]:
                        root, other = other, root
                    _end(pairs, size, sums[other, COMPONENT], threshold)
                    parent[other] = root
                    for column in _SUMS:
                        sums[root, column] += sums[other, column]
                    alive -= 1

            label[pixel] = root
            row = pixel // np.int32(width)  # much faster than in 64 bits
            sums[root, AREA] += 1
            sums[root, ROW_SUM] += row - 1
            sums[root, COLUMN_SUM] += pixel - row * width - 1
            if sums[root, COMPONENT] != _CHANGED:
                _end(pairs, size, sums[root, COMPONENT], threshold)
                sums[root, COMPONENT] = _CHANGED
                order[changed] = root  # over a pixel that is done: no extra memory
                changed += 1
        number[threshold] = alive

        for i in range(begin, changed):
            root = order[i]
            if parent[root] != root:  # merged into another, which is in the list itself
                continue
            area = sums[root, AREA]
            y, x = sums[root, ROW_SUM] / area, sums[root, COLUMN_SUM] / area
            name = size
            t = first_target[int(y)]  # targets are ordered by row: those out of reach are skipped
            while t < len(targets) and targets[t, 0] < y + reach:
                if (targets[t, 0] - y) ** 2 + (targets[t, 1] - x) ** 2 < reach**2:
                    if size == len(pairs):
                        pairs = np.concatenate((pairs, np.empty_like(pairs)))
                    pairs[size, COMPONENT] = name
                    for column in _SUMS:
                        pairs[size, column] = sums[root, column]
                    pairs[size, TARGET] = t
                    pairs[size, FIRST] = 0  # to be raised by `_end` if it changes
                    pairs[size, LAST] = threshold
                    size += 1
                t += 1
            sums[root, COMPONENT] = name if size > name else _FAR
    return number, pairs[:size]


@compiled
def _find(parent: np.ndarray, label: int) -> int:
    """The root of a label; on the way, every other label is made to skip one ("path halving")."""
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = parent[label]
    return label


@compiled
def _end(pairs: np.ndarray, size: int, name: int, threshold: int) -> None:
    """Note in the pairs of a component, if it has any, that it no longer exists at a threshold."""
    row = name  # its rows follow each other; a negative name has none
    while 0 <= row < size and pairs[row, COMPONENT] == name:
        pairs[row, FIRST] = threshold + 1
        row += 1
