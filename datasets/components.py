"""8-connected components of a binary map."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Components:
    """The N components of a map, without their pixels.

    Index sums are kept instead of centroids: they are integers, so distances can be decided
    exactly and do not depend on where in the image, or in which orientation, a component lies.

    Attributes:
        area: (N,) int64, pixels.
        row_sum: (N,) int64, sum of the row indices of the pixels.
        column_sum: (N,) int64, sum of the column indices of the pixels.
    """

    area: np.ndarray
    row_sum: np.ndarray
    column_sum: np.ndarray

    def __len__(self) -> int:
        return len(self.area)

    @property
    def centroids(self) -> np.ndarray:
        """(N, 2) float64: mean row and mean column index of the pixels of each component."""
        return np.stack([self.row_sum, self.column_sum], axis=1) / self.area[:, None]


def find_components(binary: np.ndarray) -> Components:
    """Label a map of shape (H, W), bool."""
    row_on, column_on = np.asarray(binary.any(axis=1)), np.asarray(binary.any(axis=0))
    if not row_on.any():
        return Components(*np.zeros((3, 0), np.int64))
    # Small targets fill little of an image: labelling only the part in use is much faster.
    rows, columns = _extent(row_on), _extent(column_on)
    count, labels = cv2.connectedComponents(
        np.ascontiguousarray(binary[rows, columns]).view(np.uint8), connectivity=8
    )
    return _measure(count, labels, rows.start, columns.start)


def label_components(binary: np.ndarray) -> tuple[Components, np.ndarray]:
    """Components in scan order (by their first pixel, row by row), with their pixels.

    Args:
        binary: (H, W) bool.

    Returns:
        The N components and a label map (H, W) int32: 0 background, k + 1 component k.
    """
    contiguous = np.ascontiguousarray(binary).view(np.uint8)
    count, labels = cv2.connectedComponents(contiguous, connectivity=8)
    on = np.flatnonzero(binary)
    first = np.full(count, -1)  # the background comes first
    first[labels.ravel()[on[::-1]]] = on[::-1]  # the last one written is the first in the image
    rank = np.empty(count, np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(count, dtype=np.int32)
    labels = rank[labels]
    return _measure(count, labels), labels


def _measure(count: int, labels: np.ndarray, top: int = 0, left: int = 0) -> Components:
    """Areas and index sums of labels 1 to count - 1.

    From the labelled pixels alone, which are few: OpenCV's own statistics look at all of them.

    Args:
        count: of labels, with the background.
        labels: (H, W) int32.
        top: row of the image that is the first one of `labels`.
        left: column of the image that is the first one of `labels`.
    """
    on = np.flatnonzero(labels)
    label = labels.ravel()[on]
    row, column = np.divmod(on, labels.shape[1])
    area = np.bincount(label, minlength=count)[1:]
    # Sums in float64, exact since they are far below 2**53.
    row_sum, column_sum = (
        np.bincount(label, axis, count)[1:].astype(np.int64) for axis in (row, column)
    )
    return Components(area, row_sum + top * area, column_sum + left * area)


def _extent(on: np.ndarray) -> slice:
    """From the first to the last True; there is at least one."""
    return slice(int(on.argmax()), on.size - int(on[::-1].argmax()))
