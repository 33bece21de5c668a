"""Scanned classes that are plug-ins of a kind, and their declarations, inherited ones included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from benchmark.registry.check import Check
from benchmark.registry.info import PluginInfo
from benchmark.registry.scan import ClassText, SourceFile


@dataclass(frozen=True)
class Known:
    """Everything known about a class of the kind.

    Attributes:
        info: its declarations, inherited ones included.
        places: where each declared attribute stands, in words, in the order of declaration.
        names: defined in its body and those of its bases, from the kind's base class on.
        options: its constructor's arguments with their defaults.
    """

    info: PluginInfo
    places: dict[str, str]
    names: frozenset[str]
    options: dict[str, Any]


class Family:
    """The kind's base class and all that derive from it, by their full names.

    Args:
        kind: e.g. `detector`.
        root: full name of the base class, e.g. `detectors.base.Detector`.
        info: type of its classes' declarations.
    """

    def __init__(self, kind: str, root: str, info: type[PluginInfo]) -> None:
        self.kind, self.root, self._info = kind, root, info
        self._known: dict[str, Known] = {}
        self._files: dict[str, SourceFile] = {}
        self._parents: set[str] = set()

    def add(self, files: Iterable[SourceFile]) -> list[tuple[SourceFile, ClassText, Known]]:
        """Learn the classes of the kind in these files; a base may stand in a later file.

        Returns:
            Those of the kind, each with everything known about it.

        Raises:
            UserError: an attribute that is unknown, computed, or of the wrong type.
        """
        files = list(files)
        self._files |= {file.module: file for file in files}
        waiting = [(file, text) for file in files for text in file.classes]
        found: list[tuple[SourceFile, ClassText, Known]] = []
        before = -1
        while len(found) > before:
            before = len(found)
            left = []
            for file, text in waiting:
                known = self._learn(file, text)
                if known is None:
                    left.append((file, text))
                    continue
                self._known[f"{file.module}.{text.name}"] = known
                found.append((file, text, known))
            waiting = left
        return found

    def has(self, file: SourceFile, text: ClassText) -> bool:
        """Whether a class is of the kind."""
        return f"{file.module}.{text.name}" in self._known

    def is_base(self, file: SourceFile, text: ClassText) -> bool:
        """Whether a class is there to derive from: the kind's own, or another's base."""
        return f"{file.module}.{text.name}" in {self.root, *self._parents}

    def parent(self, file: SourceFile, text: ClassText) -> str | None:
        """Full name of the first base that is of the kind."""
        return next((key for base in text.bases if (key := self._find(file, base))), None)

    def _learn(self, file: SourceFile, text: ClassText) -> Known | None:
        """Everything known about a class now; None for one not of the kind, as far as known."""
        if f"{file.module}.{text.name}" == self.root:
            return Known(self._info(name=""), {}, text.names, {})
        parent = self.parent(file, text)
        if parent is None:
            return None
        self._parents.add(parent)
        base = self._known[parent]
        options = base.options if text.options is None else text.options
        check = Check(file, text, self.kind, base.info, base.names, options)
        info = check.info()
        places = base.places | {name: check.place(name) for name in check.own}
        return Known(info, places, base.names | text.names, options)

    def _find(self, file: SourceFile, base: str) -> str | None:
        """Full name of the known class that a base means in this file."""
        found = file.dotted(base)
        if found is None:  # as after `from ... import *`
            return next((key for key in self._known if key.endswith(f".{base}")), None)
        seen: set[str] = set()
        while found not in self._known:
            module, _, name = found.rpartition(".")
            if module not in self._files:  # a plug-in file, by whatever path it is imported
                module = module.rpartition(".")[2]
            seen.add(found)
            found = f"{module}.{name}"
            if found in self._known:
                break
            again = self._files[module].dotted(name) if module in self._files else None
            if again is None or again in seen:  # not a name that this file has from another one
                return None
            found = again
        return found
