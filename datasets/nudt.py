"""NUDT-SIRST as its authors publish it, and in the BasicIRSTD layout."""

from __future__ import annotations

from datasets.file_dataset import FileDataset


class NUDT(FileDataset):
    """1327 infrared images of 256 px (663 train, 664 test): real scenes, synthetic targets.

    Folders `images/` and `masks/`; lists `50_50/train.txt` and `50_50/test.txt`, BasicIRSTD's
    `img_idx/train_NUDT-SIRST.txt`, or `trainval.txt` and `test.txt`. The set is part of `sirst3`.
    """

    name = "nudt"
    title = "NUDT-SIRST"
    paper = "Li et al., Dense Nested Attention Network, TIP 2023 (arXiv:2106.00487)"
    source = "https://github.com/YeRen123455/Infrared-Small-Target-Detection"
    licence = "see the source's page; cite the paper"
    train_split = "train"
    splits = ("train", "test")
    sizes = {"train": 663, "test": 664}
    folders = ("NUDT-SIRST", "NUDT_SIRST", "NUDT")
    lists = {
        "train": (
            "50_50/train.txt", "img_idx/train_NUDT-SIRST.txt", "img_idx/train.txt", "train.txt",
            "trainval.txt",
        ),
        "test": (
            "50_50/test.txt", "img_idx/test_NUDT-SIRST.txt", "img_idx/test.txt", "test.txt",
        ),
    }  # fmt: skip
