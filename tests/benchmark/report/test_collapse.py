"""Runs that learned nothing: the rule worked out by hand, and what the report makes of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmark.records.record import Epoch, ImageScore, Record, Untrained, read_record
from benchmark.report.captions import notes
from benchmark.report.collapse import Collapse, collapses, constant_iou
from benchmark.report.collect import collect
from benchmark.report.columns import COLUMNS, marks
from benchmark.report.curve_figures import pd_fa_figure
from benchmark.report.latex import latex
from benchmark.report.line_styles import Style
from benchmark.report.model import Collection
from benchmark.report.operating import Point
from benchmark.report.overview_figure import overview_figure
from benchmark.report.sensitivity_figure import sensitivity_figure
from benchmark.report.significance import rankings
from benchmark.report.tables import csv_text, markdown, print_tables
from benchmark.report.training_figure import training_figure
from tests.benchmark.report.test_report_sweep import CURVE, make_record, score_also, write
from tests.benchmark.report.test_sensitivity import FALSE_ALARMS, TARGETS, with_outcomes
from tests.benchmark.report.test_significance import scored
from tests.e2e.commands import ROOT, run

ABLATION = ROOT / "results" / "reference" / "sirst-ablation"


def image(predicted: int, intersection: int, positive: int = 5) -> ImageScore:
    """Of 10 x 10 px."""
    return ImageScore(
        name="x", height=10, width=10, targets=1, hits=0, false_components=0, false_alarm_pixels=0,
        intersection=intersection, predicted=predicted, positive=positive,
    )  # fmt: skip


def judged(record: Record, *images: ImageScore) -> Record:
    """The record with these counts, and the IoU that follows from them."""
    scores = record.scores["native"]
    union = sum(i.predicted + i.positive - i.intersection for i in images)
    scores.images = list(images)
    scores.metrics["iou"] = sum(i.intersection for i in images) / union
    return record


def watched(record: Record, *values: float | None, part: str = "val") -> Record:
    """With this IoU in the history, None where it was not measured."""
    record.history = [
        Epoch(epoch=e, loss=1.0, lr=0.1, seconds=1.0, **{part: None if v is None else {"iou": v}})
        for e, v in enumerate(values)
    ]
    return record


def silent(*args: object, **more: object) -> Record:
    """A run that predicts nothing."""
    record = make_record(*args, pd=0.0, fa=0.0, niou=0.0, f1=0.0, **more)
    return watched(judged(record, image(0, 0)), 0.2, 0.004, 0.0)


# --- the rule --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "what"),
    [
        # Everything on: 5 / 100 in one image, 10 / 200 in two.
        ([image(0, 0)], "predicts nothing"),
        ([image(100, 5)], "predicts everything"),
        ([image(100, 5), image(100, 5)], "predicts everything"),
        ([image(90, 4)], "predicts 90.00 % of all pixels"),  # 4 / 91 = 4.4 %
        ([image(20, 1)], "IoU 4.17 %, where the best constant map has 5.00 %"),  # 1 / 24
        ([image(95, 5)], None),  # 5 / 95 = 5.3 %
        ([image(5, 5)], None),
        ([image(0, 0), image(5, 5)], None),  # 5 / 10 over the whole set
        ([image(10, 0, positive=0)], None),  # no target: nothing could be learned
    ],
)
def test_no_better_than_a_constant_map(images: list[ImageScore], what: str | None) -> None:
    found = collapses(judged(make_record(), *images))
    assert {name: collapse.what for name, collapse in found.items()} == (
        {"native": what} if what else {}
    )


def test_curve_stands_in_for_images() -> None:
    """20 target pixels of a million."""
    assert constant_iou(make_record().scores["native"]) == 2e-5
    assert collapses(make_record(iou=2e-5))["native"].what == (
        "IoU 0.002 %, where the best constant map has 0.002 %"
    )
    assert collapses(make_record(iou=3e-5)) == {}
    bare = make_record(iou=0.0)
    bare.scores["native"].curve = None
    assert collapses(bare) == {}


@pytest.mark.parametrize(
    ("values", "since", "epoch"),
    [
        ((0.3, 0.2, 0.0099, 0.001), "validation IoU below 1 % from epoch 2 on", 2),
        ((0.3, 0.001, 0.2, 0.001), "validation IoU below 1 % from epoch 3 on", 3),
        ((0.3, None, None, 0.001), "validation IoU below 1 % from epoch 3 on", 3),
        ((None, 0.001, 0.0), "validation IoU never reached 1 %", 1),
        ((0.3, 0.001, 0.01), "", None),
        ((None, None), "", None),
    ],
)
def test_since_when(values: tuple, since: str, epoch: int | None) -> None:
    record = watched(judged(make_record(), image(0, 0, positive=1), image(0, 0, 0)), *values)
    assert collapses(record)["native"] == Collapse("predicts nothing", since, epoch)


def test_since_when_by_the_test_images_and_for_large_targets() -> None:
    record = watched(judged(make_record(), image(0, 0)), 0.06, 0.04, part="test")
    assert collapses(record)["native"].since == "test IoU below 5 % from epoch 1 on"


@pytest.mark.parametrize(
    ("before", "val", "iou", "collapsed"),
    [
        (0.2, 0.1, 0.1, True),
        (0.2, 0.2, 0.1, False),  # as good on the same images
        (0.2, 0.1, 0.3, False),  # one small validation part does not decide
        (0.0, 0.0, 0.1, False),
    ],
)
def test_worse_than_untrained(before: float, val: float, iou: float, collapsed: bool) -> None:
    record = watched(make_record(iou=iou), 0.5, val, 0.6)
    record.selected_epoch = 1
    record.untrained = Untrained(part="val", images=16, protocol="native", metrics={"iou": before})
    found = collapses(record)
    assert bool(found) == collapsed
    if collapsed:
        assert found["native"].what == "validation IoU 10.00 %, 20.00 % before training"
        record.untrained.metrics["n_targets"] = 0
        assert collapses(record) == {}


def test_worse_than_untrained_on_the_first_test_images() -> None:
    """The first two of three: 2 / 40 = 5 % and, of all, 3 / 58 = 5.2 %; the constant map: 1 %."""
    images = [image(20, 1, 1), image(20, 1, 1), image(18, 1, 1)]
    record = judged(make_record(selection="last"), *images)
    record.untrained = Untrained(part="test", images=2, protocol="native", metrics={"iou": 0.06})
    assert collapses(record)["native"].what == "test IoU 5.00 %, 6.00 % before training"
    record.untrained.metrics["iou"] = 0.051  # more than on its own images, less than on all
    assert collapses(record) == {}


def test_untrained_is_kept_and_old_records_lack_it(tmp_path: Path) -> None:
    record = make_record()
    record.untrained = Untrained(part="val", images=2, protocol="native", metrics={"iou": 0.1})
    (path,) = write(tmp_path, record).glob("runs/**/record.json")
    assert read_record(path) == record
    old = next(ABLATION.glob("runs/**/record.json"))
    assert "untrained" not in old.read_text()
    assert read_record(old).untrained is None


def test_every_rule_of_selection_is_judged_by_its_own_scores(tmp_path: Path) -> None:
    record = score_also(silent(), "best-test", 0, iou=0.4)
    tables = {table.selection: table for table in collect(write(tmp_path, record)).tables}
    assert not tables["last"].rows[0].ranked
    assert tables["best-test"].rows[0].ranked


def test_tables_at_another_threshold_keep_the_verdict(tmp_path: Path) -> None:
    """At Fa = 0 the healthy one predicts nothing, the other has 9 of 20 pixels."""
    nothing = CURVE.model_copy(update={"hits": [1, 10, 8, 0], "intersection": [20, 18, 15, 0],
                                       "predicted": [1020, 118, 25, 0]})  # fmt: skip
    healthy = make_record("acm", iou=0.5)
    healthy.scores["native"].curve = nothing
    (table,) = collect(write(tmp_path, healthy, silent()), Point(0.0)).tables
    assert [row.ranked for row in table.rows] == [True, False]
    assert any("IoU at the protocol's own threshold" in line for line in notes(table))


# --- tables ----------------------------------------------------------------------------------


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """Three methods; of the best one's three seeds the last learned nothing."""
    records = [
        *(make_record("acm", seed=s, iou=0.9) for s in (0, 1)),
        silent("acm", seed=2),
        *(make_record("mshnet", seed=s, iou=0.5) for s in range(3)),
        *(make_record("unet", seed=s, iou=0.4) for s in range(3)),
    ]
    return collect(write(tmp_path, *records))


def test_the_mean_keeps_a_collapsed_seed_and_the_row_has_no_rank(collection: Collection) -> None:
    (table,) = collection.tables
    assert table.rows[0].summary("iou").mean == pytest.approx(0.6)  # (0.9 + 0.9 + 0) / 3
    assert table.rows[0].summary("iou").n == 3
    assert marks(table, COLUMNS[0]) == {1: "best", 2: "second"}
    text = markdown(collection, [], "")
    assert "| 3, collapsed (1 of 3) |" in text
    assert "**50.00 ± 0.00**" in text
    line = (
        "Collapsed, so without a rank: acm sls, seed 2: predicts nothing; validation IoU below 5 % "
        "from epoch 1 on."
    )
    assert line in text
    assert "(everything a target: 0.002 %, 5 %)" in text  # by curve, and by counts
    assert r"\shortstack[r]{3\\{\tiny collapsed 1/3}}" in latex(collection)
    rows = list(csv.DictReader(io.StringIO(csv_text(collection))))
    assert [row["collapsed"] for row in rows] == ["1", "0", "0"]
    console = Console(width=200, file=io.StringIO())
    print_tables(collection, console)
    assert "3, collapsed (1 of 3)" in console.file.getvalue()
    assert line in " ".join(console.file.getvalue().split())


def test_one_seed_that_collapsed(tmp_path: Path) -> None:
    (table,) = collect(write(tmp_path, silent(), make_record("mshnet", seed=1))).tables
    assert table.rows[0].collapsed_text() == "collapsed (1 of 2)"
    (table,) = collect(write(tmp_path / "alone", silent())).tables
    assert table.rows[0].collapsed_text() == "collapsed"


def test_two_rows_left_to_compare_are_needed(tmp_path: Path) -> None:
    found = collect(write(tmp_path, make_record("acm"), silent("mshnet")))
    assert marks(found.tables[0], COLUMNS[0]) == {}
    text = markdown(found, [], "") + latex(found)
    assert "**50" not in text
    assert "second" not in text.lower()


def test_no_pairs_and_no_ranks_with_a_collapsed_row(tmp_path: Path) -> None:
    records = [scored(name, 0, skill, offset=k) for k, (name, skill) in
               enumerate({"acm": 0.9, "dnanet": 0.6, "mshnet": 0.8}.items())]  # fmt: skip
    scores = records[2].scores["native"]
    nothing = {"intersection": 0, "predicted": 0, "hits": 0, "false_alarm_pixels": 0}
    scores.images = [one.model_copy(update=nothing) for one in scores.images]
    scores.metrics["iou"] = 0.0
    tables = collect(write(tmp_path, *records)).tables
    study = tables[0].study
    assert set(study.intervals["iou"]) == {0, 1, 2}
    for key, pairs in study.comparisons.items():
        assert [(p.first.detector, p.second.detector) for p in pairs] == [("acm", "dnanet")], key
    assert all(2 not in rows for rows in study.alike.values())
    (ranking,) = rankings(tables)
    assert set(ranking.ranks) == {"acm, sls", "dnanet, sls"}


def test_maps_predicted_elsewhere_can_be_nothing_but_constant(tmp_path: Path) -> None:
    record = judged(make_record("theirs", "unknown"), image(100, 5))
    record.data.train_hash = ""
    (table,) = collect(write(tmp_path, record)).tables
    assert table.rows[0].foreign
    assert table.rows[0].collapsed[0].what == "predicts everything"


def test_the_reference_ablation_has_one() -> None:
    (table,) = collect(ABLATION).tables
    found = {row.name[:2]: row.collapsed for row in table.rows if row.collapsed}
    assert found == {
        ("mshnet:scales=2", "sls"): {
            0: Collapse("predicts 99.95 % of all pixels", "validation IoU never reached 1 %", 4)
        }
    }
    (fewest,) = (column for column in COLUMNS if column.key == "false_alarms_per_image")
    number = [row.name[:2] for row in table.rows].index(("mshnet:scales=2", "sls"))
    assert number not in marks(table, fewest)


# --- figures ---------------------------------------------------------------------------------


def _healthy() -> list[Record]:
    return [
        with_outcomes(watched(make_record(name, iou=0.6 + 0.01 * k, pd=0.9, fa=2e-5), 0.5, 0.55))
        for k, name in enumerate(("acm", "alcnet", "dnanet", "mshnet"))
    ]


def _collapsed() -> Record:
    """It calls everything a target, and its loss is huge."""
    record = with_outcomes(make_record("unet", pd=0.0, fa=0.99))
    with_outcomes(record, TARGETS | {"outcome": ["unseen"] * 8, "distance": [None] * 8},
                  FALSE_ALARMS | {"distance": [999.0] * 6})  # fmt: skip
    watched(judged(record, *[image(100, 5)] * 4), 0.5, 0.001)
    record.history[1].loss = 1e6
    flat = [990_000, 990_000, 990_000, 1]
    record.scores["native"].curve = CURVE.model_copy(
        update={"hits": [0] * 4, "false_alarm_pixels": flat, "predicted": flat}
    )
    return record


def test_axes_reach_as_far_as_without_it(tmp_path: Path) -> None:
    limits = []
    for number, extra in enumerate(([], [_collapsed()])):
        collection = collect(write(tmp_path / str(number), *_healthy(), *extra))
        table, style = collection.tables[0], Style(collection)
        drawn = [make(table, style) for make in (overview_figure, pd_fa_figure, sensitivity_figure,
                                                 training_figure)]  # fmt: skip
        across = [axes.get_xlim() for figure in drawn for axes in figure.axes]
        up = [axes.get_ylim() for figure in drawn[1:] for axes in figure.axes]
        limits.append(np.array([*across, *up]))
    np.testing.assert_allclose(*limits)


def test_figures_say_what_collapsed_and_since_when(tmp_path: Path) -> None:
    collection = collect(write(tmp_path, *_healthy(), _collapsed()))
    table, style = collection.tables[0], Style(collection)
    overview = overview_figure(table, style)
    names = [label.get_text() for label in overview.axes[0].get_yticklabels()]
    assert "unet, sls – collapsed" in names
    written = [text.get_text() for axes in overview.axes for text in axes.texts]
    assert written == ["← 5.00", "← 0.00", "990000.00 →"]
    training = training_figure(table, style)
    (cross,) = [line for line in training.axes[1].lines if line.get_marker() == "X"]
    assert cross.get_xdata()[0] == 1
    assert cross.get_ydata()[0] == training.axes[1].get_ylim()[0]  # out of sight, so at the edge
    text = " ".join(training.axes[0].get_title().split())
    assert "unet, sls, seed 0 (predicts everything; validation IoU below 5 % from epoch 1" in text
    legend = [entry.get_text() for entry in training.legends[0].get_texts()]
    assert "unet, sls – collapsed" in legend
    assert "without collapsed methods" in sensitivity_figure(table, style).get_suptitle()


# --- the whole way ---------------------------------------------------------------------------


@pytest.mark.extra
def test_a_detector_that_gives_nothing_is_called_so(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "mute.py").write_text(
        "from torch import nn\n"
        "from detectors.base import Detector, Prediction\n\n\n"
        "class Mute(Detector):\n"
        '    name = "mute"\n    in_channels = 1\n    mean = (0.4,)\n    std = (0.2,)\n\n'
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.net = nn.Conv2d(1, 1, 1)\n\n"
        "    def forward(self, x):\n"
        "        return Prediction(0 * self.net(x) - 9)\n"
    )
    done = run("--plugins", plugins, "--detectors", "mute", "--loss", "sls",
               "--dataset", "synthetic:size=64", "--limit", "4", "--epochs", "1", "--device", "cpu",
               "--seeds", "0", "--no-profile", "--set", "val_fraction=0.2",
               "--output", tmp_path / "out")  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "1, collapsed" in done.stdout
    assert "predicts nothing; validation IoU never reached" in " ".join(done.stdout.split())
    (path,) = (tmp_path / "out").glob("runs/**/record.json")
    record = read_record(path)
    assert record.status == "done"
    assert "mute names no output layers (`outputs`)" in record.data.notes[-1]
    assert record.untrained.part == "val"
    assert record.untrained.metrics["iou"] == 0
    assert not path.with_name("untrained.json").exists()
    # Every row has collapsed, and all is written nevertheless.
    written = {
        path.stem.partition("_synthetic")[0] for path in tmp_path.glob("out/report/figures/*")
    }
    assert written == {"leaderboard", "pd_fa", "roc_pr", "sensitivity", "training", "examples"}
    page = (tmp_path / "out/report/leaderboard.md").read_text("utf-8")
    assert "1, collapsed |" in page
    assert "**" not in page
