"""Soft discs against a target, and their losses: the numbers behind the page."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from losses import create_loss
from losses.sls import Pair, location_term, size_weight

SIDE = 256
AREAS = (3, 9, 25, 100)
MIDDLE = (128.0, 128.0)
EPOCH = 10
"""Epoch at which losses are taken: after the warm-up of SLS."""
DEEP = 20.0
"""Logits of the background and inside a disc: in 256 x 256 px its mass is then 1e-4 px."""
EDGE = 0.35
"""Width of a disc's edge, px: its probability is sigmoid((radius - distance) / EDGE)."""


class Curve(NamedTuple):
    """A loss along a sweep: its parameter, its value and its derivative by that parameter.

    Both in units of the loss of an empty map.
    """

    x: np.ndarray
    value: np.ndarray
    slope: np.ndarray


class Weight(NamedTuple):
    """SLS's weight, and the IoU of a mask inside the other, by P / T."""

    x: np.ndarray
    alpha: np.ndarray
    iou: np.ndarray


def disc(area: Tensor, row: Tensor | float, column: Tensor | float) -> Tensor:
    """Logits (1, 1, SIDE, SIDE) of a disc; from -DEEP to DEEP.

    Args:
        area: of the disc where the probability is above a half, px.
        row, column: of its centre, in pixels from the middle of the first one.
    """
    y = torch.arange(SIDE, dtype=torch.float64)[:, None] - row
    x = torch.arange(SIDE, dtype=torch.float64) - column
    distance = (x**2 + y**2 + 1e-12).sqrt()
    return (((area / torch.pi).sqrt() - distance) / EDGE).clamp(-DEEP, DEEP)[None, None]


def target(area: int, row: float = MIDDLE[0], column: float = MIDDLE[1]) -> Tensor:
    """A mask of exactly `area` pixels: those nearest to the centre."""
    y = torch.arange(SIDE, dtype=torch.float64)[:, None] - row
    x = torch.arange(SIDE, dtype=torch.float64) - column
    # ties between equally near pixels are broken the same way everywhere
    away = (x**2 + y**2 + 1e-6 * y + 1e-7 * x).flatten()
    mask = torch.zeros(SIDE * SIDE, dtype=torch.float64)
    mask[away.topk(area, largest=False).indices] = 1
    return mask.view(1, 1, SIDE, SIDE)


def centre(mask: Tensor) -> tuple[float, float]:
    """Row and column of a mask's centre of mass."""
    rows, columns = mask[0, 0].nonzero(as_tuple=True)
    return rows.double().mean().item(), columns.double().mean().item()


@cache
def grow(name: str, area: int) -> Curve:
    """The disc on the target's centre, from a thirtieth of its area to thirty times.

    The slope is by the logarithm of the area.
    """
    mask = target(area)
    sizes = np.geomspace(1 / 30, 30, 35)
    return _sweep(name, mask, np.log(sizes), lambda s: disc(area * s.exp(), *centre(mask)), sizes)


@cache
def move(name: str, area: int) -> Curve:
    """A disc of the target's area from its centre to 24 px on its right."""
    mask = target(area)
    row, column = centre(mask)
    size = torch.tensor(float(area), dtype=torch.float64)
    shifts = np.linspace(0, 24, 25)
    return _sweep(name, mask, shifts, lambda s: disc(size, row, column + s), shifts)


def _sweep(name: str, mask: Tensor, parameters: np.ndarray, draw, x: np.ndarray) -> Curve:
    loss = create_loss(name)
    unit = loss(torch.full_like(mask, -DEEP), mask, EPOCH).item()
    values, slopes = [], []
    for parameter in parameters:
        s = torch.tensor(parameter, requires_grad=True)
        value = loss(draw(s), mask, EPOCH)
        value.backward()
        values.append(value.item() / unit)
        slopes.append(s.grad.item() / unit)
    return Curve(x, np.array(values), np.array(slopes))


def weight(area: int) -> Weight:
    """The weight from a hundredth of the target's size to a hundred times."""
    x = np.geomspace(0.01, 100, 401)
    alpha = size_weight(torch.tensor(area * x), torch.tensor(float(area)).double()).numpy()
    return Weight(x, alpha, np.minimum(x, 1) / np.maximum(x, 1))


def shifted_location(area: int, place: tuple[float, float], shift: tuple[float, float]) -> float:
    """SLS's location term for a perfect copy of the target in the wrong place.

    Args:
        area: px.
        place: row and column of the target's centre.
        shift: rows and columns, px.
    """
    moved = place[0] + shift[0], place[1] + shift[1]
    return location_term(Pair.of(target(area, *moved), target(area, *place))).item()
