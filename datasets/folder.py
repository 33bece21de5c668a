"""Anyone's own data: a folder of images and a folder of masks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import UserError
from datasets.base import Item
from datasets.file_dataset import FileDataset
from datasets.layouts import (
    EXTENSIONS,
    Layout,
    Listing,
    Place,
    check_unique,
    describe_folder,
    find_child,
    find_places,
    index,
    nothing_here,
    pair,
    read_list,
    without_repeats,
)

LIST_FOLDERS = ("", "img_idx/", "splits/", "lists/", "idx/")
"""Where lists are looked for, below the folder."""
PARTS = {"trainval": ("trainval",), "train": ("train",), "val": ("val", "valid", "validation"),
         "test": ("test",)}  # fmt: skip
"""Names of the list, or of the folder, of each part."""


class Folder(FileDataset):
    """Your own images and masks: `folder:PATH`, or `folder` with `--data-root PATH`.

    PATH holds a folder `images/` (or image, imgs, img) and a folder `masks/` (or mask, labels,
    label, gt) with PNG, BMP, TIFF or JPEG files. A mask is named like its image, or with `_mask`,
    `_gt`, `_label` or `_pixels0` after that. The split of an image is decided by the first of:

    - lists of names, one a line, in PATH or in img_idx/, splits/, lists/ or idx/: `test.txt`, and
      `trainval.txt` or `train.txt` with or without `val.txt`;
    - folders: `train/images/`, `train/masks/`, `test/images/`, ... or `images/train/`,
      `masks/train/`, ...;
    - a fraction: an image is a test image if the hash of its name, as a number from 0 to 1, is
      below `test_fraction`. So an image stays where it is when others are added; the sizes are
      near the fraction, not equal to it.
    """

    name = "folder"
    title = "Own data"
    source = "your own: folder:PATH"
    group = "own"
    variant_is_root = True
    splits = ("trainval", "test", "train", "val")
    image_folders = ("images", "image", "imgs", "img")
    mask_folders = ("masks", "mask", "labels", "label", "gt")

    def __init__(
        self,
        root: str | Path | None = None,
        split: str = "test",
        variant: str | None = "",
        test_fraction: float = 0.2,
    ) -> None:
        self.options = {"test_fraction": test_fraction}
        super().__init__(root, split, variant)

    @staticmethod
    def check_variant(variant: str) -> str:
        """The path in its canonical form: absolute, without links.

        Raises:
            UserError: no such folder.
        """
        if not variant:
            raise UserError("dataset 'folder:': no path after the colon; write folder:PATH")
        path = Path(variant).expanduser().resolve()
        if not path.is_dir():
            comma = "" if path.exists() else " (a comma in a path would end the name)"
            raise UserError(f"dataset 'folder:{variant}': {path}: {describe_folder(path)}{comma}")
        return str(path)

    @classmethod
    def find(
        cls, root: Path | None, split: str, variant: str = "", test_fraction: float = 0.2
    ) -> Listing:
        cls.check_split(split)
        folder = Path(variant or root or ".")
        layout = cls.layout()
        parts = (
            _by_lists(folder, layout)
            or _by_folders(folder, layout)
            or _by_fraction(folder, layout, test_fraction)
        )
        members = [split] if split in parts.items else []
        if split == "trainval":
            members = members or [part for part in ("train", "val") if part in parts.items]
            if members == ["train", "val"]:
                parts.notes.append(
                    "the parts train and val are trained on together; the validation part is drawn "
                    "from both by seed"
                )
        if not members:
            raise UserError(
                f"{folder}: no images of the split '{split}': the split by {parts.rule} has only "
                f"{', '.join(parts.items)}"
            )
        items = [item for part in members for item in parts.items[part]]
        check_unique(items, folder)
        return Listing(parts.place, items, parts.rule, parts.notes)


class Parts(NamedTuple):
    """All images by part, the rule that assigns them (see `Dataset.rule`), and remarks on it."""

    rule: str
    place: Place
    items: dict[str, list[Item]]
    notes: list[str]


def _by_lists(folder: Path, layout: Layout) -> Parts | None:
    lists = {}
    for part, words in PARTS.items():
        names = [
            f"{below}{word}{end}.txt"
            for below in LIST_FOLDERS
            for word in words
            for end in ("", f"_{folder.name}")
        ]
        found = (find_child(folder, name) for name in names)
        path = next((path for path in found if path is not None and path.is_file()), None)
        if path is not None:
            lists[part] = path
    places = find_places(folder, layout)
    if not lists or not places:
        return None
    place, items, notes = places[0], {}, []
    for part, path in lists.items():
        names, remarks = without_repeats(read_list(path), path)
        items[part] = pair(names, place.images, place.masks)
        notes += remarks
    return Parts("lists", place, items, notes)


def _by_folders(folder: Path, layout: Layout) -> Parts | None:
    places: dict[str, Place] = {}
    whole = next(iter(find_places(folder, layout)), None)
    for part, words in PARTS.items():
        for word in words:
            inner = find_child(folder, word)
            if inner is not None and (found := find_places(inner, layout)):
                places.setdefault(part, found[0])
            if whole is not None:
                images, masks = find_child(whole.images, word), find_child(whole.masks, word)
                if images is not None and masks is not None and images.is_dir() and masks.is_dir():
                    places.setdefault(part, Place(folder, images, masks))
    if not places:
        return None
    items = {part: _all_items(place) for part, place in places.items()}
    return Parts("folders", next(iter(places.values())), items, [])


def _by_fraction(folder: Path, layout: Layout, fraction: float) -> Parts:
    if not 0 < fraction < 1:
        raise UserError(f"dataset 'folder': test_fraction is {fraction:g}, must be between 0 and 1")
    place = _place(folder, layout)
    items: dict[str, list[Item]] = {"trainval": [], "test": []}
    for item in _all_items(place):
        items["test" if share(item.name) < fraction else "trainval"].append(item)
    counts = {part: len(listed) for part, listed in items.items()}
    if 0 in counts.values():
        raise UserError(
            f"{folder}: of {sum(counts.values())} images a test_fraction of {fraction:g} leaves "
            f"{counts['trainval']} to train on and {counts['test']} to test; say who is in which "
            "part with lists train.txt and test.txt"
        )
    note = (
        f"no split lists or folders, so {counts['test']} of {sum(counts.values())} "
        f"images are test images, by a hash of their names (test_fraction {fraction:g})"
    )
    return Parts(f"hash of the name, test_fraction {fraction:g}", place, items, [note])


def share(name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


def _place(folder: Path, layout: Layout) -> Place:
    places = find_places(folder, layout)
    if not places:
        raise nothing_here(f"dataset 'folder:{folder}'", folder, layout, "images and masks")
    return places[0]


def _all_items(place: Place) -> list[Item]:
    """Every image of a folder with its mask, by name.

    Raises:
        UserError: there are none.
    """
    names = list(index(place.images))
    if not names:
        raise UserError(
            f"{place.images}: no images in this folder (looked for {', '.join(EXTENSIONS)}); "
            f"{describe_folder(place.images)}"
        )
    return pair(names, place.images, place.masks)
