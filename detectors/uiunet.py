"""UIU-Net (TIP 2023): a U-Net of small U-Nets with attention between its levels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.attention import pool_channels
from detectors.base import Detector, Prediction
from detectors.blocks import per_channel
from detectors.resize import resize

# Dilations of the levels of each kind of RSU-L; see ResidualUBlock.
RSU7 = (1, 1, 1, 1, 1, 1, 2)
RSU6 = (1, 1, 1, 1, 1, 2)
RSU5 = (1, 1, 1, 1, 2)
RSU4 = (1, 1, 1, 2)
RSU4F = (1, 2, 4, 8)


class UIUNet(Detector):
    """UIU-Net: U2-Net whose decoder inputs are merged by interactive cross-attention.

    Training needs at least two images a batch, because the attention normalises 1x1 maps over
    it. With exactly two of them these become +-1 whatever the input, and the gradients are so
    ill-conditioned that float32 gets them wrong. The official batch is 3; use 8 or more.

    The official loader also divides each image by its own maximum.

    Args:
        in_channels: channels of the input.
    """

    name = "uiunet"
    paper = "UIU-Net: U-Net in U-Net for Infrared Small Object Detection"
    venue = "IEEE TIP 2023"
    year = 2023
    source = "arXiv:2212.00968; checked against github.com/danfenghong/IEEE_TIP_UIU-Net@625023a"
    in_channels = 3
    mean = (0.485, 0.485, 0.485)  # grey images get ImageNet's red for all channels
    std = (0.229, 0.229, 0.229)
    stride = 1
    min_batch = 2
    recipe = {
        "optimizer": "adam",
        "lr": 0.001,
        "weight_decay": 0.0,
        "schedule": "constant",
        "epochs": 500,
        "batch_size": 3,
        "base_size": 320,
        "crop_size": 288,
        "loss": "bce",
        "warm_epoch": -1,
    }
    cost = {"parameters": 50.541, "macs": 54.298, "activations": 171.1}
    outputs = ("side1", "side2", "side3", "side4", "side5", "side6", "outconv")
    fusion = "outconv"
    published_cost = {
        "parameters": 50.540,
        "flops": 54.426,
        "source": "BasicIRSTD README (1-channel port)",
        "difference": "one input channel; printed as FLOPs, but multiply-adds, with those of "
        "normalisation; ours are those of convolutions only",
    }

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.mean = per_channel(self.mean, in_channels)
        self.std = per_channel(self.std, in_channels)

        self.stage1 = ResidualUBlock(RSU7, in_channels, 32, 64)
        self.stage2 = ResidualUBlock(RSU6, 64, 32, 128)
        self.stage3 = ResidualUBlock(RSU5, 128, 64, 256)
        self.stage4 = ResidualUBlock(RSU4, 256, 128, 512)
        self.stage5 = ResidualUBlock(RSU4F, 512, 256, 512)
        self.stage6 = ResidualUBlock(RSU4F, 512, 256, 512)

        self.stage5d = ResidualUBlock(RSU4F, 1024, 256, 512)
        self.stage4d = ResidualUBlock(RSU4, 1024, 128, 256)
        self.stage3d = ResidualUBlock(RSU5, 512, 64, 128)
        self.stage2d = ResidualUBlock(RSU6, 256, 32, 64)
        self.stage1d = ResidualUBlock(RSU7, 128, 16, 64)

        for k, channels in enumerate((64, 64, 128, 256, 512, 512), start=1):
            self.add_module(f"side{k}", nn.Conv2d(channels, 1, 3, padding=1))
        self.outconv = nn.Conv2d(6, 1, 1)

        self.fuse5 = CrossAttentionFusion(512)
        self.fuse4 = CrossAttentionFusion(512)
        self.fuse3 = CrossAttentionFusion(256)
        self.fuse2 = CrossAttentionFusion(128)

    def forward(self, x: Tensor) -> Prediction:
        """Images (B, C, H, W) to the fused logits d0, with the side outputs d1..d6 as aux.

        All are (B, 1, H, W).
        """
        s1 = self.stage1(x)
        s2 = self.stage2(_pool(s1))
        s3 = self.stage3(_pool(s2))
        s4 = self.stage4(_pool(s3))
        s5 = self.stage5(_pool(s4))
        s6 = self.stage6(_pool(s5))

        s5d = self.stage5d(self.fuse5(_resize(s6, like=s5), s5))
        s4d = self.stage4d(self.fuse4(_resize(s5d, like=s4), s4))
        s3d = self.stage3d(self.fuse3(_resize(s4d, like=s3), s3))
        s2d = self.stage2d(self.fuse2(_resize(s3d, like=s2), s2))
        s1d = self.stage1d(torch.cat((_resize(s2d, like=s1), s1), dim=1))

        sides = (
            self.side1(s1d),
            _resize(self.side2(s2d), like=x),
            _resize(self.side3(s3d), like=x),
            _resize(self.side4(s4d), like=x),
            _resize(self.side5(s5d), like=x),
            _resize(self.side6(s6), like=x),
        )
        return Prediction(self.outconv(torch.cat(sides, dim=1)), sides)


def probabilities(prediction: Prediction) -> tuple[Tensor, ...]:
    """Outputs of the official forward: d0..d6 in [0, 1], each (B, 1, H, W); d0 is the result."""
    return tuple(torch.sigmoid(d) for d in (prediction.logits, *prediction.aux))


class ResidualUBlock(nn.Module):
    """RSU-L of U2-Net: a U-Net of L levels, added to the output of its input layer.

    A level of dilation 1 works at half the resolution of the level above, a dilated one at the
    same. Each decoder unit has the dilation of its level.

    Args:
        dilations: one per level, top first.
        c_in: channels of the input.
        c_mid: channels inside.
        c_out: channels of the output.
    """

    def __init__(self, dilations: tuple[int, ...], c_in: int, c_mid: int, c_out: int) -> None:
        super().__init__()
        self.dilations = dilations
        depth = len(dilations)
        self.rebnconvin = _Unit(c_in, c_out)
        self.rebnconv1 = _Unit(c_out, c_mid, dilations[0])
        for k in range(2, depth + 1):
            self.add_module(f"rebnconv{k}", _Unit(c_mid, c_mid, dilations[k - 1]))
        for k in range(depth - 1, 1, -1):
            self.add_module(f"rebnconv{k}d", _Unit(2 * c_mid, c_mid, dilations[k - 1]))
        self.rebnconv1d = _Unit(2 * c_mid, c_out, dilations[0])

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) to (B, c_out, H, W)."""
        y = residual = self.rebnconvin(x)
        skips: list[Tensor] = []
        for k, dilation in enumerate(self.dilations, start=1):
            if k > 1 and dilation == 1:
                y = _pool(y)
            y = getattr(self, f"rebnconv{k}")(y)
            skips.append(y)
        y = skips.pop()
        while skips:
            k, skip = len(skips), skips.pop()
            if self.dilations[k] == 1:  # of the level below
                y = _resize(y, like=skip)
            y = getattr(self, f"rebnconv{k}d")(torch.cat((y, skip), dim=1))
        return y + residual


class _Unit(nn.Module):
    """3x3 convolution, BatchNorm, ReLU."""

    def __init__(self, c_in: int, c_out: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(c_in, c_out, 3, padding=dilation, dilation=dilation)
        self.bn_s1 = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn_s1(self.conv_s1(x)))


class CrossAttentionFusion(nn.Module):
    """Interactive cross-attention: deep features weight the channels of the skip, the weighted
    skip the pixels of the deep features.

    Both results pass through the same `post`, one after the other, so its BatchNorm updates its
    running statistics twice a training step; the published weights need it so.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.feature_high = nn.Sequential(*_conv_bn(channels, channels), nn.ReLU())
        self.topdown = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            *_conv_bn(channels, narrow),
            nn.ReLU(),
            *_conv_bn(narrow, channels),
            nn.Sigmoid(),
        )
        self.bottomup = nn.Sequential(*_conv_bn(channels, narrow), nn.ReLU(), _SpatialWeights())
        self.post = nn.Sequential(*_conv_bn(channels, channels, kernel=3), nn.ReLU())

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """Deep features and skip, (B, C, H, W) each, to (B, 2 C, H, W): skip first."""
        high = self.feature_high(high)
        low = low * self.topdown(high)
        high = high * self.bottomup(low)
        return torch.cat((self.post(2 * low), self.post(2 * high)), dim=1)


class _SpatialWeights(nn.Module):
    """The weights of CBAM's spatial attention, here for another map than they are taken from."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to weights in (0, 1), (B, 1, H, W)."""
        return torch.sigmoid(self.conv1(pool_channels(x)))


def _conv_bn(c_in: int, c_out: int, kernel: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2), nn.BatchNorm2d(c_out)


def _pool(x: Tensor) -> Tensor:
    """Half the resolution; odd sizes are rounded up."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, to the height and width of `like`, on the half-pixel grid."""
    return resize(x, like.shape[-2:], align_corners=False)
