"""`datasets list`: the sets that can be read, where to get them, and those on this disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import datasets
from benchmark.errors import UserError
from benchmark.registry import Entry
from benchmark.registry.info import DatasetInfo
from datasets.layouts import find_places


def print_datasets(root: Path | None, console: Console) -> None:
    """Print all data sets and, given a data root, the parts of each found there.

    Raises:
        UserError: the data root is no folder.
    """
    if root is not None and not root.is_dir():
        what = "this is a file" if root.exists() else "the folder does not exist"
        raise UserError(f"--data-root {root}: {what}")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name in datasets.REGISTRY.names():
        entry = datasets.REGISTRY.get(name)
        for number, (key, text) in enumerate(_rows(entry, root)):
            table.add_row("" if number else name, key, text)
        table.add_row()
    console.print(table)
    if root is None:
        hint = "With --data-root DIR (or IRSTD_DATA_ROOT) this also says which of them are there."
        console.print(hint, highlight=False)


def _rows(entry: Entry[DatasetInfo], root: Path | None) -> Iterator[tuple[str, str]]:
    info = entry.info
    yield "", f"[bold]{escape(info.title or entry.name)}[/bold]: {escape(entry.summary)}"
    variants = info.variants or ("",)
    for variant in variants:
        name = f"{entry.name}:{variant}: " if variant else ""
        text = name + _sizes(info if not variant else entry.of_variant(variant).info)
        yield "images" if variant == variants[0] else "", escape(text)
    for key, title in (("paper", "paper"), ("licence", "licence"), ("source", "get it")):
        if value := getattr(info, key):
            yield title, escape(value)
        for variant, own in info.variant_data.items():
            if key in own:
                yield "", escape(f"{variant}: {own[key]}")
    if root is not None and info.needs_root:
        for variant in variants:
            yield "found" if variant == variants[0] else "", _found(entry, variant, root)


def _sizes(info: DatasetInfo) -> str:
    """How many images the splits of one variant have, as published."""
    main = [info.train_split, info.test_split]
    known = [f"{split} {info.sizes[split]}" for split in (*main, "all") if split in info.sizes]
    other = [split for split in info.splits if split not in main]
    text = ", ".join(known) or ", ".join(main)
    return text + (f" (and {', '.join(other)})" if other else "")


def _found(entry: Entry[DatasetInfo], variant: str, root: Path) -> str:
    """The parts of one variant found on disk, in words; nothing is decoded."""
    kind = entry.load()
    label = f"{variant}: " if variant else ""
    sizes = kind.variant_data.get(variant, {}).get("sizes", kind.sizes)
    parts, missing = [], 0
    try:
        for split in (kind.train_split, kind.test_split):
            listing = kind.find(root, split, variant)
            place = listing.place.folder
            other = f" (published: {sizes[split]})" if split in sizes else ""
            count = len(listing.items)
            parts.append(f"{count} {split}{other if sizes.get(split) != count else ''}")
            missing += sum(not p.is_file() for i in listing.items for p in (i.image, i.mask))
    except UserError as error:
        if _is_named(kind, variant, root):
            return f"[yellow]{escape(f'{label}incomplete: {error}')}[/yellow]"
        folders = kind.layout(variant).folders
        expected = f"; expected in {folders[0]}/" if folders else ""
        return f"[dim]{escape(label)}not found{escape(expected)}[/dim]"
    state = f"{missing} files missing" if missing else "all files there"
    colour = "yellow" if missing or any("(" in part for part in parts) else "green"
    text = f"{label}{place}: {' / '.join(parts)} listed, {state}"
    return f"[{colour}]{escape(text)}[/{colour}]"


def _is_named(kind: Any, variant: str, root: Path) -> bool:
    """Whether a folder of images and masks has the name of this very set."""
    layout = kind.layout(variant)
    names = {name.lower() for name in layout.folders}
    return any(place.folder.name.lower() in names for place in find_places(root, layout))
