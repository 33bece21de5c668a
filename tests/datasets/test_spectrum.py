"""Background spectra: known slopes and levels come out, targets do not matter."""

import numpy as np
import pytest

from datasets.spectrum import FREQUENCIES, background_spectrum, slope


def noise(shape, exponent, seed=0):
    """uint16 with power ~ frequency^exponent: the corner of a larger field, so not periodic."""
    rng = np.random.default_rng(seed)
    large = [2 * n for n in shape]
    rows, columns = (np.fft.fftfreq(n) for n in large)
    frequency = np.hypot(rows[:, None], columns)
    frequency[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal(large)) * frequency ** (exponent / 2)).real
    field = field[: shape[0], : shape[1]]
    return (
        np.rint(30000 + 4000 * (field - field.mean()) / field.std())
        .clip(0, 65535)
        .astype(np.uint16)
    )


def empty(image):
    return np.zeros(image.shape, bool)


@pytest.mark.parametrize("shape", [(256, 256), (200, 320), (97, 131)])
@pytest.mark.parametrize("exponent", [0.0, -1.0, -2.0, -3.0, -4.0])
def test_slope_of_power_law_noise(shape, exponent) -> None:
    images = [noise(shape, exponent, seed) for seed in range(8)]
    slopes = [slope(background_spectrum(image, empty(image))) for image in images]
    assert np.mean(slopes) == pytest.approx(exponent, abs=0.15)


@pytest.mark.parametrize("shape", [(256, 256), (90, 400)])
def test_level_of_white_noise_is_its_variance(shape) -> None:
    image = noise(shape, 0.0)
    power = background_spectrum(image, empty(image))
    assert power[-8:] == pytest.approx((4000 / 65535) ** 2, rel=0.15)


def test_one_wave_is_found_at_its_frequency() -> None:
    """Also across the longer side of a frame: the axis is in cycles/px."""
    for shape in ((128, 320), (320, 128)):
        row, column = np.indices(shape)
        image = np.rint(128 + 50 * np.sin(2 * np.pi * (0.06 * row + 0.08 * column)))
        power = background_spectrum(image.astype(np.uint8), np.zeros(shape, bool))
        assert FREQUENCIES[np.nanargmax(power)] == pytest.approx(0.1, rel=0.1)


def test_targets_are_taken_out() -> None:
    image = noise((128, 128), -3.0) // 2
    clean = background_spectrum(image, empty(image))
    mask = empty(image)
    for row, column in ((20, 30), (60, 100), (90, 10)):
        mask[row : row + 4, column : column + 4] = True
    bright = image.copy()
    bright[mask] = 65535
    filled = background_spectrum(bright, mask)
    np.testing.assert_allclose(np.log10(filled), np.log10(clean), atol=0.1)
    left = background_spectrum(bright, empty(image))
    assert left[-1] > 10 * clean[-1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (5, 5)])
def test_tiny_images_have_no_slope(shape) -> None:
    image = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)
    power = background_spectrum(image, empty(image))
    assert power.shape == FREQUENCIES.shape
    assert np.isnan(power[:8]).all()
    assert np.isnan(slope(power))


def test_flat_and_fully_masked_images() -> None:
    flat = np.full((64, 64), 9, np.uint8)
    assert np.nanmax(background_spectrum(flat, empty(flat))) < 1e-12
    assert np.isnan(slope(background_spectrum(flat, empty(flat))))
    assert background_spectrum(flat, ~empty(flat)).shape == FREQUENCIES.shape
