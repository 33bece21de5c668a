"""UIU-Net against the published implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from detectors import create_detector
from detectors.uiunet import probabilities
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

FACTS = facts("uiunet")


@pytest.fixture(scope="module")
def filled():
    """In eval mode; filling 50 million weights takes a while."""
    return fill(create_detector("uiunet")).eval()


def test_keys_parameters_and_filling(filled):
    assert [[k, list(v.shape)] for k, v in filled.state_dict().items()] == FACTS["state_dict"]
    assert [k for k, _ in filled.named_parameters()] == FACTS["train_param_names"]
    assert key_hash(filled) == FACTS["state_dict_sha256"]
    assert sum(p.numel() for p in filled.parameters()) == FACTS["trainable_parameters"]
    assert weight_hash(filled) == FACTS["fill_check"]["weights_sha256"]


def test_one_channel_has_the_parameters_of_the_port():
    with torch.device("meta"):
        model = create_detector("uiunet", in_channels=1)
    assert sum(p.numel() for p in model.parameters()) == 50_540_309  # BasicIRSTD
    assert len(model.mean) == len(model.std) == model.in_channels == 1


def test_flops():
    with torch.device("meta"):  # counts without computing
        model, x = create_detector("uiunet").eval(), torch.empty(1, 3, 256, 256)
    with FlopCounterMode(display=False) as counter:
        model(x)
    assert counter.get_total_flops() == FACTS["flops_1x3x256x256"]["forward"]["flops"]


@pytest.mark.parametrize(
    ("shape", "array"), [((2, 3, 64, 64), "d{}_logit"), ((1, 3, 70, 53), "odd_d{}_logit")]
)
def test_outputs(shape, array, filled):
    expected = arrays("uiunet")
    with torch.no_grad():
        prediction = filled(images(*shape))
    outputs = (prediction.logits, *prediction.aux)
    assert len(outputs) == 7
    for k, output in enumerate(outputs):
        assert_close_map(output, expected[array.format(k)])
    if array == "d{}_logit":
        assert_close_map(probabilities(prediction)[0], expected["d0_prob"])


@pytest.fixture(scope="module")
def training_step():
    """The filled model in float64 after one forward pass in train mode, and its prediction."""
    model = fill(create_detector("uiunet")).double().train()
    return model, model(images(*FACTS["train"]["input_shape"]).double())


@pytest.mark.parametrize("kind", ["mean", "probe"])
@pytest.mark.parametrize("form", ["probabilities", "logits"])
def test_gradients_in_float64(form, kind, training_step):
    model, prediction = training_step
    if form == "probabilities":  # the official outputs
        outputs = probabilities(prediction)
        known, array = FACTS["train"], f"train_grad_norm_{kind}_f64"
    else:
        outputs = (prediction.logits, *prediction.aux)
        known, array = FACTS["train"]["logit_variant"], f"train_grad_norm_logit_{kind}_f64"
    model.zero_grad()
    loss = sum(
        (out if kind == "mean" else out * probe(f"d{k}", out.shape)).mean()
        for k, out in enumerate(outputs)
    )
    loss.backward(retain_graph=True)
    assert loss.item() == pytest.approx(known[f"loss_{kind}_float64"], rel=1e-8)
    assert_close_gradients(gradient_norms(model), arrays("uiunet")[array])


def test_running_statistics_in_float64(training_step):
    model, _ = training_step
    expected = arrays("uiunet")["train_running_stat_norm_f64"]
    np.testing.assert_allclose(running_stat_norms(model), expected, rtol=1e-9)
    updates = {k: v.item() for k, v in model.state_dict().items() if k.endswith("_tracked")}
    twice = FACTS["train"]["num_batches_tracked_not_one"]
    assert updates == dict.fromkeys(updates, 1) | twice
