"""The table of the `profile` command: costs of detectors beside those in their papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from benchmark.console import say
from benchmark.figures.wording import DASH, each
from benchmark.records.csv_writer import as_csv
from benchmark.records.record import Latency, Profile
from benchmark.records.store import write_atomic

# Columns that a narrow terminal drops, first to go first; places in `_titles`.
_GRAPH = 5
_DISPENSABLE = (3, 9, 8, 7, 2, _GRAPH)


def write_cost_table(profiles: Sequence[Profile], folder: Path, console: Console) -> list[Path]:
    """Print the table and write it as `profile.md` and `profile.csv`; nothing without profiles."""
    if not profiles:
        return []
    console.print(_rich_table(profiles, console))
    for line in (caption(profiles), *footnotes(profiles)):
        console.print(line, style="dim", highlight=False, markup=False)
    texts = {
        folder / "profile.md": markdown(profiles),
        folder / "profile.csv": csv_text(profiles),
    }
    for path, text in texts.items():
        write_atomic(path, text)
        say(console, f"wrote {path}")
    return list(texts)


def caption(profiles: Sequence[Profile]) -> str:
    """Everything needed to judge the numbers."""
    threads = each(str(p.threads) for p in profiles)
    return (
        f"Input {each(p.input for p in profiles)}, {each(p.precision for p in profiles)}, on "
        f"{each(p.device for p in profiles)} with {threads} "
        f"thread{'' if threads == '1' else 's'}, torch {each(p.torch for p in profiles)}, "
        f"{each(p.date[:10] for p in profiles)}. Each detector was measured by itself in a "
        "fresh process: eval and inference mode, channels last, warmed up, every run synchronised. "
        "Latency: median (10th–90th percentile) of one image, already on the device"
        f"{'; graph: replayed from a CUDA graph' if _GRAPH in _columns(profiles) else ''}. "
        "MACs of one image, convolutions and matrix products only; FLOPs = 2 x MACs. "
        f"Memory: peak for one image / for the batch, {each(p.memory_kind for p in profiles)}. "
        '"Folded": so many batch normalisations folded into convolutions.'
    )


def footnotes(profiles: Sequence[Profile]) -> list[str]:
    """Sources of the published numbers and why ours differ; whatever disturbed a timing."""
    lines = []
    for name, published in {p.detector: p.published for p in profiles}.items():
        source, difference = (published.get(key) for key in ("source", "difference"))
        texts = [f"published in {source}" if source else "", difference or ""]
        if any(texts):
            lines.append(f"{name}: {'; '.join(text for text in texts if text)}.")
    lines += [f"{label(p)}: {p.warning}." for p in profiles if p.warning]
    return lines


def label(profile: Profile) -> str:
    """The name of a row."""
    return profile.detector + (f" (folded {profile.folded})" if profile.fused else "")


def markdown(profiles: Sequence[Profile]) -> str:
    """The table as a page."""
    # Imported here: the terminal's table needs no tabulate.
    from tabulate import tabulate

    columns = _columns(profiles)
    titles = [_titles(profiles)[column].replace("\n", " ") for column in columns]
    align = ["left"] + ["right"] * (len(titles) - 1)
    body = [[_cells(profile)[column] for column in columns] for profile in profiles]
    table = tabulate(body, titles, tablefmt="pipe", disable_numparse=True, colalign=align)
    notes = "".join(f"- {line}\n" for line in footnotes(profiles))
    return f"# Cost of detectors\n\n{table}\n\n{caption(profiles)}\n\n{notes}"


def csv_text(profiles: Sequence[Profile]) -> str:
    """One line a measurement, every field of it at full precision, and the published numbers."""
    lines = []
    for profile in profiles:
        line: dict[str, Any] = {}
        without = {"published"} if profile.graph else {"published", "graph"}
        for key, value in profile.model_dump(by_alias=True, exclude=without).items():
            nested = isinstance(value, dict)
            line |= {f"{key}_{k}": v for k, v in value.items()} if nested else {key: value}
        published = profile.published
        line["published_parameters_m"] = published.get("parameters")
        line["published_flops_g"] = published.get("flops")
        lines.append(line)
    return as_csv(lines, list(max(lines, key=len)))  # only some may have a graph


def _rich_table(profiles: Sequence[Profile], console: Console) -> Table:
    """The widest table that the terminal has room for; the files have everything."""
    columns = _columns(profiles)
    unbounded = console.options.update(width=10_000)
    for place in (None, *_DISPENSABLE):
        columns = [column for column in columns if column != place]
        table = Table(title="Cost of detectors", box=box.SIMPLE_HEAD, title_style="bold",
                      title_justify="left", pad_edge=False)  # fmt: skip
        for column in columns:
            title = _titles(profiles)[column]
            table.add_column(title, justify="right" if column else "left", no_wrap=True)
        for profile in profiles:
            cells = _cells(profile)
            table.add_row(*(Text(cells[column]) for column in columns))
        if Measurement.get(console, unbounded, table).maximum <= console.width:
            break
    return table


def _titles(profiles: Sequence[Profile]) -> list[str]:
    batch = each(str(p.batched.batch) for p in profiles)
    return [
        "Detector", "Params (M)", "MACs (G)", "FLOPs (G)", "Latency (ms)", "Graph (ms)",
        f"Images/s,\nbatch {batch}", f"Memory (MB),\nbatch 1 / {batch}",
        "Published\nparams (M)", 'Published\n"FLOPs" (G)',
    ]  # fmt: skip


def _columns(profiles: Sequence[Profile]) -> list[int]:
    """Places in `_titles`; without that of CUDA graphs where nothing was measured with one."""
    some = any(profile.graph for profile in profiles)
    return [place for place in range(len(_titles(profiles))) if some or place != _GRAPH]


def _cells(profile: Profile) -> list[str]:
    many, published = profile.batched, profile.published
    return [
        label(profile),
        f"{profile.parameters / 1e6:.3f}",
        _giga(profile.macs),
        _giga(profile.flops),
        _latency(profile.single),
        _latency(profile.graph),
        f"{profile.throughput:.1f}",
        f"{profile.single.peak_memory_bytes / 1e6:.0f} / {many.peak_memory_bytes / 1e6:.0f}",
        str(published.get("parameters", DASH)),
        str(published.get("flops", DASH)),
    ]


def _latency(found: Latency | None) -> str:
    if found is None:
        return DASH
    return f"{found.median_ms:.1f} ({found.p10_ms:.1f}–{found.p90_ms:.1f})"


def _giga(number: int | None) -> str:
    return DASH if number is None else f"{number / 1e9:.3f}"
