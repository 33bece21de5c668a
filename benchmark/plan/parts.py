"""Parts of a training list, as far as its length decides them, and the split in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.errors import UserError
from benchmark.settings.run_settings import Settings

if TYPE_CHECKING:
    from datasets.base import Dataset


def held_out(images: int, fraction: float) -> int:
    """How many of a training list's images are held out for validation.

    At least one image on each side where `fraction` > 0; none are held out at 0.
    """
    return min(max(round(fraction * images), 1), images - 1) if fraction > 0 else 0


def describe_split(training: Dataset, testing: Dataset, listed: int, tested: int) -> str:
    """The split of a run in words, the same for every method scored on it.

    Args:
        training, testing: the data set's two splits.
        listed: images of the training list, those held out included.
        tested: images that are scored.
    """
    rule = f"{testing.rule}: " if testing.rule else ""
    return f"{rule}{training.train_split} {listed} / {testing.test_split} {tested}"


def check_parts(dataset: str, images: int, settings: Settings) -> None:
    """Refuse a training list that is too short to be divided.

    Args:
        dataset: its name.
        images: of the list, after `limit`.
        settings: of the run.

    Raises:
        UserError: no image is left to train on, or none to choose the best epoch by.
    """
    if not settings.epochs:
        return
    held = held_out(images, settings.val_fraction)
    if images - held < 1 or ("best-val" in (settings.selection, *settings.also) and held < 1):
        raise UserError(
            f"dataset '{dataset}': {images} training image(s) are too few to hold a validation "
            "part out; use more, or no best-val (--set selection=last)"
        )
