"""MSHNet (CVPR 2024) after its warm-up. Prediction first, then the masks from fine to coarse."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """One weight per channel from the global average and the global maximum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.max_pool = nn.AdaptiveMaxPool2d(1)
        self.fc1 = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(channels // 16, channels, 1, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        avg = self.fc2(self.relu(self.fc1(self.avg_pool(x))))
        top = self.fc2(self.relu(self.fc1(self.max_pool(x))))
        return self.sigmoid(avg + top)


class SpatialAttention(nn.Module):
    """One weight per pixel from the mean and the maximum over the channels."""

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        mean = torch.mean(x, dim=1, keepdim=True)
        top, _ = torch.max(x, dim=1, keepdim=True)
        return self.sigmoid(self.conv1(torch.cat([mean, top], dim=1)))


class AttentionBlock(nn.Module):
    """Residual block with channel and spatial attention; DNANet uses it too."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels)
            )
        else:
            self.shortcut = None
        self.ca = ChannelAttention(out_channels)
        self.sa = SpatialAttention()

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.shortcut is None else self.shortcut(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = self.ca(out) * out
        out = self.sa(out) * out
        out = out + residual
        return self.relu(out)


def stage(in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
    """Blocks in a row; the first changes the width."""
    layers = [AttentionBlock(in_channels, out_channels)]
    layers += [AttentionBlock(out_channels, out_channels) for _ in range(blocks - 1)]
    return nn.Sequential(*layers)


class MSHNet(nn.Module):
    """(B, 3, H, W) to (fused, mask0, mask1, mask2, mask3); H and W are multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2, 2)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.up_4 = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True)
        self.up_8 = nn.Upsample(scale_factor=8, mode="bilinear", align_corners=True)

        self.conv_init = nn.Conv2d(3, 16, 1)
        self.encoder_0 = stage(16, 16, 1)
        self.encoder_1 = stage(16, 32, 2)
        self.encoder_2 = stage(32, 64, 2)
        self.encoder_3 = stage(64, 128, 2)
        self.middle_layer = stage(128, 256, 2)
        self.decoder_3 = stage(128 + 256, 128, 2)
        self.decoder_2 = stage(64 + 128, 64, 2)
        self.decoder_1 = stage(32 + 64, 32, 2)
        self.decoder_0 = stage(16 + 32, 16, 1)
        self.output_0 = nn.Conv2d(16, 1, 1)
        self.output_1 = nn.Conv2d(32, 1, 1)
        self.output_2 = nn.Conv2d(64, 1, 1)
        self.output_3 = nn.Conv2d(128, 1, 1)
        self.final = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        e0 = self.encoder_0(self.conv_init(x))
        e1 = self.encoder_1(self.pool(e0))
        e2 = self.encoder_2(self.pool(e1))
        e3 = self.encoder_3(self.pool(e2))
        middle = self.middle_layer(self.pool(e3))

        d3 = self.decoder_3(torch.cat([e3, self.up(middle)], dim=1))
        d2 = self.decoder_2(torch.cat([e2, self.up(d3)], dim=1))
        d1 = self.decoder_1(torch.cat([e1, self.up(d2)], dim=1))
        d0 = self.decoder_0(torch.cat([e0, self.up(d1)], dim=1))

        mask0 = self.output_0(d0)
        mask1 = self.output_1(d1)
        mask2 = self.output_2(d2)
        mask3 = self.output_3(d3)
        fused = self.final(
            torch.cat([mask0, self.up(mask1), self.up_4(mask2), self.up_8(mask3)], dim=1)
        )
        return fused, mask0, mask1, mask2, mask3
