"""Datasets: one file a layout, found by scanning this folder. No torch here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import UserError
from benchmark.registry import Registry

if TYPE_CHECKING:
    from datasets.base import Dataset

REGISTRY = Registry("dataset", base="Dataset", package="datasets")


def list_datasets(pattern: str = "*") -> list[str]:
    """Names of the datasets that match a wildcard pattern."""
    return REGISTRY.match([pattern])


def load_dataset(
    name: str, root: str | Path | None = None, split: str = "test", **options: Any
) -> Dataset:
    """Read one split of a dataset into memory.

    Args:
        name: registry name, or `name:variant` (e.g. `sirst:idx_320`).
        root: folder that holds the data; the environment variable IRSTD_DATA_ROOT by default.
        split: e.g. `trainval` or `test`.
        options: constructor arguments of the dataset.

    Returns:
        A sequence of `Sample(image, mask, name)`.

    Raises:
        UserError: unknown name or split, no data root, or a file that is missing or broken.
    """
    entry = REGISTRY.get(name)
    if entry.data.get("needs_root", True):
        root = root or os.environ.get("IRSTD_DATA_ROOT") or None
        if root is None:
            raise UserError(
                f"dataset '{name}' is read from disk: say where with --data-root DIR "
                "or IRSTD_DATA_ROOT"
            )
    return REGISTRY.create(name, root, split, **options)
