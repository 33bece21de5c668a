"""Input that a protocol accepts: a probability map and a boolean mask of the same shape."""

from __future__ import annotations

import numpy as np

from benchmark.errors import UserError


def check_pair(prob: np.ndarray, mask: np.ndarray, name: str = "") -> tuple[np.ndarray, np.ndarray]:
    """The pair as arrays, after checking it.

    A mask of integers is refused rather than converted: 0/255, 0/1 and label images look alike,
    and guessing wrong changes the numbers silently.

    Args:
        prob: (H, W) floating point, every value in [0, 1].
        mask: (H, W) bool, True on targets.
        name: of the image, for the messages.

    Raises:
        UserError: wrong dimensions, shapes that differ, wrong types, values that are NaN or
            outside [0, 1].
    """
    prob, mask = np.asarray(prob), np.asarray(mask)
    where = f"image '{name}': " if name else ""
    if prob.ndim != 2 or prob.size == 0:
        raise UserError(f"{where}prob must be (H, W) with at least one pixel, not {prob.shape}")
    if prob.shape != mask.shape:
        raise UserError(f"{where}prob has shape {prob.shape}, but mask has shape {mask.shape}")
    if mask.dtype != np.bool_:
        raise UserError(f"{where}mask must be bool, not {mask.dtype}; pass for example `mask > 0`")
    if not np.issubdtype(prob.dtype, np.floating):
        raise UserError(f"{where}prob must be floating point in [0, 1], not {prob.dtype}")
    if not (prob.min() >= 0 and prob.max() <= 1):  # a NaN makes both comparisons false
        row, column = np.argwhere(~((prob >= 0) & (prob <= 1)))[0].tolist()
        raise UserError(
            f"{where}prob must lie in [0, 1], but is {prob[row, column]} "
            f"at row {row}, column {column}; apply the sigmoid to logits first"
        )
    return prob, mask
