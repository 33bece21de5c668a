"""DNANet (TIP 2023), widths "three", ResNet-18. Prediction (output 4) first, then outputs 1..3."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.bench.plain.mshnet import AttentionBlock, stage


class DNANet(nn.Module):
    """(B, 3, H, W) to four maps of the same size; H and W are multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2, 2)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.down = nn.Upsample(scale_factor=0.5, mode="bilinear", align_corners=True)
        self.up_4 = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True)
        self.up_8 = nn.Upsample(scale_factor=8, mode="bilinear", align_corners=True)
        self.up_16 = nn.Upsample(scale_factor=16, mode="bilinear", align_corners=True)

        self.conv0_0 = stage(3, 16, 1)
        self.conv1_0 = stage(16, 32, 2)
        self.conv2_0 = stage(32, 64, 2)
        self.conv3_0 = stage(64, 128, 2)
        self.conv4_0 = stage(128, 256, 2)

        self.conv0_1 = stage(16 + 32, 16, 1)
        self.conv1_1 = stage(32 + 64 + 16, 32, 2)
        self.conv2_1 = stage(64 + 128 + 32, 64, 2)
        self.conv3_1 = stage(128 + 256 + 64, 128, 2)

        self.conv0_2 = stage(16 * 2 + 32, 16, 1)
        self.conv1_2 = stage(32 * 2 + 64 + 16, 32, 2)
        self.conv2_2 = stage(64 * 2 + 128 + 32, 64, 2)

        self.conv0_3 = stage(16 * 3 + 32, 16, 1)
        self.conv1_3 = stage(32 * 3 + 64 + 16, 32, 2)

        self.conv0_4 = stage(16 * 4 + 32, 16, 1)

        self.conv0_4_final = nn.Sequential(AttentionBlock(16 * 5, 16))
        self.conv0_4_1x1 = nn.Conv2d(256, 16, 1)
        self.conv0_3_1x1 = nn.Conv2d(128, 16, 1)
        self.conv0_2_1x1 = nn.Conv2d(64, 16, 1)
        self.conv0_1_1x1 = nn.Conv2d(32, 16, 1)

        self.final1 = nn.Conv2d(16, 1, 1)
        self.final2 = nn.Conv2d(16, 1, 1)
        self.final3 = nn.Conv2d(16, 1, 1)
        self.final4 = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x0_0 = self.conv0_0(x)
        x1_0 = self.conv1_0(self.pool(x0_0))
        x0_1 = self.conv0_1(torch.cat([x0_0, self.up(x1_0)], 1))

        x2_0 = self.conv2_0(self.pool(x1_0))
        x1_1 = self.conv1_1(torch.cat([x1_0, self.up(x2_0), self.down(x0_1)], 1))
        x0_2 = self.conv0_2(torch.cat([x0_0, x0_1, self.up(x1_1)], 1))

        x3_0 = self.conv3_0(self.pool(x2_0))
        x2_1 = self.conv2_1(torch.cat([x2_0, self.up(x3_0), self.down(x1_1)], 1))
        x1_2 = self.conv1_2(torch.cat([x1_0, x1_1, self.up(x2_1), self.down(x0_2)], 1))
        x0_3 = self.conv0_3(torch.cat([x0_0, x0_1, x0_2, self.up(x1_2)], 1))

        x4_0 = self.conv4_0(self.pool(x3_0))
        x3_1 = self.conv3_1(torch.cat([x3_0, self.up(x4_0), self.down(x2_1)], 1))
        x2_2 = self.conv2_2(torch.cat([x2_0, x2_1, self.up(x3_1), self.down(x1_2)], 1))
        x1_3 = self.conv1_3(torch.cat([x1_0, x1_1, x1_2, self.up(x2_2), self.down(x0_3)], 1))
        x0_4 = self.conv0_4(torch.cat([x0_0, x0_1, x0_2, x0_3, self.up(x1_3)], 1))

        fused = self.conv0_4_final(
            torch.cat(
                [
                    self.up_16(self.conv0_4_1x1(x4_0)),
                    self.up_8(self.conv0_3_1x1(x3_1)),
                    self.up_4(self.conv0_2_1x1(x2_2)),
                    self.up(self.conv0_1_1x1(x1_3)),
                    x0_4,
                ],
                1,
            )
        )
        return self.final4(fused), self.final1(x0_1), self.final2(x0_2), self.final3(x0_3)
