"""Size and arithmetic of a detector."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import detectors
from detectors.base import Detector

SIDE = 256
"""Side of the input at which MACs are counted, px."""


def count_parameters(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_macs(name: str, side: int = SIDE) -> tuple[int | None, str | None]:
    """Multiply-adds of one forward pass, and the input they were counted at, e.g. `1x3x256x256`.

    Convolutions and matrix products only, so FLOPs = 2 x MACs; torch counts the FLOPs. Counted on
    the meta device, so nothing is computed. Methods without weights spend their time elsewhere
    (sorting, morphology, ...): for them both are None.

    Args:
        name: of the detector, with variant and options.
        side: height and width of the image, px.
    """
    detector, x = _without_values(name, 1, side)
    if not detector.trained:
        return None, None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        detector.eval()(x)
    return counter.get_total_flops() // 2, "x".join(map(str, x.shape))


def count_activations(name: str, side: int = SIDE) -> int:
    """Values of 4 bytes that a training step keeps for the backward pass, per image of its batch.

    A value that several operations keep counts once, parameters do not. Counted on the meta device.

    Args:
        name: of the detector, with variant and options.
        side: height and width of the image, px.
    """
    batch = 2  # some normalise over the batch
    detector, x = _without_values(name, batch, side)
    kept: dict[int, Tensor] = {}

    def keep(value: Tensor) -> Tensor:
        if not isinstance(value, nn.Parameter):
            kept[value.untyped_storage()._cdata] = value
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        detector.train()(x)
    return sum(value.untyped_storage().nbytes() for value in kept.values()) // 4 // batch


def _without_values(name: str, batch: int, side: int) -> tuple[Detector, Tensor]:
    """A detector and images on the meta device."""
    with torch.device("meta"):
        detector = detectors.create_architecture(name)
        return detector, torch.empty(batch, detector.in_channels, side, side)
