"""Centre and spread of a soft mask, shared by the losses that compare places."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EPS = 1e-8


class Profiles(NamedTuple):
    """The sums of each map over its rows and over its columns.

    All moments along an axis follow from them: `x * m` for every map would be one more tensor of
    the maps' size, and one more in the backward pass.

    Attributes:
        columns: (B, W), the sum of each column.
        rows: (B, H), the sum of each row.
    """

    columns: Tensor
    rows: Tensor

    @property
    def mass(self) -> Tensor:
        """Sum of each map, (B,)."""
        return self.columns.sum(1)


def profiles(m: Tensor) -> Profiles:
    """Profiles of maps (B, 1, H, W)."""
    return Profiles(m.sum((1, 2)), m.sum((1, 3)))


def moments(m: Profiles) -> tuple[Tensor, Tensor]:
    """Centre of mass and variance of each map, along x and y.

    mean = sum(x * m) / (sum(m) + EPS), variance = sum((x - mean)^2 * m) / (sum(m) + EPS), with x
    and y in pixels from the middle of the image. That origin matters for a map without mass only:
    its mean is the middle of the image and its variance 0, finite and indifferent to flips.

    Args:
        m: of maps that are not negative.

    Returns:
        Mean in pixels and variance in square pixels, each (B, 2), x before y.
    """
    mass = m.mass + EPS
    means, variances = [], []
    for profile in m:
        size = profile.shape[1]
        x = torch.arange(size, device=profile.device, dtype=profile.dtype) - (size - 1) / 2
        mean = (x * profile).sum(1) / mass
        means.append(mean)
        variances.append(((x - mean[:, None]) ** 2 * profile).sum(1) / mass)
    return torch.stack(means, 1), torch.stack(variances, 1)
