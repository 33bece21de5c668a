"""The `datasets audit` command: runs the checks, prints and writes what they found."""

from __future__ import annotations

import json
from functools import partial
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.console import with_progress
from benchmark.errors import UserError
from datasets.audit import audit
from datasets.audit.findings import CODES, SEVERITIES, Finding, Report
from datasets.audit.others import sets_below

SHOWN = 10
"""Most findings of one kind that are printed; the JSON has all of them."""
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def audit_dataset(
    name: str, root: Path | None, json_file: Path | None, against: str | None, console: Console
) -> int:
    """Audit a set and print the result.

    Args:
        name: of the set.
        root: the data root.
        json_file: where else to write everything.
        against: other sets, separated by commas, or `all` for those below the data root.
        console: where to print; progress goes to standard error.

    Returns:
        Exit code: 1 if there are errors, else 0.

    Raises:
        UserError: see `datasets.audit.audit`; no folder for the JSON.
    """
    if json_file is not None and not json_file.resolve().parent.is_dir():
        raise UserError(f"--json {json_file}: the folder {json_file.parent} does not exist")
    others = [part.strip() for part in (against or "").split(",") if part.strip()]
    if others == ["all"]:
        others = sets_below(root, name)
    track = partial(with_progress, console=Console(stderr=True))
    report = audit(name, root, others, track)
    if json_file is not None:
        json_file.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    print_report(report, console, json_file)
    return 1 if report.counts()["error"] else 0


def print_report(report: Report, console: Console, json_file: Path | None) -> None:
    """The findings by group, and a summary."""
    splits = ", ".join(f"{split} {size}" for split, size in report.splits.items())
    against = f"; compared with {', '.join(report.against)}" if report.against else ""
    _line(console, f"[bold]{report.dataset}[/] in {report.folder}")
    _line(console, f"{report.images} images: {splits}{against}")
    order = list(dict.fromkeys(group for group, _ in CODES.values()))
    findings = sorted(report.findings, key=lambda f: order.index(f.group))
    for group, members in groupby(findings, key=lambda f: f.group):
        console.print()
        console.print(_table(group, list(members), json_file))
    console.print()
    _line(console, _summary(report))
    if json_file is not None:
        _line(console, f"everything: {json_file}")


def _table(group: str, findings: list[Finding], json_file: Path | None) -> Table:
    table = Table(
        title=group, title_justify="left", title_style="bold", box=None, show_header=False,
        padding=(0, 2, 0, 0),
    )  # fmt: skip
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for _, members in groupby(findings, key=lambda f: f.code):
        same = list(members)
        severity = same[0].severity
        for finding in same[:SHOWN]:
            table.add_row(Text(f"{severity:<7}", COLOURS[severity]), _text(finding))
        if len(same) > SHOWN:
            where = "" if json_file else " (--json FILE has all)"
            more = f"and {len(same) - SHOWN} more like the last{where}"
            table.add_row("", Text(more, "dim"))
    return table


def _text(finding: Finding) -> Text:
    if not finding.files or finding.pairs:  # these messages name the files themselves
        return Text(finding.message)
    return Text.assemble((Path(finding.files[0]).name, "bold"), f"  {finding.message}")


def _summary(report: Report) -> str:
    counts = report.counts()
    if not report.findings:
        return "[green]nothing found[/]"
    parts = [
        f"[{COLOURS[s]}]{counts[s]} {s}{'s' * (counts[s] != 1)}[/]" for s in SEVERITIES if counts[s]
    ]
    return ", ".join(parts)


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
