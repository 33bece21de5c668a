"""Building blocks that several detectors share. Attribute names are checkpoint keys: keep them."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from detectors.attention import ChannelAttention, SpatialAttention
from detectors.resize import resize


def stage(
    block: Callable[..., nn.Module], c_in: int, c_out: int, count: int, stride: int = 1
) -> nn.Sequential:
    """`count` blocks in a row; the first one changes the width and the resolution."""
    return nn.Sequential(
        block(c_in, c_out, stride=stride), *(block(c_out, c_out) for _ in range(count - 1))
    )


def upsample(x: Tensor, factor: int) -> Tensor:
    """Bilinear upsampling on the corner-aligned grid that MSHNet and DNANet are trained with."""
    height, width = x.shape[-2:]
    return resize(x, (height * factor, width * factor), align_corners=True)


def per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Image statistics for `channels` channels: unchanged if they fit, else their average."""
    if len(values) == channels:
        return values
    return (sum(values) / len(values),) * channels


class ResidualAttentionBlock(nn.Module):
    """Residual block with channel, then spatial attention (DNANet, MSHNet)."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))
            if c_in != c_out or stride != 1
            else nn.Identity()
        )
        self.ca = ChannelAttention(c_out)
        self.sa = SpatialAttention()

    def attended(self, x: Tensor) -> Tensor:
        """The features before shortcut and ReLU."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return self.sa(self.ca(y))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) to (B, c_out, H / stride, W / stride)."""
        return F.relu(self.attended(x) + self.shortcut(x), inplace=True)


class ResidualBlock(nn.Module):
    """Plain residual block without convolution biases (ACM, ALCNet)."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
            if c_in != c_out or stride != 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) to (B, c_out, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


class FCNHead(nn.Module):
    """Features to one logit per pixel (ACM, ALCNet)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.block = nn.Sequential(
            nn.Conv2d(channels, narrow, 3, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(narrow, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 1, H, W)."""
        return self.block(x)
