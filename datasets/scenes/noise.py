"""Random fields with a power-law spectrum, the texture of clouds, land and water.

Images of natural scenes have power spectra close to 1/f^2 (Field, J. Opt. Soc. Am. A, 1987);
smooth clouds and blurred scenes fall off faster. The power here is 1/f^beta with f in cycles/px.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft

OVERSIZE = 1.25
"""Length of the grid over that of the field cut from it: a field from an FFT is periodic."""


def fractional_noise(
    rng: np.random.Generator, height: int, width: int, beta: float, stretch: float = 1.0
) -> np.ndarray:
    """Gaussian noise with power spectrum 1/f^beta, of zero mean and unit variance.

    The spectrum is drawn, not computed from white noise, which saves one of two FFTs.

    Args:
        rng: source of all randomness.
        height, width: of the field, px.
        beta: exponent of the power spectrum.
        stretch: how many times longer structures are along the rows than across them.

    Returns:
        (height, width) float32.
    """
    rows, columns = _grid_length(height), _grid_length(width)
    spectrum = rng.standard_normal((rows, columns // 2 + 1, 2), np.float32).view(np.complex64)
    spectrum = spectrum[..., 0]
    # irfft2 keeps the Hermitian half of these columns only, so half of their power.
    spectrum[:, 0] *= np.sqrt(np.float32(2))
    if columns % 2 == 0:
        spectrum[:, -1] *= np.sqrt(np.float32(2))
    spectrum *= np.exp(np.float32(-beta / 4) * _log_squared_frequency(rows, columns, stretch))
    spectrum[0, 0] = 0
    field = scipy.fft.irfft2(spectrum, (rows, columns), overwrite_x=True)[:height, :width]
    return standardised(field)


def fractional_line(rng: np.random.Generator, length: int, beta: float) -> np.ndarray:
    """The same along one line, e.g. the outline of a ridge: (length,) float32."""
    n = _grid_length(length)
    frequency = np.arange(1, n // 2 + 1) / n
    spectrum = np.zeros(n // 2 + 1, complex)
    spectrum[1:] = rng.standard_normal((n // 2, 2)).view(complex)[:, 0]
    spectrum[1:] *= frequency ** (-beta / 2)
    return standardised(scipy.fft.irfft(spectrum, n)[:length].astype(np.float32))


def standardised(field: np.ndarray) -> np.ndarray:
    """The field shifted and scaled to zero mean and unit variance; a flat one becomes 0."""
    field = field - field.mean(dtype=np.float64).astype(np.float32)
    spread = field.std(dtype=np.float64)
    return field * np.float32(1 / spread if spread > 0 else 0)


def _grid_length(length: int) -> int:
    return scipy.fft.next_fast_len(int(np.ceil(length * OVERSIZE)), real=True)


@lru_cache(maxsize=64)
def _log_squared_frequency(rows: int, columns: int, stretch: float) -> np.ndarray:
    """log(f^2) on the half grid of a real FFT; 0 at f = 0."""
    fy = np.fft.fftfreq(rows)[:, None]
    fx = np.fft.rfftfreq(columns)[None] * stretch
    squared = fy**2 + fx**2
    squared[0, 0] = 1
    return np.log(squared).astype(np.float32)
