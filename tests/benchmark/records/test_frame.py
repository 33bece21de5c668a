"""`load_records`: rows and columns at every level, what it warns of, what it refuses."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.measures import METRICS
from benchmark.records import load_records
from benchmark.records.frame import _COLUMNS
from benchmark.records.record import ImageScore, Scores, Selected, Targets, read_record
from tests.benchmark.report.test_report_sweep import METRICS as NUMBERS
from tests.benchmark.report.test_report_sweep import make_record, write
from tests.e2e.commands import ROOT

REFERENCE = ROOT / "results" / "reference"
KEYS = ["dataset", "detector", "loss", "seed", "recipe", "epochs", "selection", "protocol", "id"]


def image(name: str, intersection: int, predicted: int, positive: int, **sums: float) -> ImageScore:
    return ImageScore(
        name=name, height=8, width=9, targets=1, hits=1, false_components=0, false_alarm_pixels=0,
        intersection=intersection, predicted=predicted, positive=positive, sums=sums,
    )  # fmt: skip


def scores(protocol: str, *images: ImageScore, **more) -> Scores:
    return Scores(protocol=protocol, version=1, metrics=NUMBERS, images=list(images), **more)


@pytest.fixture(autouse=True)
def _every_warning_is_expected():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_one_row_a_run_selection_rule_and_protocol(tmp_path: Path) -> None:
    record = make_record(protocols=("native", "opdc"), iou=0.25, hiou=0.5)
    record.others = {"best-test": Selected(epoch=1, scores={"native": scores("native")})}
    frame = load_records(write(tmp_path, record, make_record(seed=1)))
    assert frame[["seed", "selection", "protocol", "iou"]].values.tolist() == [
        [0, "last", "native", 0.25], [0, "last", "opdc", 0.25], [0, "best-test", "native", 0.5],
        [1, "last", "native", 0.5],
    ]  # fmt: skip
    assert frame["selected_epoch"].dropna().tolist() == [1]
    assert frame["hiou"].notna().tolist() == [True, True, False, False]
    assert frame["fa"].tolist() == [1e-5] * 4
    row = frame.iloc[0]
    assert (row["status"], row["epochs"], row["device"]) == ("done", 3, "Test CPU")
    assert (row["numeric_precision"], row["precision"], row["leaked"]) == ("fp32", 0.5, 0)
    assert row["train_images"] == record.data.train_images
    assert row["test_hash"] == record.data.test_hash
    assert row["parameters"] == record.cost.parameters
    assert read_record(Path(row["folder"]) / "record.json") == record


def test_metrics_stand_together_in_the_order_of_the_tables(tmp_path: Path) -> None:
    record = make_record(zeta=0.5, seg_iou=0.5, hiou=0.5)
    columns = list(load_records(write(tmp_path, record)).columns)
    assert columns[:8] == [
        "dataset", "detector", "loss", "seed", "recipe", "selection", "protocol", "status",
    ]  # fmt: skip
    known = [m.key for m in METRICS if m.key in {*NUMBERS, "hiou", "seg_iou"}]
    assert columns[8 : 8 + len(known) + 2] == [*known, "zeta", "epochs"]


def test_no_two_columns_have_one_name() -> None:
    for level in _COLUMNS:
        columns = list(load_records(REFERENCE / "sirst-protocols", level).columns)
        assert len(set(columns)) == len(columns)


@pytest.mark.parametrize("status", ["failed", "oom", "diverged"])
def test_a_cell_without_a_result_has_a_row_without_metrics(tmp_path: Path, status: str) -> None:
    bad = make_record(seed=1, status=status)
    bad.error = "it broke"
    output = write(tmp_path, make_record(), bad)
    frame = load_records(output)
    assert frame["status"].tolist() == ["done", status]
    row = frame.iloc[1]
    assert row[["protocol", "protocol_version", *NUMBERS]].isna().all()
    assert (row["error"], row["selection"], row["seed"]) == ("it broke", "last", 1)
    alone = load_records(write(tmp_path / "alone", bad))
    assert alone["iou"].dtype == float
    assert alone["iou"].isna().all()


def test_one_row_an_image(tmp_path: Path) -> None:
    record = make_record(protocols=("native", "basicirstd"))
    images = image("a", 5, 10, 10), image("b", 0, 0, 0)
    record.scores["native"] = scores("native", *images)
    record.scores["basicirstd"] = scores("basicirstd", image("a", 1, 2, 3, extra=0.5), images[1])
    frame = load_records(write(tmp_path, record), level="image")
    assert list(frame.columns[:11]) == [*KEYS, "image", "iou"]
    assert frame["image"].tolist() == ["a", "b"] * 2
    assert frame["protocol"].tolist() == ["native"] * 2 + ["basicirstd"] * 2
    assert frame["iou"].tolist() == [5 / 15, 1.0, 1 / 4, 0.0]  # by each protocol's empty rule
    assert frame["positive"].tolist() == [10, 0, 3, 0]
    assert frame["extra"].tolist()[2] == 0.5
    assert frame["extra"].isna().sum() == 3


def test_one_row_a_target(tmp_path: Path) -> None:
    record = make_record(protocols=("native", "basicirstd"))
    targets = Targets(
        image=[1, 0, 1], area=[4, 9, 16], scr=[2.5, None, 1.0], outcome=["hit", "unseen", "hit"],
        predicted_area=[5, 0, 15], intersection=[3, 0, 14], distance=[0.5, None, 1.0],
    )  # fmt: skip
    images = image("a", 5, 10, 10), image("b", 0, 0, 0)
    record.scores["native"] = scores("native", *images, targets=targets)
    frame = load_records(write(tmp_path, record, make_record(seed=1, status="oom")), "target")
    assert list(frame.columns) == [*KEYS, *Targets.model_fields]
    assert frame["image"].tolist() == ["b", "a", "b"]
    assert frame["area"].tolist() == [4, 9, 16]
    assert frame["outcome"].tolist() == targets.outcome
    assert np.isnan(frame.loc[1, ["scr", "distance"]].astype(float)).all()
    assert frame["protocol"].tolist() == ["native"] * 3


@pytest.mark.parametrize("name", ["sirst-first", "sirst-ablation", "sirst-protocols"])
def test_images_and_targets_add_up_to_the_metrics(name: str) -> None:
    runs = load_records(REFERENCE / name).set_index(["id", "protocol"])
    images = load_records(REFERENCE / name / "runs", level="image")
    groups = images.groupby(["id", "protocol"])
    np.testing.assert_allclose(groups["iou"].mean()[runs.index], runs["niou"])
    assert (groups.size()[runs.index] == runs["n_images"]).all()
    if name != "sirst-first":  # from before targets were recorded
        targets = load_records(REFERENCE / name, level="target")
        hits = (targets["outcome"] == "hit").groupby([targets["id"], targets["protocol"]])
        np.testing.assert_allclose(hits.mean(), runs["pd"][hits.mean().index])
        assert (hits.size() == runs["n_targets"][hits.size().index]).all()


def test_records_from_before_targets_are_told_of() -> None:
    with pytest.warns(UserWarning, match="5 of 5 records have no targets; they are from before"):
        frame = load_records(REFERENCE / "sirst-first", level="target")
    assert frame.empty
    assert list(frame.columns) == [*KEYS, *Targets.model_fields]


def test_what_is_no_record_is_told_of(tmp_path: Path) -> None:
    output = write(tmp_path, make_record())
    broken = output / "runs" / "broken" / "record.json"
    broken.parent.mkdir()
    broken.write_text("{")
    with pytest.warns(UserWarning, match=r"broken/record\.json: not a record") as told:
        frame = load_records(str(output))
    assert len(frame) == 1
    assert told[0].filename == __file__  # the caller's line
    with pytest.warns(UserWarning, match="not a record"):
        assert load_records(broken.parent)["iou"].tolist() == []


@pytest.mark.parametrize(
    ("folder", "level", "message"),
    [
        ("", "imgae", "level 'imgae': did you mean 'image'? the levels are run, image, target"),
        ("none", "run", "none: no such folder; name the OUTPUT folder of a benchmark run"),
        ("", "run", ": no records (looked for **/record.json); name the OUTPUT folder"),
    ],
)
def test_refusals_are_one_line(tmp_path: Path, folder: str, level: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_records(tmp_path / folder, level=level)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pandas_is_imported_by_the_call() -> None:
    code = (
        "import sys; from benchmark.records import load_records\n"
        "assert not {'pandas', 'numpy', 'torch'} & set(sys.modules)\n"
        "load_records('results/reference/sirst-first')\n"
        "assert 'pandas' in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
