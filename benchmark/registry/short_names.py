"""Names of plug-ins, with variant and options; and names for people and for folders on disk."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.registry.entry import Entry

_SPECIAL = re.compile(r"[^\w.=:+-]")


def short_dataset(name: str) -> str:
    """The name of a data set without the path to it: `folder:/home/me/night` is `folder:night`.

    Characters that are special in a table, a link or a file name become underscores.
    """
    key, _, rest = name.partition(":")
    if "/" not in rest:
        return name
    return f"{key}:{_SPECIAL.sub('_', PurePath(rest).name)}"


def pieces(entry: Entry[Any], text: str) -> list[tuple[str, str]]:
    """The options in the text that follows a name, with their values as text.

    Where the variant is a path, it may hold colons and equals signs: only `:option=value` with a
    known option, after the path, counts as one.
    """
    if not entry.variant_is_path:
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


def canonical(entry: Entry[Any], options: dict[str, Any]) -> str:
    """The one name of an entry with these options."""
    parts = [entry.name]
    if "variant" in options:
        parts.append(options["variant"])
    parts += [f"{k}={as_text(v)}" for k, v in sorted(options.items()) if k != "variant"]
    return ":".join(parts)


def as_text(value: Any) -> str:
    """A value as it is written in a name."""
    return str(value).lower() if isinstance(value, bool) else str(value)
