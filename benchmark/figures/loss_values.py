"""Values of losses for a right map, an empty one, and one with the target in the wrong place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

from benchmark.figures.discs import DEEP, EPOCH, MIDDLE, target
from losses import REGISTRY, create_loss

AREA = 9
"""Area of the one target, px, in an image of 256 x 256."""
OFF = 30
"""Offset of the wrong place, px down and right."""


class Summary(NamedTuple):
    """A loss, its paper, what it is averaged over, and its values for one target of `AREA` px."""

    name: str
    paper: str
    over: str
    perfect: float
    empty: float
    wrong: float

    @property
    def numbers(self) -> list[str]:
        """The values as printed: three digits; the residue that logits leave of an exact 0 is 0."""
        return ["0" if value < 1e-7 else f"{value:.3g}" for value in self[3:]]


def summaries(names: Iterable[str]) -> list[Summary]:
    """Values past the warm-up at a perfect map, an empty one, and one `OFF` px off."""
    mask = target(AREA)
    off = target(AREA, MIDDLE[0] + OFF, MIDDLE[1] + OFF)
    maps = [DEEP * (2 * m - 1) for m in (mask, torch.zeros_like(mask), off)]
    found = []
    for name in names:
        loss = create_loss(name)
        values = (loss(logits, mask, EPOCH).item() for logits in maps)
        found.append(Summary(name, REGISTRY.get(name).info.paper, _over(loss), *values))
    return found


def _over(loss: torch.nn.Module) -> str:
    """Found by trial: per image, if the loss of two images is the mean of their losses."""
    masks = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    masks[0, 0, 2:4, 2:4] = 1
    logits = torch.linspace(-3, 2, 128, dtype=torch.float64).view(2, 1, 8, 8)
    alone = [loss(z[None], t[None], EPOCH) for z, t in zip(logits, masks, strict=True)]
    same = torch.isclose(loss(logits, masks, EPOCH), torch.stack(alone).mean(), rtol=1e-6)
    return "image" if same else "batch"
