"""A small recorded sweep, built by hand so that every number in a report can be checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.records.record import (
    Cell,
    Cost,
    Curve,
    Data,
    Environment,
    Epoch,
    Record,
    Scores,
    Selected,
    read_record,
)
from benchmark.report.collect import collect
from benchmark.report.tables import markdown

METRICS = {"iou": 0.5, "niou": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5, "pd": 0.5,
           "fa": 1e-5, "false_alarms_per_image": 0.25}  # fmt: skip
CURVE = Curve(
    thresholds=[0.0, 0.25, 0.5, 0.75], hits=[1, 10, 8, 5], false_alarm_pixels=[1000, 100, 10, 0],
    false_components=[1, 9, 2, 0], intersection=[20, 18, 15, 9], predicted=[1020, 118, 25, 9],
    targets=10, positive=20, pixels=1_000_000, images=4,
)  # fmt: skip


def make_record(
    detector: str = "mshnet",
    loss: str = "sls",
    seed: int = 0,
    *,
    dataset: str = "sirst",
    recipe: str = "standard",
    status: str = "done",
    settings: dict | None = None,
    selection: str = "last",
    protocols: tuple[str, ...] = ("native",),
    finished: str = "2025-01-01T01:00:00Z",
    split: str = "idx_427: 341 trainval / 86 test",
    test_hash: str = "h",
    **metrics: float,
) -> Record:
    """One run; metrics given by name override the plain ones, None leaves one out."""
    done = status == "done"
    values = {k: v for k, v in (METRICS | metrics).items() if v is not None}
    return Record(
        cell=Cell(id="0", dataset=dataset, detector=detector, loss=loss, seed=seed, recipe=recipe),
        status=status,
        settings={"epochs": 3, "lr": 0.05, "seed": seed, **(settings or {})},
        started="2025-01-01T00:00:00Z",
        finished=finished,
        command="python run_benchmark.py",
        environment=Environment(
            harness="0.1.0", python="3.11", torch="2.11", platform="Linux", device="Test CPU",
            threads=2, precision="fp32",
        ),
        data=Data(
            train_images=307, val_images=34, test_images=86, train_hash="t", test_hash=test_hash,
            split=split,
        ) if done else None,
        selection=selection,
        scores={
            name: Scores(protocol=name, version=1, rules="native size, probability > 0.5",
                         metrics=values, images=[], curve=CURVE)
            for name in protocols
        } if done else {},
        history=[
            Epoch(epoch=e, loss=1 / (1 + e), lr=0.05, seconds=1.0, val={"iou": 0.1 * e})
            for e in range(3)
        ] if done else [],
        cost=Cost(parameters=4_066_000, macs=6_105_000_000, macs_input="1x3x256x256",
                  train_seconds=600.0, test_seconds=3.0) if done else None,
        error=None if done else f"it {status} here",
    )  # fmt: skip


def score_also(record: Record, rule: str, epoch: int, **metrics: float) -> Record:
    """The same training scored under a further rule, with metrics as in `make_record`."""
    record.settings["also"] = sorted({*record.settings.get("also", []), rule})
    if record.status == "done":
        other = make_record(protocols=tuple(record.scores), **metrics)
        record.others[rule] = Selected(epoch=epoch, scores=other.scores)
    return record


def write(output: Path, *records: Record) -> Path:
    """Lay records out as the worker does; returns the output folder."""
    for record in records:
        cell = record.cell
        base = output / "runs" / cell.dataset / f"{cell.detector}+{cell.loss}"
        number = len(list(base.glob("*"))) if base.exists() else 0
        folder = base / f"seed{cell.seed}-{number}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(record.to_json(), encoding="utf-8")
    return output


def write_sweep(output: Path) -> Path:
    """Two detectors, two losses, three seeds; one cell failed and one method never fitted."""
    records = [
        *(make_record("mshnet", "sls", s, iou=v) for s, v in enumerate((0.70, 0.72, 0.74))),
        *(make_record("mshnet", "soft_iou", s, iou=v) for s, v in enumerate((0.68, 0.70))),
        make_record("mshnet", "soft_iou", 2, status="failed"),
        *(make_record("acm", "sls", s, iou=0.60, fa=3e-5) for s in range(3)),
        *(make_record("acm", "soft_iou", s, status="oom") for s in range(3)),
    ]
    return write(output, *records)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return write_sweep(tmp_path / "out")


def test_mean_and_sample_std(sweep: Path) -> None:
    (table,) = collect(sweep).tables
    rows = {row.name[:2]: row for row in table.rows}
    summary = rows["mshnet", "sls"].summary("iou")
    assert summary.n == 3
    assert summary.mean == pytest.approx(0.72)
    assert summary.std == pytest.approx(0.02)  # sqrt((4e-4 + 0 + 4e-4) / 2)
    assert rows["mshnet", "soft_iou"].summary("iou").n == 2


def test_one_seed_has_no_std(tmp_path: Path) -> None:
    (table,) = collect(write(tmp_path, make_record(iou=0.7))).tables
    assert table.rows[0].summary("iou").std is None


def test_cells_without_a_result_are_counted_and_give_no_number(sweep: Path) -> None:
    (table,) = collect(sweep).tables
    rows = {row.name[:2]: row for row in table.rows}
    assert rows["mshnet", "soft_iou"].trouble_text() == "failed (1 of 3)"
    assert rows["acm", "soft_iou"].trouble_text() == "oom (3 of 3)"
    assert rows["acm", "soft_iou"].summary("iou") is None
    assert rows["acm", "soft_iou"].summary("parameters") is None


def test_a_number_that_one_seed_lacks_is_missing(tmp_path: Path) -> None:
    output = write(tmp_path, make_record(seed=0), make_record(seed=1, precision=None))
    (table,) = collect(output).tables
    assert table.rows[0].summary("precision") is None
    assert table.rows[0].summary("iou").n == 2


def test_truncated_and_foreign_files_are_warnings(sweep: Path) -> None:
    for name, text in {
        "cut": make_record().to_json()[:200],
        "foreign": '{"name": "package"}',
        "other": make_record().to_json().replace("record/1", "record/9"),
        "binary": "\x00\x01",
        "empty": "",
    }.items():
        (sweep / "runs" / name).mkdir()
        (sweep / "runs" / name / "record.json").write_text(text)
    collection = collect(sweep)
    assert len(collection.warnings) == 5
    assert all("record.json" in warning for warning in collection.warnings)
    assert len(collection.tables) == 1
    assert len(collection.tables[0].rows) == 4


def test_recipes_selections_splits_and_protocols_are_never_in_one_table(tmp_path: Path) -> None:
    output = write(
        tmp_path,
        make_record(protocols=("native", "other")),
        make_record(recipe="quick"),
        make_record(selection="best-test"),
        make_record(split="idx_320", test_hash="other"),
        make_record(dataset="synthetic"),
    )
    tables = collect(output).tables
    assert len(tables) == 6
    assert all(len(table.rows) == 1 and len(table.rows[0].done) == 1 for table in tables)
    assert len({table.slug for table in tables}) == 6


def test_the_test_images_decide_not_the_words_for_them(tmp_path: Path) -> None:
    """As of maps that were predicted elsewhere; the caption has both descriptions."""
    output = write(tmp_path, make_record(split="a"), make_record("unet", split="b"))
    (table,) = collect(output).tables
    assert [row.detector for row in table.rows] == ["mshnet", "unet"]
    assert table.split == "a or b"
    assert "split a or b, 86 test images" in markdown(collect(output), [], "")


def test_settings_are_never_in_one_mean(tmp_path: Path) -> None:
    output = write(
        tmp_path,
        *(make_record(seed=s, iou=0.5) for s in range(2)),
        *(make_record(seed=s, iou=0.9, settings={"epochs": 9, "lr": 0.05}) for s in range(2)),
    )
    (table,) = collect(output).tables
    assert [row.variant for row in table.rows] == [{"epochs": 3}, {"epochs": 9}]
    assert [row.summary("iou").mean for row in table.rows] == [0.5, 0.9]


def test_where_it_ran_does_not_split_a_mean(tmp_path: Path) -> None:
    first = make_record(seed=0, settings={"device": "cuda:0", "output": "a"})
    second = make_record(seed=1, settings={"device": "cuda:1", "output": "b"})
    (table,) = collect(write(tmp_path, first, second)).tables
    assert [len(row.done) for row in table.rows] == [2]


def test_other_precision_splits_a_mean(tmp_path: Path) -> None:
    second = make_record(seed=1)
    second.environment.precision = "bf16"
    (table,) = collect(write(tmp_path, make_record(seed=0), second)).tables
    assert [row.variant for row in table.rows] == [{"precision": "bf16"}, {"precision": "fp32"}]


def test_a_copied_record_is_not_another_seed(tmp_path: Path) -> None:
    late = make_record(iou=0.8, finished="2025-02-01T00:00:00Z")
    collection = collect(write(tmp_path, make_record(iou=0.7), late, make_record(seed=1, iou=0.8)))
    assert collection.tables[0].rows[0].values("iou") == [0.8, 0.8]
    assert len(collection.warnings) == 1
    assert "left out" in collection.warnings[0]


def test_a_retried_cell_counts_once(tmp_path: Path) -> None:
    (table,) = collect(write(tmp_path, make_record(status="failed"), make_record())).tables
    assert len(table.rows[0].done) == 1
    assert not table.rows[0].troubled


def test_only_failures_still_make_a_table(tmp_path: Path) -> None:
    (table,) = collect(write(tmp_path, make_record(status="diverged"))).tables
    assert table.protocol is None
    assert table.rows[0].trouble_text() == "diverged (1 of 1)"


def _numbers(output: Path) -> dict[str, dict[tuple[str, str], list[float]]]:
    """By selection rule and method: the IoU of every seed."""
    return {
        table.selection: {row.name[:2]: row.values("iou") for row in table.rows}
        for table in collect(output).tables
    }


def test_every_rule_of_a_training_gets_its_table(tmp_path: Path) -> None:
    values = ((0.70, 0.71, 0.73), (0.60, 0.62, 0.69))
    records = [
        score_also(
            score_also(make_record(seed=s, iou=a, selection="best-val"), "best-test", 2, iou=b),
            "last", 3, iou=c,
        )
        for s, (a, b, c) in enumerate(values)
    ]  # fmt: skip
    acm = make_record("acm", iou=0.5, selection="best-val")  # without further rules
    found = collect(write(tmp_path, *records, acm))
    assert _numbers(tmp_path) == {
        "best-val": {("mshnet", "sls"): [0.70, 0.60], ("acm", "sls"): [0.5]},
        "last": {("mshnet", "sls"): [0.73, 0.69]},
        "best-test": {("mshnet", "sls"): [0.71, 0.62]},
    }
    assert [table.slug for table in found.tables] == [
        "sirst-best-val", "sirst-last", "sirst-best-test"
    ]  # fmt: skip
    assert [run.record.selected_epoch for run in found.tables[2].runs] == [2, 2]
    assert all(run.own == (run.record.selection == "best-val")
               for table in found.tables for run in table.runs)  # fmt: skip
    assert not any(run.record.others for table in found.tables[1:] for run in table.runs)
    assert not found.warnings


def test_what_else_was_scored_makes_no_other_row(tmp_path: Path) -> None:
    """Records from before the setting, without further rules and with some share their rows."""
    old, none, some = (make_record(seed=s, iou=0.1 * s) for s in range(3))
    for record in (none, some):
        record.settings |= {"selection": "last", "also": []}
    score_also(some, "best-test", 1, iou=0.9)
    other = score_also(make_record(seed=3, selection="best-test", iou=0.8), "last", 2, iou=0.3)
    assert _numbers(write(tmp_path, old, none, some, other)) == {
        "last": {("mshnet", "sls"): [0.0, 0.1, 0.2, 0.3]},
        "best-test": {("mshnet", "sls"): [0.9, 0.8]},
    }


def test_a_seed_counts_once_however_many_records_have_it(tmp_path: Path) -> None:
    early = score_also(make_record(iou=0.1), "best-val", 1, iou=0.2)
    late = make_record(selection="best-val", iou=0.3, finished="2025-02-01T00:00:00Z")
    found = collect(write(tmp_path, early, late))
    assert _numbers(tmp_path) == {
        "best-val": {("mshnet", "sls"): [0.3]}, "last": {("mshnet", "sls"): [0.1]}
    }  # fmt: skip
    assert len(found.warnings) == 1
    assert "left out (best-val)" in found.warnings[0]


def test_a_failed_training_is_in_the_tables_of_all_its_rules(tmp_path: Path) -> None:
    output = write(
        tmp_path,
        score_also(score_also(make_record(), "best-val", 1), "best-test", 1),
        score_also(make_record("acm", status="oom"), "best-test", 1),
        make_record("acm", selection="best-test", status="failed"),
        make_record("unet", selection="best-val", status="failed"),
        score_also(make_record("dnanet", status="diverged"), "best-val", 1),
    )
    found = {
        table.selection: {row.detector: row.trouble_text() for row in table.rows}
        for table in collect(output).tables
    }
    assert found == {
        "last": {"mshnet": "", "acm": "oom (1 of 1)", "dnanet": "diverged (1 of 1)"},
        "best-val": {"mshnet": "", "unet": "failed (1 of 1)", "dnanet": "diverged (1 of 1)"},
        # The same cell twice, with other further rules: one seed that has no result.
        "best-test": {"mshnet": "", "acm": "failed (1 of 1)"},
    }


def test_a_failure_is_not_in_the_table_of_another_rule(tmp_path: Path) -> None:
    output = write(tmp_path, make_record(), make_record("acm", selection="best-val", status="oom"))
    tables = {table.selection: table for table in collect(output).tables}
    assert [row.detector for row in tables["last"].rows] == ["mshnet"]
    assert [row.trouble_text() for row in tables["best-val"].rows] == ["oom (1 of 1)"]


def test_worth_of_the_test_set_is_that_of_the_same_trainings(tmp_path: Path) -> None:
    first, second = (make_record(seed=s, iou=v) for s, v in enumerate((0.50, 0.52)))
    score_also(score_also(first, "best-test", 1, iou=0.53), "best-val", 1, iou=0.54)
    score_also(second, "best-test", 1, iou=0.56)
    alone = make_record(seed=2, iou=0.99, selection="best-test")
    twin = make_record(seed=2, iou=0.01, finished="2025-01-02T01:00:00Z")  # of another training
    tables = {t.selection: t for t in collect(write(tmp_path, first, second, alone, twin)).tables}
    (row,) = tables["best-test"].rows
    assert (len(row.done), row.iou_over["last"].n, row.iou_over["best-val"].n) == (3, 2, 1)
    assert row.iou_over["last"].mean == pytest.approx(0.035)
    assert row.iou_over["best-val"].mean == pytest.approx(-0.01)
    assert not any(row.iou_over for rule in ("last", "best-val") for row in tables[rule].rows)


def test_records_read_back_with_their_rules(tmp_path: Path) -> None:
    record = score_also(make_record(selection="best-val"), "best-test", 1, iou=0.9)
    record.history[0].test = {"iou": 0.3}
    write(tmp_path, record)
    (path,) = tmp_path.glob("runs/**/record.json")
    assert read_record(path) == record
    own, other = read_record(path).views()
    assert own == record
    assert (other.selection, other.selected_epoch, other.others) == ("best-test", 1, {})
    assert other.scores["native"].metrics["iou"] == 0.9
    assert (other.history, other.cost, other.data) == (record.history, record.cost, record.data)
