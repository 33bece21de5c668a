"""Base of all losses: a thin module over a pure function of logits and target."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmark.warm_up import WarmUp


class Loss(nn.Module):
    """Base of all losses.

    `forward(logits, target, epoch) -> scalar`, logits and target (B, 1, H, W), target in [0, 1],
    epoch counted from 0. Computed in float32 whatever the autocast type (calling the module sees
    to that); finite, with a finite gradient, for empty targets and logits of +-100. The class
    attributes are literals, read without importing the file: `benchmark.registry.info.LossInfo`.
    """

    name: ClassVar[str]
    """Registry key."""
    paper: ClassVar[str] = ""
    """Where the loss was proposed."""
    source: ClassVar[str] = ""
    """arXiv number or address, and what the implementation was checked against."""
    group: ClassVar[str] = "main"
    """`main` is what `--losses all` means; another is usable as a name."""
    variants: ClassVar[tuple[str, ...]] = ()
    """Values of the constructor's argument `variant`, the default first."""
    variant_data: ClassVar[dict[str, dict[str, Any]]] = {}
    """Class attributes that are different for a variant."""
    choices: ClassVar[dict[str, tuple[Any, ...]]] = {}
    """Values that options may have, where they are few: checked before a run starts."""

    capturable: bool = True
    """Whether a CUDA graph can hold it: its shapes depend on those of its arguments alone."""

    warm_up: WarmUp = WarmUp()
    """Warm-up of the training, for losses that differ in it."""

    def follow(self, warm_up: WarmUp) -> None:
        """Take part in a training with this warm-up, whatever the constructor was told."""
        self.warm_up = warm_up

    def __call__(self, logits: Tensor, target: Tensor, epoch: int) -> Tensor:
        """Check the shapes and call `forward` in float32 or better, outside autocast.

        Raises:
            ValueError: logits and target are not both (B, 1, H, W).
        """
        if logits.shape != target.shape or logits.ndim != 4 or logits.shape[1] != 1:
            raise ValueError(
                f"{type(self).__name__}: logits are {tuple(logits.shape)}, target "
                f"{tuple(target.shape)}; both must be (B, 1, H, W) of the same size"
            )
        precision = torch.promote_types(logits.dtype, torch.float32)
        with torch.autocast(logits.device.type, enabled=False):
            return super().__call__(logits.to(precision), target.to(precision), epoch)
