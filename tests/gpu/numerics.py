"""The same numbers as a CPU gives: losses, resizing, gates, augmentation, optimizers."""

from __future__ import annotations

from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.settings.run_settings import Settings
from benchmark.training import batches as batches_module
from benchmark.training.batches import Batches
from benchmark.training.optim import DeviceAdagrad, make_optimizer, set_learning_rate
from datasets.base import Sample
from detectors.attention import ChannelAttention, SpatialAttention, _add_at
from detectors.base import Prediction
from detectors.resize import _Resize, pad_border
from losses import create_loss, list_losses, supervise
from tests.gpu.judge import Judge, check

CPU = torch.device("cpu")
OPTIMIZERS = ("adagrad", "mxnet_adagrad", "adam", "adamw", "sgd")


@check()
def losses(judge: Judge) -> None:
    """Value and gradient of every loss before and after the warm-up, against float64 on a CPU."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4, 1, 48, 64, generator=generator)
    target = torch.zeros(4, 1, 48, 64)
    target[0, 0, 5:9, 40:43] = 1
    target[1, 0, 20:22, 3:8] = 1
    target[1, 0, 40:43, 60:64] = 1
    target[2, 0, 30, 30] = 1  # the last one stays empty
    made = {name: create_loss(name) for name in list_losses()}
    made["sls_centroid:per_target"] = create_loss("sls_centroid", per_target=True)
    cases = {"": (logits, target), "empty ": (logits, 0 * target), "sharp ": (30 * logits, target)}
    for name, loss in made.items():
        for epoch, phase in ((0, "warm-up"), (10, "main")):
            for kind, (a, b) in cases.items():
                what = f"{name} {kind}{phase}"
                with judge.part(what):
                    got = loss_and_slope(loss, a.to(judge.device), b.to(judge.device), epoch)
                    if kind == "sharp ":  # nothing is left of them but that they are finite
                        finite = all(t.isfinite().all() for t in got)
                        judge.need(finite, f"{what}: not finite")
                        continue
                    expected = loss_and_slope(loss, a.double(), b.double(), epoch)
                    judge.near(f"{what} value", got[0], expected[0], 1e-5)
                    judge.near(f"{what} gradient", got[1], expected[1], 1e-5)


def loss_and_slope(
    loss: nn.Module, logits: Tensor, target: Tensor, epoch: int
) -> tuple[Tensor, Tensor]:
    """The loss at full and at half size, averaged, and its gradient."""
    logits = logits.detach().clone().requires_grad_()
    prediction = Prediction(logits, (F.avg_pool2d(logits, 2),))
    value = supervise(loss, prediction, target, epoch)
    return value, torch.autograd.grad(value, logits)[0]


SIZES = [
    (8, 8, 16, 16), (16, 12, 32, 24), (32, 32, 16, 16), (5, 7, 9, 20), (1, 1, 4, 4),
    (9, 9, 128, 128), (6, 4, 6, 4), (3, 8, 1, 1),
]  # fmt: skip


@check()
def resizing(judge: Judge) -> None:
    """Our backward pass of bilinear resizing, and padding, against torch's on the device."""
    torch.manual_seed(0)
    for dtype, limit in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        for size in SIZES:
            for align in (True, False):
                x = torch.randn(2, 3, *size[:2], dtype=dtype).to(judge.device)
                a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
                ours = _Resize.apply(a, size[2:], align)
                theirs = F.interpolate(b, size[2:], mode="bilinear", align_corners=align)
                grad = torch.randn(theirs.shape, dtype=dtype).to(judge.device)
                ours.backward(grad)
                theirs.backward(grad)
                what = f"{size} align={align} {dtype}"
                judge.near(what, ours, theirs, limit)
                judge.near(f"{what} gradient", a.grad, b.grad, limit)
    x = torch.randn(2, 3, 5, 4, device=judge.device)
    for margin in ((1, 2, 3, 0), (0, 7, 0, 9)):
        judge.same(f"padding {margin}", pad_border(x, margin), F.pad(x, margin, mode="replicate"))


@check()
def gates(judge: Judge) -> None:
    """The attention gates and their backward pass against what autograd makes of the formulas."""

    def by_channel(gate: ChannelAttention, x: Tensor) -> Tensor:
        pooled = (F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1))
        return x * torch.sigmoid(sum(gate.fc2(F.relu(gate.fc1(p))) for p in pooled))

    def by_pixel(gate: SpatialAttention, x: Tensor) -> Tensor:
        pooled = torch.cat((x.mean(1, True), x.amax(1, True)), 1)
        return x * torch.sigmoid(gate.conv1(pooled))

    torch.manual_seed(1)
    noise, grad = torch.randn(2, 3, 32, 9, 14)
    cases = {
        "channels": (ChannelAttention(32, 4), by_channel, noise),
        "pixels": (SpatialAttention(), by_pixel, noise),
        "pixels with equal maxima": (SpatialAttention(), by_pixel, noise.round()),
    }
    for dtype, limit in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        for name, (gate, formula, x) in cases.items():
            gate.to(judge.device, dtype)
            for layout in (torch.contiguous_format, torch.channels_last):
                x, g = (t.to(judge.device, dtype, memory_format=layout) for t in (x, grad))
                wanted = [x.requires_grad_(), *gate.parameters()]
                ours, theirs = gate(x), formula(gate, x)
                judge.near(f"{name} {dtype} {layout}", ours, theirs, limit)
                found = (torch.autograd.grad(y, wanted, g) for y in (ours, theirs))
                for k, pair in enumerate(zip(*found, strict=True)):
                    judge.near(f"{name} {dtype} {layout} gradient {k}", *pair, limit)
    x, values = torch.randn(2, 3, 5, 7), torch.randn(2, 3)
    place = torch.randint(35, (2, 3))
    expected = x.clone()
    expected.view(2, 3, 35).scatter_add_(2, place[:, :, None], values[:, :, None])
    got = _add_at(*(t.to(judge.device) for t in (x, place, values)))
    judge.same("a gradient at one pixel", got, expected)


@check()
def augmentation(judge: Judge) -> None:
    """Batches against those of a CPU: both augmentations, 8 and 16 bits, ragged sizes."""
    for bits in (8, 16):
        samples = ragged(9, bits)
        for kind in ("scale", "patch"):
            settings = Settings(
                batch_size=3, crop_size=48, base_size=64, augmentation=kind, positive_crops=0.5
            )
            expected = list(Batches(samples, "set", 0, settings, CPU).epoch(1))
            for home in (judge.device, CPU) if judge.cuda else (CPU,):
                what = f"{kind} {bits} bits, kept on {home}"
                free = float("inf") if home == judge.device else 0.0
                with (
                    judge.part(what),
                    mock.patch.object(batches_module, "free_memory", lambda _, free=free: free),
                ):
                    batches = Batches(samples, "set", 0, settings, judge.device)
                    judge.need(batches.home == home, f"{what}: kept on {batches.home}")
                    for k, (got, want) in enumerate(zip(batches.epoch(1), expected, strict=True)):
                        judge.near(f"{what}: batch {k}", got[0], want[0], 1e-6)
                        judge.same(f"{what}: masks of batch {k}", got[1], want[1])


def ragged(n: int, bits: int = 8) -> list[Sample]:
    """Images of noise in three sizes, with masks."""
    rng = np.random.default_rng(bits)
    dtype, shapes = (np.uint8, np.uint16)[bits == 16], [(40, 50), (64, 48), (96, 80)]
    return [
        Sample(
            rng.integers(0, 2**bits, shapes[i % 3], dtype=dtype),
            rng.random(shapes[i % 3]) < 0.01,
            str(i),
        )
        for i in range(n)
    ]


@check()
def optimizers(judge: Judge) -> None:
    """Five steps of each optimizer, the rate changing, against a CPU's in float64."""
    for name in OPTIMIZERS:
        with judge.part(name):
            config = Settings(optimizer=name, lr=0.02, weight_decay=0.01)
            net, other = layers(CPU, torch.float64), layers(judge.device, torch.float32)
            exact, ours = make_optimizer(net, config), make_optimizer(other, config)
            rates = [group["lr"] for group in ours.param_groups]
            there = all(isinstance(r, Tensor) and r.device.type == "cuda" for r in rates)
            judge.need(there or not judge.cuda, f"{name}: the rate is no tensor on the device")
            descend(net, exact)
            descend(other, ours)
            near(judge, name, other, net, 1e-5)
    with judge.part("DeviceAdagrad"):
        net, other = (layers(judge.device, torch.float32) for _ in "ab")
        descend(net, DeviceAdagrad(net.parameters(), 0.02, weight_decay=0.01, eps=1e-10))
        descend(other, torch.optim.Adagrad(other.parameters(), 0.02, weight_decay=0.01, eps=1e-10))
        near(judge, "our adagrad and torch's", net, other, 1e-6)
        equal = all(map(torch.equal, net.parameters(), other.parameters()))
        judge.note("our adagrad is torch's to the bit", equal)


def layers(device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Parameters of several shapes."""
    torch.manual_seed(0)
    parts = (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(30, 20))
    return nn.Sequential(*parts).to(device, dtype)


def descend(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Five steps along given gradients, each with another learning rate."""
    generator = torch.Generator().manual_seed(1)
    for k in range(5):
        set_learning_rate(optimizer, 0.02 / (1 + k))
        for p in net.parameters():
            p.grad = torch.randn(p.shape, generator=generator).to(p)
        optimizer.step()


def near(judge: Judge, what: str, got: nn.Module, expected: nn.Module, limit: float) -> None:
    """Judge every parameter."""
    for (key, p), q in zip(got.named_parameters(), expected.parameters(), strict=True):
        judge.near(f"{what} {key}", p, q, limit)
