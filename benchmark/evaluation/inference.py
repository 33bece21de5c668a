"""From an image to a probability map of the same size."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.evaluation.metrics.protocol import NATIVE, Geometry
from detectors.base import Detector


@torch.inference_mode()
def predict(
    detector: Detector,
    image: np.ndarray,
    device: torch.device,
    autocast: Callable[[], torch.autocast],
    geometry: Geometry = NATIVE,
) -> np.ndarray:
    """Target probability of every pixel.

    The image is padded at the right and bottom to a multiple of the detector's stride, by
    repeating its border unless the geometry says otherwise; the map is cropped back.

    Args:
        detector: in eval mode, on `device`.
        image: (H, W) uint8 or uint16.
        device: where to compute.
        autocast: makes the context of the forward pass.
        geometry: how to pad; the image has its size already (`geometry.fit`).

    Returns:
        (H, W) float32 in [0, 1].
    """
    height, width = image.shape
    depth = np.iinfo(image.dtype).max
    x = torch.tensor(image.astype(np.float32), device=device)[None, None] / depth
    multiple = math.lcm(detector.stride, geometry.multiple)
    margin = (0, -width % multiple, 0, -height % multiple)
    if geometry.pad == "edge":
        x = detector.normalise(F.pad(x, margin, mode="replicate"))
    else:  # zeros are the mean grey level here
        x = F.pad(detector.normalise(x), margin)
    with autocast():
        logits = detector(x).logits
    return torch.sigmoid(logits.float())[0, 0, :height, :width].cpu().numpy()
