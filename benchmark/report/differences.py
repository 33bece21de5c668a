"""Settings of runs as flat mappings, and the keys in which they differ."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from benchmark.figures.wording import DASH

Flat = dict[str, Any]


def flatten(settings: dict[str, Any], prefix: str = "") -> Flat:
    """Nested keys joined by dots."""
    flat: Flat = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def canonical(settings: Flat) -> str:
    """One text for settings that are equal, in whatever order."""
    return json.dumps(settings, sort_keys=True, default=str)


def differing(settings: Iterable[Flat]) -> list[str]:
    """Keys whose values are not all equal."""
    every = list(settings)
    keys = sorted({key for one in every for key in one})
    return [key for key in keys if len({canonical({key: one.get(key)}) for one in every}) > 1]


def show(value: Any) -> str:
    """A setting's value as a person would type it; an em dash for one that is not set."""
    if value is None:
        return DASH
    return value if isinstance(value, str) else json.dumps(value, default=str)
