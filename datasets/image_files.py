"""Reading one image or mask file, with errors that name the file and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from benchmark.errors import UserError


class Mask(NamedTuple):
    """A mask as read.

    Attributes:
        pixels: (H, W) bool, True on targets.
        note: what was done to it, in words; None if nothing.
        greys: number of pixels of the file that are neither 0 nor the top of the value range.
    """

    pixels: np.ndarray
    note: str | None
    greys: int


def read_grey(path: Path) -> np.ndarray:
    """Decode an image of any usual mode to grey levels.

    Returns:
        (H, W) uint8, or uint16 for 16-bit files. Colour is converted by ITU-R 601 luma; an alpha
        channel is dropped.

    Raises:
        UserError: missing or undecodable file, or values that 16 bits cannot hold.
    """
    return _decode(path, _grey)


def read_mask(path: Path, shape: tuple[int, int]) -> Mask:
    """Decode a mask and bring it to the size of its image.

    A pixel is target above half of the value range. That is 0 to 1, 0 to 255 or 0 to 65535, the
    smallest that holds the mask's values. Of a mask with a palette of colours (a label map), every
    pixel of another label than 0 is target. A mask of another size than its image is resized by
    nearest neighbour.

    Args:
        path: mask file.
        shape: (H, W) of the image it belongs to.

    Raises:
        UserError: see `read_grey`.
    """
    levels = _decode(path, _labels)
    high = int(levels.max(initial=0))
    top = 1 if high <= 1 else 255 if high <= 255 else 65535
    pixels = levels > top // 2
    greys = int(np.count_nonzero(levels)) - int(np.count_nonzero(levels == top))
    if pixels.shape == shape:
        return Mask(pixels, None, greys)
    resized = Image.fromarray(pixels).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    note = (
        f"{path.name}: mask is {pixels.shape[1]}x{pixels.shape[0]}, "
        f"its image {shape[1]}x{shape[0]}; mask resized by nearest neighbour"
    )
    return Mask(np.asarray(resized), note, greys)


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of an image or a mask, from its header alone.

    Raises:
        UserError: as `read_grey`, as far as the header tells.
    """
    return _decode(path, _size)


_Read = TypeVar("_Read")


def _decode(path: Path, convert: Callable[[Image.Image], _Read]) -> _Read:
    try:
        with Image.open(path) as image:
            return convert(image)
    except FileNotFoundError:
        raise UserError(f"{path}: file is missing; download the dataset again") from None
    except MemoryError:
        raise
    except _UnfitError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # a damaged file may make decoders raise anything
        reason = str(error).replace(str(path), "file") or type(error).__name__
        raise UserError(
            f"{path}: cannot be decoded ({reason}); download or restore this file"
        ) from None


class _UnfitError(Exception):
    """A sound file whose values cannot be used; says what to do."""


def _size(image: Image.Image) -> tuple[int, int]:
    _check_kind(image)
    return image.height, image.width


def _check_kind(image: Image.Image) -> None:
    """Refuse an open file whose header says that it has no grey levels of 8 or 16 bit."""
    if image.mode == "F":
        raise _UnfitError("floating-point pixels have no fixed range; save it with 8 or 16 bit")
    if _is_deep_colour(image):
        raise _UnfitError("16-bit colour would be cut to 8 bit; save it as 16-bit grey")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise _UnfitError(f"holds {frames} pictures; save each as a file")


def _grey(image: Image.Image) -> np.ndarray:
    """Grey levels of an open file."""
    _check_kind(image)
    if not image.mode.startswith("I"):
        return np.asarray(image.convert("L"))
    values = np.asarray(image)
    if values.size and not 0 <= values.min() <= values.max() <= 65535:
        raise _UnfitError(
            f"values {values.min()} to {values.max()} do not fit into 16 bit; save it with 16 bit"
        )
    return values.astype(np.uint16)


def _labels(image: Image.Image) -> np.ndarray:
    """Values of an open mask: 0 and 1 of a label map, else grey levels."""
    if image.mode == "P":
        indices = np.asarray(image)
        palette = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        used = np.unique(indices)
        red, green, blue = palette[used[used < len(palette)]].T
        if not (np.array_equal(red, green) and np.array_equal(green, blue)):
            return (indices > 0).astype(np.uint8)
    return _grey(image)


def _is_deep_colour(image: Image.Image) -> bool:
    """Whether Pillow is about to drop half of the 16 bits of several channels, as it does."""
    return len(image.getbands()) > 1 and any(
        "16" in str(tile[3]) for tile in getattr(image, "tile", ())
    )
