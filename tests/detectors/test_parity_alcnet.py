"""ALCNet, and the other network of that name, against the published implementations."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.errors import UserError
from detectors import create_detector
from detectors.alcnet import _minimum, local_contrast, multiscale_contrast
from detectors.base import Detector
from tests.parity import (
    arrays,
    assert_close_gradients,
    assert_close_map,
    entry,
    facts,
    fill,
    gradient_norms,
    images,
    key_hash,
    probe,
    running_stat_norms,
    stream,
    weight_hash,
)

FACTS, ARRAYS = facts("alcnet"), arrays("alcnet")
PORT = FACTS["variants"]["port"]

both = pytest.mark.parametrize(("name", "known"), [("alcnet", FACTS), ("acm_fpn_port", PORT)])


def filled(name: str) -> Detector:
    """With golden weights, in eval mode, and for inputs of any size."""
    model = fill(create_detector(name)).eval()
    model.min_size = 1
    return model


@both
def test_keys_and_parameter_count(name, known):
    model = create_detector(name)
    keys = [[key, list(value.shape)] for key, value in model.state_dict().items()]
    assert keys == known["state_dict"]  # the readable difference first
    assert len(keys) == known.get("n_keys", known.get("n_state_dict_keys"))
    assert key_hash(model) == known["state_dict_sha256"]
    assert sum(p.numel() for p in model.parameters()) == known["trainable_parameters"]


def test_order_of_the_parameters():
    names = [name for name, _ in create_detector("alcnet").named_parameters()]
    assert names == FACTS["train_param_names"]


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("alcnet", FACTS["fill_check"]["weights_sha256"]),
        ("acm_fpn_port", PORT["weights_sha256"]),
    ],
)
def test_filled_weights(name, digest):
    assert weight_hash(filled(name)) == digest


def test_filling():
    known = FACTS["fill_check"]
    x = images(*FACTS["eval"]["input_shape"])
    assert hashlib.sha256(x.numpy().tobytes()).hexdigest() == known["input_sha256"]
    assert x.ravel()[:4].tolist() == known["input_first_values"]
    first = known["first_key"]
    assert next(iter(create_detector("alcnet").state_dict())) == first
    assert entry(first, (3,)).tolist() == known["first_values"]


@pytest.mark.parametrize("side", [256, 480])
@pytest.mark.parametrize(
    ("name", "known", "channels"), [("alcnet", FACTS, "3"), ("acm_fpn_port", PORT, "C")]
)
def test_flops(name, known, channels, side):
    with torch.device("meta"):  # counts without computing
        model = create_detector(name).eval()
        x = torch.empty(1, model.in_channels, side, side)
    with FlopCounterMode(display=False) as counter:
        model(x)
    assert counter.get_total_flops() == known[f"flops_1x{channels}x{side}x{side}"]["flops"]


@pytest.mark.parametrize(
    ("name", "known"),
    [("alcnet", FACTS["eval"]), ("alcnet", FACTS["eval_inrange"]), ("acm_fpn_port", PORT)],
    ids=["wrapped shifts", "maps above both shifts", "port"],
)
def test_eval_logits(name, known):
    with torch.no_grad():
        logits = filled(name)(images(*known["input_shape"])).logits
    assert_close_map(logits, ARRAYS[known["array"]])
    assert logits.mean().item() == pytest.approx(known["output"]["mean"], rel=1e-4)
    assert logits.std(correction=0).item() == pytest.approx(known["output"]["std"], rel=1e-4)


@pytest.mark.parametrize(
    ("name", "shape", "known"),
    [
        (
            "alcnet",
            FACTS["eval"]["input_shape"],
            FACTS["eval"]["activations_float64"]["modules"],
        ),
        ("acm_fpn_port", PORT["input_shape"], PORT["activations_float64"]),
    ],
    ids=["alcnet", "port"],
)
def test_activations_and_their_order(name, shape, known):
    model, seen = filled(name).double(), {}
    for key, module in model.named_children():
        module.register_forward_hook(lambda _, __, out, key=key: seen.__setitem__(key, out))
    with torch.no_grad():
        model(images(*shape).double())
    # the order of two calls that do not depend on each other is free
    assert seen.keys() == known.keys()
    for key, out in seen.items():
        assert list(out.shape) == known[key]["shape"]
        assert out.mean().item() == pytest.approx(known[key]["mean"], rel=1e-9), key
        assert out.std(correction=0).item() == pytest.approx(known[key]["std"], rel=1e-9), key


def contrast_input() -> Tensor:
    values = stream("contrast").standard_normal((2, 3, 24, 20)).astype(np.float32)
    return torch.from_numpy(values)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_contrast(memory_format):
    x = contrast_input().to(memory_format=memory_format)
    for shift in (13, 17):
        np.testing.assert_allclose(
            local_contrast(x, shift), ARRAYS[f"contrast_pcm{shift}"], rtol=1e-6, atol=1e-6
        )
    y = multiscale_contrast(x)
    np.testing.assert_allclose(y, ARRAYS["contrast_mpcm"], rtol=1e-6, atol=1e-6)
    assert y.is_contiguous(memory_format=memory_format)


def test_gradient_of_the_contrast_after_a_relu():
    x = contrast_input().double().requires_grad_()
    (multiscale_contrast(x.relu()) * probe("contrast", x.shape)).sum().backward()
    np.testing.assert_allclose(x.grad, ARRAYS["contrast_relu_grad"], rtol=1e-5, atol=1e-5)


def test_gradient_of_the_contrast_against_differences():
    x = torch.randn(1, 2, 9, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(multiscale_contrast, x.requires_grad_())


def test_minimum_gives_the_gradient_of_a_tie_to_the_left():
    left = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    right = torch.tensor([1.0, 1.0, 4.0], requires_grad=True)
    out = _minimum(left, right)
    out.backward(torch.tensor([5.0, 6.0, 7.0]))
    assert out.tolist() == [1, 1, 3]
    assert left.grad.tolist() == [5, 0, 7]
    assert right.grad.tolist() == [0, 6, 0]


def training_step(dtype: torch.dtype, kind: str) -> tuple[Detector, Tensor, Tensor]:
    """The model after one backward pass without dropout, its output and the loss."""
    model = filled("alcnet").to(dtype).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    out = model(images(*FACTS["train"]["input_shape"]).to(dtype)).logits
    loss = (out if kind == "mean" else out * probe("output", out.shape)).mean()
    loss.backward()
    return model, out.detach(), loss.detach()


@pytest.mark.parametrize("kind", ["mean", "probe"])
def test_training_step_in_float64(kind):
    known = FACTS["train"]
    model, out, loss = training_step(torch.float64, kind)
    assert loss.item() == pytest.approx(known[f"loss_{kind}_float64"], rel=1e-8)
    assert out.mean().item() == pytest.approx(known["output_mean_float64"], rel=1e-8)
    assert out.std(correction=0).item() == pytest.approx(known["output_std_float64"], rel=1e-8)
    assert_close_gradients(gradient_norms(model), ARRAYS[f"train_grad_norm_{kind}_f64"])
    np.testing.assert_allclose(
        running_stat_norms(model), ARRAYS["train_running_stat_norm_f64"], rtol=1e-9
    )


@pytest.mark.parametrize("kind", ["mean", "probe"])
def test_loss_of_a_training_step_in_float32(kind):
    _, _, loss = training_step(torch.float32, kind)
    assert loss.item() == pytest.approx(FACTS["train"][f"loss_{kind}_float32"], rel=1e-4)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (68, 200), (200, 68)])
def test_images_smaller_than_the_shifts_are_refused(height, width):
    with pytest.raises(UserError, match=f"{height}x{width} is smaller than 69 px.*use larger"):
        create_detector("alcnet")(torch.zeros(1, 3, height, width))


def test_smallest_size_makes_every_map_larger_than_the_shifts():
    model, sizes = create_detector("alcnet").eval(), []
    model.dec_c3.register_forward_hook(lambda _, args, __: sizes.append(args[0].shape[-2:]))
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 69, 70)).logits.shape == (1, 1, 69, 70)
    assert sizes == [(18, 18)]


def test_export_with_free_batch_and_size():
    """The check of the size must not tie the program to the size of the example."""
    model, dim = fill(create_detector("alcnet")).eval(), torch.export.Dim
    shapes = {0: dim("batch"), 2: dim("height", min=16), 3: dim("width", min=16)}
    with torch.no_grad():
        program = torch.export.export(model, (images(2, 3, 96, 80),), dynamic_shapes=(shapes,))
        x = images(1, 3, 71, 118)
        assert_close_map(program.module()(x).logits, model(x).logits.numpy())


@pytest.mark.parametrize("name", ["alcnet", "acm_fpn_port"])
@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_follow_the_number_of_channels(name, channels):
    model = create_detector(name, in_channels=channels).eval()
    assert model.in_channels == len(model.mean) == len(model.std) == channels
    with torch.no_grad():
        assert model(torch.zeros(1, channels, 80, 80)).logits.shape == (1, 1, 80, 80)


def test_initialisation_is_that_of_acm():
    """Std = sqrt((2 / (1 + 0.25^2)) / ((fan_in + fan_out) / 2)), biases zero."""
    model = create_detector("alcnet")
    weight = model.layer3[1].conv2.weight  # 64 x 64 x 3 x 3: 1 % is three standard errors
    assert weight.std().item() == pytest.approx((2 / 1.0625 / (64 * 9)) ** 0.5, rel=0.02)
    assert not model.bottomuplocal_fpn_1.bottomup_att[0].bias.any()
    weight = create_detector("acm_fpn_port").layer3[1].conv2.weight
    assert weight.std().item() == pytest.approx((2 / 1.0625 / (64 * 9)) ** 0.5, rel=0.02)


def test_port_is_trained_like_the_port_of_acm():
    port, acm = create_detector("acm_fpn_port"), create_detector("acm:port")
    assert (port.mean, port.std, port.stride) == (acm.mean, acm.std, acm.stride)
    assert {m.momentum for m in port.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


def test_port_never_calls_its_spare_modules():
    model = create_detector("acm_fpn_port").train()
    model(images(2, 1, 32, 32)).logits.mean().backward()
    without = {key for key, p in model.named_parameters() if p.grad is None}
    assert without == {k for k, _ in model.named_parameters() if k.startswith(model.unused)}
    spare = sum(p.numel() for key, p in model.named_parameters() if key in without)
    assert spare == 92_928
