"""Training batches: images kept decoded on the device, augmented a batch at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmark.plan.parts import held_out
from benchmark.settings.run_settings import Settings
from datasets.base import Sample
from datasets.transforms import (
    Crops,
    Draw,
    cut_crops,
    draw_patches,
    draw_scaled,
    place_crops,
)


def stream(*parts: int | str) -> np.random.Generator:
    """A random stream of its own for these names and numbers."""
    numbers = [p if isinstance(p, int) else zlib.crc32(p.encode()) for p in parts]
    return np.random.default_rng(numbers)


def hold_out(samples: Sequence[Sample], dataset: str, seed: int, fraction: float):
    """Split a training list into (training, validation); the choice depends on dataset and seed."""
    n = len(samples)
    count = held_out(n, fraction)
    held = set(stream("validation", dataset, seed).permutation(n)[:count].tolist())
    train = [s for i, s in enumerate(samples) if i not in held]
    return train, [samples[i] for i in sorted(held)]


class Order(NamedTuple):
    """An epoch before any of its batches is made."""

    images: list[int]
    crops: Crops


class Batches:
    """Shuffled, augmented batches.

    Order and augmentation depend on (dataset, seed, epoch) alone, so every detector and loss sees
    the same crops, and an epoch can be repeated after a restart. Images are kept as grey levels on
    the device, or in the host's memory where they would take more than half of what is free there.

    Args:
        samples: the training part.
        dataset, seed: name the random stream.
        settings: batch size and augmentation; the last incomplete batch is dropped, as published.
        device: where the batches are made.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        dataset: str,
        seed: int,
        settings: Settings,
        device: torch.device,
    ) -> None:
        self.dataset, self.seed, self.settings, self.device = dataset, seed, settings, device
        self.bytes = sum(s.image.nbytes + s.mask.nbytes for s in samples)
        self.home = device if self.bytes <= free_memory(device) / 2 else torch.device("cpu")
        self.images = [self._keep(s.image) for s in samples]
        self.masks = [self._keep(s.mask) for s in samples]
        self.sizes = np.array([s.image.shape for s in samples])
        self.target_pixels = [np.argwhere(s.mask) for s in samples]
        self.batch_size = min(settings.batch_size, len(samples))

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.images) // self.batch_size

    def describe(self) -> str:
        """Where the images are and how much they take, in words."""
        why = "" if self.home == self.device else f"; they do not fit on {self.device}"
        size = self.bytes / 2**20
        return f"{len(self.images)} training images: {size:.1f} MiB on {self.home}{why}"

    def epoch(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of (images (B, 1, S, S) in [0, 1], targets (B, 1, S, S) in {0, 1})."""
        order = self._order(epoch)
        for step in range(len(self)):
            yield self._batch(order, step)

    def again(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """One batch of an epoch, steps counted from 0."""
        return self._batch(self._order(epoch), step)

    def _keep(self, values: np.ndarray) -> Tensor:
        kept = torch.tensor(values, device=self.home)
        # so that a GPU can fetch them while its host goes on
        return kept.pin_memory() if self.home != self.device else kept

    def _order(self, epoch: int) -> Order:
        rng = stream("training", self.dataset, self.seed, epoch)
        order = rng.permutation(len(self.images))
        choice = self._draw(rng, len(order))
        pixels = [self.target_pixels[i] for i in order]
        side = self.settings.crop_size
        crops = place_crops(self.sizes[order], pixels, choice, side, self.device)
        return Order(order.tolist(), crops)

    def _batch(self, order: Order, step: int) -> tuple[Tensor, Tensor]:
        part = slice(step * self.batch_size, (step + 1) * self.batch_size)
        picked = order.images[part]
        return cut_crops(
            [self.images[i] for i in picked],
            [self.masks[i] for i in picked],
            order.crops.part(part),
        )

    def _draw(self, rng: np.random.Generator, n: int) -> Draw:
        s = self.settings
        if s.augmentation == "patch":
            return draw_patches(rng, n, s.positive_crops)
        return draw_scaled(rng, n, s.base_size, s.scale_jitter, s.positive_crops)


def free_memory(device: torch.device) -> float:
    """Bytes that are free on a GPU; unbounded elsewhere, since the images are in memory anyway."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")
