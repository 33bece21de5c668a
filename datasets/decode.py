"""Decoding a whole split: in threads, with progress, and with all failures in one message."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmark.environment import cpu_count
from benchmark.errors import UserError
from datasets.base import Item, Sample
from datasets.files import Mask, read_grey, read_mask
from datasets.layouts import some


def decode_all(items: Sequence[Item]) -> tuple[list[Sample], list[str]]:
    """Read every image and mask of a split.

    Returns:
        The samples, in order, and notes on what had to be repaired.

    Raises:
        UserError: missing or broken files: how many, and the first few.
    """
    from rich.console import Console

    from benchmark.console import with_progress

    _check_there(items)
    samples, masks, errors = [], [], []
    with ThreadPoolExecutor(cpu_count()) as pool:  # decoders do not hold Python's lock
        waiting = [pool.submit(_decode, item) for item in items]
        said = with_progress(waiting, "images read", Console(file=sys.stderr))
        try:
            for item, future in zip(items, said, strict=True):
                image, mask, failed = future.result()
                errors += failed
                if not failed:
                    samples.append(Sample(image, mask.pixels, item.name))
                    masks.append(mask)
        except BaseException:  # Ctrl-C, or no memory: do not decode the rest first
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if errors:
        raise UserError(_in_one_line(errors, 2 * len(items)))
    return samples, [m.note for m in masks if m.note] + _stray(masks)


def _check_there(items: Sequence[Item]) -> None:
    """Refuse a split with missing files before anything is decoded."""
    paths = [path for item in items for path in (item.image, item.mask)]
    missing = [path for path in paths if not path.is_file()]
    if not missing:
        return
    what = "download the dataset again"
    if len(missing) == 1:
        raise UserError(f"{missing[0]}: file is missing; {what}")
    folders = ", ".join(map(str, dict.fromkeys(path.parent for path in missing)))
    raise UserError(
        f"{folders}: {len(missing)} of {len(paths)} files are missing: "
        f"{some([path.name for path in missing])}; {what}"
    )


def _decode(item: Item) -> tuple[np.ndarray, Mask, list[str]]:
    """Image, mask, and what is wrong with their files; the first two are void if anything is."""
    errors = []
    image = np.zeros((1, 1), np.uint8)
    mask = Mask(image > 0, None, 0)
    try:
        image = read_grey(item.image)
    except UserError as error:
        errors.append(str(error))
    try:
        mask = read_mask(item.mask, image.shape)
    except UserError as error:
        errors.append(str(error))
    image.flags.writeable = mask.pixels.flags.writeable = False  # as those from the cache
    return image, mask, errors


def _in_one_line(errors: Sequence[str], count: int) -> str:
    """The first error, and how many of `count` files have one."""
    first, *others = errors
    if not others:
        return first
    names = [Path(error.partition(": ")[0]).name for error in others]
    return f"{first} (and {len(others)} more of {count} files cannot be used: {some(names)})"


def _stray(masks: Sequence[Mask]) -> list[str]:
    """One line on all masks that are not only black and white."""
    greys = [mask.greys for mask in masks if mask.greys]
    if not greys:
        return []
    return [
        f"{len(greys)} of {len(masks)} masks have grey values between black and white "
        f"({sum(greys)} pixels): binarised above half"
    ]
