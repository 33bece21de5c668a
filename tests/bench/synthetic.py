"""Making synthetic images, against the random numbers and the FFTs that they cannot do without.

The floor is one noise field and the sensor's noise for each image: drawing the half spectrum and
one inverse FFT on a grid of 1.25 times the side, and one normal deviate a pixel. Ours draws two to
five fields, filters them, and does all the rest. All run on one thread and in turns; times are
medians over the rounds, of the same images every time.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial
from typing import Any

import cv2
import numpy as np
import scipy.fft
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmark.errors import UserError
from datasets.synthetic import SceneSet
from tests.bench._timing import interleave

SIDES = (128, 256, 512)


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Options of this benchmark."""
    group.add_argument("--frames", type=int, default=40, help="made in each round (40)")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Print the table and return its rows.

    Raises:
        UserError: no images to make.
    """
    if options.frames < 1:
        raise UserError(f"--frames {options.frames}: give 1 or more")
    cv2.setNumThreads(1)
    table = Table(title="synthetic images, ms each", title_justify="left", box=SIMPLE_HEAD)
    for name in ("side", "level", "floor", "ours", "times the floor", "1,000 images"):
        table.add_column(name, justify="left" if name == "level" else "right")
    rows = []
    for side in SIDES:
        for level in ("standard", "hard"):
            work = {
                "floor": partial(floor, side, options.frames),
                "ours": partial(make, SceneSet(level=level, size=side), options.frames),
            }
            times = interleave(work, torch.device("cpu"), options.seconds / len(SIDES) / 2, least=3)
            each = {k: statistics.median(v) / options.frames * 1e3 for k, v in times.items()}
            rows.append({"side": side, "level": level, **each})
            table.add_row(
                str(side), level, f"{each['floor']:.2f}", f"{each['ours']:.2f}",
                f"{each['ours'] / each['floor']:.1f}", f"{each['ours']:.1f} s",
            )  # fmt: skip
    Console(width=100).print(table)
    return rows


def make(scene_set: SceneSet, images: int) -> None:
    """What a data set does."""
    for i in range(images):
        scene_set.sample("train", i)


def floor(side: int, images: int) -> None:
    """The random numbers and the FFT of one field, and the noise of the sensor."""
    rng = np.random.default_rng(0)
    grid = scipy.fft.next_fast_len(int(np.ceil(1.25 * side)), real=True)
    for _ in range(images):
        spectrum = rng.standard_normal((grid, grid // 2 + 1, 2), np.float32).view(np.complex64)
        scipy.fft.irfft2(spectrum[..., 0], (grid, grid), overwrite_x=True)
        rng.standard_normal((side, side), np.float32)
