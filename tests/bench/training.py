"""The whole training loop of MSHNet with SLS against a bare step and against a plain loop.

What is compared is an epoch of a few batches of 4 crops:

- bare: forward, loss, backward and optimizer step of our network on one batch that lies ready;
- ours: `train`, with augmentation, the guard against NaN and the checkpoint after the epoch;
- plain: the plain network and the usual data path: each sample decoded and augmented with PIL, the
  SLS loss in a loop over the images. Always fp32, NCHW, as the public code.

Ours runs in --precision (fp32 and, where the processor has it, bf16); bare in the same.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor, nn

from benchmark.networks.compute import Compute
from benchmark.networks.torch_setup import configure
from benchmark.records.store import RunFolder
from benchmark.settings.recipe import read_recipe
from benchmark.settings.run_settings import Settings
from benchmark.training.batches import Batches
from benchmark.training.checkpoints import Origin
from benchmark.training.loop import Hooks, train
from benchmark.training.optim import make_optimizer
from datasets import load_dataset
from datasets.base import Sample
from detectors import create_detector
from losses import create_loss, supervise
from tests.bench._timing import Work, interleave, ratio
from tests.bench.plain import PLAIN

EPOCH = 10
"""Any one after the warm-up."""
ORIGIN = Origin("bench", [])


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Options of this benchmark."""
    group.add_argument("--batches", type=int, default=8, help="of an epoch (8)")
    group.add_argument("--crop", type=int, default=256, help="side of the training crops (256 px)")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Print the table and return its rows."""
    configure(options.threads)
    device = torch.device(options.device)
    samples = load_dataset("synthetic", split="train").samples[: 4 * options.batches]
    print(f"MSHNet, SLS, batch 4, {options.crop} px: ms a step, median of n rounds")
    print("ratios round by round\n")
    print(f"{'ours in':9}{'bare':>9}{'ours':>9}{'plain':>9}  {'ours / bare':19}"
          f"{'plain / ours':19}{'n':>3}")  # fmt: skip
    rows = []
    for precision in ("fp32", "bf16"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            works = {
                "bare": bare(samples, device, precision, options.crop),
                "ours": ours(samples, device, precision, options.crop, folder / "run"),
                "plain": plain(samples, device, options.crop, folder / "files"),
            }
            times = interleave(works, device, options.seconds)
        rows.append(_row(precision, times, options.batches))
    return rows


def _row(precision: str, times: dict[str, list[float]], batches: int) -> dict[str, Any]:
    ms = {name: 1000 * statistics.median(t) / batches for name, t in times.items()}
    excess, gain = ratio(times["ours"], times["bare"]), ratio(times["plain"], times["ours"])
    print(f"{precision:9}{ms['bare']:9.1f}{ms['ours']:9.1f}{ms['plain']:9.1f}  {excess!s:19}"
          f"{gain!s:19}{len(times['ours']):3}", flush=True)  # fmt: skip
    return {
        "precision": precision,
        "ms_a_step": ms,
        "ours_over_bare": excess._asdict(),
        "plain_over_ours": gain._asdict(),
        "rounds": len(times["ours"]),
    }


def settings_for(crop: int, **more: Any) -> Settings:
    """The MSHNet recipe with crops of another side."""
    ours = {"selection": "last", "base_size": crop, "crop_size": crop}
    return Settings(**(read_recipe("mshnet").settings | ours | more))


def _network(device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    return create_detector("mshnet").to(device, memory_format=torch.channels_last)


def bare(samples: list[Sample], device: torch.device, precision: str, crop: int) -> Work:
    """Steps of our network on one batch that is there."""
    settings = settings_for(crop)
    images, target = next(Batches(samples, "bench", 0, settings, device).epoch(0))
    detector, loss = _network(device), create_loss("sls")
    optimizer = make_optimizer(detector, settings)
    compute = Compute(device, precision)
    detector.begin_epoch(EPOCH)
    detector.train()
    x = detector.normalise(images).contiguous(memory_format=torch.channels_last)

    def work() -> None:
        for _ in range(len(samples) // 4):
            with compute.autocast():
                prediction = detector(x)
            value = supervise(loss, prediction, target, EPOCH)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    return work


def ours(
    samples: list[Sample], device: torch.device, precision: str, crop: int, folder: Path
) -> Work:
    """`train`, one more epoch a call: it resumes from its checkpoint, which is read too."""
    settings = settings_for(crop, warm_epoch=-1)
    batches = Batches(samples, "bench", 0, settings, device)
    detector, loss = _network(device), create_loss("sls")
    done = 0

    def work() -> None:
        nonlocal done
        done += 1
        train(
            detector, loss, batches, settings.model_copy(update={"epochs": done}),
            RunFolder(folder), ORIGIN, Compute(device, precision), {}, Hooks(),
        )  # fmt: skip

    return work


def plain(samples: list[Sample], device: torch.device, crop: int, folder: Path) -> Work:
    """The usual loop, with files."""
    folder.mkdir()
    for sample in samples:
        Image.fromarray(sample.image).save(folder / f"{sample.name}.png")
        Image.fromarray(sample.mask).convert("L").save(folder / f"{sample.name}_mask.png")
    torch.manual_seed(0)
    network = PLAIN["mshnet"]().to(device).train()
    optimizer = torch.optim.Adagrad(network.parameters(), lr=0.05)
    random.seed(0)

    def work() -> None:
        for start in range(0, len(samples), 4):
            pairs = [read_augmented(folder, s.name, crop) for s in samples[start : start + 4]]
            x, target = (torch.stack(part).to(device) for part in zip(*pairs, strict=True))
            outputs = network(x)
            total: Any = 0
            for i, output in enumerate(outputs):
                if i > 1:
                    target = F.max_pool2d(target, 2)
                total = total + plain_sls(output, target)
            value = total / len(outputs)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()

    return work


def read_augmented(folder: Path, name: str, base: int) -> tuple[Tensor, Tensor]:
    """One sample as the public code reads it: decode, flip, scale, pad, crop, blur, normalise."""
    image = Image.open(folder / f"{name}.png").convert("RGB")
    mask = Image.open(folder / f"{name}_mask.png")
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    long_side = random.randint(base // 2, base * 2)
    size = (long_side, long_side)  # the images are square
    image = image.resize(size, Image.Resampling.BILINEAR)
    mask = mask.resize(size, Image.Resampling.NEAREST)
    pad = (0, 0, max(base - long_side, 0), max(base - long_side, 0))
    image, mask = ImageOps.expand(image, pad, 0), ImageOps.expand(mask, pad, 0)
    left, top = (random.randint(0, side - base) for side in image.size)
    box = (left, top, left + base, top + base)
    image, mask = image.crop(box), mask.crop(box)
    if random.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(radius=random.random()))
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = (x - mean[:, None, None]) / std[:, None, None]
    return x, torch.from_numpy(np.array(mask))[None].float() / 255


def plain_sls(logits: Tensor, target: Tensor) -> Tensor:
    """The SLS loss after its warm-up: sums over the image, then a loop for the location term."""
    prob = torch.sigmoid(logits)
    overlap = (prob * target).sum((1, 2, 3))
    predicted, true = prob.sum((1, 2, 3)), target.sum((1, 2, 3))
    spread = ((predicted - true) / 2) ** 2
    smaller, larger = torch.minimum(predicted, true), torch.maximum(predicted, true)
    alpha = (smaller + spread) / (larger + spread)
    iou = overlap / (predicted + true - overlap)
    return 1 - (alpha * iou).mean() + plain_location(prob, target)


def plain_location(prob: Tensor, target: Tensor) -> Tensor:
    """The location term, image by image, as the public code has it."""
    total: Any = 0.0
    height, width = prob.shape[-2:]
    columns = torch.arange(width, device=prob.device).repeat(height, 1).float() / width
    rows = torch.arange(height, device=prob.device)[:, None].repeat(1, width).float() / height
    for p, t in zip(prob, target, strict=True):
        px, py, tx, ty = (
            (axis * m[0]).mean() for m in (p, t) for axis in (columns, rows)
        )  # fmt: skip
        angle_p, angle_t = torch.arctan(py / (px + 1e-8)), torch.arctan(ty / (tx + 1e-8))
        d_p, d_t = torch.sqrt(px**2 + py**2 + 1e-8), torch.sqrt(tx**2 + ty**2 + 1e-8)
        ratio = torch.minimum(d_p, d_t) / (torch.maximum(d_p, d_t) + 1e-8)
        total = total + (1 - ratio) + 4 / math.pi**2 * (angle_p - angle_t) ** 2
    return total / len(prob)
