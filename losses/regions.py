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

    Works where the mask lies, on lists of the pixels concerned: their number sets the time.

    Args:
        mask: (B, 1, H, W).
        reach: px.
    """
    h, w = mask.shape[-2:]
    label = F.pad(mask != 0, (1, 1, 1, 1)).long().flatten()  # a border, so that all have neighbours
    width, area = w + 2, (h + 2) * (w + 2)
    steps = torch.arange(-1, 2, device=mask.device)
    around = (steps[:, None] * width + steps).flatten()

    pixel = label.nonzero().squeeze(1)
    label[pixel] = pixel
    while True:  # until each component carries its largest pixel
        near = label[pixel[:, None] + around].amax(1)
        if torch.equal(near, label[pixel]):
            break
        label[pixel] = label[near]  # what that pixel has heard of: far fewer rounds

    ring, rings = pixel, [pixel]
    for _ in range(reach):
        ring = (ring[:, None] + around).flatten().unique()
        row, column = ring % area // width, ring % width
        inside = (row > 0) & (row <= h) & (column > 0) & (column <= w)
        ring = ring[inside & (label[ring] == 0)]
        label[ring] = label[ring[:, None] + around].amax(1)
        rings.append(ring)

    pixel = torch.cat(rings)
    root, target = torch.unique(label[pixel], return_inverse=True)
    row, column = pixel % area // width - 1, pixel % width - 1
    return Regions(pixel // area * (h * w) + row * w + column, target, root // area)
