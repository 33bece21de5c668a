"""The networks: outputs and gradients against float64 on a CPU, and a step against itself."""

from __future__ import annotations

import copy
import functools
import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.warm_up import WarmUp
from datasets.base import Sample
from datasets.synthetic import SceneSet
from detectors import create_detector
from detectors.base import Detector, Prediction
from losses import create_loss, supervise
from tests.gpu.judge import Judge, check

FIVE = ("mshnet", "dnanet", "acm", "alcnet", "uiunet")
VARIANTS = ("acm:port", "acm:official_deep", "unet")
EXACT = 1e-9
"""Limit for the outputs of a network in float64, of the largest number."""
FP32 = 1e-4
"""The same in fp32, in evaluation; on a CPU they are off by 1e-6, with TF32 by 1e-3."""
FP32_TRAINING = 1e-3
"""The same in training, where a few numbers are normalised by their own deviation, and for the
running statistics; a CPU is off by 1e-6 to 1e-4."""
BF16 = 0.2
"""The same for the L2 norm: with 8 bits a CPU is off by 0.01 to 0.07."""
EXACT_SLOPE = 1e-8
"""Limit for each tensor's gradient in float64, in L2 norm: a wrong formula gives 1e-2 and more."""
FP32_SLOPES = 3e-2
"""The same for all of a network's gradients in fp32. Rounding alone gives some 1e-6, and up to 5e-3
where it decides on which side of 0 a ReLU is, or which pixel is the largest: a gradient is not
continuous there. So fp32 shows no more than that nothing is wildly off."""
FLOOR = 1e-2
"""Of the largest norm in the network: a tensor whose own gradient is smaller is measured by that.
A bias in front of a batch normalisation has a gradient of 0, and rounding in its place."""
CASES = {"sls warm-up": ("sls", 0), "sls": ("sls", 10), "soft_iou": ("soft_iou", 10)}
"""Loss and epoch."""
STEPS = 3
"""Of training before a network is looked at. A fresh UIU-Net normalises pairs of nearly equal
numbers: there fp32 has no correct digit."""


class Trained(NamedTuple):
    """A network that has learnt a little, on the CPU, with a batch that suits it."""

    detector: Detector
    images: Tensor  # (B, C, S, S), normalised
    target: Tensor  # (B, 1, S, S)


@functools.cache
def trained(name: str, device: torch.device, small: bool) -> Trained:
    """Make one; without drop-out, which draws other numbers on every device."""
    torch.manual_seed(0)
    detector = create_detector(name)
    for module in detector.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    unit = detector.stride
    side = -(-max(64 if small else 96, detector.min_size) // unit) * unit
    samples = scenes(2, side)
    grey = np.stack([sample.image for sample in samples]).astype(np.float32) / 255
    x = detector.normalise(torch.from_numpy(grey)[:, None])
    target = torch.from_numpy(np.stack([sample.mask for sample in samples])[:, None]).float()
    detector.to(device).train()
    optimizer = torch.optim.Adam(detector.parameters(), 3e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        prediction = detector(x.to(device))
        supervise(create_loss("bce_soft_iou"), prediction, target.to(device), 0).backward()
        optimizer.step()
    optimizer.zero_grad()
    return Trained(detector.cpu(), x, target)


def names(judge: Judge) -> tuple[str, ...]:
    """The five networks; UIU-Net takes a CPU half a minute."""
    return FIVE[:-1] if judge.small else FIVE


@functools.cache
def scenes(n: int, side: int) -> list[Sample]:
    """The first synthetic images of this size."""
    made = SceneSet(size=side)
    return [made.sample("train", k) for k in range(n)]


@check(seconds=120)
def detectors(judge: Judge) -> None:
    """Outputs of every network, in training and evaluation, against float64 on a CPU."""
    for name in names(judge) + VARIANTS:
        with judge.part(name):
            outputs_agree(judge, name)


def outputs_agree(judge: Judge, name: str) -> None:
    """Logits, auxiliary outputs, and the running statistics that a training pass leaves."""
    detector, x, _ = trained(name, judge.device, judge.small)
    place = {"device": judge.device, "memory_format": torch.channels_last}
    with torch.no_grad():
        for mode, limit in (("eval", FP32), ("train", FP32_TRAINING)):
            exact = copy.deepcopy(detector).double().train(mode == "train")
            ours = copy.deepcopy(exact).to(**place)
            rounded = copy.deepcopy(detector).train(mode == "train").to(**place)
            expected = exact(x.double())
            compare(
                judge, f"{name} {mode} float64", ours(x.double().to(judge.device)), expected, EXACT
            )
            compare(judge, f"{name} {mode} fp32", rounded(x.to(judge.device)), expected, limit)
            for key, values in exact.named_buffers():
                if key.endswith(("running_mean", "running_var")):
                    error = (rounded.get_buffer(key).cpu() - values).abs().max()
                    error = float(error / values.abs().max().clamp_min(0.1))
                    judge.need(error <= limit, f"{name} {mode} {key}: {error:.1e}")
        detector = copy.deepcopy(detector).eval()
        expected = detector.double()(x.double()).logits
        detector = detector.float().to(**place)
        with torch.autocast(judge.device.type, torch.bfloat16):
            half = detector(x.to(judge.device)).logits.cpu().double()
        judge.below(f"{name} eval bf16", (half - expected).norm() / expected.norm(), BF16)


def compare(judge: Judge, what: str, got: Prediction, expected: Prediction, limit: float) -> None:
    """Judge every output."""
    judge.near(what, got.logits, expected.logits, limit)
    for k, pair in enumerate(zip(got.aux, expected.aux, strict=True)):
        judge.near(f"{what} aux {k}", *pair, limit)


@check(seconds=150)
def gradients(judge: Judge) -> None:
    """Every tensor's gradient of a step, five networks, three losses, against float64 on a CPU."""
    for name in names(judge):
        cases = CASES if not judge.small or name in ("mshnet", "acm") else ["sls"]
        for case in cases:
            with judge.part(f"{name} {case}"):
                expected = slopes(judge, name, case, torch.device("cpu"), torch.float64)
                exact = slopes(judge, name, case, judge.device, torch.float64)
                rounded = slopes(judge, name, case, judge.device, torch.float32)
                judge.need(exact.keys() == expected.keys() == rounded.keys(), "other tensors")
                worst(judge, f"{name} {case}", exact, expected)
                total = sum(g.norm() ** 2 for g in expected.values()) ** 0.5
                error = sum((rounded[k] - g).norm() ** 2 for k, g in expected.items()) ** 0.5
                judge.below(f"{name} {case} fp32", error / total, FP32_SLOPES)


def worst(judge: Judge, what: str, got: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Judge the worst tensor of a network."""
    floor = FLOOR * max(float(g.norm()) for g in expected.values())
    errors = {
        key: float((got[key] - g).norm()) / max(float(g.norm()), floor)
        for key, g in expected.items()
    }
    key = max(errors, key=errors.__getitem__)
    judge.below(f"{what} float64 ({key})", errors[key], EXACT_SLOPE)
    judge.count += len(errors) - 1


def slopes(
    judge: Judge, name: str, case: str, device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Gradients by name of one step, on the CPU in float64."""
    loss, epoch = CASES[case]
    detector, x, target = trained(name, judge.device, judge.small)
    detector = copy.deepcopy(detector).to(device, dtype, memory_format=torch.channels_last)
    x, target = x.to(device, dtype), target.to(device, dtype)
    detector.follow(WarmUp(5))
    detector.begin_epoch(epoch)
    detector.train()
    supervise(create_loss(loss), detector(x), target, epoch).backward()
    named = detector.named_parameters()
    return {k: p.grad.to("cpu", torch.float64) for k, p in named if p.grad is not None}


@check(seconds=90)
def same_step(judge: Judge) -> None:
    """A step computed again gives the same gradients to the bit; lists what torch warns of."""
    for name in names(judge):
        for precision in ("fp32", "bf16"):
            with judge.part(f"{name} {precision}"), warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                half = precision == "bf16"
                with torch.autocast(judge.device.type, torch.bfloat16, enabled=half):
                    found = [
                        slopes(judge, name, "sls", judge.device, torch.float32) for _ in range(3)
                    ]
                for other in found[1:]:
                    judge.same(f"{name} {precision}", other, found[0])
            judge.note(f"{name} {precision} warnings", short(seen))


def short(seen: list[warnings.WarningMessage]) -> list[str]:
    """Each warning once, without torch's explanations."""
    return sorted({str(w.message).partition(". ")[0].partition(" (Trigger")[0] for w in seen})
