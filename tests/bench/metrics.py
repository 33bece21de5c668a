"""Scoring by the `native` protocol against labelling every map with scikit-image or OpenCV.

The maps are made up: smoothed noise, which is hundreds of components at low thresholds, and one to
three targets, in sizes of the SIRST test images. The plain way labels a map at every threshold and
matches with the same code as ours, so both must count the same, which is checked. All run on one
thread and in turns on the same images.

Two floors show what is left to gain. Every pixel must be read: `copy` is the time to copy the map.
And whoever visits pixels from high to low must put them in order: `sort` is the time to look up
their levels and to sort them by counting. What the sweep adds is to look at the 8 neighbours of
every pixel and to join components, at places in memory that the processor cannot foresee.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from typing import Any

import cv2
import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter
from skimage.measure import label, regionprops

from benchmark.errors import UserError
from benchmark.evaluation import create_protocol
from benchmark.evaluation.curves.kernel import levels, sorted_pixels, thresholds_below
from benchmark.evaluation.curves.sweep import DEFAULT_THRESHOLDS, PdFaSweep
from benchmark.evaluation.matching import match
from datasets.components import Components, find_components
from tests.bench._timing import Ratio, interleave, ratio

CPU = torch.device("cpu")
# Heights and widths of SIRST test images: quantiles of all 86, in any order.
SIZES = [(222, 319), (171, 253), (205, 305), (150, 200), (256, 320)]
SIZES += [(185, 283), (356, 356), (194, 300), (213, 307), (238, 352)]
IMAGES = 86
SIDES = (256, 512, 1024)

Pair = tuple[np.ndarray, np.ndarray]
Find = Callable[[np.ndarray], Components]
Counts = list[tuple[int, int, int]]  # hits, false components, false-alarm pixels


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Options of this benchmark."""
    group.add_argument(
        "--labelled", type=int, default=2, help="images to label at all thresholds (2)"
    )


def run(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Print the tables and return their rows.

    Raises:
        UserError: no image to label, or more than there are.
    """
    if not 1 <= options.labelled <= IMAGES:
        raise UserError(f"--labelled {options.labelled}: give 1 to {IMAGES}")
    cv2.setNumThreads(1)  # as all others
    rng = np.random.default_rng(0)
    pairs = [scene(rng, size) for size in islice(cycle(SIZES), IMAGES)]
    few = pairs[: options.labelled]
    squares = {f"{side} x {side}": [scene(rng, (side, side))] for side in SIDES}

    at_all = {
        "scikit-image": partial(label_at, DEFAULT_THRESHOLDS, few, find_with_scikit_image),
        "OpenCV": partial(label_at, DEFAULT_THRESHOLDS, few, find_components),
        "ours": partial(sweep, few),
    }
    at_one = {
        "scikit-image": partial(label_at, [0.5], pairs, find_with_scikit_image),
        "ours": partial(score, pairs),
    }
    name = f"{len(DEFAULT_THRESHOLDS)} thresholds"
    compared = _compare(name, len(few), at_all, options.seconds)
    compared += _compare("1 threshold", IMAGES, at_one, options.seconds / 2)
    _print(compared)
    grown = _grow({f"{IMAGES} images": pairs} | squares, options.seconds / 2)
    _print(grown)
    return {"compared": _as_data(compared), "grown": _as_data(grown)}


def scene(rng: np.random.Generator, shape: tuple[int, int]) -> Pair:
    """(prob, mask): smoothed noise with one to three targets, as a network would give it."""
    noise = gaussian_filter(rng.normal(size=shape), 1.0)
    logit = 2 * noise / noise.std() - 6
    rows, columns = np.indices(shape)
    mask = np.zeros(shape, bool)
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3])):
        row, column = rng.uniform(8, np.array(shape) - 8)
        squared = (rows - row) ** 2 + (columns - column) ** 2
        mask |= squared < 2.6**2
        logit += 14 * np.exp(-squared / (2 * 1.8**2))
    return (1 / (1 + np.exp(-logit))).astype(np.float32), mask


def find_with_scikit_image(binary: np.ndarray) -> Components:
    """`find_components` of the published code."""
    regions = regionprops(label(binary, connectivity=2))
    area = np.array([region.area for region in regions]).astype(np.int64)
    centroid = np.array([region.centroid for region in regions]).reshape(-1, 2)
    sums = np.rint(centroid * area[:, None]).astype(np.int64)
    return Components(area, sums[:, 0], sums[:, 1])


def label_at(thresholds: tuple[float, ...], pairs: list[Pair], find: Find) -> Counts:
    """The plain way: at each threshold, label every map and match."""
    total = np.zeros((len(thresholds), 3), int)
    for prob, mask in pairs:
        targets = find(mask)
        for counts, threshold in zip(total, thresholds, strict=True):
            found = find(prob > threshold)
            matched = match(targets, found)
            hit_area = sum(int(found.area[p]) for _, p in matched)
            counts += len(matched), len(found) - len(matched), found.area.sum() - hit_area
    return list(map(tuple, total.tolist()))


def sweep(pairs: list[Pair]) -> Counts:
    """Our way to all thresholds."""
    ours = PdFaSweep()
    for prob, mask in pairs:
        ours.update(prob, mask)
    sums = ours.compute()
    keys = ("hits", "false_components", "false_alarm_pixels")
    return list(zip(*(sums[key] for key in keys), strict=True))


def score(pairs: list[Pair]) -> Counts:
    """Our way to one threshold, with IoU, precision and so on besides."""
    ours = create_protocol("native", details=False)
    for prob, mask in pairs:
        ours.update(prob, mask)
    keys = ("hits", "false_components", "false_alarm_pixels")
    return [tuple(sum(row[key] for row in ours.rows) for key in keys)]


def put_in_order(pairs: list[Pair]) -> None:
    """What any visit of the pixels from high to low must do first."""
    thresholds = np.array(DEFAULT_THRESHOLDS)
    below = thresholds_below(thresholds)
    for prob, _ in pairs:
        sorted_pixels(levels(prob.astype(np.float64), thresholds, below), thresholds.size)


def copy(pairs: list[Pair]) -> None:
    """What any use of the maps must do at least."""
    for prob, _ in pairs:
        prob.copy()


def _compare(
    name: str, images: int, ways: dict[str, Callable[[], Counts]], seconds: float
) -> list[dict[str, Any]]:
    """A row for each plain way; ms an image.

    Raises:
        RuntimeError: they do not count the same.
    """
    counts = {way: count() for way, count in ways.items()}
    if wrong := [way for way in counts if counts[way] != counts["ours"]]:
        raise RuntimeError(f"{name}: {wrong[0]} and ours count differently")
    times = interleave(ways, CPU, seconds, least=2)
    return [
        {
            "measured": name,
            "images": images,
            "plain": way,
            "plain_ms": _milliseconds(times[way], images),
            "ours_ms": _milliseconds(times["ours"], images),
            "plain_over_ours": ratio(times[way], times["ours"]),
            "rounds": len(times[way]),
        }
        for way in ways
        if way != "ours"
    ]


def _grow(sets: dict[str, list[Pair]], seconds: float) -> list[dict[str, Any]]:
    """A row for each set of maps; ms an image."""
    works = {"copy": copy, "sort": put_in_order, "sweep": sweep}
    times = interleave(
        {(name, work): partial(works[work], sets[name]) for name in sets for work in works},
        CPU,
        seconds,
    )
    rows = []
    for name, pairs in sets.items():
        ms = {f"{work}_ms": _milliseconds(times[name, work], len(pairs)) for work in works}
        pixels = sum(prob.size for prob, _ in pairs) / len(pairs)
        rows.append(
            {
                "sweep_of": name,
                **ms,
                "sweep_ns_a_pixel": 1e6 * ms["sweep_ms"] / pixels,
                "sweep_over_sort": ratio(times[name, "sweep"], times[name, "sort"]),
                "rounds": len(times[name, "sweep"]),
            }
        )
    return rows


def _milliseconds(times: list[float], images: int) -> float:
    return 1000 * statistics.median(times) / images


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(box=SIMPLE_HEAD)
    for key, value in rows[0].items():
        name = key.replace("_over_", " / ").replace("_", " ")
        table.add_column(name, justify="left" if isinstance(value, str) else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    Console(width=100).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if value < 100 else f"{value:.0f}"
    return str(value)


def _as_data(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: v._asdict() if isinstance(v, Ratio) else v for key, v in row.items()} for row in rows
    ]
