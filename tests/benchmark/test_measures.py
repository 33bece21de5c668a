"""The facts about metrics: complete, free of slow imports, and true of what protocols compute."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from benchmark.console import rounded_duration
from benchmark.evaluation import create_protocol, list_protocols
from benchmark.evaluation.scoring import finish
from benchmark.measures import COSTS, CURVES, MEASURES, METRICS, texts
from benchmark.report.operating import curve_numbers
from tests.benchmark.report.test_report_sweep import CURVE
from tests.e2e.commands import ROOT


def scores(protocol: str):
    """Of four noisy images, the last without a target."""
    scorer = create_protocol(protocol)
    rng = np.random.default_rng(0)
    for number in range(4):
        mask = np.zeros((40, 48), bool)
        if number < 3:
            mask[10:13, 8:12] = mask[30:32, 30:32] = True
        prob = np.clip(0.6 * mask + rng.uniform(0, 0.52, mask.shape), 0, 1)
        scorer.update(prob, mask, f"image{number}", (255 * prob).astype(np.uint8))
    return scorer, finish(scorer)


@pytest.mark.parametrize("protocol", list_protocols())
def test_every_number_of_a_protocol_has_a_row_and_keeps_its_bounds(protocol: str) -> None:
    scorer, _ = scores(protocol)
    computed = scorer.compute()
    known = {measure.key: measure for measure in METRICS}
    assert set(computed) <= set(known)
    for key, value in computed.items():
        low, high = known[key].bounds
        assert low <= value <= high, key


@pytest.mark.parametrize("protocol", list_protocols())
def test_shares_are_the_numbers_of_the_protocol(protocol: str) -> None:
    _, found = scores(protocol)
    for measure in METRICS:
        if measure.share is None:
            continue
        parts = [measure.share.part(image) for image in found.images]
        wholes = [measure.share.whole(image) for image in found.images]
        assert all(0 <= part <= whole for part, whole in zip(parts, wholes, strict=True))
        if measure.share.averaged:
            assert all(wholes)
            value = sum(p / w for p, w in zip(parts, wholes, strict=True)) / len(parts)
        else:
            value = sum(parts) / sum(wholes)
        assert value == pytest.approx(found.metrics[measure.key], abs=1e-12), measure.key


def test_every_number_of_a_curve_has_a_row() -> None:
    assert set(curve_numbers(CURVE)) == {measure.key for measure in CURVES}


def test_no_fact_stands_twice() -> None:
    every = (*METRICS, *COSTS, *CURVES)
    assert len(MEASURES) == len(every)
    for attribute in ("key", "name", "latex_title"):
        assert len({getattr(measure, attribute) for measure in every}) == len(every)
    assert all(measure.ranks_as in ("", *MEASURES) for measure in every)


def test_headings() -> None:
    iou, fa, params = (MEASURES[key] for key in ("iou", "fa", "parameters"))
    assert (iou.title, iou.plain, iou.label) == ("IoU ↑", "IoU", "IoU (%)")
    assert iou.latex_title == r"IoU $\uparrow$"
    assert (fa.title, fa.plain, fa.label) == ("Fa (1e-6) ↓", "Fa (1e-6)", r"$F_a$ ($10^{-6}$)")
    assert fa.latex_title == r"\shortstack[r]{$F_a$ $\downarrow$\\($10^{-6}$)}"
    assert (params.title, params.better) == ("Params (M)", 0)
    assert MEASURES["pd_at_fa_1e-05"].title == "Pd at Fa ≤ 10 ↑"


def test_numbers_as_printed() -> None:
    metrics = {"iou": 0.71234, "pd": 1.0, "fa": 1.234e-5, "n_images": 86}
    assert texts(metrics, ("iou", "niou", "pd", "fa")) == ["IoU 71.23", "Pd 100.00", "Fa 12.34e-6"]
    assert MEASURES["train_seconds"].digits(600.0) == rounded_duration(600.0) == "10 min"
    assert MEASURES["parameters"].digits(4_066_000) == "4.07"
    assert MEASURES["iou"].signed(-0.0123) == "-1.23"
    assert MEASURES["fa"].signed(1e-6) == "+1.00"
    assert MEASURES["iou"].signed(-1e-9) == "+0.00"
    assert math.isinf(MEASURES["macs"].bounds[1])


def test_reading_them_needs_nothing_slow() -> None:
    code = (
        "import sys, benchmark.measures\n"
        "slow = {'numpy', 'pydantic', 'rich', 'torch'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
