"""Decoding a whole split: in threads, with progress, and with all failures in one message."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

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
        for future in with_progress(waiting, "images read", Console(file=sys.stderr)):
            try:
                sample, mask = future.result()
            except UserError as error:
                errors.append(str(error))
            else:
                samples.append(sample)
                masks.append(mask)
    if len(errors) == 1:
        raise UserError(errors[0])
    if errors:
        raise UserError(f"{len(errors)} of {2 * len(items)} files: {some(errors, 2)}")
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


def _decode(item: Item) -> tuple[Sample, Mask]:
    image = read_grey(item.image)
    mask = read_mask(item.mask, image.shape)
    return Sample(image, mask.pixels, item.name), mask


def _stray(masks: Sequence[Mask]) -> list[str]:
    """One line on all masks that are not only black and white."""
    greys = [mask.greys for mask in masks if mask.greys]
    if not greys:
        return []
    return [
        f"{len(greys)} of {len(masks)} masks have grey values between black and white "
        f"({sum(greys)} pixels): binarised above half"
    ]
