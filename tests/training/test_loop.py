"""The loop: average of the weights, clipping, the guard against NaN, resuming, pairing."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import detectors
from benchmark.execute import run
from benchmark.execute.events import EventWriter
from benchmark.execute.task import Task
from benchmark.networks.compute import Compute
from benchmark.plan.job import Job
from benchmark.records.record import Environment
from benchmark.records.store import RunFolder
from benchmark.settings.run_settings import Settings
from benchmark.training import batches as batches_module
from benchmark.training.batches import Batches
from benchmark.training.checkpoints import Best, Origin, State, load
from benchmark.training.loop import DivergedError, Hooks, train
from benchmark.training.optim import make_average, make_optimizer
from benchmark.training.stop import Stop
from datasets.base import Sample
from detectors.base import Detector, Prediction
from losses import create_loss, list_losses
from losses.base import Loss

CPU = torch.device("cpu")


class Small(Detector):
    """Two convolutions with a batch norm between."""

    name = "small"
    in_channels = 1
    mean = (0.4,)
    std = (0.2,)

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        return Prediction(self.head(self.net(x)))


class Poison(Loss):
    """Cross entropy that becomes NaN at a given step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.left = step

    def forward(self, logits, target, epoch):
        self.left -= 1
        factor = float("nan") if self.left == 0 else 1.0
        return factor * nn.functional.binary_cross_entropy_with_logits(logits, target)


def images(n=12):
    rng = np.random.default_rng(0)
    return [
        Sample(rng.integers(0, 256, (40, 50), dtype=np.uint8), rng.random((40, 50)) < 0.01, str(i))
        for i in range(n)
    ]


def fit(
    folder: Path, epochs=3, loss=None, watched=None, watch=None, stop=None,
    graph=False, **more,
):  # fmt: skip
    """A training of a second; `watch` is called with the detector after every step."""
    values = {"batch_size": 4, "crop_size": 32, "base_size": 48, "lr": 0.02, "selection": "last"}
    settings = Settings(epochs=epochs, **values | more)
    torch.manual_seed(1)
    detector = Small()
    hooks = Hooks(lambda *_: watch(detector) if watch else None, stop=stop or Stop())
    state, how = train(
        detector, loss or create_loss("sls"), Batches(images(), "set", 0, settings, CPU),
        settings, RunFolder(folder), Origin("t", ["a"]), Compute(CPU), watched or {}, hooks, graph,
    )  # fmt: skip
    detector.how = how
    return detector, state


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_resumed_training_is_the_same_with_average_and_clipping(tmp_path):
    more = {"ema": 0.8, "clip_grad": 0.1, "optimizer": "adam"}
    whole, _ = fit(tmp_path / "whole", 4, **more)
    fit(tmp_path / "parts", 2, **more)
    parts, state = fit(tmp_path / "parts", 4, **more)
    assert state.sessions == 2
    assert [e.epoch for e in state.history] == [0, 1, 2, 3]
    assert equal(whole, parts)


def test_the_average_follows_its_formula(tmp_path):
    """EMA of the weights after each step, started at the initial ones; it is what is validated."""
    torch.manual_seed(1)
    first = Small().head.weight.detach().clone()
    plain, _ = fit(tmp_path / "one", 1, ema=0.0)
    steps = []
    fit(tmp_path / "trace", 1, watch=lambda d: steps.append(d.head.weight.detach().clone()))
    assert len(steps) == 3
    expected = first
    for weight in steps:
        expected = 0.75 * expected + 0.25 * weight
    seen = []

    def validate(scored):
        assert not scored.training
        seen.append(scored.head.weight.detach().clone())
        return {"iou": 0.5}

    averaged, state = fit(
        tmp_path / "ema", 1, ema=0.75, watched={"best-val": validate}, selection="best-val"
    )
    torch.testing.assert_close(averaged.head.weight, expected)
    assert torch.equal(seen[0], averaged.head.weight)
    assert state.best == {"best-val": Best(0, 0.5)}
    best = load(RunFolder(tmp_path / "ema").best("best-val", 0))
    assert torch.equal(best["head.weight"], averaged.head.weight)
    assert not torch.equal(averaged.head.weight, plain.head.weight)


def test_clipping_bounds_the_step(tmp_path):
    """Plain SGD without momentum moves by lr times the gradient, so by lr times the bound."""
    settings = Settings(optimizer="sgd", lr=1.0, clip_grad=0.01)
    model = nn.Linear(5, 1)
    optimizer = make_optimizer(model, settings)
    for group in optimizer.param_groups:
        group["momentum"], group["nesterov"] = 0.0, False
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    model(torch.full((3, 5), 100.0)).sum().backward()
    nn.utils.clip_grad_norm_(model.parameters(), settings.clip_grad)
    optimizer.step()
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert (after - before).norm() == pytest.approx(0.01, rel=1e-4)
    clipped, _ = fit(tmp_path / "clipped", 1, clip_grad=1e-9, optimizer="sgd")
    torch.manual_seed(1)
    for a, b in zip(clipped.parameters(), Small().parameters(), strict=True):
        assert (a - b).abs().max() < 1e-8  # nothing moves


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_a_loss_that_is_not_finite_stops_the_run_and_leaves_its_batch(tmp_path, step):
    with pytest.raises(DivergedError, match="the loss became nan in epoch") as error:
        fit(tmp_path, loss=Poison(step))
    epoch, number = divmod(step - 1, 3)
    assert f"epoch {epoch}, step {number + 1} " in str(error.value)
    saved = torch.load(tmp_path / "diverged.pt", weights_only=True)
    settings = Settings(batch_size=4, crop_size=32, base_size=48)
    expected = list(Batches(images(), "set", 0, settings, CPU).epoch(epoch))[number]
    assert torch.equal(saved["images"], expected[0])
    assert torch.equal(saved["target"], expected[1])
    assert (saved["epoch"], saved["number"]) == (epoch, number + 1)


@pytest.mark.parametrize("name", ["adagrad", "adam", "adamw", "sgd"])
def test_fused_optimizers_compute_what_plain_ones_do(name):
    torch.manual_seed(0)
    ours = nn.Linear(7, 5)
    plain = nn.Linear(7, 5)
    plain.load_state_dict(ours.state_dict())
    settings = Settings(optimizer=name, lr=0.05, weight_decay=0.01)
    more = {"momentum": 0.9, "nesterov": True} if name == "sgd" else {}
    more |= {"eps": 1e-10} if name == "adagrad" else {}
    kind = getattr(torch.optim, {"sgd": "SGD", "adamw": "AdamW"}.get(name, name.capitalize()))
    pairs = [
        (ours, make_optimizer(ours, settings)),
        (plain, kind(plain.parameters(), lr=0.05, weight_decay=0.01, foreach=False, **more)),
    ]
    assert pairs[0][1].param_groups[0]["fused"]
    for _ in range(5):
        x = torch.randn(4, 7)
        for model, optimizer in pairs:
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, plain.weight, rtol=1e-5, atol=1e-6)


def test_images_that_do_not_fit_on_the_gpu_stay_in_the_hosts_memory(monkeypatch):
    monkeypatch.setattr(batches_module, "free_memory", lambda _: 1000)
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: pinned.append(x) or x)
    found = Batches(images(), "set", 0, Settings(), torch.device("cuda"))
    assert found.home == CPU
    assert len(pinned) == 24  # images and masks: else every copy of one makes the host wait
    assert "on cpu; they do not fit on cuda" in found.describe()
    monkeypatch.undo()
    assert "12 training images: 0.0 MiB on cpu" in batches().describe()


def batches():
    return Batches(images(), "set", 0, Settings(batch_size=4, crop_size=32, base_size=48), CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_from_the_hosts_memory_are_the_same(monkeypatch):
    settings = Settings(batch_size=4, crop_size=32, base_size=48)
    device = torch.device("cuda")
    inside = list(Batches(images(), "set", 0, settings, device).epoch(0))
    monkeypatch.setattr(batches_module, "free_memory", lambda _: 0)
    outside = list(Batches(images(), "set", 0, settings, device).epoch(0))
    for pair, other in zip(inside, outside, strict=True):
        for a, b in zip(pair, other, strict=True):
            assert a.device.type == b.device.type == "cuda"
            assert torch.equal(a, b)


def test_two_losses_see_the_same_weights_and_crops(tmp_path, monkeypatch):
    """Pairing: what differs between two cells of one seed is the loss, and nothing else."""
    seen = []

    def watch(detector, _, batches, *__, **___):
        weights = {k: v.clone() for k, v in detector.state_dict().items()}
        seen.append((weights, [b for e in range(2) for b in batches.epoch(e)]))
        return State(next_epoch=1), "eager"

    monkeypatch.setattr(run, "train", watch)
    environment = Environment(
        harness="0", python="3", torch="2", platform="", device="", threads=1, precision="fp32"
    )
    settings = Settings(epochs=2, crop_size=32, limit=12, selection="last", batch_size=4)
    names = ["sls", "soft_iou", "focal"]
    assert set(names) <= set(list_losses())
    for loss, seed in [*((name, 0) for name in names), ("sls", 1)]:
        job = Job("synthetic", "acm", loss, seed, settings, "test")
        torch.manual_seed(hash(loss) % 1000)  # whatever happened before must not matter
        inputs = Task(job={})
        folder = RunFolder(tmp_path / f"{loss}{seed}")
        run.run_job(job, folder, CPU, environment, inputs, EventWriter(io.StringIO()), Stop())
    first, *others, other_seed = seen
    for weights, crops in others:
        assert all(torch.equal(weights[k], v) for k, v in first[0].items())
        for pair, expected in zip(crops, first[1], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(pair, expected, strict=True))
    assert any(not torch.equal(other_seed[0][k], v) for k, v in first[0].items())
    assert not torch.equal(other_seed[1][0][0], first[1][0][0])


def test_no_average_unless_asked_for():
    assert make_average(Small(), Settings()) is None
    assert make_average(Small(), Settings(ema=0.9)).decay == 0.9


@pytest.mark.extra
def test_torch_compile_changes_rounding_only(tmp_path):
    plain, state = fit(tmp_path / "plain", 2, optimizer="sgd", lr=0.001)
    fast, other = fit(tmp_path / "compiled", 2, optimizer="sgd", lr=0.001, compile=True)
    for a, b in zip(state.history, other.history, strict=True):
        assert b.loss == pytest.approx(a.loss, rel=1e-4)
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(fast.state_dict()[key], value, rtol=1e-3, atol=1e-4)
    assert set(plain.state_dict()) == set(fast.state_dict())  # no prefix of the compiler's
    assert "small" not in detectors.list_detectors()
