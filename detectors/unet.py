"""U-Net of residual attention blocks: the backbone of MSHNet, with one head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.base import Detector, Prediction
from detectors.blocks import ResidualAttentionBlock as Block
from detectors.blocks import per_channel, stage, upsample

WIDTHS = (16, 32, 64, 128)
"""Channels of the decoder's outputs, finest first."""


class Backbone(Detector):
    """The encoder and decoder that `unet` and `mshnet` share, and the recipe of both."""

    in_channels = 3
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    stride = 16
    recipe = {
        "optimizer": "adagrad",
        "lr": 0.05,
        "weight_decay": 0.0,
        "schedule": "constant",
        "epochs": 400,
        "batch_size": 4,
        "base_size": 256,
        "crop_size": 256,
        "loss": "sls",
        "warm_epoch": 5,
    }

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.mean = per_channel(self.mean, in_channels)
        self.std = per_channel(self.std, in_channels)
        self.conv_init = nn.Conv2d(in_channels, 16, 1)
        self.encoder_0 = stage(Block, 16, 16, 1)
        self.encoder_1 = stage(Block, 16, 32, 2)
        self.encoder_2 = stage(Block, 32, 64, 2)
        self.encoder_3 = stage(Block, 64, 128, 2)
        self.middle_layer = stage(Block, 128, 256, 2)
        self.decoder_3 = stage(Block, 128 + 256, 128, 2)
        self.decoder_2 = stage(Block, 64 + 128, 64, 2)
        self.decoder_1 = stage(Block, 32 + 64, 32, 2)
        self.decoder_0 = stage(Block, 16 + 32, 16, 1)

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images (B, C, H, W) to decoder outputs d0..d3, (B, WIDTHS[k], H / 2^k, W / 2^k)."""
        e0 = self.encoder_0(self.conv_init(x))
        e1 = self.encoder_1(F.max_pool2d(e0, 2))
        e2 = self.encoder_2(F.max_pool2d(e1, 2))
        e3 = self.encoder_3(F.max_pool2d(e2, 2))
        middle = self.middle_layer(F.max_pool2d(e3, 2))

        d3 = self.decoder_3(torch.cat((e3, upsample(middle, 2)), dim=1))
        d2 = self.decoder_2(torch.cat((e2, upsample(d3, 2)), dim=1))
        d1 = self.decoder_1(torch.cat((e1, upsample(d2, 2)), dim=1))
        d0 = self.decoder_0(torch.cat((e0, upsample(d1, 2)), dim=1))
        return d0, d1, d2, d3


class UNet(Backbone):
    """MSHNet's U-Net without the multi-scale head: the baseline of that paper's ablation.

    The prediction is a 1x1 convolution of the finest decoder output. Keys are those of MSHNet
    without `output_1..3` and `final`.

    Args:
        in_channels: channels of the input.
    """

    name = "unet"
    group = "baseline"
    paper = "U-Net: Convolutional Networks for Biomedical Image Segmentation"
    venue = "MICCAI 2015"
    year = 2015
    cost = {"parameters": 4.065, "macs": 5.998, "activations": 47.6}
    outputs = ("output_0",)
    source = (
        "arXiv:1505.04597 for the idea; the blocks are those of MSHNet (arXiv:2403.19366), "
        "github.com/Lliu666/MSHNet@7c5194b"
    )

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__(in_channels)
        self.output_0 = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, x: Tensor) -> Prediction:
        """Images (B, C, H, W) to logits (B, 1, H, W)."""
        return Prediction(self.output_0(self.features(x)[0]))
