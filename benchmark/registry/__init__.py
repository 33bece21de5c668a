"""One registry for every kind of plug-in (detectors, losses, datasets), found by folder scan.

Files are parsed, not imported: a class is registered when its body sets `name = "..."`, and its
other literal class attributes (paper, stride, recipe, ...) are readable without importing torch.
That keeps `list`, `--help` and `--dry-run` fast, and makes "add a detector" mean "add a file".
"""

from __future__ import annotations

import ast
import fnmatch
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import UserError, did_you_mean

_MUST_BE_LITERAL = frozenset(
    {
        "name", "recipe", "stride", "variants", "needs_root", "group", "trained", "min_size",
        "min_batch", "cost", "published_cost", "variant_data",
        "choices", "train_split", "test_split", "variant_is_root",
    }
)  # fmt: skip
_DEFAULT_GROUP = "main"
_GIVEN = frozenset({"root", "split"})
"""Arguments of a data set's constructor that are no options: the harness gives them."""


class _Unknown:
    """Default of a constructor argument that is required or computed."""

    def __repr__(self) -> str:
        return "…"


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Entry:
    """A registered class, as read from its source.

    Attributes:
        name: registry key, e.g. `mshnet`.
        file: where it is defined.
        class_name: the class in that file.
        module: dotted name for built-ins, None for plug-in files.
        data: its literal class attributes, inherited ones included.
        options: its constructor's arguments with their defaults, `UNKNOWN` where not a literal.
        doc: its docstring.
    """

    name: str
    file: Path
    class_name: str
    module: str | None
    data: dict[str, Any] = field(hash=False)
    options: dict[str, Any] = field(hash=False)
    doc: str

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]

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
        # class name -> literal attributes and constructor arguments
        self._classes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {base: ({}, {})}
        self._entries: dict[str, Entry] = {}
        folder = Path(__file__).resolve().parents[2] / package
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

    def groups(self) -> dict[str, list[str]]:
        """Names by group; what declares none is in the group that `all` means."""
        found: dict[str, list[str]] = {_DEFAULT_GROUP: []}
        for name in self.names():
            found.setdefault(self._entries[name].data.get("group", _DEFAULT_GROUP), []).append(name)
        return found

    def get(self, name: str) -> Entry:
        """The entry of `name` (with variant and options or without).

        Raises:
            UserError: see `parse`.
        """
        return self.parse(name)[0]

    def parse(self, name: str) -> tuple[Entry, dict[str, Any]]:
        """Read `name`, `name:variant`, `name:key=value` or several of these joined by colons.

        Returns:
            The entry, and the constructor's arguments that are set and differ from its defaults.

        Raises:
            UserError: unknown name, variant or option, with the nearest valid one.
        """
        key, colon, rest = name.partition(":")
        if key not in self._entries:
            raise UserError(self._unknown(key))
        entry = self._entries[key]
        chosen: dict[str, Any] = {}
        for option, text in _pieces(entry, rest) if colon else []:
            if option in chosen:
                raise UserError(f"{self.kind} '{name}': {option} is given twice")
            chosen[option] = self._value(entry, name, option, text)
        chosen = {k: v for k, v in chosen.items() if v != entry.options.get(k, UNKNOWN)}
        own = entry.data.get("variant_data", {}).get(chosen.get("variant"), {})
        if entry.data.get("variant_is_root") and "variant" in chosen:
            own = own | {"needs_root": False}
        return replace(entry, data=entry.data | own), chosen

    def create(self, name: str, *args: Any, **options: Any) -> Any:
        """Build `name`; `options` win over those in the name."""
        entry, chosen = self.parse(name)
        return entry.load()(*args, **(chosen | options))

    def match(self, patterns: Iterable[str]) -> list[str]:
        """Expand names, comma lists, groups, wildcards and `all`, in this order, no repeats.

        `all` means the group `main`; `*` means everything. Options at their default are dropped,
        the others sorted: `acm:official` is `acm`, so that one thing has one name.

        Raises:
            UserError: a name or pattern that fits nothing.
        """
        found: dict[str, None] = {}
        groups = self.groups()
        for pattern in (p.strip() for item in patterns for p in item.split(",")):
            if not pattern:
                continue
            if pattern == "all":
                hits = groups[_DEFAULT_GROUP]
            elif pattern in groups:
                hits = groups[pattern]
            elif any(c in pattern for c in "*?[") and not self._is_path(pattern):
                hits = fnmatch.filter(self.names(), pattern)
                if not hits:
                    raise UserError(f"no {self.kind} matches '{pattern}'; {self._all_names()}")
            else:
                hits = [_canonical(*self.parse(pattern))]
            found.update(dict.fromkeys(hits))
        if not found:
            raise UserError(f"no {self.kind} named; {self._all_names()}")
        return list(found)

    def _is_path(self, pattern: str) -> bool:
        """Whether the variant in this name is a path, in which wildcards mean themselves."""
        key, colon, _ = pattern.partition(":")
        known = self._entries.get(key)
        return bool(colon) and known is not None and known.data.get("variant_is_root", False)

    def _variant(self, entry: Entry, name: str, variant: str) -> str:
        variants = entry.data.get("variants")
        if variants and variant not in variants:
            hint = did_you_mean(variant, variants, prefix=f"{entry.name}:")
            raise UserError(
                f"{self.kind} '{entry.name}' has no variant '{variant}'; {hint}"
                f"it has: {', '.join(variants)}"
            )
        if not variants and "variant" not in entry.options:
            has = ", ".join(f"{k}={_text(v)}" for k, v in entry.options.items())
            raise UserError(
                f"{self.kind} '{entry.name}' has no variants (asked for '{name}')"
                + (f"; it has options: {has}" if has else "")
            )
        if not variants:  # free: only the class knows which names are good
            return entry.load().check_variant(variant)
        return variant

    def _value(self, entry: Entry, name: str, option: str, text: str) -> Any:
        if option == "variant":
            return self._variant(entry, name, text)
        if option not in entry.options:
            hint = did_you_mean(option, entry.options)
            has = ", ".join(f"{k}={_text(v)}" for k, v in entry.options.items()) or "none"
            raise UserError(
                f"{self.kind} '{name}': no option '{option}'; {hint}options of {entry.name}: {has}"
            )
        if isinstance(entry.options[option], tuple):
            raise UserError(
                f"{self.kind} '{name}': {option} is a list, which a name cannot hold; set it in "
                f"Python: {entry.class_name}({option}=...)"
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        default = entry.options[option]
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if isinstance(default, (bool, int, float, str)) and type(value) is not type(default):
            raise UserError(
                f"{self.kind} '{name}': {option} is '{text}', must be "
                f"{_KINDS[type(default)]} (default {_text(default)})"
            )
        choices = entry.data.get("choices", {}).get(option)
        if choices and value not in choices:
            raise UserError(
                f"{self.kind} '{name}': {option} is '{text}', must be one of "
                f"{', '.join(map(_text, choices))}"
            )
        return value

    def _unknown(self, key: str) -> str:
        hint = did_you_mean(key, self.names())
        return f"unknown {self.kind} '{key}'; {hint}{self._all_names()}"

    def _all_names(self) -> str:
        return f"there are: {', '.join(self.names())}"

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
            inherited, options = self._classes[parent]
            data = {k: v for k, v in inherited.items() if k != "name"} | own
            own_options = _constructor(node)
            options = options if own_options is None else own_options
            self._classes[node.name] = (data, options)
            name = own.get("name")
            if name is None:
                continue
            taken = self._entries.get(name)
            if taken is not None and (taken.file, taken.class_name) != (file, node.name):
                raise UserError(
                    f"{file}, line {node.lineno}: {self.kind} '{name}' is already defined "
                    f"in {taken.file}; choose another name"
                )
            doc = ast.get_docstring(node) or ""
            self._entries[name] = Entry(name, file, node.name, module, data, options, doc)


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


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def _pieces(entry: Entry, text: str) -> list[tuple[str, str]]:
    """The options in what follows a name, with their values as text.

    Where the variant is a path, it may hold colons and equals signs: only what follows it as
    `:option=value` with an option that there is counts as one.
    """
    if not entry.data.get("variant_is_root"):
        parts = (part.partition("=") for part in text.split(":"))
        return [(key, value) if equals else ("variant", key) for key, equals, value in parts]
    found: list[tuple[str, str]] = []
    while True:
        head, colon, last = text.rpartition(":")
        key, equals, value = last.partition("=")
        if not equals or key not in entry.options:
            return [("variant", text), *found]
        found.insert(0, (key, value))
        if not colon:
            return found
        text = head


def _canonical(entry: Entry, options: dict[str, Any]) -> str:
    """The one name of an entry with these options."""
    parts = [entry.name]
    if "variant" in options:
        parts.append(options["variant"])
    parts += [f"{k}={_text(v)}" for k, v in sorted(options.items()) if k != "variant"]
    return ":".join(parts)


def _text(value: Any) -> str:
    """A value as it is written in a name."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _constructor(node: ast.ClassDef) -> dict[str, Any] | None:
    """Arguments of `__init__` with their defaults; None for a class without one of its own."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            args = item.args
            named = [*args.posonlyargs, *args.args][1:]  # without self
            defaults = [None] * (len(named) - len(args.defaults)) + args.defaults
            pairs = [*zip(named, defaults, strict=True)]
            pairs += zip(args.kwonlyargs, args.kw_defaults, strict=True)
            return {a.arg: _literal(d) for a, d in pairs if a.arg not in _GIVEN}
    return None


def _literal(node: ast.expr | None) -> Any:
    try:
        return UNKNOWN if node is None else ast.literal_eval(node)
    except ValueError:
        return UNKNOWN


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
