"""Synthetic infrared images, made in memory from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.errors import UserError
from datasets.base import Dataset, Found, Sample
from datasets.scenes.difficulty import BITS, LEVELS

if TYPE_CHECKING:
    from datasets.scenes.scene import Scene

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
    sizes = {"train": 224, "test": 80}
    choices = {"bits": (8, 14)}

    def __init__(
        self,
        root: str | Path | None = None,
        split: str = "test",
        variant: str | None = "standard",
        size: int = 128,
        train: int = 224,
        test: int = 80,
        seed: int = 0,
        bits: int = 8,
    ) -> None:
        self.scene_set = SceneSet(variant or "standard", size, train, test, seed, bits)
        super().__init__(root, split, variant)

    @classmethod
    def inspect(
        cls,
        root: Path | None,  # noqa: ARG003
        split: str,
        variant: str | None = None,
        size: int = 128,
        **options: int,
    ) -> Found:
        count = SceneSet(variant or "standard", size, **options).count(split)
        return Found(count, count * size * size, "made in memory", [])

    def read(self) -> list[Sample]:
        if self.split not in self.splits:
            raise UserError(
                f"dataset 'synthetic' has no split '{self.split}'; it has: {', '.join(self.splits)}"
            )
        return [
            self.scene_set.sample(self.split, i) for i in range(self.scene_set.count(self.split))
        ]


@dataclass(frozen=True)
class SceneSet:
    """Everything that the images of a synthetic set follow from; see `Synthetic`.

    Raises:
        UserError: a value out of its range.
    """

    level: str = "standard"
    size: int = 128
    train: int = 224
    test: int = 80
    seed: int = 0
    bits: int = 8

    def __post_init__(self) -> None:
        for option, allowed in (("level", tuple(LEVELS)), ("bits", BITS)):
            if (value := getattr(self, option)) not in allowed:
                text = ", ".join(map(str, allowed))
                raise UserError(f"dataset 'synthetic': {option} is {value}, must be one of {text}")
        for option, least in (("size", SMALLEST), ("train", 1), ("test", 1), ("seed", 0)):
            if (value := getattr(self, option)) < least:
                raise UserError(
                    f"dataset 'synthetic': {option} is {value}, must be {least} or more"
                )

    def count(self, split: str) -> int:
        """Number of images in a split."""
        return {"train": self.train, "test": self.test}[split]

    def sample(self, split: str, index: int) -> Sample:
        """One image of a split with its mask."""
        scene = self.scene(split, index)
        return Sample(scene.image, scene.mask, self.sample_name(split, index))

    def sample_name(self, split: str, index: int) -> str:
        """Its name, e.g. `train_00012`."""
        return f"{split}_{index:05d}"

    def scene(self, split: str, index: int) -> Scene:
        """The same with everything it was made of."""
        from datasets.scenes.scene import make_scene  # SciPy: a third of a second

        stream = [self.seed, list(LEVELS).index(self.level), _STREAM[split], index]
        rng = np.random.default_rng(stream)
        return make_scene(rng, LEVELS[self.level], self.size, self.bits)
