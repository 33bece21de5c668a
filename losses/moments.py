"""Centre and spread of a soft mask: what the losses that compare places share."""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-8


def moments(m: Tensor) -> tuple[Tensor, Tensor]:
    """Centre of mass and variance of each map, along x and y.

    mean = sum(x * m) / (sum(m) + EPS), variance = sum((x - mean)^2 * m) / (sum(m) + EPS), with x
    and y in pixels from the middle of the image. That origin matters for a map without mass only:
    its mean is the middle of the image and its variance 0, finite and indifferent to flips.

    Args:
        m: (B, 1, H, W), not negative.

    Returns:
        Mean in pixels and variance in square pixels, each (B, 2), x before y.
    """
    h, w = m.shape[-2:]
    mass = m.sum((1, 2, 3)) + EPS
    means, variances = [], []
    for size, profile in ((w, m.sum((1, 2))), (h, m.sum((1, 3)))):
        x = torch.arange(size, device=m.device, dtype=m.dtype) - (size - 1) / 2
        mean = (x * profile).sum(1) / mass
        means.append(mean)
        variances.append(((x - mean[:, None]) ** 2 * profile).sum(1) / mass)
    return torch.stack(means, 1), torch.stack(variances, 1)
