"""The training loop, to be read from top to bottom."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable

import torch

from benchmark.config import Settings
from benchmark.record import Epoch
from benchmark.store import RunFolder
from benchmark.training.batches import Batches
from benchmark.training.checkpoints import State, resume, save_checkpoint
from benchmark.training.optim import learning_rate, make_optimizer
from detectors.base import Detector
from losses import supervise
from losses.base import Loss


class DivergedError(Exception):
    """The loss became NaN or infinite."""


def train(
    detector: Detector,
    loss: Loss,
    batches: Batches,
    settings: Settings,
    folder: RunFolder,
    seed: int,
    training_hashes: list[str],
    device: torch.device,
    autocast: Callable[[], torch.autocast],
    validate: Callable[[], dict[str, float]] | None,
    on_step: Callable[[int, int, int], None],
    on_epoch: Callable[[Epoch], None],
) -> State:
    """Train from the last checkpoint in `folder`, or from the start, to the last epoch.

    After every epoch the checkpoint is replaced; it also holds the weights of the epoch with the
    best validation IoU.
    All random numbers of an epoch follow from the seed and the epoch's number, so a resumed
    training ends with the same weights as one that ran through.

    Args:
        detector: on `device`, freshly initialised.
        training_hashes: of the images, see `benchmark.leakage`; kept in the checkpoint.
        autocast: makes the context of the forward pass.
        validate: scores the detector in eval mode; None where there is no validation part.
        on_step: called with (epoch, step, steps).
        on_epoch: called with each finished epoch.

    Raises:
        DivergedError: the mean loss of an epoch is not finite.
        UserError: the checkpoint is of another detector or other images.
        OSError: the checkpoint cannot be written.
    """
    detector.warm_epoch = loss.warm_epoch = settings.warm_epoch
    optimizer = make_optimizer(detector, settings)
    state = resume(folder.checkpoint, detector, optimizer, training_hashes)

    for epoch in range(state.next_epoch, settings.epochs):
        started = time.monotonic()
        lr = learning_rate(settings, epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr
        torch.manual_seed(zlib.crc32(f"{seed}/{epoch}".encode()))  # dropout
        detector.begin_epoch(epoch)
        detector.train()

        total = torch.zeros((), device=device)
        for step, (images, target) in enumerate(batches.epoch(epoch)):
            with autocast():
                prediction = detector(detector.normalise(images))
            value = supervise(loss, prediction, target, epoch)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.detach()
            on_step(epoch, step + 1, len(batches))

        mean_loss = float(total) / len(batches)
        if not math.isfinite(mean_loss):
            raise DivergedError(f"the loss became {mean_loss} in epoch {epoch} (lr {lr:g})")
        if not all(value.isfinite().all() for value in detector.state_dict().values()):
            raise DivergedError(f"weights are not finite after epoch {epoch} (lr {lr:g})")
        done = Epoch(epoch=epoch, loss=mean_loss, lr=lr, seconds=0.0)
        due = (epoch + 1) % settings.eval_every == 0 or epoch + 1 == settings.epochs
        if validate is not None and due:
            detector.eval()
            done.val = validate()
            if done.val["iou"] > state.best_value:
                state.best_value, state.best_epoch = done.val["iou"], epoch
                state.best_weights = {k: v.clone() for k, v in detector.state_dict().items()}
        done.seconds = time.monotonic() - started
        state.history.append(done)
        state.next_epoch = epoch + 1
        save_checkpoint(folder.checkpoint, detector, optimizer, state)
        on_epoch(done)
    return state
