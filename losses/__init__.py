"""Losses: one file a loss or family, found by scanning this folder. Torch is imported on use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.registry import Registry
from benchmark.registry.info import LossInfo

if TYPE_CHECKING:
    from torch import Tensor

    from detectors.base import Prediction
    from losses.base import Loss

REGISTRY: Registry[LossInfo] = Registry("loss", base="Loss", package="losses")


def list_losses(pattern: str = "*") -> list[str]:
    """Names of the losses that match a wildcard pattern."""
    return REGISTRY.match([pattern])


def create_loss(name: str, **options: Any) -> Loss:
    """Build a loss, called as `loss(logits, target, epoch)`.

    Raises:
        UserError: unknown name.
    """
    return REGISTRY.create(name, **options)


def supervise(loss: Loss, prediction: Prediction, target: Tensor, epoch: int) -> Tensor:
    """Apply `loss` to the logits and every auxiliary output; see `losses.supervision`."""
    from losses import supervision

    return supervision.supervise(loss, prediction, target, epoch)
