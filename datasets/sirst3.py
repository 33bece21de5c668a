"""SIRST3: NUAA-SIRST, NUDT-SIRST and IRSTD-1k as one set."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import UserError
from datasets.file_dataset import FileDataset
from datasets.irstd1k import IRSTD1k
from datasets.layouts import Listing, check_unique, find_lists, find_places
from datasets.nuaa import NUAA
from datasets.nudt import NUDT


class SIRST3(FileDataset):
    """The union of `nuaa`, `nudt` and `irstd1k` (1676 train, 1079 test).

    Read from a folder `SIRST3/` in the BasicIRSTD layout, or put together from the three sets below
    the data root. It has the same images as these (and as `sirst`), so their test parts say nothing
    about a model trained on another's training part.
    """

    name = "sirst3"
    title = "SIRST3"
    paper = "Ying et al., Mapping Degeneration Meets Label Evolution, CVPR 2023 (arXiv:2304.01484)"
    source = "https://github.com/XinyiYing/BasicIRSTD"
    licence = "as of its three parts; cite their papers"
    group = "overlapping"
    train_split = "train"
    splits = ("train", "test")
    sizes = {"train": 1676, "test": 1079}
    folders = ("SIRST3",)
    lists = {
        "train": ("img_idx/train_SIRST3.txt",),
        "test": ("img_idx/test_SIRST3.txt",),
    }

    @classmethod
    def find(cls, root: Path | None, split: str, variant: str = "") -> Listing:
        cls.check_split(split)
        assert root is not None  # `data_root` sees to it
        layout = cls.layout()
        if any(find_lists(p.folder, layout, split) for p in find_places(root, layout)):
            return super().find(root, split, variant)
        parts = []
        for part in (NUAA, NUDT, IRSTD1k):
            try:
                parts.append(part.find(root, part.train_split if split == "train" else split))
            except UserError as error:
                raise UserError(
                    f"--data-root {root}: neither a folder SIRST3/ with "
                    f"{cls.lists[split][0]}, nor all of its three parts; {error}"
                ) from None
        items = [item for part in parts for item in part.items]
        check_unique(items, root)
        places = ", ".join(str(part.place.folder) for part in parts)
        notes = [note for part in parts for note in part.notes]
        return Listing(parts[0].place, items, "", [f"SIRST3 put together from {places}", *notes])
