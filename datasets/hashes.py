"""Identity of an image: a hash of its decoded pixels, the same whatever file holds them."""

from __future__ import annotations

import hashlib

import numpy as np


def image_hash(image: np.ndarray) -> str:
    """16 hex digits of SHA-256 over shape, type and pixels of a decoded image.

    Equal for equal pixels: a file that was renamed or packed again, as PNG or BMP, keeps its hash.
    The order of bytes in memory does not matter.

    Args:
        image: (H, W), any number type.
    """
    pixels = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{image.shape}|{image.dtype.name}|".encode())
    digest.update(pixels.tobytes())
    return digest.hexdigest()[:16]
