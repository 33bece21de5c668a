"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from benchmark.networks.compute import Compute
from benchmark.records.record import Epoch
from benchmark.records.store import RunFolder
from benchmark.settings.run_settings import Settings
from benchmark.training.batches import Batches
from benchmark.training.checkpoints import Best, Origin, Saver, State, resume, save
from benchmark.training.optim import (
    learning_rate,
    make_average,
    make_optimizer,
    set_learning_rate,
)
from benchmark.training.step import GraphedStep, Step, cuda_capture
from benchmark.training.stop import Interrupted, Stop
from benchmark.training.watch import Losses
from benchmark.warm_up import WarmUp
from detectors.base import Detector
from losses.base import Loss

Validate = Callable[[Detector], dict[str, float]]


class DivergedError(Exception):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Hooks:
    """Callbacks that follow the progress of a training, and may end it.

    Attributes:
        step: called after every step with (epoch, step, steps); may raise `Interrupted`.
        epoch: called with each finished epoch.
        stop: asked before every epoch.
    """

    step: Callable[[int, int, int], None] = lambda *_: None
    epoch: Callable[[Epoch], None] = lambda _: None
    stop: Stop = field(default_factory=Stop)


def train(
    detector: Detector,
    loss: Loss,
    batches: Batches,
    settings: Settings,
    folder: RunFolder,
    origin: Origin,
    compute: Compute,
    watched: Mapping[str, Validate],
    hooks: Hooks,
    graph: bool = False,
) -> tuple[State, str]:
    """Train from the last checkpoint in `folder`, or from the start, to the last epoch.

    The checkpoint is replaced once a minute (`Saver`); beside it are the weights of the epochs with
    the best IoU. With `settings.ema` it is the average of the weights that is validated, and that
    `detector` has in the end.
    All random numbers of an epoch follow from the seed of `batches` and the epoch's number, so a
    resumed training ends with the same weights as one that ran through.

    Args:
        detector: on the device, freshly initialised.
        origin: identity of the data in `batches`; kept in the checkpoint.
        compute: where and how.
        watched: by `best-val` (the validation part) and `best-test` (the test set), a scorer of a
            detector in eval mode there; none where there is nothing to score. The best epoch is
            kept where it is a rule of the settings.
        hooks: see `Hooks`.
        graph: repeat the step as a CUDA graph; the current stream is not the default one.

    Returns:
        The state of the training, and how its steps were taken.

    Raises:
        DivergedError: the loss of a step, or a weight after an epoch, is not finite.
        Interrupted: it was asked to stop; finished epochs are on disk.
        UserError: the checkpoint is of another detector or other data.
        OSError: the checkpoint cannot be written.
    """
    warm_up = WarmUp(settings.warm_epoch)
    detector.follow(warm_up)
    loss.follow(warm_up)
    optimizer = make_optimizer(detector, settings)
    average = make_average(detector, settings)
    state = resume(folder, detector, optimizer, average, origin)
    saver = Saver(folder, detector, optimizer, average, state)
    network = compiled(detector, compute.device) if settings.compile else detector
    scored = detector if average is None else average.module
    step: Step | GraphedStep = Step(
        detector, network, loss, optimizer, average, settings.clip_grad, compute
    )
    if graph:
        step = GraphedStep(step, cuda_capture)
    rules = {settings.selection, *settings.also}

    stop = hooks.stop
    longest = stop.expected(max((done.seconds for done in state.history), default=None))
    try:
        for epoch in range(state.next_epoch, settings.epochs):
            stop.check_epoch(longest and longest + saver.seconds)
            started = time.monotonic()
            lr = learning_rate(settings, epoch)
            set_learning_rate(optimizer, lr)
            torch.manual_seed(zlib.crc32(f"{batches.seed}/{epoch}".encode()))  # dropout
            detector.begin_epoch(epoch)
            detector.train()
            step.begin_epoch(epoch)
            mean = take_steps(step, detector, batches, epoch, lr, folder, hooks.step)

            done = Epoch(epoch=epoch, loss=mean, lr=lr, seconds=0.0)
            if (epoch + 1) % settings.eval_every == 0 or epoch + 1 == settings.epochs:
                scored.begin_epoch(epoch)
                scored.eval()
                for rule, validate in watched.items():
                    metrics = validate(scored)
                    setattr(done, "val" if rule == "best-val" else "test", metrics)
                    best = state.best.get(rule)
                    if rule in rules and (best is None or metrics["iou"] > best.iou):
                        state.best[rule] = Best(epoch, metrics["iou"])
                        saver.keep_best(rule, epoch, scored)
            done.seconds = time.monotonic() - started
            longest = max(longest or 0.0, done.seconds)
            state.history.append(done)
            state.next_epoch = epoch + 1
            saver.epoch_done(last=epoch + 1 == settings.epochs)
            hooks.epoch(done)
    except Interrupted as interruption:
        saver.flush()
        where = f"{state.next_epoch} of {settings.epochs} epochs are done"
        raise type(interruption)(f"{interruption}, {where}") from None
    except Exception:
        saver.flush()
        raise
    if average is not None:
        detector.load_state_dict(average.module.state_dict())
    return state, step.how


def take_steps(
    step: Step | GraphedStep,
    detector: Detector,
    batches: Batches,
    epoch: int,
    lr: float,
    folder: RunFolder,
    on_step: Callable[[int, int, int], None],
) -> float:
    """Take the steps of one epoch; returns the mean of their losses.

    Raises:
        DivergedError: see `train`.
    """
    losses = Losses(len(batches), batches.device)
    for number, (images, target) in enumerate(batches.epoch(epoch), start=1):
        losses.add(step(images, target))
        if bad := losses.bad_step():
            raise diverged(*bad, epoch, lr, batches, folder)
        on_step(epoch, number, len(batches))
    values, sound = losses.finish(detector.state_dict().values())
    if len(bad := np.flatnonzero(~np.isfinite(values))):
        raise diverged(int(bad[0]), float(values[bad[0]]), epoch, lr, batches, folder)
    if not sound:
        raise DivergedError(f"weights are not finite after epoch {epoch} (lr {lr:g})")
    # added up one by one, as a running total on the device would be
    return float(np.add.accumulate(values)[-1]) / len(batches)


def diverged(
    step: int, value: float, epoch: int, lr: float, batches: Batches, folder: RunFolder
) -> DivergedError:
    """The error to raise for a loss that is not finite; the batch that gave it is kept.

    Args:
        step: of the epoch, counted from 0; its batch is made again.
    """
    images, target = batches.again(epoch, step)
    save(
        folder.diverged,
        {"epoch": epoch, "number": step + 1, "loss": value, "images": images, "target": target},
    )
    return DivergedError(
        f"the loss became {value} in epoch {epoch}, step {step + 1} (lr {lr:g}; the batch is in "
        f"{folder.diverged.name}, the weights before the epoch in {folder.checkpoint.name})"
    )


def compiled(detector: Detector, device: torch.device) -> nn.Module:
    """The detector through torch.compile; on a GPU with CUDA graphs, which small steps need."""
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    return torch.compile(detector, mode=mode)
