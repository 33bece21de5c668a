"""Numbers of whole curves and tables at other thresholds, worked out by hand."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from benchmark.errors import UserError
from benchmark.records.record import Curve
from benchmark.report import write_report
from benchmark.report.captions import caption, title
from benchmark.report.collect import collect
from benchmark.report.columns import columns_of
from benchmark.report.operating import curve_numbers, parse_point, precision_recall, roc
from benchmark.report.tables import markdown
from tests.benchmark.report.test_report_sweep import make_record, write

# Ten targets of 100 px in all, in two images of a million pixels each.
CURVE = Curve(
    thresholds=[0.1, 0.5, 0.9],
    hits=[9, 8, 4],
    false_alarm_pixels=[2000, 20, 2],
    false_components=[50, 4, 1],
    intersection=[90, 80, 40],
    predicted=[2100, 110, 42],
    targets=10,
    positive=100,
    pixels=2_000_000,
    images=2,
)


def test_numbers_of_a_curve():
    numbers = curve_numbers(CURVE)
    # Fa is 1e-3, 1e-5 and 1e-6.
    assert numbers["pd_at_fa_1e-06"] == 0.4
    assert numbers["pd_at_fa_1e-05"] == 0.8
    assert numbers["pd_at_fa_1e-04"] == 0.8
    assert numbers["pd_fa_area"] == pytest.approx((0.4 + 0.8) / 2)  # a decade each
    # IoU: 90 / 2110, 80 / 130, 40 / 102.
    assert numbers["best_iou"] == pytest.approx(80 / 130)
    assert numbers["best_iou_threshold"] == 0.5
    gains = [(0.4, 40 / 42), (0.4, 80 / 110), (0.1, 90 / 2100)]
    assert numbers["average_precision"] == pytest.approx(sum(r * p for r, p in gains))
    # Trapezoids: false-positive rates 0, 2, 30, 2010 and all of 1,999,900.
    x = np.array([0, 2, 30, 2010, 1_999_900]) / 1_999_900
    y = np.array([0, 0.4, 0.8, 0.9, 1])
    area = sum((x[k + 1] - x[k]) * (y[k] + y[k + 1]) / 2 for k in range(4))
    assert numbers["roc_auc"] == pytest.approx(area)


def test_a_budget_that_no_threshold_keeps_leaves_the_empty_prediction():
    strict = CURVE.model_copy(update={"false_alarm_pixels": [4000, 400, 40]})
    numbers = curve_numbers(strict)
    assert numbers["pd_at_fa_1e-06"] == numbers["pd_at_fa_1e-05"] == 0
    assert numbers["pd_at_fa_1e-04"] == 0.4


def test_curves_start_and_end_where_they_must():
    false, true = roc(CURVE)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert (np.diff(false) >= 0).all()
    recall, precision = precision_recall(CURVE.model_copy(update={"predicted": [2100, 110, 0]}))
    assert len(recall) == len(precision) == 2  # an empty prediction has no precision


def test_without_targets_there_are_no_numbers():
    assert curve_numbers(CURVE.model_copy(update={"targets": 0, "positive": 0})) == {}


@pytest.fixture
def output(tmp_path):
    records = [make_record(loss=loss) for loss in ("sls", "soft_iou")]
    for record in records:
        record.scores["native"].curve = CURVE
    return write(tmp_path, *records)


def test_table_at_the_best_iou(output):
    (table,) = collect(output, parse_point("best-iou")).tables
    row = table.rows[0]
    assert row.values("iou") == [80 / 130]
    assert row.values("f1") == [160 / 210]
    assert row.values("pd") == [0.8]
    assert row.values("fa") == [1e-5]
    assert row.values("false_alarms_per_image") == [2]
    assert row.values("threshold") == [0.5]
    assert row.values("niou") == []  # not known from a curve, and not the number at 0.5
    assert "AT best-IoU threshold" in title(table)
    assert "CHOSEN ON THE TEST SET" in caption(table)
    assert "threshold" in [column.key for column in columns_of(table)]
    assert "—" in markdown(collect(output, parse_point("best-iou")), [], "")


def test_table_below_a_budget(output):
    (table,) = collect(output, parse_point("fa=2e-6")).tables
    assert table.rows[0].values("pd") == [0.4]
    assert table.rows[0].values("iou") == [40 / 102]
    (table,) = collect(output, parse_point("fa=1e-7")).tables
    assert table.rows[0].values("pd") == []  # no stored threshold keeps it: a dash, not a 0


def test_report_at_another_point_stands_beside_the_leaderboard(output):
    console = Console(file=io.StringIO(), width=200)
    paths = write_report(output, console, parse_point("fa=1e-5"))
    assert all(path.parent.name == "at-fa-1e-05" or "figures" in path.parts for path in paths)
    assert not (output / "report" / "leaderboard.md").exists()
    assert "AT Fa <= 1e-05" in (output / "report" / "at-fa-1e-05" / "leaderboard.md").read_text()


@pytest.mark.parametrize("text", ["best", "fa", "fa=x", "fa=-1", "fa=nan", "pd=0.9", ""])
def test_other_points_are_refused(text):
    with pytest.raises(UserError, match=r"write best-iou, or fa=X"):
        parse_point(text)


def test_without_curves_there_is_one_clear_error(tmp_path):
    record = make_record()
    record.scores["native"].curve = None
    with pytest.raises(UserError, match="no record has a curve"):
        write_report(write(tmp_path, record), Console(file=io.StringIO()), parse_point("best-iou"))


def test_the_numbers_are_finite():
    assert all(map(math.isfinite, curve_numbers(CURVE).values()))
