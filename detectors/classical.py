"""Base of the training-free detectors: from a saliency map to logits."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.errors import UserError
from detectors.base import Detector, Prediction
from detectors.resize import pad_border

SHARPNESS = 0.25
"""Logits per standard deviation: those thresholds of a Pd-Fa curve that are evenly spaced in the
logit (-16 to 16 in steps of 0.25) are then the values k - 64 to k + 64 in steps of 1, and no
probability of a pixel below k + 66 rounds to 1."""

FLAT = 1e-6
"""A response whose standard deviation is below this fraction of its maximum is constant."""


class ClassicalDetector(Detector):
    """Base of the detectors without weights: a saliency map with an adaptive threshold.

    A subclass implements `response`. With mu and sigma the mean and standard deviation of the
    response over its image,

        logit = SHARPNESS * ((response - mu) / sigma - k),

    so that probability 0.5 is the threshold T = mu + k sigma of this literature, and a sweep of
    the probability is a sweep of k. A constant response counts as mu everywhere: no detection.

    The threshold is relative: it finds the most salient pixels of an image without target, too.

    Args:
        k: standard deviations above the mean at which a pixel is detected.
    """

    group = "classical"
    trained = False
    in_channels = 1
    mean = (0.0,)
    std = (1.0,)
    stride = 1
    recipe = {}

    def __init__(self, k: float) -> None:
        super().__init__()
        self.k = k

    def response(self, x: Tensor) -> Tensor:
        """Saliency (B, 1, H, W), at least 0, of images (B, 1, H, W) in [0, 1], float32."""
        raise NotImplementedError

    @torch.no_grad()
    def forward(self, x: Tensor) -> Prediction:
        """Images (B, 1, H, W) to logits; float32 whatever the autocast type, without gradient."""
        with torch.autocast(x.device.type, enabled=False):
            r = self.response(x.float())
            sigma, mu = torch.std_mean(r, (1, 2, 3), correction=0, keepdim=True)
            flat = sigma <= FLAT * r.amax((1, 2, 3), keepdim=True)
            z = ((r - mu) / sigma).masked_fill(flat, 0.0)
            return Prediction(SHARPNESS * (z - self.k))


def check_odd(detector: str, option: str, size: int) -> None:
    """Refuse a window without a centre.

    Raises:
        UserError: `size` is even or less than 3.
    """
    if size < 3 or size % 2 == 0:
        raise UserError(f"{detector}: {option} is {size}, must be an odd number of at least 3")


def pad(x: Tensor, margin: int) -> Tensor:
    """(B, 1, H, W) with its border repeated `margin` px outwards, for any H and W."""
    return pad_border(x, (margin, margin, margin, margin))
