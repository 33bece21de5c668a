"""SIRST as its authors publish it: v1 with the lists idx_427/ and idx_320/, and v2."""

from __future__ import annotations

from datasets.file_dataset import FileDataset


class SIRST(FileDataset):
    """427 single-frame infrared images, 96 to 456 px, with pixel masks.

    `variant` picks the official split list: `idx_427` (341 trainval, 86 test) or `idx_320`
    (224, 96), the one that the published ACM and ALCNet weights belong to. The two overlap: never
    score a model trained with one list on the test part of the other. `nuaa` is the same images
    under a third split, and part of `sirst3`.

    `v2` is the second edition (1024 images, those of v1 among them) with folders `images/` or
    `mixed/`, `masks/` or `annotations/masks/`, and lists in `splits/`, e.g. `splits/test_v2.txt`,
    `splits/test_full.txt` or `splits/test.txt`, the first that there is.
    """

    name = "sirst"
    title = "SIRST"
    paper = "Dai et al., Asymmetric Contextual Modulation, WACV 2021 (arXiv:2009.14530)"
    source = "https://github.com/YimianDai/sirst"
    archive = "https://github.com/YimianDai/sirst/archive/HEAD.zip"
    licence = "see the source's page; cite the paper"
    variants = ("idx_427", "idx_320", "v2")
    splits = ("trainval", "test", "train", "val", "trainvaltest")
    sizes = {"trainval": 341, "test": 86, "train": 256, "val": 85, "trainvaltest": 427}
    folders = ("SIRST", "sirst-master")
    lists = {
        "trainval": ("{variant}/trainval.txt",),
        "test": ("{variant}/test.txt",),
        "train": ("{variant}/train.txt",),
        "val": ("{variant}/val.txt",),
        "trainvaltest": ("{variant}/trainvaltest.txt",),
    }
    variant_data = {
        "idx_320": {
            "sizes": {"trainval": 224, "test": 96, "train": 160, "val": 64, "trainvaltest": 320},
        },
        "v2": {
            "paper": "Dai et al., One-Stage Cascade Refinement Networks, TGRS 2023 "
            "(arXiv:2212.08472)",
            "source": "https://github.com/YimianDai/open-sirst-v2",
            "archive": "",
            "sizes": {"all": 1024},
            "folders": ("SIRST-V2", "SIRST_V2", "SIRSTv2", "open-sirst-v2", "open-sirst-v2-master"),
            "image_folders": ("images", "mixed"),
            "mask_folders": ("masks", "annotations/masks"),
            "lists": {
                "trainval": (
                    "splits/trainval_v2.txt", "splits/trainval_full.txt", "splits/trainval.txt",
                ),
                "test": ("splits/test_v2.txt", "splits/test_full.txt", "splits/test.txt"),
                "train": ("splits/train_v2.txt", "splits/train_full.txt", "splits/train.txt"),
                "val": ("splits/val_v2.txt", "splits/val_full.txt", "splits/val.txt"),
                "trainvaltest": ("splits/trainvaltest.txt",),
            },
        },
    }  # fmt: skip
