"""Resizing and the channel gate as other devices than the CPU compute them, against autograd."""

import pytest
import torch
import torch.nn.functional as F

from detectors.attention import _add_at, _add_by_comparison
from detectors.resize import _Resize, pad_border

SIZES = [
    (8, 8, 16, 16), (16, 12, 32, 24), (32, 32, 16, 16), (5, 7, 9, 20), (1, 1, 4, 4),
    (9, 9, 128, 128), (64, 64, 32, 32), (6, 4, 6, 4), (3, 8, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-13), (torch.float32, 5e-6)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_adjoint_is_the_gradient(size, align_corners, dtype, close, layout):
    h, w, height, width = size
    torch.manual_seed(0)
    x = torch.randn(2, 3, h, w, dtype=dtype).to(memory_format=layout)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = F.interpolate(
        theirs, size=(height, width), mode="bilinear", align_corners=align_corners
    )
    got = _Resize.apply(ours, (height, width), align_corners)
    assert torch.equal(got, expected)
    grad = torch.randn_like(expected)
    got.backward(grad)
    expected.backward(grad)
    scale = theirs.grad.abs().max()
    assert (ours.grad - theirs.grad).abs().max() <= close * scale
    assert ours.grad.dtype == dtype


def test_half_precision_is_summed_in_single():
    x = torch.randn(1, 4, 8, 8).bfloat16().requires_grad_()
    _Resize.apply(x, (64, 64), True).sum().backward()
    assert x.grad.dtype == torch.bfloat16
    exact = x.detach().float().requires_grad_()
    F.interpolate(exact, size=(64, 64), mode="bilinear", align_corners=True).sum().backward()
    torch.testing.assert_close(x.grad, exact.grad.bfloat16())  # a sum of bf16 loses 64 ones


def test_a_peaks_gradient_lands_on_its_pixel():
    torch.manual_seed(0)
    x, values = torch.randn(2, 3, 5, 7), torch.randn(2, 3)
    place = torch.randint(35, (2, 3))
    expected = x.clone()
    for i in range(2):
        for k in range(3):
            expected[i, k].view(-1)[place[i, k]] += values[i, k]
    assert torch.equal(_add_by_comparison(x.clone(), place, values), expected)
    assert torch.equal(_add_at(x.clone(), place, values), expected)


def test_padding_repeats_the_border():
    x = torch.randn(1, 2, 5, 4)
    assert torch.equal(pad_border(x, (1, 2, 3, 0)), F.pad(x, (1, 2, 3, 0), mode="replicate"))
