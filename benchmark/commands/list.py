"""`list`: what can be crossed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.commands.entries import as_text, entry_table, protocol_rows, recipe_rows
from benchmark.commands.options import PLUGINS, load_plugins, out, registries
from benchmark.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from benchmark.registry import Registry
    from benchmark.registry.info import DetectorInfo, PluginInfo

KINDS = ("detectors", "losses", "datasets", "protocols", "recipes")
_FACTS = {"losses": ("paper", "source"), "datasets": ("paper", "source", "variants")}
"""Kind -> what `list` shows of an entry below the first line of its docstring."""


def command(
    kind: Annotated[
        str,
        typer.Argument(help="detectors, losses, datasets, protocols or recipes; all by default"),
    ] = "",
    plugins: Annotated[Path | None, PLUGINS] = None,
) -> None:
    """List what can be crossed."""
    if kind and kind not in KINDS:
        hint = did_you_mean(kind, KINDS)
        raise UserError(f"list {kind}: {hint}one of {', '.join(KINDS)}")
    load_plugins(plugins)
    for name in [kind] if kind else KINDS:
        if name == "detectors":
            _print_detectors(registries()[name], out)
        else:
            _print_rows(name, _rows(name), out)


def _rows(kind: str) -> list[tuple[str, str]]:
    if kind == "protocols":
        return protocol_rows()
    if kind == "recipes":
        return recipe_rows()
    return _entry_rows(registries()[kind], _FACTS[kind])


def _entry_rows(registry: Registry[PluginInfo], keys: tuple[str, ...]) -> list[tuple[str, str]]:
    rows = []
    for name in registry.names():
        entry = registry.get(name)
        facts = [f"{key}: {as_text(value)}" for key in keys if (value := getattr(entry.info, key))]
        rows.append((name, "\n".join([entry.summary, *facts])))
    return rows


def _print_rows(title: str, rows: list[tuple[str, str]], console: Console) -> None:
    table = entry_table(title)
    for key, text in rows:
        table.add_row(key, escape(text))
    console.print(table)
    console.print()


def _print_detectors(registry: Registry[DetectorInfo], console: Console) -> None:
    """The detectors, one group after the other, two lines each."""
    table = entry_table("detectors")
    table.add_row("", f"{'from':<30}{'input':<12}{'parameters':>10}{'MACs':>10}")
    for group, names in registry.groups().items():
        more = "what --detectors all means" if group == "main" else ""
        table.add_row(f"[bold]{group}[/]", f"[dim]{more}[/]")
        for name in names:
            info = registry.get(name).info
            cost = info.cost
            parameters = f"{cost['parameters']:.2f} M" if cost else ""
            macs = f"{cost['macs']:.2f} G" if cost else ""
            size = f"{info.in_channels} ch, x{info.stride}"
            recipe = _recipe(info.recipe) if info.trained else "no training"
            facts = f"{_where(info):<30}{size:<12}{parameters:>10}{macs:>10}"
            table.add_row(f"  {name}", escape("\n".join([facts, *([recipe] if recipe else [])])))
    console.print(table)
    console.print(
        "input: channels, and what its sides are padded to a multiple of; MACs of one 256x256 "
        "image; below: the published recipe. `show NAME` has variants, options, normalisation, "
        "paper and source.",
        style="dim", highlight=False,
    )  # fmt: skip
    console.print()


def _where(info: DetectorInfo) -> str:
    """Venue and year."""
    year = str(info.year or "")
    return info.venue if year in info.venue else f"{info.venue}, {year}"


def _recipe(recipe: dict[str, object]) -> str:
    """A recipe in one line."""
    shown = {
        "optimizer": "{}", "lr": "lr {}", "schedule": "{}", "epochs": "{} epochs",
        "batch_size": "batch {}", "crop_size": "crop {}", "loss": "{}",
    }  # fmt: skip
    return ", ".join(text.format(recipe[key]) for key, text in shown.items() if key in recipe)
