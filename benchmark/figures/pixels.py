"""Drawing images pixel by pixel: grey levels made visible, masks outlined."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection


def stretch(image: np.ndarray) -> np.ndarray:
    """Grey values to [0, 1] between the 0.5 and 99.9 percentile: infrared images are flat."""
    low, high = np.percentile(image, (0.5, 99.9))
    return np.clip((image - low) / max(high - low, 1.0), 0, 1)


def outline(axes: Axes, binary: np.ndarray, color: str, dash: object, width: float) -> None:
    """A line along all edges between on and off.

    Args:
        axes: where pixel (row, column) is centred at y = row, x = column.
        binary: (H, W) bool.
        color: of the line.
        dash: its style, as matplotlib takes it.
        width: of the line, points.
    """
    padded = np.pad(binary, 1)
    across = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])  # edges that run left to right
    down = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    lines = [((c - 0.5, r - 0.5), (c + 0.5, r - 0.5)) for r, c in across]
    lines += [((c - 0.5, r - 0.5), (c - 0.5, r + 0.5)) for r, c in down]
    axes.add_collection(
        LineCollection(lines, colors=color, linewidths=width, linestyles=[dash], zorder=4)
    )
