"""UIU-Net (TIP 2023). Prediction (d0) first, then the side outputs d1..d6."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resize_like(x: Tensor, reference: Tensor) -> Tensor:
    """Bilinear resize to the height and width of the reference."""
    return F.interpolate(x, size=reference.shape[2:], mode="bilinear", align_corners=False)


class ConvUnit(nn.Module):
    """Dilated 3x3 convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(in_channels, channels, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(channels)
        self.relu_s1 = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu_s1(self.bn_s1(self.conv_s1(x)))


class RSU7(nn.Module):
    """Residual U-block of seven levels."""

    def __init__(self, in_channels: int, mid: int, out: int) -> None:
        super().__init__()
        self.rebnconvin = ConvUnit(in_channels, out)
        self.rebnconv1 = ConvUnit(out, mid)
        self.pool1 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv2 = ConvUnit(mid, mid)
        self.pool2 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv3 = ConvUnit(mid, mid)
        self.pool3 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv4 = ConvUnit(mid, mid)
        self.pool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv5 = ConvUnit(mid, mid)
        self.pool5 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv6 = ConvUnit(mid, mid)
        self.rebnconv7 = ConvUnit(mid, mid, dilation=2)
        self.rebnconv6d = ConvUnit(mid * 2, mid)
        self.rebnconv5d = ConvUnit(mid * 2, mid)
        self.rebnconv4d = ConvUnit(mid * 2, mid)
        self.rebnconv3d = ConvUnit(mid * 2, mid)
        self.rebnconv2d = ConvUnit(mid * 2, mid)
        self.rebnconv1d = ConvUnit(mid * 2, out)

    def forward(self, x: Tensor) -> Tensor:
        hin = self.rebnconvin(x)
        h1 = self.rebnconv1(hin)
        h2 = self.rebnconv2(self.pool1(h1))
        h3 = self.rebnconv3(self.pool2(h2))
        h4 = self.rebnconv4(self.pool3(h3))
        h5 = self.rebnconv5(self.pool4(h4))
        h6 = self.rebnconv6(self.pool5(h5))
        h7 = self.rebnconv7(h6)
        d6 = self.rebnconv6d(torch.cat((h7, h6), 1))
        d5 = self.rebnconv5d(torch.cat((resize_like(d6, h5), h5), 1))
        d4 = self.rebnconv4d(torch.cat((resize_like(d5, h4), h4), 1))
        d3 = self.rebnconv3d(torch.cat((resize_like(d4, h3), h3), 1))
        d2 = self.rebnconv2d(torch.cat((resize_like(d3, h2), h2), 1))
        d1 = self.rebnconv1d(torch.cat((resize_like(d2, h1), h1), 1))
        return d1 + hin


class RSU6(nn.Module):
    """Residual U-block of six levels."""

    def __init__(self, in_channels: int, mid: int, out: int) -> None:
        super().__init__()
        self.rebnconvin = ConvUnit(in_channels, out)
        self.rebnconv1 = ConvUnit(out, mid)
        self.pool1 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv2 = ConvUnit(mid, mid)
        self.pool2 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv3 = ConvUnit(mid, mid)
        self.pool3 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv4 = ConvUnit(mid, mid)
        self.pool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv5 = ConvUnit(mid, mid)
        self.rebnconv6 = ConvUnit(mid, mid, dilation=2)
        self.rebnconv5d = ConvUnit(mid * 2, mid)
        self.rebnconv4d = ConvUnit(mid * 2, mid)
        self.rebnconv3d = ConvUnit(mid * 2, mid)
        self.rebnconv2d = ConvUnit(mid * 2, mid)
        self.rebnconv1d = ConvUnit(mid * 2, out)

    def forward(self, x: Tensor) -> Tensor:
        hin = self.rebnconvin(x)
        h1 = self.rebnconv1(hin)
        h2 = self.rebnconv2(self.pool1(h1))
        h3 = self.rebnconv3(self.pool2(h2))
        h4 = self.rebnconv4(self.pool3(h3))
        h5 = self.rebnconv5(self.pool4(h4))
        h6 = self.rebnconv6(h5)
        d5 = self.rebnconv5d(torch.cat((h6, h5), 1))
        d4 = self.rebnconv4d(torch.cat((resize_like(d5, h4), h4), 1))
        d3 = self.rebnconv3d(torch.cat((resize_like(d4, h3), h3), 1))
        d2 = self.rebnconv2d(torch.cat((resize_like(d3, h2), h2), 1))
        d1 = self.rebnconv1d(torch.cat((resize_like(d2, h1), h1), 1))
        return d1 + hin


class RSU5(nn.Module):
    """Residual U-block of five levels."""

    def __init__(self, in_channels: int, mid: int, out: int) -> None:
        super().__init__()
        self.rebnconvin = ConvUnit(in_channels, out)
        self.rebnconv1 = ConvUnit(out, mid)
        self.pool1 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv2 = ConvUnit(mid, mid)
        self.pool2 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv3 = ConvUnit(mid, mid)
        self.pool3 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv4 = ConvUnit(mid, mid)
        self.rebnconv5 = ConvUnit(mid, mid, dilation=2)
        self.rebnconv4d = ConvUnit(mid * 2, mid)
        self.rebnconv3d = ConvUnit(mid * 2, mid)
        self.rebnconv2d = ConvUnit(mid * 2, mid)
        self.rebnconv1d = ConvUnit(mid * 2, out)

    def forward(self, x: Tensor) -> Tensor:
        hin = self.rebnconvin(x)
        h1 = self.rebnconv1(hin)
        h2 = self.rebnconv2(self.pool1(h1))
        h3 = self.rebnconv3(self.pool2(h2))
        h4 = self.rebnconv4(self.pool3(h3))
        h5 = self.rebnconv5(h4)
        d4 = self.rebnconv4d(torch.cat((h5, h4), 1))
        d3 = self.rebnconv3d(torch.cat((resize_like(d4, h3), h3), 1))
        d2 = self.rebnconv2d(torch.cat((resize_like(d3, h2), h2), 1))
        d1 = self.rebnconv1d(torch.cat((resize_like(d2, h1), h1), 1))
        return d1 + hin


class RSU4(nn.Module):
    """Residual U-block of four levels."""

    def __init__(self, in_channels: int, mid: int, out: int) -> None:
        super().__init__()
        self.rebnconvin = ConvUnit(in_channels, out)
        self.rebnconv1 = ConvUnit(out, mid)
        self.pool1 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv2 = ConvUnit(mid, mid)
        self.pool2 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.rebnconv3 = ConvUnit(mid, mid)
        self.rebnconv4 = ConvUnit(mid, mid, dilation=2)
        self.rebnconv3d = ConvUnit(mid * 2, mid)
        self.rebnconv2d = ConvUnit(mid * 2, mid)
        self.rebnconv1d = ConvUnit(mid * 2, out)

    def forward(self, x: Tensor) -> Tensor:
        hin = self.rebnconvin(x)
        h1 = self.rebnconv1(hin)
        h2 = self.rebnconv2(self.pool1(h1))
        h3 = self.rebnconv3(self.pool2(h2))
        h4 = self.rebnconv4(h3)
        d3 = self.rebnconv3d(torch.cat((h4, h3), 1))
        d2 = self.rebnconv2d(torch.cat((resize_like(d3, h2), h2), 1))
        d1 = self.rebnconv1d(torch.cat((resize_like(d2, h1), h1), 1))
        return d1 + hin


class RSU4F(nn.Module):
    """Residual block of four levels with dilations in place of pooling."""

    def __init__(self, in_channels: int, mid: int, out: int) -> None:
        super().__init__()
        self.rebnconvin = ConvUnit(in_channels, out)
        self.rebnconv1 = ConvUnit(out, mid)
        self.rebnconv2 = ConvUnit(mid, mid, dilation=2)
        self.rebnconv3 = ConvUnit(mid, mid, dilation=4)
        self.rebnconv4 = ConvUnit(mid, mid, dilation=8)
        self.rebnconv3d = ConvUnit(mid * 2, mid, dilation=4)
        self.rebnconv2d = ConvUnit(mid * 2, mid, dilation=2)
        self.rebnconv1d = ConvUnit(mid * 2, out)

    def forward(self, x: Tensor) -> Tensor:
        hin = self.rebnconvin(x)
        h1 = self.rebnconv1(hin)
        h2 = self.rebnconv2(h1)
        h3 = self.rebnconv3(h2)
        h4 = self.rebnconv4(h3)
        d3 = self.rebnconv3d(torch.cat((h4, h3), 1))
        d2 = self.rebnconv2d(torch.cat((d3, h2), 1))
        d1 = self.rebnconv1d(torch.cat((d2, h1), 1))
        return d1 + hin


class SpatialAttention(nn.Module):
    """One weight per pixel from the mean and the maximum over the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, 3, padding=1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        mean = torch.mean(x, dim=1, keepdim=True)
        top, _ = torch.max(x, dim=1, keepdim=True)
        return self.sigmoid(self.conv1(torch.cat([mean, top], dim=1)))


class CrossFusion(nn.Module):
    """Deep features weight the channels of shallow ones, which weight the pixels of deep ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 4
        self.feature_high = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
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
            SpatialAttention(),
        )
        self.post = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        high = self.feature_high(high)
        topdown = self.topdown(high)
        bottomup = self.bottomup(low * topdown)
        low = self.post(2 * low * topdown)
        high = self.post(2 * high * bottomup)
        return torch.cat((low, high), 1)


class UIUNet(nn.Module):
    """(B, 3, H, W) to seven maps of the same size; any H and W."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = RSU7(3, 32, 64)
        self.pool12 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.stage2 = RSU6(64, 32, 128)
        self.pool23 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.stage3 = RSU5(128, 64, 256)
        self.pool34 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.stage4 = RSU4(256, 128, 512)
        self.pool45 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.stage5 = RSU4F(512, 256, 512)
        self.pool56 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.stage6 = RSU4F(512, 256, 512)

        self.stage5d = RSU4F(1024, 256, 512)
        self.stage4d = RSU4(1024, 128, 256)
        self.stage3d = RSU5(512, 64, 128)
        self.stage2d = RSU6(256, 32, 64)
        self.stage1d = RSU7(128, 16, 64)

        self.side1 = nn.Conv2d(64, 1, 3, padding=1)
        self.side2 = nn.Conv2d(64, 1, 3, padding=1)
        self.side3 = nn.Conv2d(128, 1, 3, padding=1)
        self.side4 = nn.Conv2d(256, 1, 3, padding=1)
        self.side5 = nn.Conv2d(512, 1, 3, padding=1)
        self.side6 = nn.Conv2d(512, 1, 3, padding=1)
        self.outconv = nn.Conv2d(6, 1, 1)

        self.fuse5 = CrossFusion(512)
        self.fuse4 = CrossFusion(512)
        self.fuse3 = CrossFusion(256)
        self.fuse2 = CrossFusion(128)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        s1 = self.stage1(x)
        s2 = self.stage2(self.pool12(s1))
        s3 = self.stage3(self.pool23(s2))
        s4 = self.stage4(self.pool34(s3))
        s5 = self.stage5(self.pool45(s4))
        s6 = self.stage6(self.pool56(s5))

        s5d = self.stage5d(self.fuse5(resize_like(s6, s5), s5))
        s4d = self.stage4d(self.fuse4(resize_like(s5d, s4), s4))
        s3d = self.stage3d(self.fuse3(resize_like(s4d, s3), s3))
        s2d = self.stage2d(self.fuse2(resize_like(s3d, s2), s2))
        s1d = self.stage1d(torch.cat((resize_like(s2d, s1), s1), 1))

        d1 = self.side1(s1d)
        d2 = resize_like(self.side2(s2d), d1)
        d3 = resize_like(self.side3(s3d), d1)
        d4 = resize_like(self.side4(s4d), d1)
        d5 = resize_like(self.side5(s5d), d1)
        d6 = resize_like(self.side6(s6), d1)
        d0 = self.outconv(torch.cat((d1, d2, d3, d4, d5, d6), 1))
        return d0, d1, d2, d3, d4, d5, d6
