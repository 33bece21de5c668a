"""A few small crops of the test images with the network's answer, for the example figures."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmark.records.store import write_atomic
from datasets.base import Sample

COUNT = 6
SIDE = 64
"""Side of a crop, px."""


def choose(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of a test set to show.

    It depends on the test set alone, so all methods show the same places: images with targets,
    evenly spaced in the list, centred on their first target.
    """
    with_targets = [s for s in samples if s.mask.any()] or list(samples)
    chosen = [with_targets[i * len(with_targets) // COUNT] for i in range(COUNT)]
    return list({s.name: s for s in chosen}.values())


def save_crops(
    path: Path, samples: Sequence[Sample], predict: Callable[[Sample], np.ndarray]
) -> None:
    """Write `crops.npz`: names, images (K, S, S) uint8, masks bool, probs float16.

    Args:
        path: the file.
        samples: the test set.
        predict: probabilities of a sample of `choose`.
    """
    names, images, masks, probs = [], [], [], []
    for sample in choose(samples):
        window = _window(sample.mask)
        grey = sample.image if sample.image.dtype == np.uint8 else (sample.image >> 8)
        names.append(sample.name)
        images.append(_cut(grey.astype(np.uint8), window))
        masks.append(_cut(sample.mask, window))
        probs.append(_cut(predict(sample).astype(np.float16), window))
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        names=np.array(names),
        images=np.stack(images),
        masks=np.stack(masks),
        probs=np.stack(probs),
    )
    write_atomic(path, buffer.getbuffer())


def _window(mask: np.ndarray) -> tuple[int, int]:
    """Top left corner of a crop around the first target pixel, inside the image if it is larger."""
    rows, columns = np.nonzero(mask)
    row, column = (rows[0], columns[0]) if len(rows) else (mask.shape[0] // 2, mask.shape[1] // 2)
    top = min(max(int(row) - SIDE // 2, 0), max(mask.shape[0] - SIDE, 0))
    left = min(max(int(column) - SIDE // 2, 0), max(mask.shape[1] - SIDE, 0))
    return top, left


def _cut(array: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """A SIDE x SIDE piece; zeros where the image is smaller."""
    piece = np.zeros((SIDE, SIDE), array.dtype)
    part = array[corner[0] : corner[0] + SIDE, corner[1] : corner[1] + SIDE]
    piece[: part.shape[0], : part.shape[1]] = part
    return piece
