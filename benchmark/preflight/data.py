"""Is the data there? Checked once for each data set, not for each cell."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import datasets
from benchmark.errors import collecting
from benchmark.plan.job import Job
from benchmark.plan.parts import check_parts, held_out
from datasets.base import Found


class Pixels(NamedTuple):
    """How much of a data set a job goes through.

    Attributes:
        training: images to train on.
        validation, test: pixels to score.
        tests: images of the test part.
    """

    training: int
    validation: float
    test: float
    tests: int


class Survey(NamedTuple):
    """The two splits of a data set that a run reads, as found."""

    train_split: str
    test_split: str
    train: Found
    test: Found

    def check_parts(self, job: Job) -> None:
        """Refuse a training list that is too short for this job.

        Raises:
            UserError: see `plan.parts.check_parts`.
        """
        if self.train.images is not None:
            check_parts(job.dataset, _limited(self.train.images, job), job.settings)

    def pixels(self, job: Job) -> Pixels | None:
        """The pixels that a job goes through; None where only reading would tell."""
        if not self.train.images or not self.test.images:
            return None
        listed, tests = (_limited(found.images, job) for found in (self.train, self.test))
        held = held_out(listed, job.settings.val_fraction)
        return Pixels(
            training=listed - held,
            validation=self.train.pixels / self.train.images * held,
            test=self.test.pixels / self.test.images * tests,
            tests=tests,
        )

    def describe(self) -> str:
        """In words: `341 trainval / 86 test in data/SIRST`."""
        counts = (
            f"{'?' if found.images is None else found.images} {split}"
            for split, found in (
                (self.train_split, self.train),
                (self.test_split, self.test),
            )
        )
        where = " and ".join(dict.fromkeys(f.place for f in (self.train, self.test) if f.place))
        return " / ".join(counts) + (f", {where}" if where else "")


def survey(name: str, root: Path | None, problems: list[str]) -> Survey | None:
    """Look for the files of a data set, without decoding them.

    Args:
        name: of the set, with variant and options.
        root: the data root.
        problems: list to which whatever is wrong is added.

    Returns:
        None if a split is not there at all.
    """
    info = datasets.REGISTRY.get(name).info
    splits = info.train_split, info.test_split
    found = []
    for split in splits:
        with collecting(problems):
            found.append(datasets.inspect_dataset(name, root, split))
            problems += found[-1].problems
    return Survey(*splits, *found) if len(found) == 2 else None


def _limited(images: int | None, job: Job) -> int:
    assert images is not None
    return images if job.settings.limit is None else min(images, job.settings.limit)
