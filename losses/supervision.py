"""Deep supervision: one loss on every output of a detector."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.base import Prediction
from losses.base import Loss


def supervise(loss: Loss, prediction: Prediction, target: Tensor, epoch: int) -> Tensor:
    """Average of `loss` over the logits and every auxiliary output.

    The target is max-pooled to the size of each output, so that no target disappears; for sizes
    halved k times this equals k successive 2x2 poolings (the official MSHNet trainer).

    Args:
        loss: applied to each output.
        prediction: what the detector returned.
        target: (B, 1, H, W), floating point in [0, 1].
        epoch: counted from 0.
    """
    terms = [
        loss(output, F.adaptive_max_pool2d(target, output.shape[-2:]), epoch)
        for output in (prediction.logits, *prediction.aux)
    ]
    return torch.stack(terms).mean()
