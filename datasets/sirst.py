"""SIRST (v1) as its authors publish it: images/, masks/, idx_427/ and idx_320/."""

from __future__ import annotations

from benchmark.errors import UserError
from datasets.base import Dataset, Sample
from datasets.files import read_grey, read_list, read_mask


class SIRST(Dataset):
    """427 single-frame infrared images, 96 to 456 px, with pixel masks.

    `variant` picks the official split list: `idx_427` (341 trainval, 86 test) or `idx_320`
    (224, 96), the one that the published ACM and ALCNet weights belong to. The two overlap: never
    score a model trained with one list on the test part of the other.
    """

    name = "sirst"
    title = "SIRST"
    paper = "Dai et al., Asymmetric Contextual Modulation, WACV 2021 (arXiv:2009.14530)"
    source = "https://github.com/YimianDai/sirst"
    archive = "https://github.com/YimianDai/sirst/archive/HEAD.zip"
    folder = "SIRST"
    variants = ("idx_427", "idx_320")

    splits = ("trainval", "test", "train", "val", "trainvaltest")

    def read(self) -> list[Sample]:
        assert self.root is not None
        if self.split not in self.splits:
            raise UserError(
                f"dataset 'sirst' has no split '{self.split}'; it has: {', '.join(self.splits)}"
            )
        candidates = [self.root, self.root / "SIRST", self.root / "sirst"]
        folder = next((c for c in candidates if (c / "images").is_dir()), None)
        if folder is None:
            found = sorted(p.name for p in self.root.iterdir()) if self.root.is_dir() else None
            raise UserError(
                f"--data-root {self.root}: no SIRST here; looked for a folder images/ in "
                f"{', '.join(map(str, candidates))}; "
                + (f"found: {', '.join(found[:8]) or 'nothing'}" if found is not None else
                   "the folder does not exist")
                + f". Get it from {self.source}"
            )  # fmt: skip
        samples = []
        for name in read_list(folder / self.variant / f"{self.split}.txt"):
            image = read_grey(folder / "images" / f"{name}.png")
            mask, note = read_mask(folder / "masks" / f"{name}_pixels0.png", image.shape)
            if note:
                self.notes.append(note)
            samples.append(Sample(image, mask, name))
        return samples
