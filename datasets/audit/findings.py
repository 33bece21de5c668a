"""Findings of an audit, and how they are reported."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1
"""Version of the JSON; raised when the meaning of a key changes."""
SEVERITIES = ("error", "warning", "note")

CODES: dict[str, tuple[str, str]] = {
    "image-missing": ("files", "error"),
    "mask-missing": ("files", "error"),
    "image-unreadable": ("files", "error"),
    "mask-unreadable": ("files", "error"),
    "file-unlisted": ("files", "note"),
    "list-unusable": ("lists", "error"),
    "list-size": ("lists", "warning"),
    "list-note": ("lists", "note"),
    "mask-size": ("masks", "error"),
    "mask-inverted": ("masks", "error"),
    "mask-large": ("masks", "warning"),
    "mask-grey": ("masks", "warning"),
    "mask-empty": ("masks", "warning"),
    "split-name": ("between splits", "error"),
    "split-pixels": ("between splits", "error"),
    "split-scene": ("between splits", "warning"),
    "same-pixels": ("duplicates", "warning"),
    "same-scene": ("duplicates", "note"),
    "sets-leak": ("other data sets", "warning"),
    "sets-share": ("other data sets", "note"),
}
"""Kind of finding -> the group that it is shown in, and its severity."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Attributes:
        code: one of `CODES`.
        message: what it is, in one line.
        files: paths or names that it is about.
        pairs: of images that are alike, with their correlation (1: the same pixels).
    """

    code: str
    message: str
    files: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str, float], ...] = ()

    @property
    def group(self) -> str:
        """The heading it is shown under."""
        return CODES[self.code][0]

    @property
    def severity(self) -> str:
        """One of `SEVERITIES`."""
        return CODES[self.code][1]


@dataclass
class Report:
    """The result of an audit.

    Attributes:
        dataset: name, with its variant.
        folder: where the set was found.
        splits: number of images of each split that there is.
        images: number of all of them, each once.
        against: the other sets it was compared with.
        findings: in the order of `CODES`.
    """

    dataset: str
    folder: str
    splits: dict[str, int]
    images: int
    against: list[str]
    findings: list[Finding] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Number of findings of each severity."""
        found = [f.severity for f in self.findings]
        return {severity: found.count(severity) for severity in SEVERITIES}

    def to_json(self) -> dict[str, Any]:
        """Everything, in types that JSON has."""
        return {
            "schema": SCHEMA,
            "dataset": self.dataset,
            "folder": self.folder,
            "splits": self.splits,
            "images": self.images,
            "against": self.against,
            "counts": self.counts(),
            "findings": [
                {"severity": f.severity, "group": f.group, **asdict(f)} for f in self.findings
            ],
        }
