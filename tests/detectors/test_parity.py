"""Detectors against the published implementations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from detectors import create_detector
from tests.parity import (
    arrays,
    assert_close_gradients,
    assert_close_map,
    facts,
    fill,
    gradient_norms,
    images,
    key_hash,
    probe,
    running_stat_norms,
    weight_hash,
)

# (fixture, variant in it or None, name, options)
NETWORKS = [
    ("mshnet", None, "mshnet", {}),
    ("mshnet", "in1", "mshnet", {"in_channels": 1}),
    ("acm", None, "acm", {}),
    ("acm", "official_deep", "acm:official_deep", {}),
    ("acm", "port", "acm:port", {}),
]


@pytest.mark.parametrize(("fixture", "variant", "name", "options"), NETWORKS)
def test_keys_and_parameter_count(fixture, variant, name, options):
    known = facts(fixture)["variants"][variant] if variant else facts(fixture)
    model = create_detector(name, **options)
    if "state_dict" in known:  # the readable difference first
        keys = [[k, list(v.shape)] for k, v in model.state_dict().items()]
        assert keys == known["state_dict"]
    assert key_hash(model) == known["state_dict_sha256"]
    assert sum(p.numel() for p in model.parameters()) == known["trainable_parameters"]


@pytest.mark.parametrize(
    ("fixture", "name", "shape"),
    [
        ("mshnet", "mshnet", (2, 3, 64, 64)),
        ("acm", "acm", (2, 3, 64, 64)),
    ],
)
def test_filling(fixture, name, shape):
    known = facts(fixture)["fill_check"]
    assert weight_hash(fill(create_detector(name))) == known["weights_sha256"]
    assert images(*shape).ravel()[:4].tolist() == known["input_first_values"]


@pytest.mark.parametrize(
    ("fixture", "name", "warming_up", "flops"),
    [
        ("mshnet", "mshnet", False, lambda f: f["flops_1x3x256x256"]["warm_flag=True"]),
        ("mshnet", "mshnet", True, lambda f: f["flops_1x3x256x256"]["warm_flag=False"]),
        ("acm", "acm", False, lambda f: f["flops_1x3x256x256"]),
        ("acm", "acm:port", False, lambda f: f["variants"]["port"]["flops_1xCx256x256"]),
    ],
)
def test_flops(fixture, name, warming_up, flops):
    with torch.device("meta"):  # counts without computing
        model = create_detector(name).eval()
        x = torch.empty(1, model.in_channels, 256, 256)
    model.begin_epoch(0 if warming_up else 6)
    with FlopCounterMode(display=False) as counter:
        model(x)
    assert counter.get_total_flops() == flops(facts(fixture))["flops"]


def test_mshnet_outputs():
    expected = arrays("mshnet")
    model, x = fill(create_detector("mshnet")).eval(), images(2, 3, 64, 64)
    with torch.no_grad():
        full = model(x)
        model.begin_epoch(5)
        warm = model(x)
    assert_close_map(full.logits, expected["warm_true_output"])
    assert len(full.aux) == 4
    for k, mask in enumerate(full.aux):
        assert_close_map(mask, expected[f"warm_true_mask{k}"])
    assert_close_map(warm.logits, expected["warm_false_output"])
    assert warm.aux == ()


@pytest.mark.parametrize(
    ("epoch", "warm_epoch", "masks"), [(0, 5, 0), (5, 5, 0), (6, 5, 4), (0, -1, 4)]
)
def test_mshnet_warm_up_ends_after_its_last_epoch(epoch, warm_epoch, masks):
    model = create_detector("mshnet", warm_epoch=warm_epoch).eval()
    model.begin_epoch(epoch)
    assert len(model(images(1, 3, 16, 16)).aux) == masks


@pytest.mark.parametrize(
    ("fixture", "name", "options", "shape", "array"),
    [
        ("mshnet", "mshnet", {"in_channels": 1}, (1, 1, 48, 80), "variant_in1_output"),
        ("acm", "acm", {}, (2, 3, 64, 64), "eval_logits"),
        ("acm", "acm:official_deep", {}, (2, 3, 64, 96), "variant_official_deep_logits"),
        ("acm", "acm:port", {}, (2, 1, 64, 96), "variant_port_logits"),
    ],
)
def test_eval_logits(fixture, name, options, shape, array):
    model = fill(create_detector(name, **options)).eval()
    with torch.no_grad():
        assert_close_map(model(images(*shape)).logits, arrays(fixture)[array])


@pytest.mark.parametrize("kind", ["mean", "probe"])
@pytest.mark.parametrize("name", ["mshnet", "acm"])
def test_training_step_in_float64(name, kind):
    known, expected = facts(name)["train"], arrays(name)
    model = fill(create_detector(name)).double().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    prediction = model(images(*known["input_shape"]).double())
    outputs = {f"mask{k}": mask for k, mask in enumerate(prediction.aux)}
    outputs["output"] = prediction.logits
    loss = sum(
        (out if kind == "mean" else out * probe(key, out.shape)).mean()
        for key, out in outputs.items()
    )
    loss.backward()

    assert loss.item() == pytest.approx(known[f"loss_{kind}_float64"], rel=1e-8)
    assert_close_gradients(gradient_norms(model), expected[f"train_grad_norm_{kind}_f64"])
    np.testing.assert_allclose(
        running_stat_norms(model), expected["train_running_stat_norm_f64"], rtol=1e-9
    )


def test_mshnet_warm_up_step_leaves_the_other_heads_without_gradient():
    known, expected = facts("mshnet")["train"], arrays("mshnet")
    model = fill(create_detector("mshnet")).double().train()
    model.begin_epoch(0)
    loss = model(images(2, 3, 64, 64).double()).logits.mean()
    loss.backward()
    assert loss.item() == pytest.approx(known["warm_false_loss_mean_float64"], rel=1e-8)
    assert_close_gradients(gradient_norms(model), expected["train_warm_false_grad_norm_mean_f64"])
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == known["warm_false_params_without_grad"]


def test_acm_initialisation_has_the_official_spread():
    """Spec: std = sqrt((2 / (1 + 0.25^2)) / ((fan_in + fan_out) / 2)), biases zero."""
    model = create_detector("acm")
    weight = model.layer3[1].conv2.weight  # 64 x 64 x 3 x 3: 1 % is three standard errors
    assert weight.std().item() == pytest.approx((2 / 1.0625 / (64 * 9)) ** 0.5, rel=0.02)
    weight = model.deconv2.weight
    assert weight.std().item() == pytest.approx((2 / 1.0625 / (48 * 16)) ** 0.5, rel=0.02)
    assert not model.fuse1.post[0].bias.any()
    assert not model.deconv1.bias.any()
