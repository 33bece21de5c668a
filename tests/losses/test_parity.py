"""Losses against the published implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from losses import create_loss
from tests.parity import arrays, facts

FACTS, ARRAYS = facts("losses"), arrays("losses")
LOSSES = {  # golden name: (registry name, options, epoch)
    "sls_warm": ("sls", {}, 5),
    "sls": ("sls", {}, 6),
    "sls_noshape": ("sls", {"with_location": False}, 6),
    "lloss": ("location", {}, 6),
    "softiou_mshnet": ("soft_iou", {}, 0),
    "softiou_dnanet": ("soft_iou", {"whole_batch": True}, 0),
    "dice_mshnet": ("dice_mshnet", {}, 0),
}
WITHOUT_ARRAYS = {"lloss", "dice_mshnet"}  # their gradients are checked by norm, in float64

each_case = pytest.mark.parametrize("case", FACTS["cases"])
each_loss = pytest.mark.parametrize("golden_name", LOSSES)


def run(golden_name: str, case: str, dtype: torch.dtype) -> tuple[float, np.ndarray]:
    """Value and gradient of our loss on a golden case."""
    name, options, epoch = LOSSES[golden_name]
    logits = torch.from_numpy(ARRAYS[f"{case}/logits"]).to(dtype).requires_grad_()
    target = torch.from_numpy(ARRAYS[f"{case}/target"]).to(dtype)
    value = create_loss(name, **options)(logits, target, epoch=epoch)
    value.backward()
    assert value.dtype == dtype
    assert value.shape == ()
    return value.item(), logits.grad.numpy()


@each_case
@each_loss
def test_float32(golden_name, case):
    value, gradient = run(golden_name, case, torch.float32)
    known = FACTS["cases"][case]
    expected = known["losses"][golden_name]["float32"]
    kind = "grad"
    if expected == "nan":  # 0/0 in the official loss; spec section 6
        expected, kind = known["recommended_finite"][golden_name], "recommended_grad"
    assert value == pytest.approx(expected, abs=1e-5)
    array = ARRAYS.get(f"{case}/{kind}/{golden_name}")
    if array is not None:
        assert np.abs(gradient - array).max() <= 2e-4 * np.abs(array).max()


@each_case
@each_loss
def test_float64(golden_name, case):
    value, gradient = run(golden_name, case, torch.float64)
    known = FACTS["cases"][case]["losses"][golden_name]
    assert value == pytest.approx(known["float64"], abs=1e-9)
    assert np.linalg.norm(gradient) == pytest.approx(known["grad_l2_float64"], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("epoch", [5, 6], ids=["warm-up", "main"])
@each_case
def test_the_halves_of_sls(case, epoch):
    """In the warm-up both are SLS; then `scale_iou` is SLS without, and `sls` is their sum."""
    logits, target = (torch.from_numpy(ARRAYS[f"{case}/{k}"]) for k in ("logits", "target"))
    whole, scale, place, bare = (
        create_loss(name, **options)(logits, target, epoch)
        for name, options in (
            ("sls", {}), ("scale_iou", {}), ("location", {}), ("sls", {"with_location": False}),
        )
    )  # fmt: skip
    assert scale == bare
    if epoch == 5:
        assert place == scale == whole
    else:
        torch.testing.assert_close(scale + place, whole, rtol=0, atol=1e-6)


def test_the_fixture_covers_the_hard_cases():
    """Gradients are compared for all but the largest case, and two cases are NaN officially."""
    missing = [
        (case, name)
        for case in FACTS["cases"]
        for name in LOSSES
        if f"{case}/grad/{name}" not in ARRAYS and name not in WITHOUT_ARRAYS
    ]
    assert {case for case, _ in missing} == {"batch4_sizes"}
    nan = [c for c, f in FACTS["cases"].items() if f["losses"]["sls"]["float32"] == "nan"]
    assert nan == ["empty_saturated", "empty_saturated_in_batch"]
    for case in nan:
        assert not math.isnan(FACTS["cases"][case]["recommended_finite"]["sls"])
