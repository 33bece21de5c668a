"""Whole trainings: repeated, interrupted, and moved between a CPU and the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmark.networks.compute import Compute
from benchmark.records.record import Epoch
from benchmark.records.store import RunFolder
from benchmark.settings.run_settings import Settings
from benchmark.training.batches import Batches
from benchmark.training.checkpoints import Origin, State, resume
from benchmark.training.loop import Hooks, train
from benchmark.training.optim import make_optimizer
from benchmark.training.step import side_stream
from benchmark.training.stop import Interrupted, Stop
from detectors import create_detector
from detectors.base import Detector
from losses import create_loss
from tests.gpu.judge import Judge, check
from tests.gpu.networks import scenes
from tests.gpu.numerics import CPU, OPTIMIZERS

ORIGIN = Origin("training", ["images"])


class Fitted(NamedTuple):
    """What a training leaves."""

    detector: Detector
    state: State
    how: str

    @property
    def losses(self) -> list[float]:
        """Of each epoch."""
        return [epoch.loss for epoch in self.state.history]


def settings(small: bool, **more: Any) -> Settings:
    """Of a training of few steps; the first epoch is a warm-up."""
    side = 64 if small else 128
    values = {"batch_size": 4, "crop_size": side, "base_size": side, "warm_epoch": 0}
    return Settings(**values | {"lr": 0.02, "epochs": 3} | more)


def data(small: bool, config: Settings, device: torch.device) -> Batches:
    """Three batches an epoch, or six."""
    return Batches(scenes(*((12, 64) if small else (24, 128))), "set", 0, config, device)


def make(name: str, device: torch.device, dropout: bool = True) -> Detector:
    """A fresh detector."""
    torch.manual_seed(1)
    detector = create_detector(name)
    for module in detector.modules():
        if isinstance(module, nn.Dropout) and not dropout:
            module.p = 0.0
    return detector.to(device, memory_format=torch.channels_last)


def fit(
    judge: Judge,
    folder: Path,
    name: str,
    config: Settings,
    loss: str = "sls",
    device: torch.device | None = None,
    dropout: bool = True,
    graph: bool = False,
    stop: Stop | None = None,
    on_step: Callable[[int, int, int], None] = lambda *_: None,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> Fitted:
    """Train as a worker does, without validation."""
    device = device or judge.device
    detector = make(name, device, dropout)
    with side_stream(device) if graph else nullcontext():
        state, how = train(
            detector, create_loss(loss).to(device), data(judge.small, config, device), config,
            RunFolder(folder), ORIGIN, Compute(device, config.precision), {},
            Hooks(on_step, on_epoch, stop or Stop()), graph,
        )  # fmt: skip
    return Fitted(detector, state, how)


@check(seconds=90)
def repeat(judge: Judge) -> None:
    """The same training twice gives the same weights and losses to the bit."""
    for name in ("acm:port",) if judge.small else ("mshnet", "acm", "dnanet", "alcnet"):
        for precision in ("fp32", "bf16"):
            what = f"{name} {precision}"
            with judge.part(what):
                config = settings(judge.small, precision=precision)
                one, other = (
                    fit(judge, judge.folder / f"repeat-{what}-{k}", name, config) for k in "ab"
                )
                judge.same(f"{what} losses", other.losses, one.losses)
                judge.same(f"{what} weights", *(f.detector.state_dict() for f in (other, one)))
                judge.need(all(map(math.isfinite, one.losses)), f"{what}: losses {one.losses}")
                fresh = make(name, CPU).state_dict()
                moved = any(
                    not torch.equal(v.cpu(), fresh[k]) for k, v in one.detector.state_dict().items()
                )
                judge.need(moved, f"{what}: nothing was learnt")


@check(seconds=90)
def resumed(judge: Judge) -> None:
    """Four epochs, and four of which the third was stopped in its middle: equal to the bit."""
    cases: list[tuple[str, dict[str, Any], bool]] = [
        ("acm", {"optimizer": "mxnet_adagrad", "weight_decay": 1e-4}, False),
        ("mshnet", {"optimizer": "adam", "lr": 1e-3, "ema": 0.9, "clip_grad": 1.0}, False),
    ]
    if judge.cuda:
        cases.append(("mshnet", {}, True))
    for name, more, graph in cases:
        name = "acm:port" if judge.small else name
        what = f"{name} {more.get('optimizer', 'adagrad')}{' graph' if graph else ''}"
        with judge.part(what):
            config = settings(judge.small, epochs=4, **more)
            folder = judge.folder / f"resumed-{what}"
            whole = fit(judge, folder / "whole", name, config, graph=graph)
            stop = Stop()

            def interrupt(epoch: int, number: int, _steps: int, stop: Stop = stop) -> None:
                stop.asked = stop.asked or (epoch == 2 and number == 2)
                stop.check()

            try:
                fit(
                    judge, folder / "parts", name, config, graph=graph, stop=stop, on_step=interrupt
                )
                judge.need(False, f"{what}: it did not stop")
            except Interrupted as reason:
                judge.need("2 of 4 epochs" in str(reason), f"{what}: {reason}")
            parts = fit(judge, folder / "parts", name, config, graph=graph)
            judge.same(f"{what} sessions", parts.state.sessions, 2)
            judge.same(f"{what} losses", parts.losses, whole.losses)
            judge.same(f"{what} weights", *(f.detector.state_dict() for f in (parts, whole)))


@check(seconds=90)
def moved(judge: Judge) -> None:
    """A training that goes from the CPU to the device and back, with each optimizer."""
    for optimizer in OPTIMIZERS:
        with judge.part(optimizer):
            folder = judge.folder / f"moved-{optimizer}"
            adaptive = optimizer.startswith("adam")
            more = {"optimizer": optimizer, "lr": 1e-3 if adaptive else 0.01}
            for epochs, device in ((1, CPU), (2, judge.device), (3, CPU)):
                config = settings(judge.small, epochs=epochs, **more)
                if epochs > 1:
                    judge.same(
                        f"{optimizer} resumed on {device}",
                        kinds(folder / "moved", config, device), kinds(None, config, device),
                    )  # fmt: skip
                found = fit(
                    judge, folder / "moved", "acm:port", config, device=device, dropout=False
                )
            judge.same(f"{optimizer} sessions", found.state.sessions, 3)
            stayed = fit(judge, folder / "cpu", "acm:port", config, device=CPU, dropout=False)
            losses = (torch.tensor(f.losses) for f in (found, stayed))
            judge.near(f"{optimizer} losses", *losses, 1e-2)


def kinds(folder: Path | None, config: Settings, device: torch.device) -> dict[str, Any]:
    """Where and of which type an optimizer's numbers are: one that goes on, or a fresh one."""
    detector = make("acm:port", device)
    optimizer = make_optimizer(detector, config)
    if folder is None:
        for p in detector.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
    else:
        resume(RunFolder(folder), detector, optimizer, None, ORIGIN)
    found = {
        f"{number} {key}": _kind(value)
        for number, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }
    for group in optimizer.param_groups:
        found |= {key: _kind(value) for key, value in group.items() if key != "params"}
    return found


def _kind(value: Any) -> tuple[str, ...]:
    if isinstance(value, Tensor):
        return "tensor", value.device.type, str(value.dtype)
    return (repr(value),)
