"""Synthetic infrared frames, made in memory from a seed: cluttered sky with point-like targets.

Each image has its own random stream (seed, split, index), so splits share no background and a
longer split begins with the images of a shorter one.
"""

from __future__ import annotations

import numpy as np

from benchmark.errors import UserError
from datasets.base import Dataset, Sample

SIZE = 128
"""Side of the images, px."""
COUNTS = {"train": 224, "test": 80}
"""Images per split."""
MASK_LEVEL = 0.4
"""A pixel belongs to a target where the target alone exceeds this fraction of its own peak."""

_SPLIT_STREAM = {"train": 0, "test": 1}


class Synthetic(Dataset):
    """Clutter with 0 to 3 blurred point targets of 2 to 40 px per 128 px image.

    Background: fractional (1/f) noise as cloud, a gradient, cloud edges, sensor noise and column
    pattern. Distractors without a mask: hot pixels, broad bright blobs, streaks. A target's peak
    is 5 to 12 times the standard deviation of its surroundings (local SCR), so some are hard.
    """

    name = "synthetic"
    title = "Synthetic"
    paper = "this project"
    source = "generated from a seed, datasets/synthetic.py"
    needs_root = False
    train_split = "train"

    def __init__(self, root=None, split="test", variant=None, seed: int = 0) -> None:
        self.seed = seed
        super().__init__(root, split, variant)

    def read(self) -> list[Sample]:
        if self.split not in COUNTS:
            raise UserError(
                f"dataset 'synthetic' has no split '{self.split}'; it has: {', '.join(COUNTS)}"
            )
        stream = _SPLIT_STREAM[self.split]
        return [
            make_sample(np.random.default_rng([self.seed, stream, i]), f"{self.split}_{i:04d}")
            for i in range(COUNTS[self.split])
        ]


def make_sample(rng: np.random.Generator, name: str, size: int = SIZE) -> Sample:
    """One frame of `size` x `size` px, 8 bit, with its mask."""
    scene = background(rng, size)
    scene += distractors(rng, size)
    mask = np.zeros((size, size), bool)
    count = rng.choice(4, p=[0.1, 0.55, 0.25, 0.1])
    for _ in range(count):
        add_target(rng, scene, mask)
    scene += rng.normal(0, rng.uniform(1.0, 3.0), scene.shape)  # sensor noise
    scene += rng.normal(0, rng.uniform(0.0, 1.0), (1, size))  # column pattern
    return Sample(np.clip(np.rint(scene), 0, 255).astype(np.uint8), mask, name)


def fractional_noise(rng: np.random.Generator, size: int, exponent: float) -> np.ndarray:
    """Gaussian noise with spectrum 1/f^exponent (amplitude), zero mean and unit variance."""
    fy = np.fft.fftfreq(size)[:, None]
    fx = np.fft.rfftfreq(size)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / frequency**exponent
    field = np.fft.irfft2(spectrum, (size, size))
    return (field - field.mean()) / field.std()


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Cloud, gradient and cloud edges, in grey levels."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    scene = rng.uniform(50, 130) + rng.uniform(0, 50) * (np.cos(angle) * x + np.sin(angle) * y)
    scene += rng.uniform(4, 22) * fractional_noise(rng, size, rng.uniform(1.3, 2.0))
    if rng.random() < 0.5:  # a cloud bank: a smooth step along a level line of a noise field
        field = fractional_noise(rng, size, 2.2) - rng.uniform(-0.8, 0.8)
        texture = 1 + 0.2 * fractional_noise(rng, size, 1.2)
        scene += rng.uniform(15, 50) * texture / (1 + np.exp(-field * rng.uniform(5, 25)))
    return scene


def distractors(rng: np.random.Generator, size: int) -> np.ndarray:
    """Hot pixels, broad blobs and streaks that are no targets, in grey levels."""
    extra = np.zeros((size, size))
    for _ in range(rng.poisson(1.5)):
        extra[tuple(rng.integers(0, size, 2))] += rng.uniform(30, 110)
    for _ in range(rng.poisson(0.7)):
        extra += rng.uniform(15, 45) * _blob(size, *rng.uniform(0, size, 2), *rng.uniform(5, 9, 2))
    for _ in range(rng.poisson(0.4)):
        extra += rng.uniform(20, 50) * _blob(
            size, *rng.uniform(0, size, 2), rng.uniform(8, 16), 0.7, rng.uniform(0, np.pi)
        )
    return extra


def add_target(rng: np.random.Generator, scene: np.ndarray, mask: np.ndarray) -> None:
    """Add one blurred target at a sub-pixel place to `scene` and `mask`, in place.

    Keeps 8 px from other targets, so that every target is a component of its own.
    """
    size = len(scene)
    for _ in range(20):
        cy, cx = rng.uniform(4, size - 4, 2)
        top, left = max(int(cy) - 12, 0), max(int(cx) - 12, 0)
        if not mask[top : top + 24, left : left + 24].any():
            break
    else:
        return
    sigma = rng.uniform(0.9, 2.6)
    profile = _blob(size, cy, cx, sigma, sigma * rng.uniform(0.65, 1.0), rng.uniform(0, np.pi))
    surroundings = scene[top : top + 24, left : left + 24]
    peak = max(rng.uniform(5, 12) * (surroundings.std() + 1.0), 25.0)
    scene += peak * profile
    mask |= profile >= MASK_LEVEL * profile.max()


def _blob(
    size: int, cy: float, cx: float, sigma_u: float, sigma_v: float, angle: float = 0.0
) -> np.ndarray:
    """A rotated Gaussian of height 1 on a `size` x `size` grid."""
    y, x = np.mgrid[:size, :size]
    y, x = y - cy, x - cx
    u = np.cos(angle) * x + np.sin(angle) * y
    v = np.cos(angle) * y - np.sin(angle) * x
    return np.exp(-0.5 * ((u / sigma_u) ** 2 + (v / sigma_v) ** 2))
