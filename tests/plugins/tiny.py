"""Small detectors for the end-to-end tests: one that works, and some that fail in known ways."""

import os
import time
from pathlib import Path

import torch
from torch import nn

from benchmark.training import checkpoints
from detectors.base import Detector, Prediction

if "TINY_SAVE_EVERY" in os.environ:
    checkpoints.SAVE_EVERY = float(os.environ["TINY_SAVE_EVERY"])


class Tiny(Detector):
    """Two convolutions; waits TINY_SLEEP seconds per forward so that tests can interrupt it.

    Writes a byte to the file TINY_STEPS at each training step.
    """

    name = "tiny"
    stride = 2
    in_channels = 1
    mean = (0.4,)
    std = (0.2,)
    recipe = {"lr": 0.02}
    outputs = ("net.3",)

    def __init__(self) -> None:
        super().__init__()
        # the meta device is used for counting MACs only
        if "TINY_STARTS" in os.environ and torch.empty(0).device.type != "meta":
            with Path(os.environ["TINY_STARTS"]).open("a") as file:
                file.write("start\n")
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(8, 1, 3, padding=1)
        )

    def forward(self, x):
        if self.training:
            if "TINY_STEPS" in os.environ:
                with Path(os.environ["TINY_STEPS"]).open("ab") as file:
                    file.write(b".")
            time.sleep(float(os.environ.get("TINY_SLEEP", 0)))
        return Prediction(self.net(x))


class OutOfMemory(Tiny):
    """Raises what torch raises when the GPU is full."""

    name = "oom"

    def forward(self, x):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


class Crash(Tiny):
    """Has a bug."""

    name = "crash"

    def forward(self, x):
        raise IndexError("a bug in forward")


class Diverge(Tiny):
    """Its loss becomes NaN."""

    name = "diverge"

    def forward(self, x):
        return Prediction(self.net(x) * float("nan"))
