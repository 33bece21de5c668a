"""The checks of one set: each looks at one thing and yields what it finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from datasets.audit.duplicates import Pair
from datasets.audit.findings import Finding
from datasets.audit.survey import Picture, Survey
from datasets.layouts import EXTENSIONS, some

LARGE_SHARE = 0.05
"""Share of an image's pixels above which targets are not small. SIRST has at most a tenth of it."""
INVERTED_SHARE = 0.5
"""Share of target pixels above which a mask is inverted, or meaningless."""


def check_files(found: Survey) -> Iterator[Finding]:
    """Files that the lists name but that are missing or cannot be read."""
    for picture in found.pictures:
        for part, path in (("image", picture.item.image), ("mask", picture.item.mask)):
            if part not in picture.errors:
                continue
            if not path.exists():
                message = f"is missing; it is in {', '.join(picture.splits)}"
                yield Finding(f"{part}-missing", message, (str(path),))
            else:
                reason = picture.errors[part].removeprefix(f"{path}: ")
                yield Finding(f"{part}-unreadable", reason, (str(path),))


def check_unlisted(found: Survey) -> Iterator[Finding]:
    """Images and masks in the set's folders that belong to no split."""
    listed = {path for p in found.pictures for path in (p.item.image, p.item.mask)}
    for folder in sorted({path.parent for path in listed}):
        if not folder.is_dir():
            continue
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in EXTENSIONS)
        others = [p for p in files if p not in listed and not p.name.startswith(".")]
        if others:
            what = f"{len(others)} of {len(files)} files are in no split: "
            names = some([p.name for p in others])
            paths = tuple(map(str, (folder, *others)))
            yield Finding("file-unlisted", what + names, paths)


def check_lists(found: Survey) -> Iterator[Finding]:
    """Lists that are not there, have another length than published, or are odd."""
    for split in (found.train, found.test):
        if split in found.failures:
            yield Finding("list-unusable", found.failures[split])
    sizes = {split: len(listing.items) for split, listing in found.listings.items()}
    for split, size in (sizes | {"all": len(found.pictures)}).items():
        published = found.sizes.get(split, size)
        if size != published:
            yield Finding("list-size", f"{split} has {size} images, published are {published}")
    for note in dict.fromkeys(n for listing in found.listings.values() for n in listing.notes):
        yield Finding("list-note", note)


def check_masks(found: Survey) -> Iterator[Finding]:
    """Masks of another size, with grey values, without a target, or with hardly anything else."""
    for picture in found.pictures:
        mask, files = picture.mask, (str(picture.item.mask),)
        if mask is None:
            continue
        if mask.note:
            yield Finding("mask-size", mask.note.removeprefix(f"{picture.item.mask.name}: "), files)
        if mask.greys:
            message = f"{mask.greys} pixels are neither black nor white; binarised above half"
            yield Finding("mask-grey", message, files)
        share = mask.pixels.mean() if mask.pixels.size else 0.0
        if share == 0:
            yield Finding("mask-empty", "has no target", files)
        elif share > INVERTED_SHARE:
            message = f"{share:.0%} of the pixels are target: is the mask inverted?"
            yield Finding("mask-inverted", message, files)
        elif share > LARGE_SHARE:
            yield Finding("mask-large", f"{share:.1%} of the pixels are target", files)


def check_split_names(found: Survey) -> Iterator[Finding]:
    """Images that are in two splits which should share none."""
    for picture in found.pictures:
        for first, second in _apart(found):
            if first in picture.splits and second in picture.splits:
                yield Finding("split-name", f"is in {first} and in {second}", (picture.item.name,))


def check_same_pixels(found: Survey) -> Iterator[Finding]:
    """Files with the same pixels: within a split, and across splits that should be apart."""
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in found.pictures:
        if picture.pixels is not None:
            groups[picture.pixels].append(picture)
    for group in groups.values():
        for first, second in combinations(group, 2):
            if first.item.image != second.item.image:
                yield _alike(found, first, second, "pixels", 1.0)


def check_same_scenes(
    found: Survey, pictures: Sequence[Picture], pairs: Iterable[Pair]
) -> Iterator[Finding]:
    """Images of one scene whose pixels differ: frames of a sequence, or changed copies."""
    for pair in pairs:
        first, second = pictures[pair.first], pictures[pair.second]
        if first.pixels != second.pixels:
            yield _alike(found, first, second, "scene", pair.score)


def _alike(found: Survey, first: Picture, second: Picture, what: str, score: float) -> Finding:
    """Two images that are alike: worse where one is trained on and the other is not."""
    code, parts = f"same-{what}", ("", "")
    for one, other in _apart(found):
        if one in second.splits and other in first.splits:
            first, second = second, first
        if one in first.splits and other in second.splits:
            code, parts = f"split-{what}", (f" ({one})", f" ({other})")
            break
    images = (first.item.image, second.item.image)
    names = " and ".join(image.name + part for image, part in zip(images, parts, strict=True))
    told = "same pixels" if what == "pixels" else f"one scene, r = {score:.2f}"
    files = (str(images[0]), str(images[1]))
    return Finding(code, f"{names}: {told}", files, ((*files, round(score, 4)),))


def _apart(found: Survey) -> list[tuple[str, str]]:
    """Pairs of splits that may share nothing."""
    return [(found.train, found.test), ("train", "val")]
