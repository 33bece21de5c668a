"""Images and masks at the size that a protocol scores."""

from __future__ import annotations

import numpy as np
from PIL import Image

from benchmark.evaluation.protocol import Geometry
from datasets.base import Sample


def fit(sample: Sample, geometry: Geometry) -> Sample:
    """A sample as the protocol wants it: resized, or unchanged.

    As in the published code: the image bilinearly (PIL, with antialiasing), the mask by the
    nearest pixel.
    """
    side = geometry.side
    if side is None:
        return sample
    return Sample(resize_grey(sample.image, side), resize_mask(sample.mask, side), sample.name)


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
