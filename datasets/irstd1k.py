"""IRSTD-1k as its authors publish it, and in the BasicIRSTD layout."""

from __future__ import annotations

from datasets.file_dataset import FileDataset


class IRSTD1k(FileDataset):
    """1001 real infrared images of 512 px with pixel masks (800 trainval, 201 test).

    Folders `IRSTD1k_Img/` and `IRSTD1k_Label/`, or `images/` and `masks/`; lists `trainval.txt` and
    `test.txt` beside them or in `img_idx/`, or BasicIRSTD's `img_idx/train_IRSTD-1K.txt`. The set
    is part of `sirst3`.
    """

    name = "irstd1k"
    title = "IRSTD-1k"
    paper = "Zhang et al., ISNet: Shape Matters for Infrared Small Target Detection, CVPR 2022"
    source = "https://github.com/RuiZhang97/ISNet"
    licence = "see the source's page; cite the paper"
    splits = ("trainval", "test")
    sizes = {"trainval": 800, "test": 201}
    folders = ("IRSTD-1k", "IRSTD1k", "IRSTD_1k")
    image_folders = ("IRSTD1k_Img", "images")
    mask_folders = ("IRSTD1k_Label", "masks")
    lists = {
        "trainval": (
            "trainval.txt", "img_idx/trainval.txt", "img_idx/train_IRSTD-1K.txt",
            "img_idx/train.txt", "train.txt",
        ),
        "test": ("test.txt", "img_idx/test.txt", "img_idx/test_IRSTD-1K.txt"),
    }  # fmt: skip
