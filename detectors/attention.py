"""The two attention gates of CBAM (arXiv:1807.06521), with a backward pass of our own.

What autograd derives for `x * gate(mean(x), max(x))` adds up three gradients of the size of x and
spreads that of the maximum with a comparison of all elements: on the wide, shallow maps of these
detectors that costs more than the convolutions next to it. Here the gradient is written once, in
the order of the forward pass; the tests compare it with the one that autograd derives.

Attribute names are checkpoint keys: keep them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ChannelAttention(nn.Module):
    """Multiplies each channel by a weight in (0, 1), from its mean and its maximum (CBAM, eq. 2).

    Args:
        channels: of the features.
        reduction: the two 1x1 convolutions have `channels // reduction` channels between them.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.fc1 = nn.Conv2d(channels, narrow, 1, bias=False)
        self.fc2 = nn.Conv2d(narrow, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return _ChannelGate.apply(x, self.fc1.weight.flatten(1), self.fc2.weight.flatten(1))


class SpatialAttention(nn.Module):
    """Multiplies each pixel by a weight in (0, 1), from the mean and maximum of its channels.

    CBAM, eq. 3.

    Args:
        kernel: side of the convolution.
    """

    def __init__(self, kernel: int = 7) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return _SpatialGate.apply(x, self.conv1.weight)


def pool_channels(x: Tensor) -> Tensor:
    """Mean and maximum over the channels of each pixel, (B, C, H, W) to (B, 2, H, W)."""
    half = x.is_cpu and x.dtype.itemsize == 2  # amax is slow on these
    peak = (x.float() if half else x).amax(1, keepdim=True).to(x.dtype)
    pooled = torch.cat((x.mean(1, keepdim=True), peak), dim=1)
    return pooled.contiguous(memory_format=torch.channels_last)


def _outside_autocast(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the types of the forward pass where a whole step runs under autocast.

    CUDA would sum bf16 in float32 there, which no convolution accepts with a bf16 kernel.
    """

    @functools.wraps(backward)
    def plain(ctx: Any, grad: Tensor) -> Any:
        with torch.autocast(grad.device.type, enabled=False):
            return backward(ctx, grad)

    return plain


class _ChannelGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, fc1: Tensor, fc2: Tensor) -> Tensor:
        peak, place = _peaks(x)
        pooled = torch.cat((x.mean((2, 3)), peak)).to(fc1.dtype)  # (2 B, C): means, then maxima
        hidden = F.relu(pooled @ fc1.T).to(fc1.dtype)
        gate = torch.sigmoid((hidden @ fc2.T).view(2, *peak.shape).sum(0)).to(x.dtype)
        ctx.save_for_backward(x, fc1, fc2, place, pooled, hidden, gate)
        return x * _spread(gate[:, :, None, None], x)

    @staticmethod
    @once_differentiable
    @_outside_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, fc1, fc2, place, pooled, hidden, gate = ctx.saved_tensors
        height, width = x.shape[2:]
        # `by_...` is the gradient with respect to it; y = x * gate, so x gets three terms.
        by_gate = (grad * x).sum((2, 3)).to(fc1.dtype)
        weight = gate.to(fc1.dtype)
        by_sum = (by_gate * weight * (1 - weight)).repeat(2, 1)  # sigmoid; both rows of the sum
        by_hidden = (by_sum @ fc2).masked_fill(hidden <= 0, 0)  # ReLU
        by_mean, by_peak = (by_hidden @ fc1).to(x.dtype).chunk(2)
        out = grad * _spread(gate[:, :, None, None], x)
        out += _spread((by_mean / (height * width))[:, :, None, None], x)  # each pixel has a share
        out = _add_at(out, place, by_peak)  # the maximum is one pixel's alone
        return out, by_hidden.T @ pooled, by_sum.T @ hidden


class _SpatialGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        kernel = kernel.to(x.dtype)
        pooled = pool_channels(x)
        gate = torch.sigmoid(F.conv2d(pooled, kernel, padding=kernel.shape[-1] // 2))
        ctx.save_for_backward(x, kernel, pooled, gate)
        return x * _spread(gate, x)

    @staticmethod
    @once_differentiable
    @_outside_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, kernel, pooled, gate = ctx.saved_tensors
        by_gate = (grad * x).sum(1, keepdim=True)
        by_sum = by_gate * gate * (1 - gate)  # sigmoid
        pad = kernel.shape[-1] // 2
        by_pooled, by_kernel, _ = torch.ops.aten.convolution_backward(
            by_sum, pooled, kernel, None, (1, 1), (pad, pad), (1, 1), False, (0, 0), 1,
            (True, True, False),
        )  # fmt: skip
        by_mean, by_peak = by_pooled.split(1, dim=1)
        highest = x.clone().eq_(_spread(pooled[:, 1:], x))  # 1 at the maxima: ties share
        out = grad * _spread(gate, x)
        out += _spread(by_mean / x.shape[1], x)
        out.addcmul_(highest, _spread(by_peak / highest.sum(1, keepdim=True), x))
        return out, by_kernel


def _peaks(x: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum over the pixels of each channel, and the pixel's number, (B, C) each."""
    if x.is_cpu:  # max pooling is faster there; on a GPU it would be one thread a channel
        peak, place = F.adaptive_max_pool2d(x, 1, return_indices=True)
        return peak.flatten(1), place.flatten(1)
    peak, place = x.flatten(2).max(2)
    return peak, place


def _add_at(x: Tensor, place: Tensor, values: Tensor) -> Tensor:
    """`x` with `values` (B, C) added at the numbered pixels, one in each channel."""
    if not x.is_cpu:
        return _add_by_comparison(x, place, values)
    width = x.shape[3]
    image, channel = torch.arange(len(x))[:, None], torch.arange(x.shape[1])
    x[image, channel, place // width, place % width] += values
    return x


def _add_by_comparison(x: Tensor, place: Tensor, values: Tensor) -> Tensor:
    """The same over all pixels: a GPU sorts writes to indices, which takes far longer."""
    height, width = x.shape[2:]
    pixel = torch.arange(height * width, device=x.device).view(height, width)
    there = pixel == place[:, :, None, None]
    return torch.where(there, x + values[:, :, None, None], x)


def _spread(x: Tensor, like: Tensor) -> Tensor:
    """`x` in the shape of `like`; copied where arithmetic with a view of it would be slow."""
    x = x.expand_as(like)
    if x.is_cpu and x.dtype.itemsize == 2:
        return x.contiguous(memory_format=torch.channels_last)
    return x
