"""Images that a set shares with others: to train on one and test on the other is leakage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import datasets
from benchmark.errors import UserError
from datasets.audit.findings import Finding
from datasets.audit.survey import Picture, Survey


def sets_below(root: Path | None, name: str) -> list[str]:
    """All registered sets of files that are found below the data root, without `name` itself."""
    own = datasets.REGISTRY.get(name).name
    found = []
    for other in datasets.REGISTRY.names():
        entry = datasets.REGISTRY.get(other)
        if other == own or entry.info.variant_is_root:
            continue
        try:
            datasets.find_listing(other, root, entry.load().test_split)
        except UserError:
            continue
        found.append(other)
    return found


def check_other(
    found: Survey, other: Survey, scenes: Iterable[tuple[Picture, Picture, float]]
) -> Iterator[Finding]:
    """Images that two sets share, by the parts that they are in.

    Args:
        found: this set.
        other: another one.
        scenes: pairs of one image of each that show the same scene, with the correlation.
    """
    alike = [(a, b, 1.0) for a, b in _equal(found, other)]
    alike += [(a, b, score) for a, b, score in scenes if a.pixels != b.pixels]
    for part in (found.test, found.train):
        for there in (other.train, other.test):
            pairs = [p for p in alike if part in p[0].splits and there in p[1].splits]
            if pairs:
                yield _shared(found, other, part, there, pairs)


def _equal(found: Survey, other: Survey) -> Iterator[tuple[Picture, Picture]]:
    known: dict[str, list[Picture]] = {}
    for picture in other.pictures:
        if picture.pixels is not None:
            known.setdefault(picture.pixels, []).append(picture)
    for picture in found.pictures:
        for same in known.get(picture.pixels or "", []):
            yield picture, same


def _shared(
    found: Survey, other: Survey, part: str, there: str, pairs: list[tuple[Picture, Picture, float]]
) -> Finding:
    equal = {a.item.name for a, _, score in pairs if score == 1.0}
    similar = {a.item.name for a, _, _ in pairs} - equal
    total = len(found.listings[part].items)
    message = f"{len(equal)} of {total} images of {part} are in {there} of {other.name}"
    if similar:
        message += f" ({len(similar)} more by their scene)"
    crossed = (part == found.test) != (there == other.test)
    return Finding(
        "sets-leak" if crossed else "sets-share",
        message,
        tuple(dict.fromkeys(str(a.item.image) for a, _, _ in pairs)),
        tuple((str(a.item.image), str(b.item.image), round(score, 4)) for a, b, score in pairs),
    )
