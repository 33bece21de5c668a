"""The targets of a batch of masks one by one, and the pixels near each of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Regions(NamedTuple):
    """Pixels that belong to the K targets of a batch.

    Attributes:
        pixel: (N,) indices into a flattened (B, 1, H, W) map.
        target: (N,) which target each pixel is near, 0 to K - 1.
        image: (K,) the image of each target.
    """

    pixel: Tensor
    target: Tensor
    image: Tensor


def find_regions(mask: Tensor, reach: int) -> Regions:
    """Split the pixels near targets among them.

    A target is an 8-connected component of the non-zero pixels. Its region is that component and
    every other pixel within `reach` px of it (in king's moves) that is not nearer to another one; a
    pixel as near to two goes to one of them. Regions end at the border of the image.

    Labels spread by 3 x 3 max pooling, so this runs where the mask lies; it takes one pooling for
    every px that the longest path inside a target has, and `reach` more.

    Args:
        mask: (B, 1, H, W).
        reach: px.
    """
    h, w = mask.shape[-2:]
    on = mask != 0
    numbers = torch.arange(1, h * w + 1, device=mask.device, dtype=torch.float64).view(1, 1, h, w)
    label = numbers * on
    while True:  # until each component carries the largest number among its pixels
        spread = _largest_near(label) * on
        if torch.equal(spread, label):
            break
        label = spread
    for _ in range(reach):
        label = torch.where(label == 0, _largest_near(label), label)
    flat = label.flatten()
    pixel = flat.nonzero().squeeze(1)
    image = pixel // (h * w)
    keys, target = torch.unique(image * (h * w + 1) + flat[pixel].long(), return_inverse=True)
    return Regions(pixel, target, keys // (h * w + 1))


def _largest_near(label: Tensor) -> Tensor:
    return F.max_pool2d(label, 3, stride=1, padding=1)
