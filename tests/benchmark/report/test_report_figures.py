"""The figures: what is drawn, tested on the Figure objects, and that files appear."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from benchmark.figures.style import at_least, drawing
from benchmark.records import store
from benchmark.records.record import Curve
from benchmark.report import write_report
from benchmark.report.collect import collect
from benchmark.report.curve_figures import pd_fa_figure, roc_pr_figure
from benchmark.report.figures import FIGURES, Kind
from benchmark.report.line_styles import Style
from benchmark.report.model import Table
from benchmark.report.operating import attainable, pd_at
from benchmark.report.overview_figure import overview_figure
from benchmark.report.pages import PAGES
from benchmark.report.panels import example_figures, overlay
from benchmark.report.training_figure import training_figure
from tests.benchmark.report.test_report_sweep import (
    CURVE,
    make_record,
    score_also,
    write,
    write_sweep,
)


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Table, Style]:
    collection = collect(write_sweep(tmp_path / "out"))
    return collection.tables[0], Style(collection)


def _steps(figure: Figure) -> list:
    return [
        line for axes in figure.axes for line in axes.lines if line.get_drawstyle() == "steps-post"
    ]


def test_attainable_pd_is_a_step_function() -> None:
    fa, pd = attainable(CURVE)  # hits 1, 10, 8, 5 at 1000, 100, 10, 0 false pixels of a million
    rates = np.array([0, 9e-6, 1e-5, 5e-5, 1e-4, 1.0])
    np.testing.assert_allclose(pd_at((fa, pd), rates), [0.5, 0.5, 0.8, 0.8, 1.0, 1.0])


def test_attainable_without_targets_or_thresholds() -> None:
    names = ("thresholds", "hits", "false_alarm_pixels", "false_components", "intersection")
    empty = Curve(
        **{name: [] for name in (*names, "predicted")}, targets=0, positive=0, pixels=0, images=0
    )
    np.testing.assert_array_equal(pd_at(attainable(empty), np.array([0.0, 1.0])), [0, 0])


def test_pd_fa_has_a_curve_a_band_and_a_marker_for_each_method(drawn: tuple[Table, Style]) -> None:
    table, style = drawn
    figure = pd_fa_figure(table, style)
    (axes,) = figure.axes
    assert len(_steps(figure)) == 3  # acm soft_iou has no result
    assert len(axes.collections) == 3
    assert len([line for line in axes.lines if line.get_marker() in "os"]) == 3
    assert len(figure.legends[0].get_texts()) == 3
    assert axes.get_xscale() == "log"
    assert axes.get_xticklabels()[0].get_text() == "0"
    assert "native v1" in axes.get_title()
    # Fa = 0 lies left of the first decade; there Pd is that of the strictest threshold.
    line = _steps(figure)[0]
    assert line.get_xdata()[0] == axes.get_xlim()[0] < line.get_xdata()[1]
    assert line.get_ydata()[0] == pytest.approx(50)


def test_a_method_that_never_predicts_anything_has_no_precision(tmp_path: Path) -> None:
    """No pixel above any threshold: a ROC, but no point of a PR curve."""
    nothing = [0] * len(CURVE.thresholds)
    names = ("hits", "false_alarm_pixels", "false_components", "intersection", "predicted")
    silent, other = make_record("acm"), make_record("mshnet")
    silent.scores["native"].curve = CURVE.model_copy(update=dict.fromkeys(names, nothing))
    collection = collect(write(tmp_path, silent, other))
    figure = roc_pr_figure(collection.tables[0], Style(collection))
    left, right = figure.axes
    assert (len(left.lines), len(right.lines)) == (2, 1)


@pytest.mark.parametrize("draw", [pd_fa_figure, roc_pr_figure, training_figure, overview_figure])
def test_a_long_title_stays_in_the_figure(drawn: tuple[Table, Style], draw: Callable) -> None:
    table, style = drawn
    long = replace(table, dataset="synthetic:easy:size=80:test=60:train=68")
    with drawing():
        figure = draw(long, style)
        FigureCanvasAgg(figure).draw()
    texts = [axes.title for axes in figure.axes] + ([figure._suptitle] if figure._suptitle else [])
    assert any("size=80" in text.get_text() for text in texts)
    for text in texts:
        extent = text.get_window_extent()
        assert extent.x0 >= 0, text.get_text()
        assert extent.x1 <= figure.bbox.width, text.get_text()


def test_colour_is_the_detector_and_dash_is_the_loss(drawn: tuple[Table, Style]) -> None:
    table, style = drawn
    acm, _, sls, soft = (style.line(row) for row in table.rows)
    assert sls.color == soft.color != acm.color
    assert sls.dash == acm.dash != soft.dash


def test_many_methods_get_a_panel_a_loss(tmp_path: Path) -> None:
    records = [make_record(d, x) for d in ("a", "b", "c") for x in ("bce", "sls", "soft_iou")]
    collection = collect(write(tmp_path, *records))
    style = Style(collection)
    figure = pd_fa_figure(collection.tables[0], style)
    assert [axes.get_title() for axes in figure.axes] == ["bce", "sls", "soft_iou"]
    assert len(_steps(figure)) == 9
    assert len(figure.legends[0].get_texts()) == 3
    assert len(training_figure(collection.tables[0], style).axes) == 6


def test_training_draws_loss_and_validation(drawn: tuple[Table, Style]) -> None:
    figure = training_figure(*drawn)
    assert [len(axes.lines) for axes in figure.axes] == [3, 3]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [0, 10, 20])


def test_training_shows_all_epochs_of_every_panel(tmp_path: Path) -> None:
    """The panels share the axis; the first one has the shortest training."""
    records = []
    for loss, epochs in (("bce", 1), ("sls", 3), ("soft_iou", 2)):
        for detector in ("acm", "alcnet", "mshnet"):
            record = make_record(detector, loss)
            del record.history[epochs:]
            records.append(record)
    collection = collect(write(tmp_path, *records))
    figure = training_figure(collection.tables[0], Style(collection))
    assert len(figure.axes) == 6
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert low <= 0
        assert high >= 2


def test_training_of_one_epoch(tmp_path: Path) -> None:
    record = make_record()
    del record.history[1:]
    collection = collect(write(tmp_path, record))
    axes = training_figure(collection.tables[0], Style(collection)).axes[-1]
    assert [tick for tick in axes.get_xticks() if 0 <= tick <= 1] in ([0], [0, 1])


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        ({"warm_epoch": -1}, None),
        ({"warm_epoch": 1}, 1.5),
        ({"warm_epoch": -1, "warm_loss": "bce", "warm_loss_share": 0.4}, 0.5),
        ({"warm_epoch": 1, "warm_loss": "bce", "warm_loss_share": 0.4}, 1.5),
    ],
)
def test_training_says_where_the_warm_up_ends(
    tmp_path: Path, settings: dict, end: float | None
) -> None:
    """By another loss, or within the row's own."""
    record = make_record()
    assert len(record.history) == 3
    record.settings = record.settings | {"epochs": 3} | settings
    collection = collect(write(tmp_path, record))
    axes = training_figure(collection.tables[0], Style(collection)).axes[0]
    marks = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert marks == ([] if end is None else [end])
    assert [text.get_text() for text in axes.texts] == ["warm-up ends"] * len(marks)


def test_training_without_validation_has_one_panel(tmp_path: Path) -> None:
    record = make_record()
    for epoch in record.history:
        epoch.val = None
    collection = collect(write(tmp_path, record))
    assert len(training_figure(collection.tables[0], Style(collection)).axes) == 1


@pytest.mark.parametrize(
    ("parts", "label", "values"),
    [
        (("val",), "Validation IoU (%)", [0, 10, 20]),
        (("val", "test"), "Validation IoU (%)", [0, 10, 20]),
        (("test",), "Test IoU (%)", [50, 55, 60]),
    ],
)
def test_training_draws_the_test_images_where_there_is_no_validation(
    tmp_path: Path, parts: tuple[str, ...], label: str, values: list[float]
) -> None:
    record = make_record(selection="best-test")
    for epoch in record.history:
        epoch.val = epoch.val if "val" in parts else None
        epoch.test = {"iou": 0.5 + 0.05 * epoch.epoch} if "test" in parts else None
    collection = collect(write(tmp_path, record))
    axes = training_figure(collection.tables[0], Style(collection)).axes[1]
    assert axes.get_ylabel() == label
    np.testing.assert_allclose(axes.lines[0].get_ydata(), values)


def test_what_all_rules_share_is_drawn_once(tmp_path: Path) -> None:
    """The training is one, and the crops in its folder are of the run's own epoch."""
    record = make_record(selection="best-val")
    for rule in ("best-test", "last"):
        score_also(record, rule, 1)
    output = write(tmp_path, record)
    (path,) = output.glob("runs/**/record.json")
    _save_crops(path.parent, ["x", "y"])
    paths = write_report(output, Console(width=200, file=io.StringIO()))
    names = {path.stem for path in paths if path.suffix == ".png"}
    rules = ("best-test", "best-val", "last")
    assert names == {
        "training_sirst-best-val", "examples_sirst-best-val",
        *(f"{stem}_sirst-{rule}" for stem in ("leaderboard", "pd_fa", "roc_pr") for rule in rules),
    }  # fmt: skip


def test_examples_are_of_the_epoch_that_the_table_scores(tmp_path: Path) -> None:
    other = score_also(make_record("mshnet", selection="best-val"), "last", 2)
    output = write(tmp_path, make_record("acm"), other)
    for path in output.glob("runs/**/record.json"):
        _save_crops(path.parent, ["x"])
    tables = {table.selection: table for table in collect(output).tables}
    assert [row.detector for row in tables["last"].rows] == ["acm", "mshnet"]
    shown = {rule: example_figures(table)[0][0] for rule, table in tables.items()}
    titles = {rule: figure.axes[2].get_title() for rule, figure in shown.items()}
    assert titles == {"last": "acm\nsls", "best-val": "mshnet\nsls"}
    assert len(shown["last"].axes) == 3  # image, truth, acm


def test_no_result_no_figure(tmp_path: Path) -> None:
    collection = collect(write(tmp_path, make_record(status="failed")))
    table, style = collection.tables[0], Style(collection)
    assert pd_fa_figure(table, style) is None
    assert roc_pr_figure(table, style) is None
    assert training_figure(table, style) is None
    assert overview_figure(table, style) is None
    assert example_figures(table) == ([], [])


def test_overview_shows_every_seed(drawn: tuple[Table, Style]) -> None:
    figure = overview_figure(*drawn)
    seeds = [line for line in figure.axes[0].lines if line.get_alpha() == 0.4]
    assert sorted(len(line.get_xdata()) for line in seeds) == [2, 3, 3]


@pytest.mark.parametrize(("last", "scale"), [(5e-5, "linear"), (0.9, "symlog")])
def test_overview_keeps_methods_apart(tmp_path: Path, last: float, scale: str) -> None:
    """One network that calls everything a target must not squeeze the others into one point."""
    fas = (1e-5, 2e-5, 3e-5, 4e-5, last)
    names = ("acm", "alcnet", "dnanet", "mshnet", "unet")
    records = [make_record(name, fa=fa) for name, fa in zip(names, fas, strict=True)]
    collection = collect(write(tmp_path, *records))
    figure = overview_figure(collection.tables[0], Style(collection))
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "linear", scale]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((10, 30), (10, 30)),
        ((49.9, 50.1), (49, 51)),
        ((-0.05, 0.05), (-0.06, 1.94)),
        ((0.2, 0.4), (-0.06, 1.94)),
    ],
)
def test_limits_of_an_axis(limits: tuple[float, float], expected: tuple[float, float]) -> None:
    assert at_least(2, *limits) == pytest.approx(expected)


def test_overlay_colours() -> None:
    mask = np.array([[True, True], [False, False]])
    prob = np.array([[0.9, 0.1], [0.9, 0.5]], dtype=np.float16)
    picture = overlay(np.zeros((2, 2), np.uint8), mask, prob, 0.5)
    hit, miss, false, nothing = picture.reshape(4, 3)
    assert hit.argmax() == 1  # green
    assert miss.argmax() == 0  # red
    assert false[0] > 0.9
    assert false[1] > 0.5
    assert nothing.tolist() == [0, 0, 0]  # 0.5 is not above the threshold


def _save_crops(folder: Path, names: list[str]) -> None:
    rng = np.random.default_rng(0)
    shape = (len(names), 16, 16)
    masks = np.zeros(shape, bool)
    masks[:, 7:9, 7:9] = True
    np.savez_compressed(
        folder / "crops.npz",
        names=np.array(names),
        images=rng.integers(0, 255, shape, dtype=np.uint8),
        masks=masks,
        probs=masks.astype(np.float16),
    )


def test_examples_leave_out_what_cannot_be_used(drawn: tuple[Table, Style]) -> None:
    table, _ = drawn
    assert example_figures(table) == ([], [])
    acm, _, sls, soft = table.rows
    _save_crops(acm.done[1].folder, ["x", "y"])  # seed 0 has none: the smallest that has some
    _save_crops(sls.done[0].folder, ["x", "y"])
    (soft.done[0].folder / "crops.npz").write_bytes(b"PK cut short")
    (figure,), warnings = example_figures(table)
    assert len(figure.axes) == 2 * 4
    assert len(warnings) == 1
    _save_crops(soft.done[0].folder, ["x", "z"])
    (figure,), warnings = example_figures(table)
    assert len(figure.axes) == 2 * 4
    assert "other images" in warnings[0]


def test_write_report(tmp_path: Path) -> None:
    output = write_sweep(tmp_path)
    (output / "runs" / "bad").mkdir()
    (output / "runs" / "bad" / "record.json").write_text('{"schema": "irs')
    for path in output.glob("runs/**/seed0-*/record.json"):
        _save_crops(path.parent, ["Misc_1", "Misc_2"])
    console = Console(width=200, file=io.StringIO())
    paths = write_report(output, console)
    names = {path.relative_to(output / "report").as_posix() for path in paths}
    assert names == {
        *(f"leaderboard.{suffix}" for suffix in ("md", "csv", "tex")), "losses.csv",
        *(f"figures/{stem}_sirst.{suffix}" for suffix in ("png", "pdf")
          for stem in ("leaderboard", "pd_fa", "roc_pr", "training", "examples")),
    }  # fmt: skip
    assert all(path.stat().st_size > 300 for path in paths)
    page = (output / "report" / "leaderboard.md").read_text("utf-8")
    assert "![figures/pd_fa_sirst.png](figures/pd_fa_sirst.png)" in page
    assert "## Published" in page
    text = console.file.getvalue()
    assert text.index("mshnet") < text.index("wrote ") < text.index("warning: ")
    assert "bad" in text

    # A second report gives the same bytes.
    before = {path: path.read_bytes() for path in paths}
    write_report(output, Console(file=io.StringIO()))
    assert {path: path.read_bytes() for path in paths} == before


def test_a_page_and_a_figure_join_by_being_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def squares(table: Table, _: Style) -> Figure:
        figure = Figure()
        figure.add_subplot().plot([row.summary("iou").mean for row in table.rows if row.done])
        return figure

    monkeypatch.setitem(PAGES, "methods.txt", lambda c: f"{len(c.tables[0].rows)} methods")
    monkeypatch.setitem(PAGES, "nothing.txt", lambda _: "")
    monkeypatch.setitem(FIGURES, "squares", Kind(squares))
    output = write_sweep(tmp_path)
    (output / "report").mkdir()
    (output / "report" / "nothing.txt").write_text("of an earlier report")
    paths = write_report(output, Console(file=io.StringIO()))
    names = {path.name for path in paths}
    assert {"methods.txt", "squares_sirst.png", "squares_sirst.pdf"} <= names
    assert (output / "report" / "methods.txt").read_text() == "4 methods"
    assert not (output / "report" / "nothing.txt").exists()
    page = (output / "report" / "leaderboard.md").read_text("utf-8")
    assert "![figures/squares_sirst.png](figures/squares_sirst.png)" in page


def test_every_file_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def write_atomic(path: Path, content: str | bytes) -> None:
        written.append(path)
        store_write(path, content)

    store_write = store.write_atomic
    monkeypatch.setattr(store, "write_atomic", write_atomic)
    write_report(write_sweep(tmp_path), Console(file=io.StringIO()))
    assert written
    assert len(written) == len(set(written))
    assert written[-1].name == "leaderboard.md"  # it shows what was drawn
