"""Training augmentation of whole batches, on the device of the data.

The published augmentations (see `draw_scaled` and `draw_patches`) are linear and separable in the
image, but for a transposition at the end. So one batch is two batched matrix products,

    crop = A_y @ image @ A_x.T,    A = blur @ crop @ resize @ flip

with a small matrix per image and axis. Resizing uses PIL's anti-aliased bilinear filter; masks are
sampled by nearest neighbour at PIL's positions.
"""

from __future__ import annotations

from functools import lru_cache
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


class Crops(NamedTuple):
    """Where the crops of N images come from.

    Made for a whole epoch at once, so that its numbers reach the device in one asynchronous copy;
    a slice of it is a batch.

    Attributes:
        side: of the crops, px.
        sizes: heights and widths of the images, (N, 2) int, on the host.
        turned: which crops are transposed, (N,) bool, on the host.
        numbers: (N, 9 + taps) float64 on the device: for each axis the length of the image, its
            length after scaling, the first pixel of the crop and whether the axis is mirrored;
            whether the crop is transposed; the blur (`blur_taps`).
    """

    side: int
    sizes: np.ndarray
    turned: np.ndarray
    numbers: Tensor

    def part(self, which: slice) -> Crops:
        """Some of the images."""
        return Crops(self.side, self.sizes[which], self.turned[which], self.numbers[which])


def place_crops(
    sizes: np.ndarray,
    target_pixels: list[np.ndarray],
    choice: Draw,
    side: int,
    device: torch.device,
) -> Crops:
    """Turn random choices into places.

    Args:
        sizes: heights and widths of N images, (N, 2).
        target_pixels: (row, column) of every target pixel of each mask, (n, 2).
        choice: the random choices of these N images.
        side: of the crops, px.
        device: where the crops will be cut.
    """
    long_side = np.where(choice.long_side > 0, choice.long_side, sizes.max(1))
    # the other side keeps the ratio, rounded half up
    scaled = np.floor(sizes * (long_side / sizes.max(1))[:, None] + 0.5).astype(int)
    scaled = np.maximum(scaled, 1)
    start = crop_corners(sizes, scaled, target_pixels, choice, side)
    mirrored = (choice.upside_down, choice.flip)
    axes = [
        column for k in range(2) for column in (sizes[:, k], scaled[:, k], start[:, k], mirrored[k])
    ]
    numbers = np.column_stack([*axes, choice.transpose, blur_taps(choice.sigma)])
    return Crops(side, sizes, choice.transpose, to_device(torch.from_numpy(numbers), device))


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy from the host; a GPU does not make its host wait for it."""
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def cut_crops(images: list[Tensor], masks: list[Tensor], crops: Crops) -> tuple[Tensor, Tensor]:
    """Augment one batch, where `crops` lies.

    Args:
        images: B tensors (H, W) of grey levels, uint8 or uint16, sizes may differ.
        masks: B tensors (H, W) bool.
        crops: of these B images.

    Returns:
        Crops (B, 1, S, S) float32 in [0, 1], black where padded, and masks (B, 1, S, S) float32.
    """
    device, side = crops.numbers.device, crops.side
    height, width = crops.sizes.max(0)
    stack = torch.zeros(len(images), height, width, device=device)
    truth = torch.zeros(len(images), height, width, dtype=torch.bool, device=device)
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        grey = image.to(device, non_blocking=True).float() / torch.iinfo(image.dtype).max
        stack[i, : image.shape[0], : image.shape[1]] = grey
        truth[i, : mask.shape[0], : mask.shape[1]] = mask.to(device, non_blocking=True)

    place = crops.numbers[:, :9, None].long()
    rows, columns = Axis(place[:, :4], side), Axis(place[:, 4:8], side)
    blur = blur_matrix(crops.numbers[:, 9:], side)
    a_y = blur @ rows.resize_matrix(height)
    a_x = blur @ columns.resize_matrix(width)
    cut = a_y @ stack @ a_x.transpose(1, 2)

    batch = torch.arange(len(images), device=device)[:, None, None]
    picked = truth[batch, rows.nearest[:, :, None], columns.nearest[:, None, :]]
    picked &= rows.inside[:, :, None] & columns.inside[:, None, :]
    if crops.turned.any():
        turned = place[:, 8, :, None] > 0
        cut = torch.where(turned, cut.transpose(1, 2), cut)
        picked = torch.where(turned, picked.transpose(1, 2), picked)
    return cut[:, None], picked[:, None].float()


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
        place: (B, 4, 1) int64: original length, length after scaling, first pixel of the crop in
            the scaled image, and whether the image is mirrored.
        side: length of the crop.
    """

    def __init__(self, place: Tensor, side: int) -> None:
        size, scaled, start, mirrored = place.unbind(1)
        position = start + torch.arange(side, device=place.device)  # (B, side), after scaling
        self.inside = position < scaled  # the rest is padding
        position = torch.where(mirrored > 0, scaled - 1 - position, position)
        self.size, self.scale = size, size.double() / scaled
        self.centre = (position + 0.5) * self.scale  # in the original image
        nearest = torch.div((2 * position + 1) * size, 2 * scaled, rounding_mode="floor")
        self.nearest = nearest.clamp_min(0).minimum(size - 1)  # padding: any pixel

    def resize_matrix(self, length: int) -> Tensor:
        """Rows of PIL's bilinear filter, (B, side, length); zero rows where padded.

        The triangle has the width of the coarser of the two pixel grids, so shrinking averages.
        """
        source = torch.arange(length, device=self.size.device)
        reach = self.scale.clamp_min(1.0)[:, :, None]
        weight = 1 - ((source + 0.5) - self.centre[:, :, None]).abs() / reach
        weight = weight.clamp_min(0) * (source < self.size[:, :, None])
        weight = weight / weight.sum(2, keepdim=True).clamp_min(1e-9)
        return (weight * self.inside[:, :, None]).float()


def blur_taps(sigma: np.ndarray) -> np.ndarray:
    """Elements of the matrices of N Gaussian blurs, (N, 18); a single 1 for sigma 0.

    The 9 weights of the kernel; the sums of those that fall on the first pixel from beyond the
    border, for the first 4 rows; the same for the last pixel and the last 4 rows, from the border
    inwards; and 0.
    """
    offset = torch.arange(-BLUR_REACH, BLUR_REACH + 1)
    kernel = torch.exp(-0.5 * (offset / torch.as_tensor(sigma).clamp_min(1e-3)[:, None]) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    weights = kernel.numpy()
    first = [weights[:, : BLUR_REACH + 1 - i].cumsum(1)[:, -1] for i in range(BLUR_REACH)]
    last = [weights[:, BLUR_REACH + i :].cumsum(1)[:, -1] for i in range(BLUR_REACH)]
    return np.column_stack([weights, *first, *last, np.zeros(len(weights))])


def blur_matrix(taps: Tensor, length: int) -> Tensor:
    """Gaussian blur with repeated borders as matrices, (B, length, length).

    Args:
        taps: (B, 18), see `blur_taps`.
        length: of the axis, 8 px or more.
    """
    which = _blur_places(length, taps.device)
    return taps.float().index_select(1, which.flatten()).view(-1, length, length)


@lru_cache(maxsize=8)
def _blur_places(length: int, device: torch.device) -> Tensor:
    """For every element of a blur matrix the tap that stands there, (length, length) int64."""
    row, column = torch.arange(length, device=device)[:, None], torch.arange(length, device=device)
    size = 2 * BLUR_REACH + 1
    offset, to_end = column - row, length - 1 - row
    place = torch.where(offset.abs() <= BLUR_REACH, offset + BLUR_REACH, size + 2 * BLUR_REACH)
    place = torch.where((column == 0) & (row < BLUR_REACH), size + row, place)
    at_end = (column == length - 1) & (to_end < BLUR_REACH)
    return torch.where(at_end, size + BLUR_REACH + to_end, place)
