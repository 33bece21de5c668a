"""MSHNet (CVPR 2024): a residual attention U-Net with a prediction at each of four scales."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.base import Detector, Prediction
from detectors.blocks import ResidualAttentionBlock as Block
from detectors.blocks import per_channel, stage, upsample


class MSHNet(Detector):
    """MSHNet: multi-scale heads fused into one prediction.

    Up to and including epoch `warm_epoch` only the finest head is used (`begin_epoch` decides);
    the others then get no gradient at all, so Adagrad's accumulators for them start afterwards.
    A fresh model is past the warm-up.

    Args:
        in_channels: channels of the input.
        warm_epoch: last warm-up epoch, counted from 0; the official 5 gives six warm-up epochs.
    """

    name = "mshnet"
    paper = "Infrared Small Target Detection with Scale and Location Sensitivity"
    venue = "CVPR 2024"
    source = "arXiv:2403.19366; checked against github.com/Lliu666/MSHNet@7c5194b"
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

    def __init__(self, in_channels: int = 3, warm_epoch: int = 5) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.mean, self.std = (
            per_channel(self.mean, in_channels),
            per_channel(self.std, in_channels),
        )
        self.warm_epoch = warm_epoch
        self.warming_up = False

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
        self.output_0 = nn.Conv2d(16, 1, 1)
        self.output_1 = nn.Conv2d(32, 1, 1)
        self.output_2 = nn.Conv2d(64, 1, 1)
        self.output_3 = nn.Conv2d(128, 1, 1)
        self.final = nn.Conv2d(4, 1, 3, padding=1)

    def begin_epoch(self, epoch: int) -> None:
        """Switch the warm-up on or off."""
        self.warming_up = epoch <= self.warm_epoch

    def forward(self, x: Tensor) -> Prediction:
        """Images (B, C, H, W) to the fused logits, with four masks of sizes H / 2^k as aux.

        During the warm-up: the finest mask alone.
        """
        e0 = self.encoder_0(self.conv_init(x))
        e1 = self.encoder_1(F.max_pool2d(e0, 2))
        e2 = self.encoder_2(F.max_pool2d(e1, 2))
        e3 = self.encoder_3(F.max_pool2d(e2, 2))
        middle = self.middle_layer(F.max_pool2d(e3, 2))

        d3 = self.decoder_3(torch.cat((e3, upsample(middle, 2)), dim=1))
        d2 = self.decoder_2(torch.cat((e2, upsample(d3, 2)), dim=1))
        d1 = self.decoder_1(torch.cat((e1, upsample(d2, 2)), dim=1))
        d0 = self.decoder_0(torch.cat((e0, upsample(d1, 2)), dim=1))

        mask0 = self.output_0(d0)
        if self.warming_up:
            return Prediction(mask0)
        mask1, mask2, mask3 = self.output_1(d1), self.output_2(d2), self.output_3(d3)
        fused = self.final(
            torch.cat((mask0, upsample(mask1, 2), upsample(mask2, 4), upsample(mask3, 8)), dim=1)
        )
        return Prediction(fused, (mask0, mask1, mask2, mask3))
