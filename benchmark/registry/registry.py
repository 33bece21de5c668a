"""One registry for every kind of plug-in (detectors, losses, datasets), found by folder scan.

Files are parsed, not imported: a class is registered when it derives from the kind's base class and
its body sets `name = "..."`; its declarations are readable without importing torch. That keeps
`list`, `--help` and `--dry-run` fast, and makes "add a detector" mean "add a file".
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic

import yaml

from benchmark.errors import UserError, did_you_mean
from benchmark.registry.entry import Entry, I
from benchmark.registry.info import DEFAULT_GROUP, INFOS
from benchmark.registry.inherit import Family
from benchmark.registry.lookalikes import lookalikes
from benchmark.registry.scan import UNKNOWN, SourceFile, read_file
from benchmark.registry.short_names import as_text, canonical, pieces

ROOT = Path(__file__).resolve().parents[2]
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


class Registry(Generic[I]):
    """Names of one kind, with the classes behind them.

    Args:
        kind: `detector`, `loss` or `dataset`; used in messages.
        base: name of the base class that marks a plug-in class as being of this kind; it is in
            `PACKAGE/base.py`.
        package: the package whose folder is scanned.

    Attributes:
        family: the classes of this kind.
        warnings: a line for each class that looks like a plug-in but is not registered.

    Raises:
        UserError: a file that is not valid, or a class that declares something wrong.
    """

    def __init__(self, kind: str, base: str, package: str) -> None:
        self.kind, self.base, self.package = kind, base, package
        self.family = Family(kind, f"{package}.base.{base}", INFOS[kind])
        self._entries: dict[str, Entry[I]] = {}
        files = [read_file(path, package) for path in sorted((ROOT / package).glob("[!_]*.py"))]
        self.add(files)
        self.warnings = lookalikes(files, [self.family])

    def add(self, files: Iterable[SourceFile]) -> list[str]:
        """Register the classes of this kind in these files; returns their names.

        Raises:
            UserError: a class that declares something wrong, or a name that is taken.
        """
        added = []
        for file, text, known in self.family.add(files):
            name = text.registry_name
            if name is None:
                continue
            taken = self._entries.get(name)
            if taken is not None and (taken.file, taken.class_name) != (file.path, text.name):
                raise UserError(
                    f"{file.path}, line {text.line}: {self.kind} '{name}' is already defined "
                    f"in {taken.file}; choose another name"
                )
            module = file.module if file.builtin else None
            info: Any = known.info
            self._entries[name] = Entry(
                name, file.path, text.name, module, info, known.places, known.options, text.doc
            )
            added.append(name)
        return sorted(added)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._entries)

    def groups(self) -> dict[str, list[str]]:
        """Names by group; classes that declare none are in the group that `all` means."""
        found: dict[str, list[str]] = {DEFAULT_GROUP: []}
        for name in self.names():
            found.setdefault(self._entries[name].info.group, []).append(name)
        return found

    def get(self, name: str) -> Entry[I]:
        """The entry of `name` (with variant and options or without).

        Raises:
            UserError: see `parse`.
        """
        return self.parse(name)[0]

    def parse(self, name: str) -> tuple[Entry[I], dict[str, Any]]:
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
        for option, text in pieces(entry, rest) if colon else []:
            if option in chosen:
                raise UserError(f"{self.kind} '{name}': {option} is given twice")
            chosen[option] = self._value(entry, name, option, text)
        chosen = {k: v for k, v in chosen.items() if v != entry.options.get(k, UNKNOWN)}
        return entry.of_variant(chosen.get("variant")), chosen

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
                hits = groups[DEFAULT_GROUP]
            elif pattern in groups:
                hits = groups[pattern]
            elif any(c in pattern for c in "*?[") and not self._is_path(pattern):
                hits = fnmatch.filter(self.names(), pattern)
                if not hits:
                    raise UserError(f"no {self.kind} matches '{pattern}'; {self._all_names()}")
            else:
                hits = [canonical(*self.parse(pattern))]
            found.update(dict.fromkeys(hits))
        if not found:
            raise UserError(f"no {self.kind} named; {self._all_names()}")
        return list(found)

    def _is_path(self, pattern: str) -> bool:
        """Whether the variant in this name is a path, in which wildcards mean themselves."""
        key, colon, _ = pattern.partition(":")
        known = self._entries.get(key)
        return bool(colon) and known is not None and known.variant_is_path

    def _variant(self, entry: Entry[I], name: str, variant: str) -> str:
        variants = entry.info.variants
        if variants and variant not in variants:
            hint = did_you_mean(variant, variants, prefix=f"{entry.name}:")
            raise UserError(
                f"{self.kind} '{entry.name}' has no variant '{variant}'; {hint}"
                f"it has: {', '.join(variants)}"
            )
        if not variants and "variant" not in entry.options:
            has = ", ".join(f"{k}={as_text(v)}" for k, v in entry.options.items())
            raise UserError(
                f"{self.kind} '{entry.name}' has no variants (asked for '{name}')"
                + (f"; it has options: {has}" if has else "")
            )
        if not variants:  # free: only the class knows which names are valid
            return entry.load().check_variant(variant)
        return variant

    def _value(self, entry: Entry[I], name: str, option: str, text: str) -> Any:
        if option == "variant":
            return self._variant(entry, name, text)
        if option not in entry.options:
            hint = did_you_mean(option, entry.options)
            has = ", ".join(f"{k}={as_text(v)}" for k, v in entry.options.items()) or "none"
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
                f"{_KINDS[type(default)]} (default {as_text(default)})"
            )
        choices = entry.info.choices.get(option)
        if choices and value not in choices:
            raise UserError(
                f"{self.kind} '{name}': {option} is '{text}', must be one of "
                f"{', '.join(map(as_text, choices))}"
            )
        return value

    def _unknown(self, key: str) -> str:
        hint = did_you_mean(key, self.names())
        return f"unknown {self.kind} '{key}'; {hint}{self._all_names()}"

    def _all_names(self) -> str:
        return f"there are: {', '.join(self.names())}"
