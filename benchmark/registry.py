"""One registry for every kind of plug-in (detectors, losses, datasets), found by folder scan.

Files are parsed, not imported: a class is registered when its body sets `name = "..."`, and its
other literal class attributes (paper, stride, recipe, ...) are readable without importing torch.
That keeps `list`, `--help` and `--dry-run` fast, and makes "add a detector" mean "add a file".
"""

from __future__ import annotations

import ast
import difflib
import fnmatch
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import UserError


@dataclass(frozen=True)
class Entry:
    """A registered class, as read from its source.

    Attributes:
        name: registry key, e.g. `mshnet`.
        file: where it is defined.
        class_name: the class in that file.
        module: dotted name for built-ins, None for plug-in files.
        data: its literal class attributes, inherited ones included.
        doc: the first line of its docstring.
    """

    name: str
    file: Path
    class_name: str
    module: str | None
    data: dict[str, Any] = field(hash=False)
    doc: str

    def load(self) -> type:
        """Import the file and return the class."""
        if self.module is not None:
            module = importlib.import_module(self.module)
        else:
            key = f"_plugin_{self.file.stem}"
            module = sys.modules.get(key)
            if module is None or Path(str(module.__file__)) != self.file:
                spec = importlib.util.spec_from_file_location(key, self.file)
                assert spec is not None
                assert spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                sys.modules[key] = module
                try:
                    spec.loader.exec_module(module)
                except BaseException:
                    del sys.modules[key]
                    raise
        return getattr(module, self.class_name)


class Registry:
    """Names of one kind, with the classes behind them.

    Args:
        kind: `detector`, `loss` or `dataset`; used in messages.
        base: name of the base class that marks a plug-in class as being of this kind.
        package: the package whose folder is scanned.
    """

    def __init__(self, kind: str, base: str, package: str) -> None:
        self.kind, self.base, self.package = kind, base, package
        self._classes: dict[str, dict[str, Any]] = {base: {}}  # class name -> literal attributes
        self._entries: dict[str, Entry] = {}
        folder = Path(__file__).resolve().parent.parent / package
        for file in sorted(folder.glob("[!_]*.py")):
            self._scan(file, f"{package}.{file.stem}")

    def add_file(self, file: Path) -> list[str]:
        """Register the classes of this kind in a plug-in file; returns the new names."""
        return self._scan(file.resolve(), None)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._entries)

    def get(self, name: str) -> Entry:
        """The entry of `name` (`name:variant` is accepted).

        Raises:
            UserError: unknown name or variant, with the nearest valid one.
        """
        key, _, variant = name.partition(":")
        if key not in self._entries:
            raise UserError(self._unknown(key))
        entry = self._entries[key]
        variants = entry.data.get("variants")
        if variant and variants is None:
            raise UserError(f"{self.kind} '{key}' has no variants (asked for '{name}')")
        if variant and variant not in variants:
            near = difflib.get_close_matches(variant, variants, 1)
            hint = f"did you mean '{key}:{near[0]}'? " if near else ""
            raise UserError(
                f"{self.kind} '{key}' has no variant '{variant}'; {hint}"
                f"it has: {', '.join(variants)}"
            )
        return entry

    def create(self, name: str, *args: Any, **options: Any) -> Any:
        """Build `name`; a variant (`name:variant`) is passed on as the keyword `variant`."""
        entry = self.get(name)
        variant = name.partition(":")[2]
        if variant:
            options = {"variant": variant, **options}
        return entry.load()(*args, **options)

    def match(self, patterns: Iterable[str]) -> list[str]:
        """Expand names, comma lists, wildcards and `all`, in the order asked for, no repeats.

        Raises:
            UserError: a name or pattern that fits nothing.
        """
        found: dict[str, None] = {}
        for pattern in (p.strip() for item in patterns for p in item.split(",")):
            if not pattern:
                continue
            if pattern == "all":
                hits = self.names()
            elif any(c in pattern for c in "*?["):
                hits = fnmatch.filter(self.names(), pattern)
                if not hits:
                    raise UserError(
                        f"no {self.kind} matches '{pattern}'; there are: {', '.join(self.names())}"
                    )
            else:
                self.get(pattern)
                hits = [pattern]
            found.update(dict.fromkeys(hits))
        if not found:
            raise UserError(f"no {self.kind} named; there are: {', '.join(self.names())}")
        return list(found)

    def _unknown(self, key: str) -> str:
        near = difflib.get_close_matches(key, self.names(), 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"unknown {self.kind} '{key}'; {hint}there are: {', '.join(self.names())}"

    def _scan(self, file: Path, module: str | None) -> list[str]:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        except SyntaxError as error:
            raise UserError(
                f"{file}, line {error.lineno}: not valid Python ({error.msg})"
            ) from None
        added = []
        for node in tree.body:
            if not isinstance(node, ast.ClassDef):
                continue
            parent = next((p for p in map(_base_name, node.bases) if p in self._classes), None)
            if parent is None:
                continue
            own = _literals(node)
            data = {k: v for k, v in self._classes[parent].items() if k != "name"} | own
            self._classes[node.name] = data
            name = own.get("name")
            if name is None:
                continue
            taken = self._entries.get(name)
            if taken is not None and (taken.file, taken.class_name) != (file, node.name):
                raise UserError(
                    f"{file}, line {node.lineno}: {self.kind} '{name}' is already defined "
                    f"in {taken.file}; choose another name"
                )
            doc = (ast.get_docstring(node) or "").strip().partition("\n")[0]
            self._entries[name] = Entry(name, file, node.name, module, data, doc)
            added.append(name)
        return added


def add_plugins(folder: Path, registries: Iterable[Registry]) -> list[str]:
    """Register every class found in `folder/*.py` with the registry of its base class.

    Raises:
        UserError: no such folder, or nothing in it that could be registered.
    """
    if not folder.is_dir():
        raise UserError(f"--plugins {folder}: no such folder")
    registries = list(registries)
    added = [
        name
        for file in sorted(folder.glob("[!_]*.py"))
        for registry in registries
        for name in registry.add_file(file)
    ]
    if not added:
        bases = ", ".join(r.base for r in registries)
        raise UserError(
            f'--plugins {folder}: no class with `name = "..."` and one of these bases: {bases}'
        )
    return added


def _base_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _literals(node: ast.ClassDef) -> dict[str, Any]:
    """The class attributes of `node` that are plain data."""
    found = {}
    for item in node.body:
        if isinstance(item, ast.Assign) and len(item.targets) == 1:
            target, value = item.targets[0], item.value
        elif isinstance(item, ast.AnnAssign) and item.value is not None:
            target, value = item.target, item.value
        else:
            continue
        if isinstance(target, ast.Name):
            try:
                found[target.id] = ast.literal_eval(value)
            except ValueError:
                continue
    return found
