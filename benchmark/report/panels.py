"""Example crops: what each method finds, misses and invents on the same images."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmark.figures.pixels import stretch
from benchmark.figures.style import PAGE, new_figure
from benchmark.report.layout import entitle
from benchmark.report.line_styles import loss_label
from benchmark.report.model import Row, Table

_METHODS = 6  # columns of methods that can still be read on a page; more go into further figures
_HIT, _MISS, _FALSE = "#00a878", "#e8112d", "#ffc20a"
_LEGEND = (
    (_HIT, "target pixel found"),
    (_MISS, "target pixel missed"),
    (_FALSE, "false pixel"),
)


@dataclass(frozen=True)
class Crops:
    """The crops that one run left beside its record."""

    names: np.ndarray  # (K,) str
    images: np.ndarray  # (K, h, w) uint8
    masks: np.ndarray  # (K, h, w) bool
    probs: np.ndarray  # (K, h, w) float


def example_figures(table: Table) -> tuple[list[Figure], list[str]]:
    """Figures of at most six methods each, and warnings about files that cannot be used."""
    shown: list[tuple[Row, Crops]] = []
    warnings = []
    for row in table.rows:
        folders = [run.folder for run in row.done if run.own]  # crops are of the run's own rule
        path = next((p for folder in folders if (p := folder / "crops.npz").exists()), None)
        if path is None:
            continue
        try:
            crops = read_crops(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            warnings.append(f"{path}: no example crops ({error})")
            continue
        if shown and not _same_crops(shown[0][1], crops):
            warnings.append(f"{path}: left out of the examples, its crops are of other images")
            continue
        shown.append((row, crops))
    blocks = [shown[i : i + _METHODS] for i in range(0, len(shown), _METHODS)]
    return [_figure(table, block) for block in blocks], warnings


def read_crops(path: Path) -> Crops:
    """Read and check a `crops.npz`.

    Raises:
        OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile: unreadable or inconsistent.
    """
    with np.load(path, allow_pickle=False) as data:
        crops = Crops(*(data[key] for key in ("names", "images", "masks", "probs")))
    shape = crops.images.shape
    if len(shape) != 3 or not len(crops.names) == shape[0] > 0:
        raise ValueError(f"names and images do not fit, {crops.names.shape} and {shape}")
    if not crops.masks.shape == crops.probs.shape == shape:
        raise ValueError(f"shapes differ: {shape}, {crops.masks.shape}, {crops.probs.shape}")
    return crops


def overlay(image: np.ndarray, mask: np.ndarray, prob: np.ndarray, threshold: float) -> np.ndarray:
    """The crop in grey with hits, misses and false pixels in colour: (h, w, 3) in [0, 1]."""
    predicted = prob.astype(np.float32) > threshold
    # Dimmed, so that a bright target does not hide the colours.
    picture = np.repeat(stretch(image)[..., None] * 0.6, 3, axis=2)
    for where, color in (
        (predicted & mask, _HIT),
        (~predicted & mask, _MISS),
        (predicted & ~mask, _FALSE),
    ):
        picture[where] = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return picture


def _same_crops(first: Crops, other: Crops) -> bool:
    return np.array_equal(first.names, other.names) and np.array_equal(first.masks, other.masks)


def _figure(table: Table, shown: list[tuple[Row, Crops]]) -> Figure:
    first = shown[0][1]
    count, height, width = first.images.shape
    threshold = shown[0][0].scores[0].cut
    # The width of a cell is that of a full page, so that all the figures of a paper match.
    cell = min(PAGE / (len(shown) + 2), PAGE / 5)
    figure = new_figure(cell * (len(shown) + 2), cell * height / width * count + 0.66)
    figure.set_layout_engine("constrained", w_pad=0.01, h_pad=0.02, wspace=0.01, hspace=0.0)
    axes = figure.subplots(count, len(shown) + 2, squeeze=False)
    for line, name in enumerate(first.names):
        pictures = [stretch(first.images[line]), first.masks[line]]
        pictures += [
            overlay(c.images[line], c.masks[line], c.probs[line], threshold) for _, c in shown
        ]
        for place, picture in zip(axes[line], pictures, strict=True):
            place.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            place.set_xticks([])
            place.set_yticks([])
            place.spines[:].set_visible(False)
        axes[line, 0].set_ylabel(str(name), fontsize=7)
    titles = ["image", "truth", *(f"{row.detector}\n{loss_label(row)}" for row, _ in shown)]
    for place, text in zip(axes[0], titles, strict=True):
        place.set_title(text, fontsize=7.5, pad=3)
    seeds = sorted({row.done[0].record.cell.seed for row, _ in shown})
    title = f"{table.heading}: pixels with probability > {threshold:g}"
    entitle(figure, table, f"{title}, seed {', '.join(map(str, seeds))}")
    handles = [Patch(color=color, label=text) for color, text in _LEGEND]
    figure.legend(handles=handles, loc="outside lower center", ncol=3, handlelength=1)
    return figure
