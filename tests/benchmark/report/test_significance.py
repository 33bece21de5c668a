"""Intervals, pairs and ranks of a report, from the per-image counts of records."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from benchmark.evaluation import create_protocol, list_protocols
from benchmark.evaluation.scoring import finish
from benchmark.records.record import Record
from benchmark.report.captions import notes
from benchmark.report.collect import collect
from benchmark.report.latex import latex
from benchmark.report.model import Collection
from benchmark.report.resampling import estimate
from benchmark.report.significance import TESTED, rankings, ratio_of
from benchmark.report.statistics_page import pairs_csv, statistics_markdown
from benchmark.report.tables import csv_text, markdown
from tests.benchmark.report.test_report_sweep import make_record, write

IMAGES = 40


def predictions(skill: float, seed: int, empty: bool = False) -> list[tuple]:
    """(prob, mask): a 3 x 3 target an image, found as often as `skill` says, and some noise."""
    rng = np.random.default_rng(seed)
    pairs = []
    for k in range(IMAGES):
        mask = np.zeros((24, 24), bool)
        if not (empty and k % 4 == 0):
            mask[8:11, 8:11] = True
        found = mask & (rng.random() < skill)
        found[8, 8] = False
        if rng.random() > skill:
            found[20:22, 2:4] = True
        pairs.append((found.astype(np.float32), mask))
    return pairs


def scored(
    detector: str, seed: int, skill: float, protocol: str = "native", offset: int = 0, **more
) -> Record:
    scorer = create_protocol(protocol, details=False)
    for number, pair in enumerate(predictions(skill, seed + offset, **more)):
        scorer.update(*pair, f"image{number}")
    record = make_record(detector, seed=seed, protocols=(protocol,))
    record.scores[protocol] = finish(scorer)
    return record


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Two good methods that hardly differ, and a bad one; two seeds each."""
    methods = {"acm": (0.9, 0), "mshnet": (0.9, 10), "dnanet": (0.2, 20)}
    records = [
        scored(detector, seed, skill, offset=offset)
        for detector, (skill, offset) in methods.items()
        for seed in (0, 1)
    ]
    return collect(write(tmp_path_factory.mktemp("out"), *records))


@pytest.mark.parametrize("protocol", list_protocols())
def test_ratios_give_the_numbers_of_the_record(tmp_path: Path, protocol: str) -> None:
    records = [scored("acm", seed, 0.7, protocol, empty=True) for seed in (0, 1)]
    (table,) = collect(write(tmp_path, *records)).tables
    for key in TESTED:
        ratio = ratio_of(table.rows[0], key)
        assert ratio.part.shape == ratio.whole.shape == (2, IMAGES)
        assert estimate(ratio) == pytest.approx(table.rows[0].summary(key).mean, abs=1e-12), key


def test_without_images_there_are_no_statistics(tmp_path: Path) -> None:
    found = collect(write(tmp_path, make_record(), make_record("acm")))
    (table,) = found.tables
    assert ratio_of(table.rows[0], "iou") is None
    assert (table.study.intervals, table.study.comparisons) == ({}, {})
    assert statistics_markdown(found) == pairs_csv(found) == ""
    assert rankings(found.tables) == []


def test_other_images_in_one_seed_give_no_ratio(tmp_path: Path) -> None:
    records = [scored("acm", seed, 0.7) for seed in (0, 1)]
    records[1].scores["native"].images[3].name = "other"
    (table,) = collect(write(tmp_path, *records)).tables
    assert ratio_of(table.rows[0], "iou") is None


def test_what_cannot_be_told_from_the_best_is_marked(collection: Collection) -> None:
    (table,) = collection.tables
    names = [row.detector for row in table.rows]
    best = max(range(3), key=lambda n: table.rows[n].summary("iou").mean)
    assert {names[n] for n in table.study.alike["iou"] | {best}} == {"acm", "mshnet"}
    lines = [line for line in markdown(collection, [], "").splitlines() if "±" in line]
    marked = ["≈" in line.split("|")[4] for line in lines[:3]]  # the IoU column
    assert marked == [n in table.study.alike["iou"] for n in range(3)]
    assert latex(collection).count(r"$^{\approx}$") == sum(map(len, table.study.alike.values()))
    assert any("not distinguishable" in line for line in notes(table))


def test_pairs(collection: Collection) -> None:
    (table,) = collection.tables
    rows = list(csv.DictReader(io.StringIO(pairs_csv(collection))))
    assert len(rows) == 3 * len(TESTED)
    for row in rows:
        assert 0 < float(row["p"]) <= float(row["p_holm"]) <= 1
    pair = next(r for r in rows if (r["metric"], r["first"]) == ("pd", "dnanet, sls"))
    means = {row.detector: row.summary("pd").mean for row in table.rows}
    assert pair["second"] == "mshnet, sls"
    assert float(pair["difference"]) == pytest.approx(means["dnanet"] - means["mshnet"])
    assert (pair["seeds_first_better"], pair["seeds_paired"]) == ("0", "2")
    assert float(pair["p_holm"]) < 0.05
    false = next(r for r in rows if (r["metric"], r["first"]) == ("fa", "acm, sls"))
    assert false["second"] == "dnanet, sls"
    assert false["seeds_first_better"] == "2"  # lower is better


def test_intervals_are_around_the_numbers(collection: Collection) -> None:
    for row in csv.DictReader(io.StringIO(csv_text(collection))):
        for key in TESTED:
            assert float(row[f"{key}_low"]) <= float(row[key]) <= float(row[f"{key}_high"]), key
    assert "[" in statistics_markdown(collection)


def test_ranks(collection: Collection) -> None:
    (ranking,) = rankings(collection.tables)
    assert ranking.datasets == ["sirst"]
    assert ranking.ranks["dnanet, sls"].mean == 3
    assert sum(found.mean for found in ranking.ranks.values()) == pytest.approx(6)
    for found in ranking.ranks.values():
        assert 1 <= found.low <= found.mean <= found.high <= 3
    heading = "Mean ranks · protocol native · recipe standard · last"
    assert heading in statistics_markdown(collection)
