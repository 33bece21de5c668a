"""Losses on the same detector and seed: differences, Student's interval, and what they show."""

from __future__ import annotations

import csv
import io
import statistics
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.records.record import Record
from benchmark.report.collect import collect
from benchmark.report.losses_compared import CAPTION, HEADING, compare_losses, lines, losses_csv
from benchmark.report.model import Table
from benchmark.report.power import paired_power, pairs_needed
from benchmark.report.tables import markdown, print_tables
from tests.benchmark.report.test_collapse import silent
from tests.benchmark.report.test_report_sweep import make_record, write


def runs(loss: str, *ious: float, detector: str = "mshnet", **more: object) -> list[Record]:
    """One run a seed, from seed 0 on."""
    return [make_record(detector, loss, s, iou=v, **more) for s, v in enumerate(ious)]


def table_of(folder: Path, *records: Record) -> Table:
    (table,) = collect(write(folder, *records)).tables
    return table


def test_interval_of_three_paired_differences(tmp_path: Path) -> None:
    """Differences 0.02, 0.04, 0.03: mean 0.03, std 0.01, t(0.975, 2) = 4.3027."""
    table = table_of(tmp_path, *runs("sls", 0.52, 0.64, 0.73), *runs("bce", 0.50, 0.60, 0.70))
    (contrast,) = compare_losses(table).contrasts
    assert (contrast.where, contrast.first, contrast.second) == ("mshnet", "sls", "bce")
    assert contrast.seeds == (0, 1, 2)
    gap = contrast.gaps["iou"]
    assert gap.mean == pytest.approx(0.03)
    assert gap.half == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)  # 0.0248
    assert gap.told_apart
    text = markdown(collect(tmp_path), [], "")
    assert f"### {HEADING}" in text
    assert "+3.00 [+0.52, +5.48]" in text
    assert "- mshnet, sls - bce: sls is better by IoU." in text
    assert "by Pd (equal with every seed), Fa (equal with every seed)." in text
    console = Console(width=200, file=io.StringIO())
    print_tables(collect(tmp_path), console)
    printed = " ".join(console.file.getvalue().split())
    assert "+3.00 [+0.52, +5.48]" in printed
    assert CAPTION in printed


def test_seeds_that_do_not_suffice_and_how_many_would(tmp_path: Path) -> None:
    """0.01, 0.03, -0.01: mean 0.01, std 0.02; (1.96 + 0.84)^2 x 4 = 31.4, by t 34."""
    table = table_of(tmp_path, *runs("sls", 0.51, 0.63, 0.69), *runs("bce", 0.50, 0.60, 0.70))
    comparison = compare_losses(table)
    assert not comparison.contrasts[0].gaps["iou"].told_apart
    assert lines(comparison) == [
        "mshnet, sls - bce: these 3 seeds do not suffice to tell them apart by IoU (about 34 "
        "would), Pd (equal with every seed), Fa (equal with every seed)."
    ]


def test_fewer_false_alarms_are_better(tmp_path: Path) -> None:
    first = [make_record(loss="sls", seed=s, fa=2e-5 + s * 1e-7) for s in range(3)]
    second = [make_record(loss="bce", seed=s, fa=1e-5) for s in range(3)]
    found = lines(compare_losses(table_of(tmp_path, *first, *second)))
    assert found[0] == "mshnet, sls - bce: bce is better by Fa."


def test_one_seed_shows_nothing(tmp_path: Path) -> None:
    table = table_of(tmp_path, *runs("sls", 0.6), *runs("bce", 0.5))
    comparison = compare_losses(table)
    assert comparison.contrasts[0].gaps["iou"].half is None
    assert lines(comparison) == ["One seed: no interval, so nothing is shown; run --seeds 0,1,2."]
    text = markdown(collect(tmp_path), [], "")
    assert "+10.00 |" in text
    (line, *_) = csv.DictReader(io.StringIO(losses_csv(collect(tmp_path))))
    assert (line["metric"], line["low"], line["n"]) == ("iou", "", "1")
    assert float(line["difference"]) == pytest.approx(0.1)


def test_without_sls_the_first_by_name_comes_first(tmp_path: Path) -> None:
    records = [*runs("soft_iou", 0.6), *runs("dice", 0.5), *runs("bce", 0.4)]
    found = compare_losses(table_of(tmp_path, *records)).contrasts
    assert [(c.first, c.second) for c in found] == [("bce", "dice"), ("bce", "soft_iou")]


def test_only_seeds_that_both_have_are_paired(tmp_path: Path) -> None:
    """Of seed 3 and 0 there is one each, and seed 2 was trained on other images."""
    other = make_record(loss="bce", seed=2, iou=0.1)
    other.data.train_hash = "changed"
    records = [
        *(make_record(loss="sls", seed=s, iou=0.6) for s in (0, 1, 2)),
        *(make_record(loss="bce", seed=s, iou=0.5) for s in (1, 3)),
        other,
    ]
    (contrast,) = compare_losses(table_of(tmp_path, *records)).contrasts
    assert contrast.seeds == (1,)


def test_all_detectors_together_are_averaged_by_seed(tmp_path: Path) -> None:
    """acm 0.02, 0.04 and mshnet 0.06, 0.10: means by seed 0.04, 0.07; t(0.975, 1) = 12.706."""
    table = table_of(
        tmp_path,
        *runs("sls", 0.52, 0.54, detector="acm"), *runs("bce", 0.50, 0.50, detector="acm"),
        *runs("sls", 0.56, 0.60), *runs("bce", 0.50, 0.50),
    )  # fmt: skip
    *_, together = compare_losses(table).contrasts
    assert (together.where, together.seeds) == ("all 2 together", (0, 1))
    gap = together.gaps["iou"]
    assert gap.values == pytest.approx((0.04, 0.07))
    std = statistics.stdev((0.04, 0.07))
    assert gap.half == pytest.approx(12.706 * std / 2**0.5, rel=1e-3)


def test_collapsed_runs_are_named_and_have_no_interval(tmp_path: Path) -> None:
    records = [
        record
        for detector in ("mshnet", "acm", "unet")
        for loss, ious in (("sls", (0.6, 0.6)), ("bce", (0.5, 0.4)))
        for record in runs(loss, *ious, detector=detector)
    ]
    records[1] = silent("mshnet", "sls", 1)
    comparison = compare_losses(table_of(tmp_path, *records))
    broken = next(c for c in comparison.contrasts if c.where == "mshnet")
    assert broken.collapsed == ("sls with seed 1",)
    assert broken.gaps["iou"].mean == pytest.approx((0.1 - 0.4) / 2)  # kept
    assert broken.gaps["iou"].half is None
    found = lines(comparison)
    assert "mshnet, sls - bce: collapsed is sls with seed 1, so no interval." in found
    assert comparison.contrasts[-1].where == "2 of 3 together"
    assert comparison.contrasts[-1].gaps["iou"].values == pytest.approx((0.1, 0.2))
    assert "2 of 3 together, sls - bce: without mshnet, where a run collapsed." in found
    rows = list(csv.DictReader(io.StringIO(losses_csv(collect(tmp_path)))))
    assert {row["collapsed"] for row in rows if row["detector"] == "mshnet"} == {"sls with seed 1"}


def test_other_settings_are_not_paired(tmp_path: Path) -> None:
    table = table_of(tmp_path, *runs("sls", 0.6), *runs("bce", 0.5, settings={"lr": 0.1}))
    comparison = compare_losses(table)
    assert comparison.contrasts == []
    assert lines(comparison) == ["mshnet: no other loss has the settings of bce, sls, so no pair."]
    assert "no other loss has the settings" in markdown(collect(tmp_path), [], "")


def test_settings_in_the_label_make_pairs_of_their_own(tmp_path: Path) -> None:
    records = [run for lr in (0.1, 0.2) for loss, iou in (("sls", 0.6 + lr), ("bce", 0.5))
               for run in runs(loss, iou, settings={"lr": lr})]  # fmt: skip
    found = compare_losses(table_of(tmp_path, *records)).contrasts
    assert [(c.where, round(c.gaps["iou"].mean, 6)) for c in found[:2]] == [
        ("mshnet, lr=0.1", 0.2), ("mshnet, lr=0.2", 0.3),
    ]  # fmt: skip


def test_one_loss_has_no_section(tmp_path: Path) -> None:
    table = table_of(tmp_path, *runs("sls", 0.6), *runs("bce", 0.5, detector="acm"))
    assert not compare_losses(table)
    assert HEADING not in markdown(collect(tmp_path), [], "")
    assert losses_csv(collect(tmp_path)) == ""


def test_a_missing_number_is_a_dash(tmp_path: Path) -> None:
    records = [*runs("sls", 0.6), make_record(loss="bce", iou=0.5, pd=None)]
    (contrast,) = compare_losses(table_of(tmp_path, *records)).contrasts
    assert set(contrast.gaps) == {"iou", "fa"}
    section = markdown(collect(tmp_path), [], "").partition(HEADING)[2]
    assert "—" in section


@pytest.mark.parametrize(("difference", "pairs"), [(1.0, 10), (0.5, 34), (0.1, 787), (0.05, None)])
def test_pairs_for_a_power_of_four_fifths(difference: float, pairs: int | None) -> None:
    """As G*Power 3.1 has for a t test of matched pairs: 10, 34 and 787 (two-sided, 5 %)."""
    assert pairs_needed(difference, 1.0) == pairs
    assert pairs_needed(-difference, 1.0) == pairs
    if pairs:
        assert paired_power(difference, 1.0, pairs) >= 0.8 > paired_power(difference, 1, pairs - 1)
