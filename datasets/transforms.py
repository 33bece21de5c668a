"""Training augmentation of whole batches, on the device of the data.

The published augmentations (see `draw_scaled` and `draw_patches`) are linear and separable in the
image, but for a transposition at the end. So one batch is two batched matrix products,

    crop = A_y @ image @ A_x.T,    A = blur @ crop @ resize @ flip

with a small matrix per image and axis. Resizing uses PIL's anti-aliased bilinear filter; masks are
sampled by nearest neighbour at PIL's positions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BLUR_REACH = 4
"""Half width of the blur kernel, px: four standard deviations of the largest blur."""


class Draw(NamedTuple):
    """The random choices for N images; arrays of length N."""

    flip: np.ndarray  # bool, left-right
    upside_down: np.ndarray  # bool
    transpose: np.ndarray  # bool, of the crop
    long_side: np.ndarray  # int, px after scaling; 0 = as it is
    top: np.ndarray  # in [0, 1), place of the crop in its free range
    left: np.ndarray
    sigma: np.ndarray  # px; 0 = no blur
    target: np.ndarray  # in [0, 1), which target pixel the crop must contain; NaN = any place


def draw_scaled(
    rng: np.random.Generator,
    n: int,
    base_size: int,
    scale_jitter: float = 2.0,
    positive_crops: float = 0.0,
) -> Draw:
    """Draw the augmentation of MSHNet and DNANet for n images.

    Horizontal flip with probability 0.5; longer side uniform over the integers from
    base_size / scale_jitter to base_size * scale_jitter (jitter 2 as published); crop place
    uniform; with probability 0.5 a blur of sigma uniform in [0, 1).
    Ours: with probability `positive_crops` the crop is placed around a random target pixel.
    """
    flip = rng.random(n) < 0.5
    shortest, longest = round(base_size / scale_jitter), round(base_size * scale_jitter)
    long_side = rng.integers(shortest, longest, n, endpoint=True)
    top, left = rng.random(n), rng.random(n)
    sigma = np.where(rng.random(n) < 0.5, rng.random(n), 0.0)
    target = np.where(rng.random(n) < positive_crops, rng.random(n), np.nan)
    never = np.zeros(n, bool)
    return Draw(flip, never, never, long_side, top, left, sigma, target)


def draw_patches(rng: np.random.Generator, n: int, positive_crops: float = 0.5) -> Draw:
    """Draw the augmentation of BasicIRSTD for n images.

    A patch of the image as it is, at a uniform place; flips along both axes and a transposition
    with probability 0.5 each. With probability `positive_crops` the patch is placed around a random
    target pixel; the toolbox draws again until there is a target in it, which is nearly the same.
    """
    flip, upside_down, transpose = rng.random((3, n)) < 0.5
    top, left = rng.random((2, n))
    target = np.where(rng.random(n) < positive_crops, rng.random(n), np.nan)
    scale, sigma = np.zeros(n, int), np.zeros(n)
    return Draw(flip, upside_down, transpose, scale, top, left, sigma, target)


def augment(
    images: list[Tensor],
    masks: list[Tensor],
    target_pixels: list[np.ndarray],
    choice: Draw,
    crop_size: int,
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """Augment one batch.

    Args:
        images: B tensors (H, W) of grey levels, uint8 or uint16, sizes may differ.
        masks: B tensors (H, W) bool.
        target_pixels: (row, column) of every target pixel of each mask, (n, 2).
        choice: the random choices of these B images.
        crop_size: side of the crops, px.
        device: where to compute; by default where the images are.

    Returns:
        Crops (B, 1, S, S) float32 in [0, 1], black where padded, and masks (B, 1, S, S) float32.
    """
    device = device or images[0].device
    sizes = np.array([tuple(image.shape) for image in images])
    long_side = np.where(choice.long_side > 0, choice.long_side, sizes.max(1))
    # the other side keeps the ratio, rounded half up
    scaled = np.floor(sizes * (long_side / sizes.max(1))[:, None] + 0.5).astype(int)
    scaled = np.maximum(scaled, 1)
    start = crop_corners(sizes, scaled, target_pixels, choice, crop_size)

    height, width = sizes.max(0)
    stack = torch.zeros(len(images), height, width, device=device)
    truth = torch.zeros(len(images), height, width, dtype=torch.bool, device=device)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        grey = image.to(device, non_blocking=True).float() / torch.iinfo(image.dtype).max
        stack[i, : image.shape[0], : image.shape[1]] = grey
        truth[i, : mask.shape[0], : mask.shape[1]] = mask.to(device, non_blocking=True)

    rows = Axis(sizes[:, 0], scaled[:, 0], start[:, 0], choice.upside_down, crop_size, device)
    columns = Axis(sizes[:, 1], scaled[:, 1], start[:, 1], choice.flip, crop_size, device)
    blur = blur_matrix(torch.as_tensor(choice.sigma, device=device), crop_size)
    a_y = blur @ rows.resize_matrix(height)
    a_x = blur @ columns.resize_matrix(width)
    crops = a_y @ stack @ a_x.transpose(1, 2)

    batch = torch.arange(len(images), device=device)[:, None, None]
    picked = truth[batch, rows.nearest[:, :, None], columns.nearest[:, None, :]]
    picked &= rows.inside[:, :, None] & columns.inside[:, None, :]
    if choice.transpose.any():
        turned = torch.as_tensor(choice.transpose, device=device)[:, None, None]
        crops = torch.where(turned, crops.transpose(1, 2), crops)
        picked = torch.where(turned, picked.transpose(1, 2), picked)
    return crops[:, None], picked[:, None].float()


def crop_corners(
    sizes: np.ndarray,
    scaled: np.ndarray,
    target_pixels: list[np.ndarray],
    choice: Draw,
    crop_size: int,
) -> np.ndarray:
    """Top left corners (B, 2) of the crops in the scaled, flipped images."""
    place = np.stack([choice.top, choice.left], 1)
    free = np.maximum(scaled - crop_size, 0)
    start = np.floor(place * (free + 1)).astype(int)
    for i, pixels in enumerate(target_pixels):
        if np.isnan(choice.target[i]) or len(pixels) == 0:
            continue
        pixel = pixels[int(choice.target[i] * len(pixels))].copy()
        if choice.upside_down[i]:
            pixel[0] = sizes[i, 0] - 1 - pixel[0]
        if choice.flip[i]:
            pixel[1] = sizes[i, 1] - 1 - pixel[1]
        centre = np.floor((pixel + 0.5) * scaled[i] / sizes[i]).astype(int)
        start[i] = np.clip(centre - np.floor(place[i] * crop_size).astype(int), 0, free[i])
    return start


class Axis:
    """Where the pixels of B crops come from, along one axis.

    Args:
        size: original lengths, (B,) int.
        scaled: lengths after scaling.
        start: first pixel of the crop in the scaled image.
        flip: whether the image is mirrored.
        crop: length of the crop.
        device: of the results.
    """

    def __init__(
        self,
        size: np.ndarray,
        scaled: np.ndarray,
        start: np.ndarray,
        flip: np.ndarray,
        crop: int,
        device: torch.device,
    ) -> None:
        size_t, scaled_t, start_t, flip_t = (
            torch.as_tensor(a, device=device)[:, None] for a in (size, scaled, start, flip)
        )
        position = start_t + torch.arange(crop, device=device)  # (B, crop), in the scaled image
        self.inside = position < scaled_t  # the rest is padding
        position = torch.where(flip_t, scaled_t - 1 - position, position)
        self.size, self.scale = size_t, size_t.double() / scaled_t
        self.centre = (position + 0.5) * self.scale  # in the original image
        nearest = torch.div((2 * position + 1) * size_t, 2 * scaled_t, rounding_mode="floor")
        self.nearest = nearest.clamp_min(0).minimum(size_t - 1)  # padding: any pixel

    def resize_matrix(self, length: int) -> Tensor:
        """Rows of PIL's bilinear filter, (B, crop, length); zero rows where padded.

        The triangle has the width of the coarser of the two pixel grids, so shrinking averages.
        """
        source = torch.arange(length, device=self.size.device)
        reach = self.scale.clamp_min(1.0)[:, :, None]
        weight = 1 - ((source + 0.5) - self.centre[:, :, None]).abs() / reach
        weight = weight.clamp_min(0) * (source < self.size[:, :, None])
        weight = weight / weight.sum(2, keepdim=True).clamp_min(1e-9)
        return (weight * self.inside[:, :, None]).float()


def blur_matrix(sigma: Tensor, length: int) -> Tensor:
    """Gaussian blur with repeated borders as matrices, (B, length, length); identity at sigma 0."""
    offset = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offset / sigma.clamp_min(1e-3)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    target = (torch.arange(length, device=sigma.device)[:, None] + offset).clamp(0, length - 1)
    matrix = torch.zeros(len(sigma), length, length, dtype=kernel.dtype, device=sigma.device)
    matrix.scatter_add_(
        2, target.expand(len(sigma), -1, -1), kernel[:, None].expand(-1, length, -1)
    )
    return matrix.float()
