"""ALCNet (TGRS 2021) as its published weights have it. One output, the prediction."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.bench.plain.acm import Head, layer, stem


def shift_rows(x: Tensor, shift: int) -> Tensor:
    """x[i + shift] at row i, circularly: two slices, joined."""
    return torch.cat([x[:, :, shift:, :], x[:, :, :shift, :]], dim=2)


def shift_columns(x: Tensor, shift: int) -> Tensor:
    """x[j + shift] at column j, circularly: two slices, joined."""
    return torch.cat([x[:, :, :, shift:], x[:, :, :, :shift]], dim=3)


def local_contrast(x: Tensor, shift: int) -> Tensor:
    """Smallest product of the differences to two opposite neighbours, over four directions."""
    south = shift_rows(x, shift)
    north = shift_rows(x, -shift)
    east = shift_columns(x, shift)
    west = shift_columns(x, -shift)
    south_east = shift_columns(shift_rows(x, shift), shift)
    north_west = shift_columns(shift_rows(x, -shift), -shift)
    south_west = shift_columns(shift_rows(x, shift), -shift)
    north_east = shift_columns(shift_rows(x, -shift), shift)

    diagonal = (south_east - x) * (north_west - x)
    vertical = (south - x) * (north - x)
    anti_diagonal = (south_west - x) * (north_east - x)
    horizontal = (east - x) * (west - x)

    out = torch.minimum(diagonal, vertical)
    out = torch.minimum(out, anti_diagonal)
    return torch.minimum(out, horizontal)


def multi_scale_contrast(x: Tensor) -> Tensor:
    """Largest contrast over the two distances."""
    return torch.maximum(local_contrast(x, 13), local_contrast(x, 17))


class BottomUpLocalFusion(nn.Module):
    """Shallow features weight the pixels of deep ones and are added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.bottomup_att = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        deep = self.bn1(deep)
        shallow = self.bn2(shallow)
        weight = self.bottomup_att(shallow)
        return weight * deep + shallow


def reduction(channels: int) -> nn.Sequential:
    """1x1 convolution to 16 channels."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)
    )


def resize_like(x: Tensor, reference: Tensor) -> Tensor:
    """Bilinear resize to the height and width of the reference."""
    return F.interpolate(x, size=reference.shape[2:], mode="bilinear", align_corners=True)


class ALCNet(nn.Module):
    """(B, 3, H, W) to one map of the same size; every feature map must be larger than 17 px."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = stem()
        self.head = Head(16)
        self.layer1 = layer(16, 16, 1)
        self.layer2 = layer(16, 32, 2)
        self.layer3 = layer(32, 64, 2)
        self.dec_c2 = reduction(32)
        self.dec_c3 = reduction(64)
        self.bottomuplocal_fpn_2 = BottomUpLocalFusion(16)
        self.bottomuplocal_fpn_1 = BottomUpLocalFusion(16)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        c1 = self.layer1(self.stem(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)

        p3 = resize_like(self.dec_c3(multi_scale_contrast(c3)), c2)
        p2 = self.dec_c2(multi_scale_contrast(c2))
        out = resize_like(self.bottomuplocal_fpn_2(p3, p2), c1)
        out = self.bottomuplocal_fpn_1(out, multi_scale_contrast(c1))
        return (resize_like(self.head(out), x),)
