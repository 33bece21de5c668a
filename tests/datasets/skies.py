"""Pictures for tests: skies that are all different, as an infrared camera might see them."""

from __future__ import annotations

import numpy as np


def clouds(seed: int, height: int = 240, width: int = 320) -> np.ndarray:
    """A sky of fractional noise with sensor noise and two targets, (H, W) float, 20 to 220."""
    rng = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency**1.5
    field = np.fft.irfft2(spectrum, (height, width))
    image = 100 + 35 * field / np.abs(field).max() * 3
    image += rng.normal(0, 1.5, image.shape)
    y, x = np.mgrid[:height, :width]
    for _ in range(2):
        cy, cx = rng.uniform(0.2, 0.8, 2) * image.shape
        image += 80 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 8)
    return image


def grey(image: np.ndarray, kind: type = np.uint8) -> np.ndarray:
    """Rounded and clipped to an unsigned type."""
    return np.clip(np.rint(image), 0, np.iinfo(kind).max).astype(kind)
