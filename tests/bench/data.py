"""Starting on a data set: decoding its files against reading them from the cache.

The images are made up: smoothed noise with sensor noise, 8-bit grey PNG, with masks of one target.
A few are encoded and written under many names: only the number of files and pixels counts. The
operating system has the files in memory, as it has in all starts but the first after a boot.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from datasets import load_dataset
from datasets.base import Dataset, content_hash
from datasets.cache import VARIABLE
from tests.bench._timing import interleave

DISTINCT = 8
"""So many different pictures."""


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Options of this benchmark."""
    group.add_argument("--files", type=int, default=1000, help="files of each kind (1000)")
    group.add_argument("--file-side", type=int, default=512, help="of the images, px (512)")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Print the table and return its rows."""
    with tempfile.TemporaryDirectory() as folder:
        root, store = Path(folder) / "data", Path(folder) / "cache"
        size = make_files(root, options.files, options.file_side)

        def start(cache: str) -> Dataset:
            with patch.dict(os.environ, {VARIABLE: cache}):
                return load_dataset(f"folder:{root}", split="test")

        def first() -> None:
            shutil.rmtree(store, ignore_errors=True)
            start(str(store))

        first()
        if content_hash(start(str(store))) != content_hash(start("off")):
            raise AssertionError("the cache gave other samples than the files")
        candidates = {
            "without cache": lambda: start("off"),
            "first start": first,
            "second start": lambda: start(str(store)),
            "second start, content hash": lambda: content_hash(start(str(store))),
        }
        times = interleave(candidates, torch.device("cpu"), options.seconds, least=3)
        entry = sum(path.stat().st_size for path in store.iterdir())
    table = Table(
        title=f"{options.files} images of {options.file_side} px: {size / 1e6:.0f} MB of files, "
        f"{entry / 1e6:.0f} MB in the cache",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    for name in ("start", "median s", "min", "max"):
        table.add_column(name, justify="left" if name == "start" else "right")
    rows = []
    for name, seconds in times.items():
        row = {"start": name, "median": statistics.median(seconds), "seconds": seconds}
        table.add_row(name, f"{row['median']:.2f}", f"{min(seconds):.2f}", f"{max(seconds):.2f}")
        rows.append(row)
    Console().print(table)
    return rows


def make_files(root: Path, count: int, side: int) -> int:
    """Write `count` images and masks, all listed in test.txt; returns their bytes."""
    rng = np.random.default_rng(0)
    pictures, masks = [], []
    for _ in range(DISTINCT):
        scene = 400 * gaussian_filter(rng.standard_normal((side, side)), 12)
        scene += 90 + rng.normal(0, 2, scene.shape)
        mask = np.zeros((side, side), np.uint8)
        row, column = rng.integers(8, side - 8, 2)
        mask[row : row + 3, column : column + 4] = 255
        scene[mask > 0] += 60
        pictures.append(_png(np.clip(scene, 0, 255).astype(np.uint8)))
        masks.append(_png(mask))
    names = [f"image{i:05d}" for i in range(count)]
    for part, data in (("images", pictures), ("masks", masks)):
        (root / part).mkdir(parents=True)
        for i, name in enumerate(names):
            (root / part / f"{name}.png").write_bytes(data[i % DISTINCT])
    (root / "test.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return sum(len(data[i % DISTINCT]) for data in (pictures, masks) for i in range(count))


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()
