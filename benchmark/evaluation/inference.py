"""From an image to a probability map of the same size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from detectors.base import Detector


@torch.inference_mode()
def predict(
    detector: Detector,
    image: np.ndarray,
    device: torch.device,
    autocast: Callable[[], torch.autocast],
) -> np.ndarray:
    """Target probability of every pixel.

    The image is padded at the right and bottom, by repeating its border, to a multiple of the
    detector's stride; the map is cropped back.

    Args:
        detector: in eval mode, on `device`.
        image: (H, W) uint8 or uint16.
        device: where to compute.
        autocast: makes the context of the forward pass.

    Returns:
        (H, W) float32 in [0, 1].
    """
    height, width = image.shape
    depth = np.iinfo(image.dtype).max
    x = torch.tensor(image.astype(np.float32), device=device)[None, None] / depth
    x = F.pad(x, (0, -width % detector.stride, 0, -height % detector.stride), mode="replicate")
    with autocast():
        logits = detector(detector.normalise(x)).logits
    return torch.sigmoid(logits.float())[0, 0, :height, :width].cpu().numpy()
