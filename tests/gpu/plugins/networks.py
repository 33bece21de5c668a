"""Small detectors for the checks of the command line: one that works, and two that fail."""

import os
import time
from pathlib import Path

import torch
from torch import nn

from detectors.base import Detector, Prediction


class OkNet(Detector):
    """Two convolutions.

    Waits OK_NET_SLEEP seconds in a training step, and writes a byte to the file OK_NET_STEPS.
    """

    name = "ok_net"
    stride = 2
    in_channels = 1
    mean = (0.4,)
    std = (0.2,)
    recipe = {"lr": 0.02}

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, x):
        if self.training:
            if "OK_NET_STEPS" in os.environ:
                with Path(os.environ["OK_NET_STEPS"]).open("ab") as file:
                    file.write(b".")
            time.sleep(float(os.environ.get("OK_NET_SLEEP", 0)))
        return Prediction(self.net(x))


class Hungry(OkNet):
    """Takes GPU memory until there is no more; on a CPU it only says so."""

    name = "hungry"

    def forward(self, x):
        taken = []
        while x.is_cuda:
            taken.append(torch.empty(2**30, dtype=torch.uint8, device=x.device))
        if x.is_cpu:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1024.00 MiB.")
        return super().forward(x)


class Crash(OkNet):
    """Has a bug."""

    name = "crash"

    def forward(self, x):
        raise IndexError("a bug in forward")
