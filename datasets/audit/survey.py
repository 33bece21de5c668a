"""Everything that an audit needs to know of a set, gathered in one pass over its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from benchmark.environment import cpu_count
from benchmark.errors import UserError
from datasets.audit.duplicates import Print, make_print
from datasets.base import Item
from datasets.hashes import image_hash
from datasets.image_files import Mask, read_grey, read_mask
from datasets.layouts import Listing

Track = Callable[[Sequence[Any], str], Iterable[Any]]
"""Goes through a sequence and shows the progress; the text names what it goes through."""


@dataclass(frozen=True)
class Picture:
    """One image with its mask, as far as they could be read.

    Attributes:
        item: the files.
        splits: those that it is in.
        errors: why the image, or the mask, could not be read; by `image` and `mask`.
        pixels: hash of the decoded image.
        look: what it is compared by.
        mask: as the benchmark reads it.
    """

    item: Item
    splits: tuple[str, ...]
    errors: dict[str, str]
    pixels: str | None = None
    look: Print | None = None
    mask: Mask | None = None


@dataclass(frozen=True)
class Survey:
    """A set as it lies on disk.

    Attributes:
        name: of the set, with its variant.
        train, test: the splits that are trained on and scored.
        sizes: published number of images by split; `all` stands for all of them.
        listings: of each split that there is.
        failures: why a split could not be listed.
        pictures: of all splits, each once, in the order of the splits.
    """

    name: str
    train: str
    test: str
    sizes: dict[str, int]
    listings: dict[str, Listing]
    failures: dict[str, str]
    pictures: list[Picture]

    @property
    def folder(self) -> Path:
        """Where it lies; of a set that is put together from several, its first part."""
        return next(iter(self.listings.values())).place.folder


def survey(name: str, root: Path | None, track: Track) -> Survey:
    """Read all of a set.

    Raises:
        UserError: there is no such set below the data root, or it is none of files.
    """
    entry = datasets.REGISTRY.get(name)
    kind = entry.load()
    listings, failures = {}, {}
    for split in kind.splits:
        try:
            listings[split] = datasets.find_listing(name, root, split)
        except UserError as error:
            failures[split] = str(error)
    if not listings:
        raise UserError(next(iter(failures.values())))
    splits: dict[Item, list[str]] = {}
    for split, listing in listings.items():
        for item in listing.items:
            splits.setdefault(item, []).append(split)
    with ThreadPoolExecutor(cpu_count()) as pool:  # decoders do not hold Python's lock
        waiting = [pool.submit(_look, item, tuple(where)) for item, where in splits.items()]
        pictures = [future.result() for future in track(waiting, f"images of {name} read")]
    sizes = entry.info.sizes
    return Survey(name, kind.train_split, kind.test_split, sizes, listings, failures, pictures)


def _look(item: Item, splits: tuple[str, ...]) -> Picture:
    errors: dict[str, str] = {}
    image = mask = None
    try:
        image = read_grey(item.image)
    except UserError as error:
        errors["image"] = str(error)
    try:
        # the size of an image that cannot be read is unknown: its mask is taken as it is
        mask = read_mask(item.mask, (image if image is not None else read_grey(item.mask)).shape)
    except UserError as error:
        errors["mask"] = str(error)
    if image is None:
        return Picture(item, splits, errors, mask=mask)
    return Picture(item, splits, errors, image_hash(image), make_print(image), mask)
