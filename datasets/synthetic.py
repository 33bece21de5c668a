"""Synthetic infrared images, made in memory from a seed."""

from __future__ import annotations

import numpy as np

from benchmark.errors import UserError
from datasets.base import Dataset, Sample
from datasets.scenes.levels import LEVELS
from datasets.scenes.scene import make_scene
from datasets.scenes.sensor import BITS

SMALLEST = 32
"""Least side of an image, px: room for the largest targets."""

_STREAM = {"train": 0, "test": 1}


class Synthetic(Dataset):
    """Rendered infrared scenes: sky, clouds, sea, land and town with 0 to 4 small targets.

    Levels: `standard` has the target sizes and the contrasts (local SCR) of SIRST, `easy` strong
    targets on calm sky, `hard` weak ones in clutter. Every image has a random stream of its own
    (seed, level, split, number), so no two images share a backdrop, and a longer split begins with
    the images of a shorter one. A mask is where the noise-free target exceeds 0.3 of its own peak.

    Args:
        root: not used.
        split: `train` or `test`.
        variant: the level.
        size: side of the images, px.
        train: images of the training split.
        test: images of the test split.
        seed: other seeds are other images.
        bits: 8, or 14 as uint16 (the same scenes, quantised finer).
    """

    name = "synthetic"
    title = "Synthetic"
    paper = "this project"
    source = "generated from a seed, datasets/scenes/"
    licence = "that of this project"
    needs_root = False
    variants = ("standard", "easy", "hard")
    splits = ("train", "test")
    train_split = "train"
    choices = {"bits": (8, 14)}

    def __init__(
        self,
        root=None,
        split="test",
        variant=None,
        size: int = 128,
        train: int = 224,
        test: int = 80,
        seed: int = 0,
        bits: int = 8,
    ) -> None:
        if bits not in BITS:
            raise UserError(f"dataset 'synthetic': bits is {bits}, must be one of 8, 14")
        if size < SMALLEST:
            raise UserError(f"dataset 'synthetic': size is {size}, must be {SMALLEST} or more")
        for option, value, least in (("train", train, 1), ("test", test, 1), ("seed", seed, 0)):
            if value < least:
                raise UserError(
                    f"dataset 'synthetic': {option} is {value}, must be {least} or more"
                )
        self.size, self.seed, self.bits = size, seed, bits
        self.counts = {"train": train, "test": test}
        super().__init__(root, split, variant)

    def read(self) -> list[Sample]:
        if self.split not in self.splits:
            raise UserError(
                f"dataset 'synthetic' has no split '{self.split}'; it has: {', '.join(self.splits)}"
            )
        return [self.make(i) for i in range(self.counts[self.split])]

    def make(self, index: int) -> Sample:
        """Render one image of the split."""
        stream = [self.seed, self.variants.index(self.variant), _STREAM[self.split], index]
        scene = make_scene(
            np.random.default_rng(stream), LEVELS[self.variant], self.size, self.bits
        )
        return Sample(scene.image, scene.mask, f"{self.split}_{index:04d}")
