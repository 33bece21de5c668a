"""Folders of plug-ins: files beside the project that are registered as its own are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from benchmark.console import say
from benchmark.errors import UserError
from benchmark.registry.lookalikes import lookalikes
from benchmark.registry.registry import Registry
from benchmark.registry.scan import read_file


def load_plugins(folder: Path | None, registries: Sequence[Registry[Any]]) -> None:
    """Register the plug-ins in a folder, if there is one, and warn on standard error.

    Each warning of the registries, of built-in files too, is printed once a process.

    Raises:
        UserError: see `add_plugins`.
    """
    if folder is not None:
        add_plugins(folder, registries)
    console = Console(stderr=True)
    for registry in registries:
        while registry.warnings:
            say(console, Text.assemble(("warning:", "yellow"), " ", registry.warnings.pop(0)))


def add_plugins(folder: Path, registries: Sequence[Registry[Any]]) -> list[str]:
    """Register every class found in `folder/*.py` with the registry of its base class.

    Classes that look like plug-ins but are not go to the warnings of the first registry.

    Returns:
        The names of the classes.

    Raises:
        UserError: no such folder, nothing in it that could be registered, or something wrong in it.
    """
    if not folder.is_dir():
        raise UserError(f"--plugins {folder}: no such folder")
    files = [read_file(path.resolve()) for path in sorted(folder.glob("[!_]*.py"))]
    added = [name for registry in registries for name in registry.add(files)]
    warnings = lookalikes(files, [registry.family for registry in registries])
    if not added:
        bases = ", ".join(r.base for r in registries)
        raise UserError(
            f'--plugins {folder}: no class with `name = "..."` and one of these bases: {bases}',
            *warnings,
        )
    registries[0].warnings += warnings
    return added
