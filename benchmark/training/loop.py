"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmark.config import Settings
from benchmark.record import Epoch
from benchmark.store import RunFolder
from benchmark.training.batches import Batches
from benchmark.training.checkpoints import Origin, State, resume, save, save_checkpoint
from benchmark.training.optim import learning_rate, make_average, make_optimizer
from detectors.base import Detector
from losses import supervise
from losses.base import Loss


class DivergedError(Exception):
    """The loss became NaN or infinite."""


class Step(NamedTuple):
    """A training step that has been taken."""

    epoch: int
    number: int
    images: Tensor
    target: Tensor
    loss: Tensor


def train(
    detector: Detector,
    loss: Loss,
    batches: Batches,
    settings: Settings,
    folder: RunFolder,
    seed: int,
    origin: Origin,
    device: torch.device,
    autocast: Callable[[], torch.autocast],
    validate: Callable[[Detector], dict[str, float]] | None,
    on_step: Callable[[int, int, int], None],
    on_epoch: Callable[[Epoch], None],
) -> State:
    """Train from the last checkpoint in `folder`, or from the start, to the last epoch.

    After every epoch the checkpoint is replaced; it also holds the weights of the epoch with the
    best validation IoU. With `settings.ema` it is the average of the weights that is validated, and
    that `detector` has in the end.
    All random numbers of an epoch follow from the seed and the epoch's number, so a resumed
    training ends with the same weights as one that ran through.

    Args:
        detector: on `device`, freshly initialised.
        origin: what `batches` are made of; kept in the checkpoint.
        autocast: makes the context of the forward pass.
        validate: scores a detector in eval mode; None where there is no validation part.
        on_step: called with (epoch, step, steps).
        on_epoch: called with each finished epoch.

    Raises:
        DivergedError: the loss of a step, or a weight after an epoch, is not finite.
        UserError: the checkpoint is of another detector or other data.
        OSError: the checkpoint cannot be written.
    """
    detector.warm_epoch = loss.warm_epoch = settings.warm_epoch
    optimizer = make_optimizer(detector, settings)
    average = make_average(detector, settings)
    state = resume(folder.checkpoint, detector, optimizer, average, origin)
    network = compiled(detector, device) if settings.compile else detector
    scored = detector if average is None else average.module

    for epoch in range(state.next_epoch, settings.epochs):
        started = time.monotonic()
        lr = learning_rate(settings, epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr
        torch.manual_seed(zlib.crc32(f"{seed}/{epoch}".encode()))  # dropout
        detector.begin_epoch(epoch)
        detector.train()

        total, last = torch.zeros((), device=device), None
        for number, (images, target) in enumerate(batches.epoch(epoch), start=1):
            with autocast():
                prediction = network(detector.normalise(images))
            value = supervise(loss, prediction, target, epoch)
            optimizer.zero_grad()
            value.backward()
            if settings.clip_grad is not None:
                nn.utils.clip_grad_norm_(detector.parameters(), settings.clip_grad)
            optimizer.step()
            if average is not None:
                average.update(detector)
            total += value.detach()
            check(last, lr, folder)  # a step late: a GPU has then finished it
            last = Step(epoch, number, images, target, value.detach())
            on_step(epoch, number, len(batches))
        check(last, lr, folder)
        if not all(value.isfinite().all() for value in detector.state_dict().values()):
            raise DivergedError(f"weights are not finite after epoch {epoch} (lr {lr:g})")

        done = Epoch(epoch=epoch, loss=float(total) / len(batches), lr=lr, seconds=0.0)
        due = (epoch + 1) % settings.eval_every == 0 or epoch + 1 == settings.epochs
        if validate is not None and due:
            scored.begin_epoch(epoch)
            scored.eval()
            done.val = validate(scored)
            if done.val["iou"] > state.best_value:
                state.best_value, state.best_epoch = done.val["iou"], epoch
                state.best_weights = {k: v.clone() for k, v in scored.state_dict().items()}
        done.seconds = time.monotonic() - started
        state.history.append(done)
        state.next_epoch = epoch + 1
        save_checkpoint(folder.checkpoint, detector, optimizer, average, state)
        on_epoch(done)
    if average is not None:
        detector.load_state_dict(average.module.state_dict())
    return state


def check(step: Step | None, lr: float, folder: RunFolder) -> None:
    """Stop at a loss that is not finite, and keep the batch that gave it.

    Raises:
        DivergedError: the loss is NaN or infinite.
    """
    if step is None or math.isfinite(value := float(step.loss)):
        return
    save(folder.diverged, step._asdict())
    raise DivergedError(
        f"the loss became {value} in epoch {step.epoch}, step {step.number} (lr {lr:g}; the batch "
        f"is in {folder.diverged.name}, the weights before the epoch in {folder.checkpoint.name})"
    )


def compiled(detector: Detector, device: torch.device) -> nn.Module:
    """The detector through torch.compile; on a GPU with CUDA graphs, as small steps ask for."""
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    return torch.compile(detector, mode=mode)
