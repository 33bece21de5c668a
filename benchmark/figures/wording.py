"""Words that all tables share."""

from __future__ import annotations

from collections.abc import Iterable

DASH = "—"
"""Stands for a number that is missing; never 0."""


def each(values: Iterable[str]) -> str:
    """Distinct values in order of appearance."""
    return ", ".join(dict.fromkeys(values)) or DASH
