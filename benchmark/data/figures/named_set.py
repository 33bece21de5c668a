"""A data set as the command line names it, read and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

import datasets
from benchmark.console import with_progress
from benchmark.registry import Entry
from datasets.base import Sample
from datasets.statistics import Statistics, measure

EVERYTHING = "all"
"""Stands for the training and the test split together."""
_ROOM = 40  # letters that a title has for the options


@dataclass(frozen=True)
class NamedSet:
    """The images of `NAME@SPLIT` with their numbers.

    Attributes:
        entry: of the data set in the registry.
        name: with variant and options, e.g. `sirst:idx_320`.
        split: a split, or `all`.
        title: for figures.
        parts: split -> number of its images.
        samples: of all parts, one after the other.
        notes: the reader's remarks on the files.
        statistics: of the samples.
    """

    entry: Entry
    name: str
    split: str
    title: str
    parts: dict[str, int]
    samples: Sequence[Sample]
    notes: list[str]
    statistics: Statistics

    @property
    def label(self) -> str:
        """The name as written on the command line."""
        return f"{self.name}@{self.split}"

    @property
    def heading(self) -> str:
        """Title and size, e.g. `SIRST, test: 86 images, 109 targets`."""
        counts = {"image": len(self.samples), "target": len(self.statistics.targets.area)}
        parts = [f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items()]
        return f"{self.title}: {', '.join(parts)}"

    @property
    def file_name(self) -> str:
        """The label in characters that every file system accepts."""
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in self.label)


def read_set(text: str, root: Path | None, console: Console) -> NamedSet:
    """Read and measure `NAME` or `NAME@SPLIT`; NAME is `name`, `name:variant`, `name:option=value`.

    Args:
        text: the name; without a split it is the test split.
        root: folder of the downloaded sets.
        console: where progress goes.

    Raises:
        UserError: unknown name or split, no data root, or a file that is missing or broken.
    """
    name, split = split_name(text)
    entry = datasets.REGISTRY.get(name)
    kind = entry.load()
    if split is None:
        split = kind.test_split
    wanted = [kind.train_split, kind.test_split] if split == EVERYTHING else [split]
    loaded = {part: datasets.load_dataset(name, root, part) for part in dict.fromkeys(wanted)}
    samples = [sample for dataset in loaded.values() for sample in dataset]
    _, _, options = name.partition(":")
    title = (kind.title or kind.name) + (f" ({_end_of(options)})" if options else "")
    return NamedSet(
        entry,
        name,
        split,
        f"{title}, {split}",
        {part: len(dataset) for part, dataset in loaded.items()},
        samples,
        list(dict.fromkeys(note for dataset in loaded.values() for note in dataset.notes)),
        measure(with_progress(samples, f"images of {name} measured", console)),
    )


def _end_of(options: str) -> str:
    """Options, which may hold a path, cut to the room in a title."""
    return options if len(options) <= _ROOM else "…" + options[1 - _ROOM :]


def split_name(text: str) -> tuple[str, str | None]:
    """`sirst@trainval` -> ("sirst", "trainval"); the split is None where none is given.

    Only what follows the last @ and has no slash is a split, so that paths may hold an @.
    """
    name, at, split = text.rpartition("@")
    if not at or not split or "/" in split:
        return text, None
    return name, split
