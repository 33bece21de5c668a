"""Images and masks at the size that a protocol scores."""

from __future__ import annotations

import numpy as np
from PIL import Image

from benchmark.evaluation.protocol import Geometry


def fit(image: np.ndarray, mask: np.ndarray, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """A sample as the protocol wants it: resized, or as it is.

    As in the published code: the image bilinearly (PIL, with antialiasing), the mask by the
    nearest pixel.

    Args:
        image: (H, W) uint8 or uint16.
        mask: (H, W) bool.
        geometry: of the protocol.
    """
    if geometry.side is None:
        return image, mask
    return resize_grey(image, geometry.side), resize_mask(mask, geometry.side)


def resize_grey(grey: np.ndarray, side: int) -> np.ndarray:
    """(H, W) to (side, side), bilinear, of the same type; uint8, uint16 or floating point."""
    exact = grey if grey.dtype == np.uint8 else grey.astype(np.float32)
    resized = np.asarray(Image.fromarray(exact).resize((side, side), Image.Resampling.BILINEAR))
    if np.issubdtype(grey.dtype, np.integer):
        resized = np.rint(resized)
    return resized.astype(grey.dtype)


def resize_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """(H, W) bool to (side, side) bool, nearest pixel."""
    picture = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(picture.resize((side, side), Image.Resampling.NEAREST)).astype(bool)
