"""How sets of files lie on disk: which folders, which lists, which file belongs to which name.

Everything here looks at names only; nothing is decoded. Names of folders and lists are compared
without regard to case, and so are extensions; names of images are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import UserError
from datasets.base import Item

EXTENSIONS = (".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg")
"""Extensions that are read."""
MASK_SUFFIXES = ("_pixels0", "_mask", "_gt", "_label", "")
"""Endings that the name of a mask may add to that of its image; the first that fits is taken."""

Index = dict[str, list[Path]]
"""Files of a folder by their name without extension."""


class Layout(NamedTuple):
    """The ways in which one set is found on disk; earlier names go before later ones.

    Attributes:
        folders: names of the set's folder below a data root.
        image_folders: names of the folder of images in it.
        mask_folders: names of the folder of masks in it.
        lists: the files that may list each split.
    """

    folders: tuple[str, ...]
    image_folders: tuple[str, ...]
    mask_folders: tuple[str, ...]
    lists: dict[str, tuple[str, ...]]


class Place(NamedTuple):
    """Where a set was found."""

    folder: Path
    images: Path
    masks: Path


class Listing(NamedTuple):
    """A split as files.

    Attributes:
        place: where the set is.
        items: in the order of the list.
        rule: how images are assigned to splits, see `Dataset.rule`.
        notes: what is odd about the list, in words.
    """

    place: Place
    items: list[Item]
    rule: str
    notes: list[str]


def find_child(folder: Path, relative: str) -> Path | None:
    """`folder / relative` without regard to case; None where there is no such thing.

    Names that match exactly go first, then in order of the alphabet.
    """
    exact = folder / relative
    if exact.exists():
        return exact
    for part in Path(relative).parts:
        if not folder.is_dir():
            return None
        same = sorted(p for p in folder.iterdir() if p.name.lower() == part.lower())
        if not same:
            return None
        folder = next((p for p in same if p.name == part), same[0])
    return folder


def find_places(root: Path, layout: Layout) -> list[Place]:
    """Every folder that has images and masks as the layout says: `root` itself, then below it."""
    named = [find_child(root, name) for name in layout.folders]
    candidates = dict.fromkeys([root, *(c for c in named if c is not None)])
    found = []
    for folder in candidates:
        images = _first_folder(folder, layout.image_folders)
        masks = _first_folder(folder, layout.mask_folders)
        if images is not None and masks is not None:
            found.append(Place(folder, images, masks))
    return found


def find_lists(folder: Path, layout: Layout, split: str) -> list[Path]:
    """The files in `folder` that list a split, the one to use first."""
    found = (find_child(folder, name) for name in layout.lists[split])
    return [path for path in found if path is not None and path.is_file()]


def nothing_here(where: str, root: Path, layout: Layout, what: str, source: str = "") -> UserError:
    """The error of a folder without the set: what was looked for, what is there instead.

    Args:
        where: what named the folder, e.g. `--data-root DIR`.
        root: the folder.
        layout: what was tried.
        what: the set, for people.
        source: where to get it.
    """
    below = f" and in {', '.join(f'{name}/' for name in layout.folders)}" if layout.folders else ""
    inside = sorted(root.iterdir()) if root.is_dir() else []
    near = next((p for p in inside if p.is_dir() and _may_be(p, layout)), None)
    return UserError(
        f"{where}: no {what} here; looked for a folder {_either(layout.image_folders)} "
        f"and a folder {_either(layout.mask_folders)} in it{below}; {describe_folder(root)}"
        + (f"; did you mean {near}?" if near else f". Get it from {source}" if source else "")
    )


def _may_be(folder: Path, layout: Layout) -> bool:
    """Whether a folder has images, masks and, for a set that has lists, one of them."""
    try:
        places = find_places(folder, layout)
        lists = (find_lists(p.folder, layout, split) for p in places for split in layout.lists)
        return any(lists) if layout.lists else bool(places)
    except OSError:  # a folder that may not be looked into, such as lost+found
        return False


def describe_folder(folder: Path, most: int = 8) -> str:
    """The contents of a folder, in words: `found: a, b, c`."""
    if not folder.exists():
        return "the folder does not exist"
    if not folder.is_dir():
        return "this is a file"
    names = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir())
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"found: {', '.join(names[:most]) or 'nothing'}{more}"


def index(folder: Path) -> Index:
    """The images of a folder by name; files of other extensions and hidden ones are left out."""
    found: Index = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found


def pair(names: Iterable[str], images: Path, masks: Path) -> list[Item]:
    """The files of every name, which may have an extension, and the folder of images before it.

    Raises:
        UserError: a name that two files fit, which differ in their extension.
    """
    image_index, mask_index = index(images), index(masks)
    suffix = usual_suffix(mask_index, image_index)
    items = []
    for entry in (name.removeprefix(f"{images.name}/") for name in names):
        name = without_extension(entry)
        image = _pick(image_index, entry, name) or images / f"{name}.png"
        found = (_pick(mask_index, f"{name}{s}", f"{name}{s}") for s in MASK_SUFFIXES)
        mask = next((path for path in found if path), masks / f"{name}{suffix}.png")
        items.append(Item(name, image, mask))
    return items


def usual_suffix(masks: Index, images: Index) -> str:
    """The mask suffix that fits most images of a folder; none where nothing fits."""

    def count(suffix: str) -> int:
        return sum(f"{name}{suffix}" in masks for name in images)

    return max(reversed(MASK_SUFFIXES), key=count)


def read_list(path: Path) -> list[str]:
    """The lines of a split list, one name each; empty lines are left out.

    Raises:
        UserError: missing, empty or unreadable list.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: split list is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: split list cannot be read ({error})") from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise UserError(f"{path}: split list is empty")
    return names


def check_unique(items: Iterable[Item], folder: Path) -> None:
    """Refuse two images of one name in a split.

    Raises:
        UserError: there are such.
    """
    places: dict[str, Path] = {}
    for item in items:
        other = places.setdefault(item.name, item.image)
        if other != item.image:
            raise UserError(
                f"{folder}: {other} and {item.image} are both '{item.name}'; rename one of them"
            )


def without_repeats(names: Sequence[str], path: Path) -> tuple[list[str], list[str]]:
    """The names of a list once each, and a note if some were there twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    note = f"{path}: lists {some(twice)} more than once; counted once" if twice else ""
    return list(dict.fromkeys(names)), [note] * bool(twice)


def without_extension(name: str) -> str:
    """A file name without one of `EXTENSIONS`; dots that belong to the name stay."""
    stem, dot, end = name.rpartition(".")
    return stem if dot and f".{end.lower()}" in EXTENSIONS else name


def some(names: Sequence[str], most: int = 3) -> str:
    """The first few of several names: `a, b, c and 5 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def _first_folder(folder: Path, names: Iterable[str]) -> Path | None:
    found = (find_child(folder, name) for name in names)
    return next((path for path in found if path is not None and path.is_dir()), None)


def _pick(files: Index, entry: str, name: str) -> Path | None:
    """The file of a list's entry: the very file it names, else the only one of that name."""
    found = files.get(name, [])
    named = [path for path in found if path.name == entry]
    if named:
        return named[0]
    if len(found) > 1:
        raise UserError(
            f"{found[0].parent}: {' and '.join(p.name for p in found)} are both '{name}'; "
            "keep one of them"
        )
    return found[0] if found else None


def _either(names: Sequence[str]) -> str:
    first, *others = [f"{name}/" for name in names]
    return f"{first} (or {', '.join(others)})" if others else first
