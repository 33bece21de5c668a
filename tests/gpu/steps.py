"""Steps: none waits for the GPU, as a graph they are the same, and scoring in batches too."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.execute.run import _reporter
from benchmark.networks.compute import Compute
from benchmark.networks.inference import Predictor
from benchmark.records.record import Epoch
from benchmark.training.optim import make_average, make_optimizer
from benchmark.training.step import GraphedStep, Step, cuda_capture, side_stream
from benchmark.training.stop import Stop
from benchmark.warm_up import WarmUp
from losses import create_loss
from losses.base import Loss
from losses.soft_iou import SoftIoULoss
from tests.gpu.judge import Judge, Skip, check
from tests.gpu.networks import scenes, trained
from tests.gpu.numerics import CPU
from tests.gpu.training import data, fit, make, settings

NO_WAITS = "a CPU has nobody to wait for; that it runs was seen"
END_OF_EPOCH = "benchmark/training/watch.py"
"""Here one wait an epoch is meant, by an event, if torch counts that."""
STEEP = 5e-3
"""Limit for a single probability in fp32: ACM's logits go to 2000, so that near 0 a CPU with
another memory layout is off by 4e-4."""
WAITING = "called a synchronizing CUDA operation"


@check(seconds=90)
def waits(judge: Judge) -> None:
    """From the end of an epoch to that of the next no step makes the host wait for the GPU."""
    if judge.cuda:
        with waits_seen() as seen:
            set_waits(judge, "warn")
            torch.ones(1, device=judge.device).item()
            set_waits(judge, "default")
        judge.need(seen, "a wait that was made on purpose was not seen")
    nets = ("unet", "acm:port") if judge.small else ("mshnet", "acm")
    for name, more in zip(nets, ({}, {"optimizer": "mxnet_adagrad"}), strict=True):
        for graph in (False, True) if judge.cuda else (False,):
            what = f"{name} {'graph' if graph else 'eager'}"
            with judge.part(what):
                seen = waits_of(judge, name, graph, more)
                judge.note(what, seen)
                rest = [place for place in seen if END_OF_EPOCH not in place]
                judge.need(not rest, f"{what}: {len(rest)} waits, the first in {rest[:1]}")
                judge.need(len(seen) - len(rest) <= 2, f"{what}: an epoch ends more than once")
    if not judge.cuda:
        raise Skip(NO_WAITS)


def waits_of(judge: Judge, name: str, graph: bool, more: dict[str, Any]) -> list[str]:
    """Where a training waits, from the last step of its second epoch to the end of the third."""
    config = settings(judge.small, warm_epoch=-1, epochs=4, **more)
    report = _reporter(lambda *_, **__: None, Stop(), judge.device, packed=False)

    def on_step(epoch: int, step: int, steps: int) -> None:
        report(epoch, step, steps)
        if epoch == 1 and step == steps:
            set_waits(judge, "warn")

    def on_epoch(done: Epoch) -> None:
        if done.epoch == 2:
            set_waits(judge, "default")

    folder = judge.folder / f"waits-{name}-{graph}"
    try:
        with waits_seen() as seen:
            how = fit(
                judge, folder, name, config, graph=graph, on_step=on_step, on_epoch=on_epoch
            ).how
    finally:
        set_waits(judge, "default")
    judge.same(f"{name}: steps taken", how, "graph" if graph else "eager")
    return seen


def set_waits(judge: Judge, mode: str) -> None:
    """What torch does when the host waits for the GPU; nothing on a CPU."""
    if judge.cuda:
        torch.cuda.set_sync_debug_mode(mode)


@contextmanager
def waits_seen() -> Iterator[list[str]]:
    """Collects the places of the waits that torch warns of."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield found
    found += [f"{w.filename}:{w.lineno}" for w in seen if WAITING in str(w.message)]


class Case(NamedTuple):
    """A training that is taken step by step."""

    detector: str
    loss: str
    more: dict[str, Any]


CASES = (
    Case("mshnet", "sls", {}),
    Case("dnanet", "soft_iou", {}),
    Case("acm", "sls", {"optimizer": "mxnet_adagrad", "weight_decay": 1e-4}),
    Case("uiunet", "sls", {"optimizer": "adam", "lr": 1e-3, "ema": 0.9, "clip_grad": 1.0}),
)


@check(seconds=120)
def graph(judge: Judge) -> None:
    """Steps as a CUDA graph against eager ones, across the end of the warm-up: equal to the bit."""
    for case in CASES:
        if judge.small:
            case = case._replace(detector="unet" if case.detector == "mshnet" else "acm:port")
        with judge.part(case.detector):
            eager = take_steps(judge, case, None)
            with side_stream(judge.device) if judge.cuda else nullcontext():
                ours = take_steps(judge, case, cuda_capture if judge.cuda else replayed)
            judge.same(f"{case.detector}: steps taken", ours["how"], "graph")
            for key in ("losses", "weights", "average"):
                judge.same(f"{case.detector} {key}", ours[key], eager[key])
            times = {"eager": eager["ms"], "graph": ours["ms"]}
            judge.note(f"{case.detector} ms a step", times)
            judge.notes.append(f"{case.detector} {eager['ms']:.1f} to {ours['ms']:.1f} ms")


class Reading(SoftIoULoss):
    """Takes its value to the host, which no graph can hold."""

    name = "reading"

    def forward(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:
        """As soft IoU."""
        value = super().forward(logits, target, epoch)
        assert value.item() >= 0
        return value


@check(seconds=60)
def fallback(judge: Judge) -> None:
    """A capture that fails: its reason is told, and the steps after it, drop-out too, are eager."""

    def broken(work: Callable[[], None]) -> Callable[[], None]:
        if judge.cuda:
            return cuda_capture(work)
        raise RuntimeError("broken on purpose")

    case = Case("acm:port" if judge.small else "acm", "soft_iou", {})
    eager = take_steps(judge, case, None, Reading())
    with side_stream(judge.device) if judge.cuda else nullcontext():
        ours = take_steps(judge, case, broken, Reading())
    judge.need(ours["how"].startswith("eager: no CUDA graph ("), f"steps taken: {ours['how']}")
    judge.note("how", ours["how"])
    for key in ("losses", "weights"):
        judge.same(key, ours[key], eager[key])


def replayed(work: Callable[[], None]) -> Callable[[], None]:
    """Stands for CUDA's capture on a CPU: computes nothing at first."""
    return work


def take_steps(
    judge: Judge, case: Case, capture: Callable | None, loss: Loss | None = None
) -> dict[str, Any]:
    """Two epochs before the end of the warm-up and two after it, by the case's loss or another."""
    config = settings(judge.small, epochs=4, warm_epoch=1, **case.more)
    detector = make(case.detector, judge.device)
    loss = (loss or create_loss(case.loss)).to(judge.device)
    for part in (detector, loss):
        part.follow(WarmUp(config.warm_epoch))
    optimizer, average = make_optimizer(detector, config), make_average(detector, config)
    step: Any = Step(
        detector, detector, loss, optimizer, average, config.clip_grad, Compute(judge.device)
    )
    if capture is not None:
        step = GraphedStep(step, capture)
    batches = data(judge.small, config, judge.device)
    losses: list[Tensor] = []
    for epoch in range(config.epochs):
        torch.manual_seed(epoch)
        detector.begin_epoch(epoch)
        detector.train()
        step.begin_epoch(epoch)
        wait(judge)
        started = time.perf_counter()
        losses += [step(*batch).clone() for batch in batches.epoch(epoch)]
        wait(judge)
    return {
        "losses": torch.stack(losses),
        "weights": detector.state_dict(),
        "average": average.module.state_dict() if average else {},
        "how": step.how,
        "ms": 1e3 * (time.perf_counter() - started) / len(batches),  # of the last epoch
    }


def wait(judge: Judge) -> None:
    """For the device to be done."""
    if judge.cuda:
        torch.cuda.synchronize()


@check(seconds=90)
def scoring(judge: Judge) -> None:
    """Maps in batches equal to those one by one, and ragged images' near those of a CPU."""
    images = [
        sample.image[: 80 + 16 * (k % 2), : 96 - k] for k, sample in enumerate(scenes(12, 96))
    ]
    images += [image.astype(np.uint16) * 257 for image in images]
    for name in ("unet", "acm:port") if judge.small else ("mshnet", "acm", "dnanet", "alcnet"):
        with judge.part(name):
            detector = trained(name, judge.device, judge.small).detector.eval()
            expected = maps(Predictor(detector, Compute(CPU)), images)
            detector.to(judge.device, memory_format=torch.channels_last)
            try:
                for precision in ("fp32", "bf16"):
                    compute = Compute(judge.device, precision)
                    single = maps(Predictor(detector, compute, 0), images)
                    if precision == "fp32":
                        for k, pair in enumerate(zip(single, expected, strict=True)):
                            error = np.abs(np.subtract(*pair))
                            what = f"{name} {pair[0].shape} image {k}"
                            judge.below(what, error.max(), STEEP)
                            judge.below(f"{what}, mean", error.mean(), 1e-4)
                    predictor = Predictor(detector, compute, 2 * 96**2)
                    batched = maps(predictor, images)
                    equal = all(map(np.array_equal, batched, single))
                    judge.need(equal, f"{name} {precision}: batches change the maps")
                    judge.need(predictor.batchable, f"{name}: there was no batch")
                    shapes = {str(tuple(k)): v for k, v in predictor.batchable.items()}
                    judge.note(f"{name} {precision} batchable", shapes)
            finally:
                detector.to("cpu", memory_format=torch.contiguous_format)


def maps(predictor: Predictor, images: list[np.ndarray]) -> list[np.ndarray]:
    """Maps in the order of the images."""
    found = dict(predictor.maps(images))
    return [found[k] for k in range(len(images))]
