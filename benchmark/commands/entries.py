"""Rows about what is registered, and how `list` and `show` print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.evaluation import describe_protocol, list_protocols
from benchmark.figures.wording import DASH
from benchmark.settings.recipe import list_recipes, read_recipe

if TYPE_CHECKING:
    from rich.table import Table


def entry_table(title: str) -> Table:
    """A table without lines: names in colour, texts wrapped."""
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        show_header=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def protocol_rows() -> list[tuple[str, str]]:
    """Each protocol with its rules."""
    return [(name, describe_protocol(name)) for name in list_protocols()]


def recipe_rows() -> list[tuple[str, str]]:
    """Each recipe's purpose, source and settings."""
    rows = []
    for recipe in map(read_recipe, list_recipes()):
        facts = [f"{recipe.about}", f"source: {recipe.source}"]
        if recipe.settings:
            facts.append(", ".join(f"{k} {or_dash(v)}" for k, v in recipe.settings.items()))
        for detector, settings in recipe.overrides.items():
            facts.append(f"{detector}: " + ", ".join(f"{k} {v}" for k, v in settings.items()))
        rows.append((recipe.name, "\n".join(facts)))
    return rows


def as_text(value: object) -> str:
    """A declared value, with the parts of a mapping or a tuple separated by commas."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def or_dash(value: object) -> str:
    """The value, or a dash for None."""
    return DASH if value is None else str(value)
