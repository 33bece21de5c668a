"""Audit of a data set: its faults, and images that it repeats or shares with others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets.audit.checks import (
    check_files,
    check_lists,
    check_masks,
    check_same_pixels,
    check_same_scenes,
    check_split_names,
    check_unlisted,
)
from datasets.audit.duplicates import blocks, same_scenes
from datasets.audit.findings import CODES, Finding, Report
from datasets.audit.others import check_other
from datasets.audit.survey import Picture, Survey, Track, survey


def audit(name: str, root: Path | None, against: Sequence[str], track: Track) -> Report:
    """Check every file of a set.

    Args:
        name: of the set, with its variant if it has some.
        root: the data root; IRSTD_DATA_ROOT by default.
        against: other sets below the data root, to be compared with it.
        track: shows the progress of a loop.

    Raises:
        UserError: one of the sets is not there, or none of files.
    """
    found, *others = [survey(each, root, track) for each in (name, *against)]
    findings: list[Finding] = []
    for check in (check_files, check_unlisted, check_lists, check_masks, check_split_names):
        findings += check(found)
    findings += check_same_pixels(found)
    findings += _scenes(found, others, track)
    return Report(
        dataset=name,
        folder=str(found.folder),
        splits={split: len(listing.items) for split, listing in found.listings.items()},
        images=len(found.pictures),
        against=list(against),
        findings=sorted(findings, key=lambda f: list(CODES).index(f.code)),
    )


def _scenes(found: Survey, others: Sequence[Survey], track: Track) -> list[Finding]:
    """Images that are alike within the set, and between it and others: one search for all."""
    owners: list[tuple[Survey, Picture]] = [
        (each, picture)
        for each in (found, *others)
        for picture in each.pictures
        if picture.look is not None
    ]
    own = sum(each is found for each, _ in owners)
    pairs = same_scenes(
        [picture.look for _, picture in owners if picture.look is not None],
        own,
        track(blocks(own), f"groups of {blocks(own).step} images compared"),
    )
    inside = [pair for pair in pairs if pair.second < own]
    findings = list(check_same_scenes(found, [picture for _, picture in owners], inside))
    for other in others:
        between = [
            (owners[p.first][1], owners[p.second][1], p.score)
            for p in pairs
            if p.second >= own and owners[p.second][0] is other
        ]
        findings += check_other(found, other, between)
    return findings
