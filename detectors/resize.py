"""Bilinear resizing of feature maps, with backward passes that are neither slow nor random."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Bilinear interpolation, (B, C, H, W) to (B, C, *size).

    Args:
        x: feature maps.
        size: height and width of the result, px.
        align_corners: whether the corner pixels of both lie on each other (else the outer borders
            of both do).
    """
    if not x.is_cpu:
        return _Resize.apply(x, size, align_corners)
    y = F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)
    return _DenseGradient.apply(y)


def pad_border(x: Tensor, margin: tuple[int, int, int, int]) -> Tensor:
    """Repeat the border of (B, C, H, W) by these numbers of px: left, right, top, bottom.

    PyTorch's own operation: asked to be deterministic, `F.pad` replaces it on a GPU by an index
    that is only needed where there is a backward pass.
    """
    return torch.ops.aten.replication_pad2d(x, margin)


class _Resize(torch.autograd.Function):
    """PyTorch's own interpolation with its adjoint written as two matrix products.

    On a GPU, PyTorch's backward pass adds atomically, in any order; asked to be deterministic,
    `F.interpolate` becomes some twenty small kernels and four index writes that sort.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
        ctx.size, ctx.align_corners, ctx.dtype = x.shape[-2:], align_corners, x.dtype
        return torch.ops.aten.upsample_bilinear2d(x, size, align_corners)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        height, width = ctx.size
        dtype = torch.promote_types(grad.dtype, torch.float32)
        rows, columns = (
            weights(n_in, n_out, ctx.align_corners, dtype, grad.device)
            for n_in, n_out in zip(ctx.size, grad.shape[-2:], strict=True)
        )
        batch, channels, n_rows, _ = grad.shape
        g = columns.T @ grad.to(dtype).permute(0, 2, 3, 1)  # NHWC: a view where channels are last
        g = rows.T @ g.reshape(batch, n_rows, width * channels)
        g = g.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return g.to(ctx.dtype), None, None


@lru_cache(maxsize=256)
def weights(
    n_in: int, n_out: int, align_corners: bool, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Bilinear interpolation along one axis as a matrix, (n_out, n_in).

    Made where it is used, so that nothing has to be copied there.
    """
    place = torch.arange(n_out, dtype=dtype, device=device)
    if align_corners:
        place = place * ((n_in - 1) / (n_out - 1) if n_out > 1 else 0.0)
    else:
        place = (place + 0.5) * (n_in / n_out) - 0.5
    place = place.clamp(0, n_in - 1)
    pixel = torch.arange(n_in, dtype=dtype, device=device)
    return (1 - (place[:, None] - pixel).abs()).clamp_min(0)


class _DenseGradient(torch.autograd.Function):
    """Its input, whose gradient is copied out where it is a part of a larger map's.

    That is what it is when the result is concatenated with a skip connection; on a CPU the backward
    pass of PyTorch's interpolation takes five times as long on such a part as copying it first.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        last = y.is_contiguous(memory_format=torch.channels_last)
        ctx.layout = torch.channels_last if last else torch.contiguous_format
        ctx.mark_dirty(y)  # not changed, but so it need not be copied
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.contiguous(memory_format=ctx.layout)
