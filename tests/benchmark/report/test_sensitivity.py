"""Sensitivity to size, contrast and place: every number worked out by hand from a small record."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from benchmark.figures.style import drawing
from benchmark.records.record import FalseAlarms, ImageScore, Record, Targets
from benchmark.report.collect import collect
from benchmark.report.line_styles import Style
from benchmark.report.model import Collection
from benchmark.report.operating import Point
from benchmark.report.sensitivity import (
    CONTRASTS,
    DISTANCES,
    SIZES,
    measure,
    sensitivities,
)
from benchmark.report.sensitivity_figure import sensitivity_figure
from benchmark.report.sensitivity_page import sensitivity_csv, sensitivity_markdown
from tests.benchmark.report.test_report_sweep import make_record, write

# Eight targets on four images; the fourth image has none.
TARGETS = {
    "image": [0, 0, 0, 1, 1, 1, 2, 2],
    "area": [4, 9, 9, 10, 20, 25, 40, 50],
    "scr": [1.0, 5.0, 5.5, 10.0, 12.0, None, 30.0, 30.0],
    "outcome": ["unseen", "hit", "hit", "hit", "hit", "merged", "shifted", "unseen"],
    "predicted_area": [0, 9, 27, 5, 30, 0, 0, 0],
    "intersection": [0, 9, 9, 5, 10, 0, 0, 0],
    "distance": [None, 0.0, 1.0, 2.0, 0.5, None, None, None],
}
FALSE_ALARMS = {
    "image": [0, 0, 1, 1, 2, 3],
    "area": [1, 9, 10, 80, 81, 5],
    "distance": [0.0, 3.0, 3.162, 10.0, 50.5, None],
}
IMAGES = [3, 3, 2, 0]  # targets


def with_outcomes(
    record: Record, targets: dict = TARGETS, false: dict = FALSE_ALARMS, images: list = IMAGES
) -> Record:
    scores = record.scores["native"]
    scores.targets, scores.false_alarms = Targets(**targets), FalseAlarms(**false)
    scores.images = [
        ImageScore(
            name=str(number), height=9, width=9, targets=count, hits=0, false_components=0,
            false_alarm_pixels=0, intersection=0, predicted=0, positive=0,
        )
        for number, count in enumerate(images)
    ]  # fmt: skip
    return record


def two_seeds(tmp_path: Path) -> Collection:
    """The second seed misses the targets of 10 and 20 px, too, and has no false alarm."""
    worse = TARGETS | {
        "outcome": ["unseen", "hit", "hit", "merged", "merged", "merged", "shifted", "unseen"],
        "predicted_area": [0, 9, 27, 0, 0, 0, 0, 0],
        "intersection": [0, 9, 9, 0, 0, 0, 0, 0],
        "distance": [None, 0.0, 1.0, None, None, None, None, None],
    }
    none = {"image": [], "area": [], "distance": []}
    records = [
        with_outcomes(make_record(seed=0)), with_outcomes(make_record(seed=1), worse, none),
    ]  # fmt: skip
    return collect(write(tmp_path, *records))


def cells(text: str, heading: str) -> dict[str, dict[str, str]]:
    """The Markdown table below a heading: first cell of a line -> title -> cell."""
    block = text.split(f"**{heading}**\n\n")[1].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in block]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def test_bins() -> None:
    assert SIZES.place([1, 9, 10, 25, 26, 80, 81]).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert CONTRASTS.place([0.0, 5.0, 5.01, 20.0, 20.1]).tolist() == [0, 0, 1, 2, 3]
    assert DISTANCES.place([0.0, 3.0, 3.162, 50.0, 50.01, None]).tolist() == [0, 0, 1, 2, 3, 4]
    assert len(CONTRASTS.names) == 4  # so a target without a ratio, number 4, is in no bin


def test_numbers_by_hand() -> None:
    numbers = measure(with_outcomes(make_record()).scores["native"])
    every = ("all", "all")
    assert numbers[*every, "targets"] == 8
    assert numbers[*every, "pd"] == 4 / 8
    assert [numbers[*every, kind] for kind in ("unseen", "merged", "shifted")] == [
        2 / 8, 1 / 8, 1 / 8,
    ]  # fmt: skip
    # IoU of the hits: 9 / 9, 9 / 27, 5 / 10, 10 / 40. Area errors: 0, 2, -1/2, 1/2.
    assert numbers[*every, "hit_iou"] == pytest.approx((1 + 1 / 3 + 0.5 + 0.25) / 4)
    assert numbers[*every, "hit_area_error"] == pytest.approx(0.25)
    assert numbers[*every, "centroid_error_median"] == pytest.approx(0.75)
    # Of 0, 0.5, 1, 2 the 95th percentile lies at 2.85 of 3 steps, 85 % from 1 to 2.
    assert numbers[*every, "centroid_error_p95"] == pytest.approx(1.85)

    def by(group: str, names: tuple[str, ...], quantity: str) -> list:
        return [numbers[group, name, quantity] for name in names]

    assert by("target_size", SIZES.names, "targets") == [3, 3, 2, 0]
    assert by("target_size", SIZES.names, "pd") == [2 / 3, 2 / 3, 0, None]
    assert by("target_size", SIZES.names, "hit_iou") == [pytest.approx(2 / 3), 0.375, None, None]
    assert by("target_size", SIZES.names, "hit_area_error") == [1.0, 0.0, None, None]
    assert by("target_size", SIZES.names, "shifted") == [0, 0, 0.5, None]
    assert by("scr", CONTRASTS.names, "targets") == [2, 2, 1, 2]
    assert by("scr", CONTRASTS.names, "pd") == [0.5, 1, 1, 0]
    assert numbers[*every, "false_components"] == 6 / 4
    assert by("false_alarm_distance", DISTANCES.names, "false_components") == [
        2 / 4, 2 / 4, 0, 1 / 4, 1 / 4,
    ]  # fmt: skip
    assert by("false_alarm_size", SIZES.names, "false_components") == [3 / 4, 1 / 4, 1 / 4, 1 / 4]


def test_what_cannot_happen_is_missing_and_not_zero() -> None:
    def distances(images: list[int]) -> list:
        record = with_outcomes(make_record(), false={k: [] for k in FALSE_ALARMS}, images=images)
        numbers = measure(record.scores["native"])
        return [
            numbers["false_alarm_distance", name, "false_components"] for name in DISTANCES.names
        ]

    assert distances([3, 3, 2]) == [0, 0, 0, 0, None]
    assert distances([0, 0, 0]) == [None, None, None, None, 0]


def test_mean_and_std_over_seeds(tmp_path: Path) -> None:
    text = sensitivity_markdown(two_seeds(tmp_path).tables[0])
    table = cells(text, "Pd (%)")
    assert table["*number of targets*"]["10–25 px"] == "3"
    row = table["mshnet"]
    assert row["n"] == "2"
    assert row["all"] == "37.5 ± 17.7"  # 50 and 25
    assert row["≤ 9 px"] == "66.7 ± 0.0"
    assert row["10–25 px"] == "33.3 ± 47.1"  # 66.7 and 0
    assert row["> 80 px"] == "—"
    assert cells(text, "Mean IoU of hit targets (%)")["mshnet"]["10–25 px"] == "—"  # one seed only
    lost = cells(text, "Centroid error of hit targets, and what became of the others")["mshnet"]
    assert lost["Merged (%)"] == "25.0 ± 17.7"  # 12.5 and 37.5
    assert lost["Unseen (%)"] == "25.0 ± 0.0"
    heading = "False components per image, by distance to the nearest target and by size"
    false = cells(text, heading)["mshnet"]
    assert false["all"] == "0.75 ± 1.06"  # 1.5 and 0
    assert false["no target"] == "0.12 ± 0.18"  # 0.25 and 0
    assert "not defined for 1 target." in text


def test_csv_is_tidy(tmp_path: Path) -> None:
    collection = two_seeds(tmp_path)
    lines = list(csv.DictReader(io.StringIO(sensitivity_csv(collection))))
    found = {(x["group"], x["bin"], x["quantity"]): x for x in lines}
    assert len(found) == len(lines)
    line = found["all", "all", "pd"]
    assert (line["dataset"], line["protocol"], line["detector"], line["loss"]) == (
        "sirst", "native", "mshnet", "sls",
    )  # fmt: skip
    assert (line["seeds"], line["n"], line["value"]) == ("0 1", "2", "0.375")
    assert float(line["std"]) == pytest.approx(np.std([0.5, 0.25], ddof=1))
    assert found["target_size", "10-25", "hit_iou"]["value"] == ""
    assert found["scr", "<= 5", "targets"]["value"] == "2.0"


def test_records_without_outcomes_say_nothing(tmp_path: Path) -> None:
    collection = collect(write(tmp_path, make_record(), make_record(seed=1, status="failed")))
    (table,) = collection.tables
    assert sensitivity_markdown(table) == ""
    assert sensitivity_csv(collection) == ""
    assert sensitivity_figure(table, Style(collection)) is None


def test_only_seeds_and_methods_with_outcomes_are_counted(tmp_path: Path) -> None:
    records = [with_outcomes(make_record(seed=0)), make_record(seed=1), make_record("acm")]
    (table,) = collect(write(tmp_path, *records)).tables
    (method,) = sensitivities(table)
    assert [run.record.cell.seed for run in method.runs] == [0]
    assert cells(sensitivity_markdown(table), "Pd (%)")["mshnet"]["n"] == "1"


def test_tables_at_another_threshold_have_none(tmp_path: Path) -> None:
    """The outcomes are those at the protocol's threshold."""
    write(tmp_path, with_outcomes(make_record()))
    collection = collect(tmp_path, Point(None))
    assert sensitivity_markdown(collection.tables[0]) == ""
    assert sensitivity_figure(collection.tables[0], Style(collection)) is None


def test_figure(tmp_path: Path) -> None:
    collection = two_seeds(tmp_path)
    with drawing():
        figure = sensitivity_figure(collection.tables[0], Style(collection))
        figure.canvas.draw()
    pd, scr, iou, error, misses, false = figure.axes
    assert [text.get_text() for text in pd.get_xticklabels()] == [
        "≤ 9\n$n$ = 3", "10–25\n$n$ = 3", "26–80\n$n$ = 2",
    ]  # fmt: skip
    np.testing.assert_allclose(pd.lines[0].get_ydata(), [200 / 3, 100 / 3, 0])
    (whiskers,) = pd.collections
    ends = [segment[:, 1].tolist() for segment in whiskers.get_segments()]
    np.testing.assert_allclose(ends, [[200 / 3, 200 / 3], [0, 200 / 3], [0, 0]], atol=1e-9)
    np.testing.assert_allclose(scr.lines[0].get_ydata(), [50, 75, 50, 0])
    np.testing.assert_allclose(iou.lines[0].get_ydata(), [200 / 3, np.nan, np.nan])
    # Half-way between the hits at 0, 0.5, 1, 2 and those at 0, 1.
    x, y = error.lines[0].get_data()
    np.testing.assert_allclose(y[[0, 50, 99, 100, 200]], [37.5, 50, 50, 87.5, 100])
    assert x[100] == 1.0
    bars = [(bar.get_x(), bar.get_width()) for bar in misses.patches]
    np.testing.assert_allclose(bars, [(0, 25), (25, 25), (50, 12.5)])
    assert list(misses.lines[-1].get_xdata()) == [50, 75]
    np.testing.assert_allclose(false.lines[0].get_ydata(), [0.25, 0.25, 0, 0.125, 0.125])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mshnet, sls"]


@pytest.mark.parametrize("union", [19, 29, 38])
def test_figure_of_three_equal_seeds(tmp_path: Path, union: int) -> None:
    """Their mean is not always what they are, to the last digit: no whisker is negative."""
    one = {
        "image": [0], "area": [9], "scr": [5.0], "outcome": ["hit"],
        "predicted_area": [union], "intersection": [9], "distance": [0.0],
    }  # fmt: skip
    records = [with_outcomes(make_record(seed=seed), one) for seed in range(3)]
    collection = collect(write(tmp_path, *records))
    iou = sensitivity_figure(collection.tables[0], Style(collection)).axes[2]
    np.testing.assert_allclose(iou.lines[0].get_ydata()[0], 900 / union)


def test_figure_where_nothing_was_found_or_can_be_told(tmp_path: Path) -> None:
    """No hit, no contrast, no false alarm, and more methods than can be told apart."""
    count = len(TARGETS["area"])
    nothing = TARGETS | {
        "scr": [None] * count, "outcome": ["unseen"] * count, "predicted_area": [0] * count,
        "intersection": [0] * count, "distance": [None] * count,
    }  # fmt: skip
    none = {"image": [], "area": [], "distance": []}
    records = [with_outcomes(make_record(f"m{i:02d}"), nothing, none) for i in range(12)]
    records.append(with_outcomes(make_record("m12")))
    collection = collect(write(tmp_path, *records))
    with drawing():
        figure = sensitivity_figure(collection.tables[0], Style(collection))
    names = [text.get_text() for text in figure.axes[4].get_yticklabels()]
    assert len(names) == 12
    assert "m12, sls" in names
    assert "12 of 13" in figure.get_suptitle()
