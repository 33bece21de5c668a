"""Training batches: images kept decoded on the device, augmented a batch at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from datasets.base import Sample
from datasets.transforms import Draw, augment, draw


def stream(*parts: int | str) -> np.random.Generator:
    """A random stream of its own for these names and numbers."""
    numbers = [p if isinstance(p, int) else zlib.crc32(p.encode()) for p in parts]
    return np.random.default_rng(numbers)


def hold_out(samples: Sequence[Sample], dataset: str, seed: int, fraction: float):
    """Split a training list into (training, validation); the choice depends on dataset and seed.

    At least one image on each side where `fraction` > 0; none are held out at 0.
    """
    n = len(samples)
    count = min(max(round(fraction * n), 1), n - 1) if fraction > 0 else 0
    held = set(stream("validation", dataset, seed).permutation(n)[:count].tolist())
    train = [s for i, s in enumerate(samples) if i not in held]
    return train, [samples[i] for i in sorted(held)]


class Batches:
    """Shuffled, augmented batches.

    Order and augmentation depend on (dataset, seed, epoch) alone, so every detector and loss sees
    the same crops, and an epoch can be repeated after a restart.

    Args:
        samples: the training part.
        dataset, seed: name the random stream.
        batch_size: images per batch; the last incomplete batch is dropped, as published.
        base_size, crop_size, scale_jitter: of the augmentation, px.
        positive_crops: share of the crops that are placed around a target.
        device: where images are kept and augmented.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        dataset: str,
        seed: int,
        batch_size: int,
        base_size: int,
        crop_size: int,
        scale_jitter: float,
        positive_crops: float,
        device: torch.device,
    ) -> None:
        self.images = [torch.tensor(s.image, device=device) for s in samples]
        self.masks = [torch.tensor(s.mask, device=device) for s in samples]
        self.target_pixels = [np.argwhere(s.mask) for s in samples]
        self.dataset, self.seed = dataset, seed
        self.batch_size = min(batch_size, len(samples))
        self.base_size, self.crop_size = base_size, crop_size
        self.scale_jitter, self.positive_crops = scale_jitter, positive_crops

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.images) // self.batch_size

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of (images (B, 1, S, S) in [0, 1], targets (B, 1, S, S) in {0, 1})."""
        rng = stream("training", self.dataset, self.seed, epoch)
        order = rng.permutation(len(self.images))
        choices = draw(rng, len(order), self.base_size, self.scale_jitter, self.positive_crops)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            part = slice(start, start + self.batch_size)
            picked = order[part].tolist()
            yield augment(
                [self.images[i] for i in picked],
                [self.masks[i] for i in picked],
                [self.target_pixels[i] for i in picked],
                Draw(*(values[part] for values in choices)),
                self.crop_size,
            )
