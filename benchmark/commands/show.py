"""The `list` and `show` commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import datasets
import detectors
import losses
from benchmark.errors import UserError, did_you_mean
from benchmark.evaluation import describe_protocol, list_protocols
from benchmark.networks.source import find_run
from benchmark.records.record import Record, RecordError, Scores, read_record
from benchmark.registry import Entry, Registry
from benchmark.registry import load_plugins as load_and_warn
from benchmark.registry.info import DetectorInfo
from benchmark.registry.names import short_dataset
from benchmark.settings.recipe import list_recipes, read_recipe

KINDS = {
    "detectors": (detectors.REGISTRY, ("paper", "venue", "variants")),
    "losses": (losses.REGISTRY, ("paper", "source")),
    "datasets": (datasets.REGISTRY, ("paper", "source", "variants")),
}
"""What `list` shows of each kind, below the first line of the docstring."""


def print_lists(kind: str, plugins: Path | None, console: Console) -> None:
    """Print the registered names of one kind, or of all.

    Raises:
        UserError: unknown kind.
    """
    kinds = [*KINDS, "protocols", "recipes"]
    if kind and kind not in kinds:
        hint = did_you_mean(kind, kinds)
        raise UserError(f"list {kind}: {hint}one of {', '.join(kinds)}")
    load_plugins(plugins)
    for name in [kind] if kind else kinds:
        if name == "detectors":
            _print_detectors(console)
            continue
        if name in KINDS:
            rows = _entries(*KINDS[name])
        else:
            rows = _protocols() if name == "protocols" else _recipes()
        table = _table(name)
        for key, text in rows:
            table.add_row(key, escape(text))
        console.print(table)
        console.print()


def load_plugins(folder: Path | None) -> None:
    """Register what is in a folder of plug-ins."""
    load_and_warn(folder, [kind for kind, _ in KINDS.values()])


def _print_detectors(console: Console) -> None:
    """The detectors, one group after the other, two lines each."""
    registry = detectors.REGISTRY
    table = _table("detectors")
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


def print_entry(name: str, plugins: Path | None, console: Console) -> bool:
    """Print all that is known of a detector, loss, dataset, protocol or recipe.

    Returns:
        False if nothing is registered by this name.

    Raises:
        UserError: a known name with a variant or option that it does not have.
    """
    load_plugins(plugins)
    others = _others(name)
    for kind, text in others:
        table = _table(f"{kind} {name}")
        table.add_row("about", escape(text))
        console.print(table)
    found = [r for r, _ in KINDS.values() if name.partition(":")[0] in r.names()]
    for registry in found:
        entry, chosen = registry.parse(name)
        table = _table(f"{registry.kind} {name}")
        for key, text in _entry_rows(entry, chosen):
            table.add_row(key, escape(text))
        if registry is detectors.REGISTRY:
            for key, text in _measured_rows(name):
                table.add_row(key, escape(text))
        console.print(table)
    if not found and not others and not Path(name).exists():
        names = [n for r, _ in KINDS.values() for n in r.names()]
        names += [*list_protocols(), *list_recipes()]
        hint = did_you_mean(name, names, cutoff=0.75)
        if hint:
            raise UserError(f"show {name}: no such name; {hint.rstrip()}")
    return bool(found or others)


def _others(name: str) -> list[tuple[str, str]]:
    """The protocol and the recipe of this name, which a detector may have, too."""
    protocol = [("protocol", text) for key, text in _protocols() if key == name]
    return protocol + [("recipe", text) for key, text in _recipes() if key == name]


def _entry_rows(entry: Entry, chosen: dict[str, object]) -> Iterator[tuple[str, str]]:
    yield "about", entry.doc
    yield "file", str(entry.file)
    for key in entry.places:
        value = getattr(entry.info, key)
        if key not in ("name", "cost", "variant_data") and value not in ("", (), {}):
            yield key.replace("_", " "), _text(value)
    if entry.options:
        options = [f"{k} {v}" for k, v in (entry.options | chosen).items()]
        yield "options", f"{', '.join(options)} (set them as {entry.name}:KEY=VALUE)"


def _measured_rows(name: str) -> Iterator[tuple[str, str]]:
    """What only the built network tells; this imports torch."""
    from benchmark.networks.cost import count_macs, count_parameters

    try:
        detector = detectors.create_architecture(name)
        macs, size = count_macs(name)
    except UserError:
        raise
    except Exception as error:  # whatever a plug-in raises
        yield "parameters", f"not counted: {type(error).__name__}: {error}"
        return
    yield "parameters", f"{count_parameters(detector):,}"
    if macs is not None:
        yield "arithmetic", f"{macs:,} MACs = {2 * macs:,} FLOPs of one {size} image"
        yield "", "(convolutions and matrix products only)"


def _entries(registry: Registry, keys: tuple[str, ...]) -> list[tuple[str, str]]:
    rows = []
    for name in registry.names():
        entry = registry.get(name)
        facts = [f"{key}: {_text(value)}" for key in keys if (value := getattr(entry.info, key))]
        rows.append((name, "\n".join([entry.summary, *facts])))
    return rows


def _protocols() -> list[tuple[str, str]]:
    return [(name, describe_protocol(name)) for name in list_protocols()]


def _recipes() -> list[tuple[str, str]]:
    """What each recipe is for, its source and its settings."""
    rows = []
    for recipe in map(read_recipe, list_recipes()):
        facts = [f"{recipe.about}", f"source: {recipe.source}"]
        if recipe.settings:
            facts.append(", ".join(f"{k} {_or_dash(v)}" for k, v in recipe.settings.items()))
        for detector, settings in recipe.overrides.items():
            facts.append(f"{detector}: " + ", ".join(f"{k} {v}" for k, v in settings.items()))
        rows.append((recipe.name, "\n".join(facts)))
    return rows


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _table(title: str) -> Table:
    """A table without lines: names in colour, texts wrapped."""
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


def print_run(run: str, output: Path, console: Console) -> None:
    """Print one run.

    Args:
        run: the run's folder, its record, or its id (or the beginning of it).
        output: where to look for an id.

    Raises:
        UserError: no such run, several that fit, or a record that cannot be read.
    """
    path = find_run(run, output)
    try:
        record = read_record(path)
    except RecordError as error:
        raise UserError(str(error)) from None
    table = _table(
        f"{short_dataset(record.cell.dataset)} {record.cell.detector}+{record.cell.loss} "
        f"seed {record.cell.seed}"
    )
    for key, text in _run_rows(record, path):
        table.add_row(key, escape(text))
    console.print(table)


def _run_rows(record: Record, path: Path) -> Iterator[tuple[str, str]]:
    """What is known of a run, as rows of a table."""
    cell, env = record.cell, record.environment
    yield "status", record.status + (f": {record.error}" if record.error else "")
    yield "file", str(path)
    changed = ", ".join(f"{key} was {_or_dash(value)}" for key, value in cell.changed.items())
    yield "id, recipe", f"{cell.id}, {cell.recipe}" + (f" ({changed})" if changed else "")
    yield "finished", f"{record.finished} (started {record.started})"
    yield "selection", f"{record.selection}, epoch {_or_dash(record.selected_epoch)}"
    yield from _scores_rows(record.scores)
    for rule, selected in record.others.items():
        yield "also", f"{rule}, epoch {_or_dash(selected.epoch)}"
        yield from _scores_rows(selected.scores)
    if record.data:
        data = record.data
        yield (
            "data",
            f"{data.split}; train {data.train_images} ({data.train_hash}), "
            f"val {data.val_images}, test {data.test_images} ({data.test_hash})",
        )
        if data.leaked:
            yield "leaked", f"{len(data.leaked)} test images were trained on"
        for note in data.notes:
            yield "", note
    if record.history:
        yield "training", f"{len(record.history)} epochs, last loss {record.history[-1].loss:.4f}"
    if record.cost:
        cost = record.cost
        macs = "" if cost.macs is None else f"{cost.macs:,} MACs at {cost.macs_input}, "
        yield "cost", f"{cost.parameters:,} parameters, {macs}{cost.train_seconds:.0f} s training"
    yield (
        "environment",
        f"torch {env.torch}, {env.device}, {env.threads} threads, {env.precision}, "
        f"commit {_or_dash(env.git)}, {env.sessions} session(s)",
    )
    yield "settings", ", ".join(f"{k} {v}" for k, v in record.settings.items())
    yield "command", record.command
    if record.traceback:
        yield "traceback", record.traceback


def _scores_rows(scores: dict[str, Scores]) -> Iterator[tuple[str, str]]:
    for name, found in scores.items():
        text = ", ".join(f"{k} {v:.6g}" for k, v in found.metrics.items())
        yield f"{name} v{found.version}", text


def _or_dash(value: object) -> str:
    return "—" if value is None else str(value)
