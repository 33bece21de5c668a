"""The radial power spectrum of the backgrounds of infrared images."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import scipy.fft

EDGES = 2.0 ** np.arange(-6, -0.99, 0.25)
"""Edges of the rings, cycles/px: quarters of an octave from 1/64 to 1/2."""
FREQUENCIES = np.sqrt(EDGES[:-1] * EDGES[1:])
"""(F,) the middle of each ring, cycles/px."""
FITTED = (1 / 32, 1 / 4)
"""The slope is fitted to the rings between these, cycles/px: images of 96 px tell nothing of what
is below, and above, the noise of the sensor may be as strong as the scene."""

_MIXED = 3  # / side of the image, cycles/px: within 2 / side the window mixes all that is there
_GROWN = 2  # px: blur carries a target's light beyond its mask
_INPAINTED = 4.0  # px: the neighbourhood that fills a target's pixels
_FULL = 65535
_ROUNDING = 1 / 12 / _FULL**2  # power of the noise of rounding to 16 bits
_FEWEST = 3  # rings that a line is fitted to


def background_spectrum(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Power spectral density by spatial frequency, of the image without its targets.

    Targets, grown by 2 px, are filled in from their surroundings (Telea, J. Graphics Tools 2004),
    and the mean is taken off. Then a Hann window w in both directions, and the periodogram
    |FFT(w x)|^2 / sum(w^2), averaged over rings of equal frequency in cycles/px: rings mean the
    same in images of any size and shape.

    Args:
        image: (H, W) uint8 or uint16.
        mask: (H, W) bool.

    Returns:
        (F,) float64, (fraction of full range)^2 px^2 at `FREQUENCIES`; NaN where the image is too
        small to tell: in rings below 3 / its shorter side, or without a frequency.
    """
    scene = _without_targets(image, mask)
    window, ring = _window(scene.shape), _rings(scene.shape)
    transform = scipy.fft.fft2(window * (scene - scene.mean(dtype=np.float64)))
    power = (transform.real**2 + transform.imag**2) / (window**2).sum()
    inside = ring >= 0
    count = np.bincount(ring[inside], minlength=len(FREQUENCIES))
    total = np.bincount(ring[inside], power[inside], len(FREQUENCIES))
    known = (count > 0) & (EDGES[:-1] >= _MIXED / min(scene.shape))
    return np.divide(total, count, out=np.full(len(FREQUENCIES), np.nan), where=known)


def slope(power: np.ndarray) -> float:
    """Exponent k of power ~ frequency^k, by least squares on logarithms over `FITTED`.

    Args:
        power: (F,) at `FREQUENCIES`.

    Returns:
        k, 0 for white noise; NaN for tiny images, and for flat ones, whose power is below the noise
        of rounding to 16 bits.
    """
    lowest, highest = FITTED
    fitted = (lowest <= FREQUENCIES) & (highest >= FREQUENCIES) & (power > _ROUNDING)
    if fitted.sum() < _FEWEST:
        return float("nan")
    return float(np.polyfit(np.log(FREQUENCIES[fitted]), np.log(power[fitted]), 1)[0])


def _without_targets(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) float32, in fractions of the full range."""
    scale = _FULL // np.iinfo(image.dtype).max  # 8 bits become 16: 255 * 257 is 65535
    scene: np.ndarray = image.astype(np.uint16) * np.uint16(scale)
    if mask.any():
        square = np.ones((2 * _GROWN + 1, 2 * _GROWN + 1), np.uint8)
        grown = cv2.dilate(mask.view(np.uint8), square)
        # On integers: OpenCV fills floating-point images of a small range with values far outside.
        scene = cv2.inpaint(scene, grown, _INPAINTED, cv2.INPAINT_TELEA)
    return scene.astype(np.float32) / _FULL


@lru_cache(maxsize=16)
def _window(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) Hann window, at the centres of pixels, so that it is nowhere 0."""
    rows, columns = (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in shape)
    return np.outer(rows, columns)


@lru_cache(maxsize=16)
def _rings(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) int: in which ring each coefficient of the transform is, -1 for none."""
    rows, columns = (scipy.fft.fftfreq(n) for n in shape)
    ring = np.digitize(np.hypot(rows[:, None], columns), EDGES) - 1
    ring[ring >= len(FREQUENCIES)] = -1
    return ring
