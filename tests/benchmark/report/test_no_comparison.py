"""A table whose rows were trained otherwise compares nothing, marks nothing, and says so."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.report.captions import title
from benchmark.report.collect import collect
from benchmark.report.columns import COLUMNS, alike, marks
from benchmark.report.curve_figures import pd_fa_figure
from benchmark.report.latex import latex
from benchmark.report.line_styles import Style
from benchmark.report.model import Collection
from benchmark.report.overview_figure import overview_figure
from benchmark.report.significance import rankings
from benchmark.report.statistics_page import pairs_csv
from benchmark.report.tables import csv_text, markdown, print_tables
from tests.benchmark.report.test_report_sweep import make_record, write
from tests.benchmark.report.test_significance import scored

WARNING = "NO COMPARISON: rows differ in lr, optimizer"


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """Each detector with its own optimizer, as `--recipe published` trains."""
    records = [scored(name, 0, skill, offset=10 * k) for k, (name, skill) in
               enumerate({"acm": 0.9, "dnanet": 0.2, "mshnet": 0.85}.items())]  # fmt: skip
    records[0].settings |= {"lr": 0.1, "optimizer": "adagrad"}
    records[1].settings |= {"lr": 0.05, "optimizer": "adam"}
    records[2].settings |= {"lr": 0.05, "optimizer": "adam"}
    return collect(write(tmp_path, *records))


def test_nothing_is_marked_or_tested(collection: Collection) -> None:
    (table,) = collection.tables
    assert table.incomparable == ["lr", "optimizer"]
    for column in COLUMNS:
        assert marks(table, column) == {}
        assert alike(table, column) == set()
    assert set(table.study.intervals["iou"]) == {0, 1, 2}  # each row's own
    assert table.study.comparisons == {}
    assert rankings(collection.tables) == []
    assert pairs_csv(collection) == ""


def test_every_format_says_so(collection: Collection) -> None:
    table = collection.tables[0]
    assert title(table).endswith(WARNING)
    console = Console(width=400, file=io.StringIO())
    print_tables(collection, console)
    page, tex = markdown(collection, [], ""), latex(collection)
    for text in (console.file.getvalue(), page):
        assert WARNING in text
        assert "Settings that differ between rows: lr = 0.1 (acm), 0.05 (dnanet, mshnet)" in text
    assert tex.count(rf"\caption{{{WARNING}. ") == tex.count(r"\caption{")
    for text in (page, tex):
        assert "second" not in text
        assert "≈" not in text
        assert "**" not in text
        assert "textbf" not in text
    rows = csv.DictReader(io.StringIO(csv_text(collection)))
    assert {row["no_comparison"] for row in rows} == {"lr optimizer"}
    style = Style(collection)
    assert WARNING in overview_figure(table, style).get_suptitle()
    assert not pd_fa_figure(table, style)  # these records have no curve


def test_a_setting_in_every_label_may_be_compared(tmp_path: Path) -> None:
    records = [make_record(settings={"lr": lr}, iou=lr) for lr in (0.1, 0.2, 0.3)]
    found = collect(write(tmp_path, *records))
    assert found.tables[0].incomparable == []
    assert marks(found.tables[0], COLUMNS[0]) == {2: "best", 1: "second"}
    assert "NO COMPARISON" not in markdown(found, [], "")
    assert "Best in **bold**" in markdown(found, [], "")
    assert {row["no_comparison"] for row in csv.DictReader(io.StringIO(csv_text(found)))} == {""}
    # Another detector, whose label does not name it.
    found = collect(write(tmp_path, make_record("acm", settings={"lr": 0.1}, iou=0.4)))
    assert found.tables[0].incomparable == ["lr"]


def test_what_does_not_make_rows_differ(tmp_path: Path) -> None:
    """Protocols, rows that were not trained, maps of others, and cells without a result."""
    foreign = make_record("theirs", "unknown", settings={"lr": None})
    foreign.data.train_hash = ""
    records = [
        make_record("acm", iou=0.4),
        make_record("mshnet", settings={"protocols": ["native", "mshnet"]}),
        make_record("top_hat", "none", settings={"lr": 7.0}),
        make_record("unet", settings={"lr": 3.0}, status="failed"),
        foreign,
    ]
    (table,) = collect(write(tmp_path, *records)).tables
    assert table.incomparable == []
