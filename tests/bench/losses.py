"""The SLS loss alone, forward and backward, against the plain way that loops over the batch.

The plain loss is written from the specification as people write it: IoU and weight of all images at
once, then the location term image by image, with coordinate maps made at every call. `looped` takes
all of the loss image by image. All three must agree, which is checked first.

A timing is of 5 calls in a row, as one of a few ms is at the mercy of whatever ran before it.

The floor is a sigmoid forward and backward over the same tensors, which no loss on logits can
avoid; what is left to gain is what lies between.
"""

from __future__ import annotations

import argparse
import math
import statistics
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import UserError
from losses import create_loss
from tests.bench._timing import Work, interleave, ratio

EPOCH = 10  # after the warm-up, so with weight and location term
EPS = 1e-8
CALLS = 5  # in a timing
HEADER = f"{'measured':22}{'way':8}{'ms':>8}{'ours':>8}{'floor':>8}  {'way / ours':22}{'n':>4}"


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Options of this benchmark."""
    group.add_argument("--images", type=int, default=16, help="images of a batch (16)")
    group.add_argument("--map", type=int, default=256, help="side of an image (256 px)")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Print the table and return its rows.

    Raises:
        UserError: no image, or one too small for its targets.
        RuntimeError: the ways do not agree.
    """
    if options.images < 1 or options.map < 32:
        raise UserError(f"--images {options.images} --map {options.map}: give 1 and 32 or more")
    device = torch.device(options.device)
    logits, target = batch(options.images, options.map, device)
    loss = create_loss("sls")
    losses = {
        "plain": plain_sls,
        "looped": looped_sls,
        "ours": lambda logits, target: loss(logits, target, EPOCH),
    }
    _check(losses, logits, target)
    upstream = torch.randn_like(logits)
    candidates: dict[str, Work] = {
        name: partial(_repeat, partial(_step, losses[name], logits, target)) for name in losses
    }
    candidates["floor"] = partial(_repeat, partial(_floor, logits, upstream))
    times = interleave(candidates, device, options.seconds)

    print(f"median ms, median ratio of n rounds (min..max)\n\n{HEADER}")
    label = f"sls {options.images}x{options.map}x{options.map}"
    return [_row(label, way, times) for way in ("plain", "looped")]


def batch(n: int, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Logits of a network in training, and targets of 4 x 5 pixels, one in each image."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(n, 1, side, side, generator=generator) - 4
    target = torch.zeros(n, 1, side, side)
    for image in target[:, 0]:
        row, column = torch.randint(side - 5, (2,), generator=generator).tolist()
        image[row : row + 4, column : column + 5] = 1
    return logits.to(device), target.to(device)


def plain_sls(logits: Tensor, target: Tensor) -> Tensor:
    """SLS in its main phase, from the specification; location image by image."""
    prob = torch.sigmoid(logits)
    scale = _scale(prob, target, (1, 2, 3))
    return 1 - scale.mean() + _location(prob, target)


def looped_sls(logits: Tensor, target: Tensor) -> Tensor:
    """The same with every part image by image."""
    prob = torch.sigmoid(logits)
    total = logits.new_zeros(())
    for p, t in zip(prob, target, strict=True):
        total = total + 1 - _scale(p, t, (0, 1, 2)) + _location(p[None], t[None])
    return total / len(prob)


def _scale(prob: Tensor, target: Tensor, dims: tuple[int, ...]) -> Tensor:
    both = (prob * target).sum(dim=dims)
    predicted, true = prob.sum(dim=dims), target.sum(dim=dims)
    spread = ((predicted - true) / 2) ** 2
    alpha = (torch.minimum(predicted, true) + spread) / (torch.maximum(predicted, true) + spread)
    return alpha * both / (predicted + true - both)


def _location(prob: Tensor, target: Tensor) -> Tensor:
    height, width = prob.shape[-2:]
    x = torch.arange(width, device=prob.device).view(1, 1, width).repeat(1, height, 1) / width
    y = torch.arange(height, device=prob.device).view(1, height, 1).repeat(1, 1, width) / height
    total = prob.new_zeros(())
    for p, t in zip(prob, target, strict=True):
        px, py, tx, ty = (x * p).mean(), (y * p).mean(), (x * t).mean(), (y * t).mean()
        angle = torch.atan(py / (px + EPS)) - torch.atan(ty / (tx + EPS))
        lengths = torch.sqrt(px**2 + py**2 + EPS), torch.sqrt(tx**2 + ty**2 + EPS)
        total = total + 4 / math.pi**2 * angle**2
        total = total + 1 - torch.minimum(*lengths) / (torch.maximum(*lengths) + EPS)
    return total / len(prob)


def _repeat(work: Work) -> None:
    for _ in range(CALLS):
        work()


def _step(loss: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient."""
    leaf = logits.detach().requires_grad_()
    value = loss(leaf, target)
    value.backward()
    return value.detach(), leaf.grad


def _floor(logits: Tensor, upstream: Tensor) -> None:
    leaf = logits.detach().requires_grad_()
    torch.sigmoid(leaf).backward(upstream)


def _check(losses: dict[str, Any], logits: Tensor, target: Tensor) -> None:
    """Values within 1e-5 and gradients within 1e-3 of the largest.

    Raises:
        RuntimeError: they are not.
    """
    value, gradient = _step(losses["ours"], logits, target)
    for name, loss in losses.items():
        other, slope = _step(loss, logits, target)
        far = (slope - gradient).abs().max() / gradient.abs().max()
        if abs(other - value) > 1e-5 or far > 1e-3:
            raise RuntimeError(f"{name} and ours differ: {other} {value}, gradients by {far:.1e}")


def _row(label: str, way: str, times: dict[str, list[float]]) -> dict[str, Any]:
    ms = [1000 / CALLS * statistics.median(times[key]) for key in (way, "ours", "floor")]
    gain, excess = ratio(times[way], times["ours"]), ratio(times["ours"], times["floor"])
    rounds = len(times["ours"])
    print(f"{label:22}{way:8}{ms[0]:8.2f}{ms[1]:8.2f}{ms[2]:8.2f}  {gain!s:22}{rounds:4}")
    return {
        "measured": label,
        "way": way,
        "way_ms": ms[0],
        "ours_ms": ms[1],
        "floor_ms": ms[2],
        "way_over_ours": gain._asdict(),
        "ours_over_floor": excess._asdict(),
        "rounds": rounds,
    }
