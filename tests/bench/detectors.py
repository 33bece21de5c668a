"""Our detectors against plain transcriptions of the papers, and against their bare convolutions.

Ours runs as the harness runs it (channels last), the plain one in torch's default layout, both with
the harness's switches for reproducible results. The floor is the time of the plain network's
convolutions alone, each in whichever of the two layouts is faster for it: a network that computes
the same convolutions cannot be much faster.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.profiling.fuse import fold_batchnorm
from detectors import create_detector
from detectors.base import Prediction
from tests.bench._timing import Work, clock, interleave, ratio
from tests.bench.plain import PLAIN

Measured = tuple[dict[str, list[float]], dict[str, str]]
"""Times of each candidate, and those of them that are ours with a label for their row."""

HEADER = (
    f"{'detector':9}{'measured':24}{'plain':>8}{'ours':>8}{'floor':>8}"
    f"  {'plain / ours':17} {'ours / floor':17}{'n':>4}"
)


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Options of this benchmark."""
    group.add_argument("--only", help=f"detectors, joined by commas, of {','.join(PLAIN)}")
    group.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    group.add_argument("--batch", type=int, default=4, help="images of a training step (4)")
    group.add_argument("--side", type=int, default=128, help="side of a training crop (128 px)")
    group.add_argument("--image", type=int, default=256, help="side of the image to infer (256 px)")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Print the table and return its rows.

    Raises:
        UserError: unknown detector, or a size that not all of them take.
    """
    names = options.only.split(",") if options.only else list(PLAIN)
    if unknown := [name for name in names if name not in PLAIN]:
        raise UserError(f"--only {unknown[0]}: there are {', '.join(PLAIN)}")
    for option, side in (("side", options.side), ("image", options.image)):
        if side < 80 or side % 16:
            raise UserError(f"--{option} {side}: give a multiple of 16, 80 or more")
    if options.batch < 2:
        raise UserError(f"--batch {options.batch}: give 2 or more, as batch norms need")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.allow_tf32 = False

    print(f"{options.precision}; median ms, median ratio of n rounds (min..max)\n\n{HEADER}")
    rows = []
    for name in names:
        for measure in (_training, _inference):
            times, labels = measure(name, options)
            rows += [_row(name, label, times, ours) for ours, label in labels.items()]
    return rows


def _row(name: str, what: str, times: dict[str, list[float]], ours: str) -> dict[str, Any]:
    plain, own, floor = (times[key] for key in ("plain", ours, "floor"))
    gain, excess = ratio(plain, own), ratio(own, floor)
    ms = [1000 * statistics.median(t) for t in (plain, own, floor)]
    print(
        f"{name:9}{what:24}{ms[0]:8.1f}{ms[1]:8.1f}{ms[2]:8.1f}"
        f"  {gain!s:17} {excess!s:17}{len(own):4}",
        flush=True,
    )
    return {
        "detector": name,
        "measured": what.strip(),
        "plain_ms": ms[0],
        "ours_ms": ms[1],
        "floor_ms": ms[2],
        "plain_over_ours": gain._asdict(),
        "ours_over_floor": excess._asdict(),
        "rounds": len(own),
    }


def _training(name: str, options: argparse.Namespace) -> Measured:
    """Forward, backward and optimizer step on a batch of crops."""
    device, plain, ours = _pair(name, options)
    x = torch.randn(options.batch, 3, options.side, options.side, device=device)
    mask = (torch.rand(options.batch, 1, options.side, options.side, device=device) < 0.01).float()
    candidates = {
        "plain": _step(plain.train(), x, mask, options.precision),
        "ours": _step(
            ours.train(), x.to(memory_format=torch.channels_last), mask, options.precision
        ),
        "floor": _floor(plain, x, options.precision),
    }
    label = f"train {options.batch}x{options.side}x{options.side}"
    return interleave(candidates, device, options.seconds), {"ours": label}


def _inference(name: str, options: argparse.Namespace) -> Measured:
    """Forward on one image, ours also with its batch norms folded into the convolutions."""
    device, plain, ours = _pair(name, options)
    plain, ours = plain.eval(), ours.eval()
    folded = fold_batchnorm(ours)
    x = torch.randn(1, 3, options.image, options.image, device=device)
    ours_x = x.to(memory_format=torch.channels_last)
    candidates = {
        "plain": partial(_forward, plain, x, options.precision),
        "ours": partial(_forward, ours, ours_x, options.precision),
        "folded": partial(_forward, folded.detector, ours_x, options.precision),
    }
    labels = {
        "ours": f"infer 1x{options.image}x{options.image}",
        "folded": f"  folded {folded.folded}/{folded.total} norms",
    }
    with torch.inference_mode():
        candidates["floor"] = _floor(plain, x, options.precision)
        return interleave(candidates, device, options.seconds), labels


def _pair(name: str, options: argparse.Namespace) -> tuple[torch.device, nn.Module, nn.Module]:
    device = torch.device(options.device)
    torch.manual_seed(0)
    ours = create_detector(name)
    plain = PLAIN[name]()
    plain.load_state_dict(ours.state_dict())
    return device, plain.to(device), ours.to(device, memory_format=torch.channels_last)


def _forward(model: nn.Module, x: Tensor, precision: str) -> tuple[Tensor, ...]:
    """All maps of logits."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        out = model(x)
    return (out.logits, *out.aux) if isinstance(out, Prediction) else out


def _step(model: nn.Module, x: Tensor, mask: Tensor, precision: str) -> Work:
    """One training step; the same random mask for every step keeps both networks on one path."""
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.01)

    def work() -> None:
        terms = [
            F.binary_cross_entropy_with_logits(
                out.float(), F.adaptive_max_pool2d(mask, out.shape[-2:])
            )
            for out in _forward(model, x, precision)
        ]
        optimizer.zero_grad()
        torch.stack(terms).mean().backward()
        optimizer.step()

    return work


def _floor(model: nn.Module, x: Tensor, precision: str) -> Work:
    """The convolutions of one call of `model` alone, with their gradients in train mode."""
    calls: dict[tuple[str, torch.Size, bool], list[nn.Module]] = {}

    def note(module: nn.Module, args: tuple[Tensor]) -> None:
        key = (repr(module), args[0].shape, args[0].requires_grad)
        calls.setdefault(key, []).append(module)

    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    handles = [module.register_forward_pre_hook(note) for module in convolutions]
    model(x)
    for handle in handles:
        handle.remove()

    works = []
    for (_, shape, differentiable), modules in calls.items():
        layouts = [
            _convolution(modules[0], shape, differentiable, x.device, precision, layout)
            for layout in (torch.contiguous_format, torch.channels_last)
        ]
        # the first of three calls warms up
        best = min(layouts, key=lambda work: min([clock(work, x.device) for _ in range(3)][1:]))
        works += [best] * len(modules)

    def work() -> None:
        for convolution in works:
            convolution()

    return work


def _convolution(
    module: nn.Module,
    shape: torch.Size,
    differentiable: bool,
    device: torch.device,
    precision: str,
    layout: torch.memory_format,
) -> Work:
    """One convolution on random input, with the gradients that training needs of it."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    module = copy.deepcopy(module).to(device, dtype, memory_format=layout)
    x = torch.randn(shape, device=device, dtype=dtype).to(memory_format=layout)
    if not module.training:
        return partial(module, x)
    x.requires_grad_(differentiable)
    inputs = [*module.parameters(), *([x] if differentiable else [])]
    with torch.no_grad():
        gradient = torch.randn_like(module(x))
    return lambda: torch.autograd.grad(module(x), inputs, gradient)
