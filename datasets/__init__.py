"""Datasets: one file a layout, found by scanning this folder. No torch here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import UserError
from benchmark.registry import Registry
from benchmark.registry.info import DatasetInfo

if TYPE_CHECKING:
    from datasets.base import Dataset, Found, Item
    from datasets.layouts import Listing

REGISTRY: Registry[DatasetInfo] = Registry("dataset", base="Dataset", package="datasets")


def list_datasets(pattern: str = "*") -> list[str]:
    """Names of the datasets that match a wildcard pattern."""
    return REGISTRY.match([pattern])


def match_datasets(patterns: Iterable[str], root: str | Path | None = None) -> list[str]:
    """Names of the datasets for names, comma lists, groups and wildcards.

    A set whose folder is part of its name (`folder:PATH`) gets the data root where it has no path.

    Args:
        patterns: see `Registry.match`.
        root: folder that holds the data.

    Raises:
        UserError: a pattern that fits nothing or names a split; no data root for a set that is read
            from disk, or one that is not there.
    """
    patterns = list(patterns)
    for pattern in patterns:
        name, at, split = pattern.partition("@")
        key = name.partition(":")[0]
        if at and key in REGISTRY.names() and not REGISTRY.get(key).info.variant_is_root:
            raise UserError(
                f"dataset '{pattern}': a run trains and tests on the splits that are meant for it, "
                f"so name the set alone, '{name}'; @{split} is for the commands of `datasets`"
            )
    names = []
    for name in REGISTRY.match(patterns):
        info = REGISTRY.get(name).info
        place = data_root(name, root)
        if info.needs_root and not Path(str(place)).is_dir():
            raise UserError(f"dataset '{name}': the data root {place} is no folder")
        if info.variant_is_root and info.needs_root:
            key, colon, options = name.partition(":")
            name = f"{key}:{Path(str(place)).resolve()}{colon}{options}"
        names.append(name)
    return names


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
    return REGISTRY.create(name, data_root(name, root), split, **options)


def inspect_dataset(name: str, root: str | Path | None, split: str) -> Found:
    """The files of a split as found, without decoding them.

    Args:
        name, root, split: as for `load_dataset`.

    Raises:
        UserError: no data root, nothing of the split is there, or an option out of its range.
    """
    entry, chosen = REGISTRY.parse(name)
    return entry.load().inspect(data_root(name, root), split, **chosen)


def list_items(
    name: str, root: str | Path | None = None, split: str = "test", **options: Any
) -> list[Item]:
    """The files of one split of a data set that is read from disk; nothing is decoded.

    Args:
        name, root, split, options: as for `load_dataset`.

    Raises:
        UserError: as `load_dataset`, but files may be missing or broken; also a data set that is
            made in memory.
    """
    return find_listing(name, root, split, **options).items


def find_listing(
    name: str, root: str | Path | None = None, split: str = "test", **options: Any
) -> Listing:
    """Like `list_items`, with where the files were found and what is odd about the list."""
    from datasets.file_dataset import FileDataset

    entry, chosen = REGISTRY.parse(name)
    kind = entry.load()
    if not issubclass(kind, FileDataset):
        raise UserError(f"dataset '{name}' is made in memory, it has no files")
    variant = chosen.pop("variant", kind.variants[0] if kind.variants else "")
    return kind.find(data_root(name, root), split, variant, **(chosen | options))


def data_root(name: str, root: str | Path | None) -> Path | None:
    """The folder to read `name` from; None for a set made in memory.

    Raises:
        UserError: it is read from disk, and no folder is given.
    """
    if not REGISTRY.get(name).info.needs_root:
        return root if root is None else Path(root)
    root = root or os.environ.get("IRSTD_DATA_ROOT") or None
    if root is None:
        raise UserError(
            f"dataset '{name}' is read from disk: say where with --data-root DIR or IRSTD_DATA_ROOT"
        )
    return Path(root)
