"""The attention gates against CBAM's formulas, differentiated by autograd."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from detectors.attention import ChannelAttention, SpatialAttention
from detectors.resize import resize

LAYOUTS = (torch.contiguous_format, torch.channels_last)


def channel_formula(gate: ChannelAttention, x: Tensor) -> Tensor:
    """Sigmoid of the shared MLP of the mean plus that of the maximum, as CBAM prints it."""
    mean = F.adaptive_avg_pool2d(x, 1)
    peak = F.adaptive_max_pool2d(x, 1)
    return x * torch.sigmoid(sum(gate.fc2(F.relu(gate.fc1(pooled))) for pooled in (mean, peak)))


def spatial_formula(gate: SpatialAttention, x: Tensor) -> Tensor:
    return x * torch.sigmoid(gate.conv1(torch.cat((x.mean(1, True), x.amax(1, True)), 1)))


GATES = {
    "channel": (lambda: ChannelAttention(32), channel_formula),
    "spatial": (lambda: SpatialAttention(), spatial_formula),
    "spatial3": (lambda: SpatialAttention(kernel=3), spatial_formula),
}


def derivatives(function, gate: nn.Module, x: Tensor, grad: Tensor) -> list[Tensor]:
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = function(x)
    return [y, *torch.autograd.grad(y, [x, *gate.parameters()], grad)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["nchw", "nhwc"])
@pytest.mark.parametrize("name", GATES)
def test_equals_the_formula(name: str, layout: torch.memory_format) -> None:
    torch.manual_seed(1)
    make, formula = GATES[name]
    gate = make().double()
    x, grad = (torch.randn(3, 32, 9, 14).double().contiguous(memory_format=layout) for _ in "xg")
    ours = derivatives(gate, gate, x, grad)
    theirs = derivatives(lambda x: formula(gate, x), gate, x, grad)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_gradient_is_that_of_the_value(name: str) -> None:
    """Numerically, without any formula for it."""
    torch.manual_seed(2)
    gate = GATES[name][0]().double()
    x = torch.randn(2, 32, 3, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: gate(x), (x, *gate.parameters()))


def test_equal_maxima() -> None:
    """Of channels: they share the gradient. Of pixels: one of them has it, as in max pooling."""
    spatial, channel = SpatialAttention().double(), ChannelAttention(32).double()
    x = torch.randint(-2, 3, (2, 32, 6, 6)).double()
    grad = torch.randn(2, 32, 6, 6).double()
    for gate, formula in ((spatial, spatial_formula), (channel, channel_formula)):
        ours = derivatives(gate, gate, x, grad)
        theirs = derivatives(lambda x: formula(gate, x), gate, x, grad)  # noqa: B023
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_bfloat16_is_near(name: str) -> None:
    torch.manual_seed(3)
    make, formula = GATES[name]
    gate = make()
    # maxima that rounding to 8 bits cannot swap
    x = torch.stack([torch.randperm(32 * 64).view(32, 8, 8) / 512 - 2 for _ in range(2)])
    x, grad = x.bfloat16(), torch.randn(2, 32, 8, 8).bfloat16()
    exact = derivatives(lambda x: formula(gate, x), gate, x.float(), grad.float())
    with torch.autocast("cpu", torch.bfloat16):
        ours = derivatives(gate, gate, x, grad)
    assert ours[0].dtype == ours[1].dtype == torch.bfloat16
    for a, b in zip(ours, exact, strict=True):
        assert (a.float() - b).norm() <= 0.05 * b.norm()


@pytest.mark.parametrize("layout", LAYOUTS, ids=["nchw", "nhwc"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_resize_beside_a_skip_connection(layout: torch.memory_format, align_corners: bool) -> None:
    torch.manual_seed(4)
    x = torch.randn(2, 8, 5, 7).double().contiguous(memory_format=layout).requires_grad_()
    skip = torch.randn(2, 3, 10, 14).double().contiguous(memory_format=layout)
    weight = torch.randn(2, 11, 10, 14).double()

    def gradient(resized: Tensor) -> Tensor:
        return torch.autograd.grad((torch.cat((skip, resized), 1) * weight).sum(), x)[0]

    ours = resize(x, (10, 14), align_corners)
    theirs = F.interpolate(x, size=(10, 14), mode="bilinear", align_corners=align_corners)
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(gradient(ours), gradient(theirs), rtol=1e-12, atol=1e-12)
    assert ours.stride() == theirs.stride()


class Gradients(TorchDispatchMode):
    """Notes whether the gradients that reach the interpolation are dense."""

    def __init__(self) -> None:
        super().__init__()
        self.dense: list[bool] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.upsample_bilinear2d_backward.default:
            formats = (torch.contiguous_format, torch.channels_last)
            self.dense.append(any(args[0].is_contiguous(memory_format=f) for f in formats))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("layout", LAYOUTS, ids=["nchw", "nhwc"])
def test_interpolation_gets_a_dense_gradient(layout: torch.memory_format) -> None:
    def dense(function) -> list[bool]:
        x = torch.randn(2, 8, 4, 4).contiguous(memory_format=layout).requires_grad_()
        skip = torch.randn(2, 3, 8, 8).contiguous(memory_format=layout)
        with Gradients() as seen:
            torch.cat((skip, function(x)), 1).square().sum().backward()
        return seen.dense

    assert dense(lambda x: resize(x, (8, 8), align_corners=True)) == [True]
    assert dense(lambda x: F.interpolate(x, (8, 8), mode="bilinear", align_corners=True)) == [False]


def test_result_of_resize_may_be_changed_in_place() -> None:
    x, skip = torch.randn(1, 4, 4, 4).double().requires_grad_(), torch.randn(1, 4, 8, 8).double()
    ours, theirs = resize(x, (8, 8), False), F.interpolate(x, (8, 8), mode="bilinear")
    for y in (ours, theirs):
        y += skip
        F.relu(y, inplace=True)
    assert torch.equal(ours, theirs)
    a, b = (torch.autograd.grad(y.sum(), x)[0] for y in (ours, theirs))
    torch.testing.assert_close(a, b)
