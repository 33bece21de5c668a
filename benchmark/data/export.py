"""Writing the synthetic set as files, for programs that read folders."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import scipy
from PIL import Image
from rich.console import Console

import datasets
from benchmark import __version__
from benchmark.console import say, with_progress
from benchmark.errors import UserError
from benchmark.records.store import write_atomic
from datasets.base import Sample, content_hash
from datasets.scenes.targets import MASK_LEVEL
from datasets.synthetic import SceneSet, Synthetic

TITLE = "Synthetic infrared images with small targets, exported by irstd-bench"
"""First line of README.txt, by which an earlier export is recognised."""
UNFINISHED = "NOT COMPLETE: the export is running, or was interrupted."


def export_synthetic(name: str, folder: Path, force: bool, console: Console) -> None:
    """Write both splits: images/, masks/, train.txt, test.txt and README.txt.

    The lists are written last, so an interrupted export has none and no reader takes it for whole.

    Args:
        name: of the set, e.g. `synthetic:hard:size=256`.
        folder: new or empty; or an earlier export, with `force`.
        force: replace an earlier export.
        console: where progress goes.

    Raises:
        UserError: another set than the synthetic one, or a folder that must not be written to.
        OSError: disk full and the like, with the file's name.
    """
    scene_set = _parse_scene_set(name)
    _clear(folder, force)
    write_atomic(folder / "README.txt", f"{TITLE}\n\n{UNFINISHED}\n")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    hashes = {}
    for split in Synthetic.splits:
        hashes[split] = content_hash(_written(scene_set, split, folder, console))
    for split in Synthetic.splits:
        names = [scene_set.sample_name(split, i) for i in range(scene_set.count(split))]
        write_atomic(folder / f"{split}.txt", "\n".join(names) + "\n")
    write_atomic(folder / "README.txt", _readme(name, scene_set, hashes))
    say(
        console,
        f"{folder}: {scene_set.train} training and {scene_set.test} test images of "
        f"{scene_set.size} x {scene_set.size} px, {scene_set.bits} bit, level {scene_set.level}",
    )


def _parse_scene_set(name: str) -> SceneSet:
    """The set that a name stands for.

    Raises:
        UserError: unknown name or option, or a set that is not generated.
    """
    entry, chosen = datasets.REGISTRY.parse(name)
    if entry.name != Synthetic.name:
        raise UserError(f"datasets export {name}: only 'synthetic' is generated; others are files")
    if "variant" in chosen:
        chosen["level"] = chosen.pop("variant")
    return SceneSet(**chosen)


def _clear(folder: Path, force: bool) -> None:
    """Make the folder ready; delete nothing but an earlier export.

    Raises:
        UserError: it holds something else, or an export and `force` was not given.
    """
    if folder.is_file():
        raise UserError(f"{folder}: is a file; name a folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    readme = folder / "README.txt"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    if not text.startswith(TITLE):
        raise UserError(f"{folder}: is not empty and holds no earlier export; name a new folder")
    if not force:
        state = "an interrupted export" if UNFINISHED in text else "an export"
        raise UserError(f"{folder}: holds {state} already; give --force to replace it")
    for split in Synthetic.splits:
        (folder / f"{split}.txt").unlink(missing_ok=True)
    for part in ("images", "masks"):
        shutil.rmtree(folder / part, ignore_errors=True)


def _written(scene_set: SceneSet, split: str, folder: Path, console: Console) -> Iterator[Sample]:
    """The samples of a split, each one once it is on disk."""
    for i in with_progress(range(scene_set.count(split)), f"{split} images", console):
        sample = scene_set.sample(split, i)
        _save(folder / "images" / f"{sample.name}.png", sample.image)
        _save(folder / "masks" / f"{sample.name}.png", sample.mask.astype(np.uint8) * 255)
        yield sample


def _save(path: Path, pixels: np.ndarray) -> None:
    """Write a PNG.

    Raises:
        OSError: with the file's name.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _readme(name: str, scene_set: SceneSet, hashes: dict[str, str]) -> str:
    levels = "8-bit grey" if scene_set.bits == 8 else "14 bits in 16-bit grey, in steps of 4"
    return f"""{TITLE}

made by    python run_benchmark.py datasets export {name} DIR
version    irstd-bench {__version__}; numpy {np.__version__}, scipy {scipy.__version__}, \
opencv {cv2.__version__} (others may round differently)
level      {scene_set.level}
images     {scene_set.size} x {scene_set.size} px, {levels}; seed {scene_set.seed}
train.txt  {scene_set.train} images, content hash {hashes["train"]}
test.txt   {scene_set.test} images, content hash {hashes["test"]}

images/NAME.png  the images
masks/NAME.png   their masks, 0 or 255: target where the noise-free target signal exceeds \
{MASK_LEVEL} of its own peak

No two images share a backdrop. Bright dots, streaks and cloud scraps without a mask are
distractors: they are there on purpose. What the scenes are made of: datasets/scenes/.
"""
