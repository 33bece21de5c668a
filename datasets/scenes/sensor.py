"""The sensor: noise, pattern, bad pixels and quantisation of a noise-free scene."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from datasets.scenes.difficulty import Level


class Sensor(NamedTuple):
    """One camera.

    Attributes:
        noise: deviation of the temporal noise, grey levels. Its temperature is the NETD: the
            difference of temperature that changes the signal by one deviation of the noise.
        smooth: deviations of a low-pass that the noise went through, across and along rows, px.
            Public images were scaled and compressed before they were published.
        columns: deviation of the column offsets, grey levels: the read-out of each column has an
            amplifier of its own. Offsets and gains are what drifts after a non-uniformity
            correction (Milton, Barone, Kruer, Optical Engineering 1985).
        gain: deviation of the pixels' gains from 1.
        bad_pixels: mean number of dead and hot pixels for 128 x 128 px.
    """

    noise: float
    smooth: tuple[float, float]
    columns: float
    gain: float
    bad_pixels: float

    @property
    def spread(self) -> float:
        """Deviation of noise and column pattern together, grey levels."""
        return float(np.hypot(self.noise, self.columns))


def draw_sensor(rng: np.random.Generator, level: Level) -> Sensor:
    """Draw the camera of one image."""
    return Sensor(
        noise=level.noise * np.exp(np.clip(rng.normal(0, 0.9), -1.8, 1.5)),
        smooth=(rng.uniform(0, 1.2), rng.uniform(0, 1.2)),
        columns=level.columns * np.exp(rng.normal(0, 0.8)),
        gain=rng.uniform(0, 0.004),
        bad_pixels=level.bad_pixels,
    )


def expose(
    rng: np.random.Generator, scene: np.ndarray, mask: np.ndarray, sensor: Sensor, bits: int
) -> np.ndarray:
    """Take a picture.

    Args:
        rng: source of all randomness.
        scene: (H, W) float32, grey levels, noise-free.
        mask: (H, W) bool; bad pixels keep off targets, whose truth they would spoil.
        sensor: the camera.
        bits: one of `difficulty.BITS`.

    Returns:
        (H, W) uint8; for 14 bits uint16 in steps of 4, so that white is 65532: left-aligned as in
        cameras' MSB formats, and dividing by the largest uint16 is right.
    """
    noise: np.ndarray = rng.standard_normal(scene.shape, np.float32)
    if max(sensor.smooth) > 0:
        across, along = np.maximum(sensor.smooth, 0.1)  # 0 has a meaning of its own in OpenCV
        noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=along, sigmaY=across)
        noise = noise / noise.std()
    gain = 1 + np.float32(sensor.gain) * rng.standard_normal(scene.shape, np.float32)
    frame = scene * gain + np.float32(sensor.noise) * noise
    frame += np.float32(sensor.columns) * rng.standard_normal((1, scene.shape[1]), np.float32)
    _spoil(rng, frame, mask, sensor.bad_pixels)
    frame = np.clip(frame, 0, 255)
    if bits == 8:
        return np.rint(frame).astype(np.uint8)
    return np.rint(frame * (16383 / 255)).astype(np.uint16) << 2


def _spoil(rng: np.random.Generator, frame: np.ndarray, mask: np.ndarray, rate: float) -> None:
    """Put dead (dark) and hot (bright) pixels on the frame, in place."""
    n = rng.poisson(rate * frame.size / 128**2)
    places = rng.integers(0, frame.size, n)
    off = rng.uniform(25, 120, n) * rng.choice([1, 1, -1], n)
    clear = cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)).ravel()[places] == 0
    frame.ravel()[places[clear]] += off[clear].astype(np.float32)
