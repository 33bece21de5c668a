"""Point sources as the pixels see them through the optics.

The optics spread a source by a point-spread function, and a pixel collects what falls on its area:

    image(i, j) = sum_k w_k * G(i - y_k) * G(j - x_k),   G(t) = integral of g from t-1/2 to t+1/2

where g is a Gaussian of the deviation `blur`. A Gaussian approximates the Airy pattern of
diffraction-limited optics: sigma = 0.42 * wavelength * F-number (Zhang, Zerubia, Olivo-Marin,
Applied Optics 2007). 10 um and F/1.4 to F/2.5 on pixels of 12 um are 0.5 to 0.9 px.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

BLUR = (0.55, 1.2)
"""Range of the optics' deviation in an image, px: from sharp to defocused or resampled."""


def render(
    points: np.ndarray, weights: np.ndarray, blur: float, height: int, width: int
) -> np.ndarray:
    """Energy that the pixels collect from point sources.

    Args:
        points: (n, 2) rows and columns, px; whole numbers are centres of pixels.
        weights: (n,) energies.
        blur: deviation of the optics, px.
        height, width: of the window; what falls outside is lost.

    Returns:
        (height, width) float32; its sum is that of the weights if nothing falls outside.
    """
    rows = _integral(points[:, 0], blur, height)
    columns = _integral(points[:, 1], blur, width)
    # No matrix product: its rounding depends on the number of threads.
    return np.einsum("nh,nw->hw", weights[:, None] * rows, columns).astype(np.float32)


def _integral(centres: np.ndarray, blur: float, length: int) -> np.ndarray:
    """Integrals of a Gaussian over each of `length` pixels, (n, length)."""
    edges = np.arange(length + 1) - 0.5
    return np.diff(ndtr((edges - centres[:, None]) / blur), axis=1)
