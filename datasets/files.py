"""Reading image and mask files, with errors that name the file and the remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.errors import UserError


def read_grey(path: Path) -> np.ndarray:
    """Decode an image of any usual mode to grey levels.

    Returns:
        (H, W) uint8, or uint16 for 16-bit files. Colour is converted by ITU-R 601 luma; an alpha
        channel is dropped.

    Raises:
        UserError: missing or undecodable file.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):
                return np.asarray(image).astype(np.uint16)
            return np.asarray(image.convert("L"))
    except FileNotFoundError:
        raise UserError(f"{path}: file is missing; download the dataset again") from None
    except (OSError, SyntaxError, ValueError) as error:
        reason = str(error).replace(str(path), "file")
        raise UserError(
            f"{path}: cannot be decoded ({reason}); download or restore this file"
        ) from None


def read_mask(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, str | None]:
    """Decode a mask and bring it to the size of its image.

    A pixel is target above half of the value range (0/1 masks: at 1). A mask of another size than
    its image is resized by nearest neighbour.

    Args:
        path: mask file.
        shape: (H, W) of the image it belongs to.

    Returns:
        The mask, (H, W) bool, and a note if it had to be resized.
    """
    grey = read_grey(path)
    half = 0 if grey.max(initial=0) <= 1 else np.iinfo(grey.dtype).max // 2
    mask = grey > half
    if mask.shape == shape:
        return mask, None
    resized = Image.fromarray(mask).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    note = (
        f"{path.name}: mask is {mask.shape[1]}x{mask.shape[0]}, its image {shape[1]}x{shape[0]}; "
        "mask resized by nearest neighbour"
    )
    return np.asarray(resized), note


def read_list(path: Path) -> list[str]:
    """The names in a split list, one a line; extensions are dropped.

    Raises:
        UserError: missing or empty list.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise UserError(f"{path}: split list is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: split list cannot be read ({error})") from None
    if not lines:
        raise UserError(f"{path}: split list is empty")
    return [line.removesuffix(".png") for line in lines]
