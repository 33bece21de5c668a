"""ACM-U-Net (WACV 2021) as its published weights have it. One output, the prediction."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; ALCNet uses it too."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(channels),
            )
        else:
            self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + residual)


class AsymmetricFusion(nn.Module):
    """Deep features weight the channels of shallow ones, which weight the pixels of deep ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.topdown = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )
        self.bottomup = nn.Sequential(
            nn.Conv2d(channels, inner, 1),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, channels, 1),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )
        self.post = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        topdown = self.topdown(high)
        bottomup = self.bottomup(low)
        return self.post(2 * low * topdown + 2 * high * bottomup)


class Head(nn.Module):
    """3x3 convolution to a quarter of the channels, dropout, 1x1 convolution to one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.block = nn.Sequential(
            nn.Conv2d(channels, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
            nn.Conv2d(inner, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


def layer(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """Four blocks; the first changes width and resolution."""
    blocks = [ResidualBlock(in_channels, channels, stride)]
    blocks += [ResidualBlock(channels, channels, 1) for _ in range(3)]
    return nn.Sequential(*blocks)


def stem() -> nn.Sequential:
    """The "tiny" stem: full resolution, the image normalised without scale and shift."""
    return nn.Sequential(
        nn.BatchNorm2d(3, affine=False),
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
    )


class ACM(nn.Module):
    """(B, 3, H, W) to one map of the same size; H and W are multiples of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = stem()
        self.layer1 = layer(16, 16, 1)
        self.layer2 = layer(16, 32, 2)
        self.layer3 = layer(32, 64, 2)
        self.deconv2 = nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1)
        self.uplayer2 = layer(32, 32, 1)
        self.fuse2 = AsymmetricFusion(32)
        self.deconv1 = nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1)
        self.uplayer1 = layer(16, 16, 1)
        self.fuse1 = AsymmetricFusion(16)
        self.head = Head(16)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        c1 = self.layer1(self.stem(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        out = self.uplayer2(self.fuse2(self.deconv2(c3), c2))
        out = self.uplayer1(self.fuse1(self.deconv1(out), c1))
        return (self.head(out),)
