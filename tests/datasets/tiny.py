"""Tiny copies of every layout in which people have their data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SHAPE = (24, 32)


def picture(number: int) -> np.ndarray:
    """An image of its own for each number, (H, W) uint8."""
    y, x = np.indices(SHAPE)
    return ((7 * y + 3 * x + 11 * number) % 251).astype(np.uint8)


def target(number: int) -> np.ndarray:
    """The mask that goes with it, (H, W) bool: 6 pixels at a place of its own."""
    mask = np.zeros(SHAPE, bool)
    row, column = 2 + number % 20, 1 + 3 * (number % 9)
    mask[row : row + 2, column : column + 3] = True
    return mask


def write_pairs(
    images: Path, masks: Path, names: Sequence[str], suffix: str = "", first: int = 0,
    image_end: str = ".png", mask_end: str = ".png",
) -> None:  # fmt: skip
    """Write an image and a mask for every name."""
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, first):
        Image.fromarray(picture(number)).save(images / f"{name}{image_end}")
        mask = Image.fromarray(target(number).astype(np.uint8) * 255)
        mask.save(masks / f"{name}{suffix}{mask_end}")


def write_list(path: Path, names: Sequence[str], end: str = "") -> None:
    """Write a split list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}{end}\n" for name in names), encoding="utf-8")


TRAIN, TEST = ("a1", "a2", "a3", "a4"), ("b1", "b2")
"""Names of every layout here; the pictures are numbered in this order."""


def write_set(
    folder: Path, images: str, masks: str, suffix: str, train: str, test: str, end: str = ""
) -> None:
    """Write one set: names of its folders and lists, its mask suffix, what follows listed names."""
    write_pairs(folder / images, folder / masks, TRAIN + TEST, suffix)
    write_list(folder / train, TRAIN, end)
    write_list(folder / test, TEST, end)


def basicirstd(folder: Path) -> None:
    """The layout of BasicIRSTD, whose lists are called after the folder."""
    lists = (f"img_idx/{part}_{folder.name}.txt" for part in ("train", "test"))
    write_set(folder, "images", "masks", "", *lists)


def write_parts(root: Path) -> None:
    """The three sets of SIRST3, with two images a split each and no name twice."""
    for first, name in enumerate(("NUAA-SIRST", "NUDT-SIRST", "IRSTD-1K")):
        names = [f"{name[:3]}{first}{i}" for i in range(4)]
        write_pairs(root / name / "images", root / name / "masks", names, first=4 * first)
        write_list(root / name / "img_idx" / f"train_{name}.txt", names[:2])
        write_list(root / name / "img_idx" / f"test_{name}.txt", names[2:])


Writer = Callable[[Path], None]

LAYOUTS: dict[str, tuple[str, str, Writer]] = {
    "sirst v1": ("sirst", "SIRST", lambda f: write_set(
        f, "images", "masks", "_pixels0", "idx_427/trainval.txt", "idx_427/test.txt")),
    "sirst v1, idx_320": ("sirst:idx_320", "sirst", lambda f: write_set(
        f, "images", "masks", "_pixels0", "idx_320/trainval.txt", "idx_320/test.txt")),
    "sirst v1, zip of the repository": ("sirst", "sirst-master", lambda f: write_set(
        f, "images", "masks", "_pixels0", "idx_427/trainval.txt", "idx_427/test.txt")),
    "sirst v2": ("sirst:v2", "SIRST-V2", lambda f: write_set(
        f, "images", "masks", "_pixels0", "splits/trainval_v2.txt", "splits/test_v2.txt")),
    "sirst v2, mixed": ("sirst:v2", "open-sirst-v2-master", lambda f: write_set(
        f, "mixed", "annotations/masks", "_pixels0", "splits/trainval_full.txt",
        "splits/test_full.txt")),
    "irstd1k of its authors": ("irstd1k", "IRSTD-1k", lambda f: write_set(
        f, "IRSTD1k_Img", "IRSTD1k_Label", "", "trainval.txt", "test.txt", ".png")),
    "irstd1k of MSHNet": ("irstd1k", "IRSTD-1k", lambda f: write_set(
        f, "images", "masks", "", "trainval.txt", "test.txt")),
    "irstd1k, lists in img_idx": ("irstd1k", "IRSTD1k", lambda f: write_set(
        f, "images", "masks", "", "img_idx/trainval.txt", "img_idx/test.txt")),
    "irstd1k of BasicIRSTD": ("irstd1k", "IRSTD-1K", basicirstd),
    "nudt of its authors": ("nudt", "NUDT-SIRST", lambda f: write_set(
        f, "images", "masks", "", "50_50/train.txt", "50_50/test.txt")),
    "nudt of BasicIRSTD": ("nudt", "NUDT-SIRST", basicirstd),
    "nudt of MSHNet": ("nudt", "NUDT-SIRST", lambda f: write_set(
        f, "images", "masks", "", "trainval.txt", "test.txt")),
    "nuaa of BasicIRSTD": ("nuaa", "NUAA-SIRST", basicirstd),
    "nuaa of DNANet": ("nuaa", "NUAA-SIRST", lambda f: write_set(
        f, "images", "masks", "", "50_50/train.txt", "50_50/test.txt")),
    "nuaa in the folder of sirst": ("nuaa", "SIRST", lambda f: write_set(
        f, "images", "masks", "_pixels0", "img_idx/train_NUAA-SIRST.txt",
        "img_idx/test_NUAA-SIRST.txt")),
    "sirst3 of BasicIRSTD": ("sirst3", "SIRST3", basicirstd),
}  # fmt: skip
"""What it is: name of the data set, name of its folder, how to write it."""
