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

_MUST_BE_LITERAL = frozenset({"name", "recipe", "stride", "variants", "needs_root"})


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
        files = sorted(folder.glob("[!_]*.py"))
        self._add({file: f"{package}.{file.stem}" for file in files})

    def add_files(self, files: Iterable[Path]) -> list[str]:
        """Register the classes of this kind in plug-in files; returns the new names."""
        return self._add({file.resolve(): None for file in files})

    def _add(self, files: dict[Path, str | None]) -> list[str]:
        """Scan files until nothing new is found: a class may derive from one in a later file."""
        before, known = set(self._entries), -1
        while known != len(self._classes):
            known = len(self._classes)
            for file, module in files.items():
                self._scan(file, module)
        return sorted(set(self._entries) - before)

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

        The default variant loses its suffix: `sirst:idx_427` is `sirst`.

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
                name, _, variant = pattern.partition(":")
                variants = self.get(pattern).data.get("variants") or ("",)
                hits = [name if variant == variants[0] else pattern]  # one name for one thing
            found.update(dict.fromkeys(hits))
        if not found:
            raise UserError(f"no {self.kind} named; there are: {', '.join(self.names())}")
        return list(found)

    def _unknown(self, key: str) -> str:
        near = difflib.get_close_matches(key, self.names(), 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"unknown {self.kind} '{key}'; {hint}there are: {', '.join(self.names())}"

    def _scan(self, file: Path, module: str | None) -> None:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: cannot be read as Python source ({error})") from None
        except SyntaxError as error:
            raise UserError(
                f"{file}, line {error.lineno}: not valid Python ({error.msg})"
            ) from None
        for node in tree.body:
            if not isinstance(node, ast.ClassDef):
                continue
            parent = next((p for p in map(_base_name, node.bases) if p in self._classes), None)
            if parent is None:
                continue
            own = _literals(node, file)
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


def add_plugins(folder: Path, registries: Iterable[Registry]) -> list[str]:
    """Register every class found in `folder/*.py` with the registry of its base class.

    Raises:
        UserError: no such folder, or nothing in it that could be registered.
    """
    if not folder.is_dir():
        raise UserError(f"--plugins {folder}: no such folder")
    registries = list(registries)
    files = sorted(folder.glob("[!_]*.py"))
    added = [name for registry in registries for name in registry.add_files(files)]
    if not added:
        bases = ", ".join(r.base for r in registries)
        raise UserError(
            f'--plugins {folder}: no class with `name = "..."` and one of these bases: {bases}'
        )
    return added


def _base_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _literals(node: ast.ClassDef, file: Path) -> dict[str, Any]:
    """The class attributes of `node` that are plain data.

    Raises:
        UserError: one that the harness reads without importing is computed.
    """
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
                if target.id in _MUST_BE_LITERAL:
                    raise UserError(
                        f"{file}, line {item.lineno}: {node.name}.{target.id} must be a plain "
                        "literal (it is read without importing the file)"
                    ) from None
    return found
