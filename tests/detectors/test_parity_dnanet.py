"""DNANet against the published implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmark.errors import UserError
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

FACTS = facts("dnanet")
COUNTS = FACTS["variants"]["parameter_counts"]

# name in the fixture: (detector, options)
VARIANTS = {
    "resnet34": ("dnanet:resnet_34", {}),
    "resnet10_nods_in1": ("dnanet:resnet_10", {"deep_supervision": False, "in_channels": 1}),
    "vgg10": ("dnanet:vgg_10", {}),
}


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_keys_parameters_and_filling():
    model = create_detector("dnanet")
    assert [[k, list(v.shape)] for k, v in model.state_dict().items()] == FACTS["state_dict"]
    assert [k for k, _ in model.named_parameters()] == FACTS["train_param_names"]
    assert key_hash(model) == FACTS["state_dict_sha256"]
    assert count(model) == FACTS["trainable_parameters"]
    assert weight_hash(fill(model)) == FACTS["fill_check"]["weights_sha256"]


@pytest.mark.parametrize("configuration", COUNTS)
def test_parameter_count_of_every_configuration(configuration):
    widths, variant, supervision = configuration.split("/")
    with torch.device("meta"):
        model = create_detector(
            f"dnanet:{variant}", widths=widths, deep_supervision=supervision.endswith("True")
        )
    official = COUNTS[configuration]
    if isinstance(official, int):
        assert count(model) == official
    else:  # the official code builds an attention without channels; ours has one
        assert widths in ("one", "two")
        x = torch.empty(1, 3, 48, 80, device="meta")
        assert model.eval()(x).logits.shape == (1, 1, 48, 80)


def test_flops():
    with torch.device("meta"):  # counts without computing
        model, x = create_detector("dnanet").eval(), torch.empty(1, 3, 256, 256)
    with FlopCounterMode(display=False) as counter:
        model(x)
    assert counter.get_total_flops() == FACTS["flops_1x3x256x256"]["forward"]["flops"]


def test_outputs():
    expected = arrays("dnanet")
    with torch.no_grad():
        prediction = fill(create_detector("dnanet")).eval()(images(2, 3, 64, 64))
    outputs = (*prediction.aux, prediction.logits)
    assert len(outputs) == 4
    for k, output in enumerate(outputs, start=1):
        assert_close_map(output, expected[f"output{k}"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(variant):
    (name, options), known = VARIANTS[variant], FACTS["variants"][variant]
    model = fill(create_detector(name, **options)).eval()
    assert key_hash(model) == known["state_dict_sha256"]
    assert count(model) == known["trainable_parameters"]
    with torch.no_grad():
        prediction = model(images(*known["input_shape"]))
    assert_close_map(prediction.logits, arrays("dnanet")[f"variant_{variant}_output"])
    assert len(prediction.aux) == (3 if known["deep_supervision"] else 0)
    assert len(model.mean) == len(model.std) == known["input_channels"]


@pytest.fixture(scope="module")
def training_step():
    """The filled model in float64 after one forward pass in train mode, and its outputs."""
    model = fill(create_detector("dnanet")).double().train()
    prediction = model(images(*FACTS["train"]["input_shape"]).double())
    outputs = (*prediction.aux, prediction.logits)
    return model, {f"output{k}": output for k, output in enumerate(outputs, start=1)}


@pytest.mark.parametrize("kind", ["mean", "probe"])
def test_gradients_in_float64(kind, training_step):
    model, outputs = training_step
    model.zero_grad()
    loss = sum(
        (out if kind == "mean" else out * probe(key, out.shape)).mean()
        for key, out in outputs.items()
    )
    loss.backward(retain_graph=True)
    assert loss.item() == pytest.approx(FACTS["train"][f"loss_{kind}_float64"], rel=1e-8)
    expected = arrays("dnanet")[f"train_grad_norm_{kind}_f64"]
    assert_close_gradients(gradient_norms(model), expected)


def test_running_statistics_in_float64(training_step):
    model, _ = training_step
    expected = arrays("dnanet")["train_running_stat_norm_f64"]
    np.testing.assert_allclose(running_stat_norms(model), expected, rtol=1e-9)


def test_initialisation_has_the_official_spread():
    """Spec: Xavier normal, std = sqrt(2 / (fan_in + fan_out)); biases at PyTorch's default."""
    torch.manual_seed(0)
    model = create_detector("dnanet")
    conv = model.conv3_1[1].conv2  # 128 x 128 x 3 x 3
    assert conv.weight.std().item() == pytest.approx((2 / (2 * 128 * 9)) ** 0.5, rel=0.02)
    assert 0.9 < conv.bias.abs().max().item() * (128 * 9) ** 0.5 <= 1  # uniform


@pytest.mark.parametrize("options", [{"variant": "resnet_50"}, {"widths": "five"}])
def test_unknown_settings_are_refused(options):
    valid = {
        "variant": "resnet_18, resnet_10, resnet_34, vgg_10",
        "widths": "one, two, three, four",
    }
    (option, value), *_ = options.items()
    with pytest.raises(UserError, match=f"'{value}'.*{valid[option]}"):
        create_detector("dnanet", **options)
