"""The data sets: contract of all, SIRST's layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import datasets
from benchmark.errors import UserError
from datasets import load_dataset
from datasets.base import content_hash
from datasets.image_files import read_grey, read_mask

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_real = pytest.mark.skipif(
    not (REAL / "SIRST").is_dir(), reason="the real SIRST images are not beside the project"
)


def check_samples(samples):
    for sample in samples:
        assert sample.image.ndim == 2
        assert sample.image.dtype in (np.uint8, np.uint16)
        assert sample.mask.shape == sample.image.shape
        assert sample.mask.dtype == bool
    assert len({s.name for s in samples}) == len(samples)


@pytest.mark.parametrize(
    "name",
    [n for n in datasets.list_datasets() if not datasets.REGISTRY.get(n).info.needs_root],
)
def test_generated_sets_keep_the_contract(name):
    kind = datasets.REGISTRY.get(name).load()
    train, test = (load_dataset(name, split=s) for s in (kind.train_split, kind.test_split))
    check_samples(train)
    check_samples(test)
    assert not {s.image.tobytes() for s in train} & {s.image.tobytes() for s in test}
    again = load_dataset(name, split=kind.test_split)
    assert content_hash(again.samples) == content_hash(test.samples)
    with pytest.raises(UserError, match="has no split 'tset'"):
        load_dataset(name, split="tset")


@pytest.fixture
def sirst(tmp_path):
    """Four images in the four modes that the real set has."""
    for name in ("images", "masks", "idx_427"):
        (tmp_path / "SIRST" / name).mkdir(parents=True)
    grey = np.arange(48 * 64, dtype=np.uint32).reshape(48, 64) % 251
    picture = Image.fromarray(grey.astype(np.uint8))
    mask = np.zeros((48, 64), np.uint8)
    mask[10:12, 20:23] = 255
    for name, mode in zip("abcd", ("L", "RGB", "RGBA", "P"), strict=True):
        picture.convert(mode).save(tmp_path / "SIRST" / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "SIRST" / "masks" / f"{name}_pixels0.png")
    (tmp_path / "SIRST" / "idx_427" / "test.txt").write_text("a\nb\nc\nd\n")
    return tmp_path


@pytest.mark.parametrize("inside", [False, True])
def test_sirst_layout_and_modes(sirst, inside):
    data = load_dataset("sirst", sirst / "SIRST" if inside else sirst, split="test")
    check_samples(data)
    first = data[0]
    assert [s.name for s in data] == list("abcd")
    assert all(np.array_equal(s.image, first.image) for s in data)
    assert all(s.mask.sum() == 6 for s in data)
    assert data.notes == []


def test_mask_of_another_size_is_aligned_and_noted(sirst):
    path = sirst / "SIRST" / "masks" / "b_pixels0.png"
    Image.open(path).resize((128, 96), Image.Resampling.NEAREST).save(path)
    data = load_dataset("sirst", sirst, split="test")
    assert np.array_equal(data[1].mask, data[0].mask)
    assert data.notes == [
        "b_pixels0.png: mask is 128x96, its image 64x48; mask resized by nearest neighbour"
    ]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: (r / "images" / "b.png").unlink(), r"b\.png: file is missing"),
        (lambda r: (r / "masks" / "b_pixels0.png").unlink(), r"b_pixels0\.png: file is missing"),
        (lambda r: (r / "images" / "b.png").write_bytes(b"no png"), r"b\.png: cannot be decoded"),
        (lambda r: (r / "images" / "b.png").write_bytes(b""), r"b\.png: cannot be decoded"),
        (lambda r: (r / "idx_427" / "test.txt").unlink(), r"test\.txt: split list is missing"),
        (lambda r: (r / "idx_427" / "test.txt").write_text(""), r"test\.txt: split list is empty"),
        (lambda r: (r / "images").rename(r / "imgs"), "looked for a folder images/ .*found: idx"),
    ],
    ids=["no image", "no mask", "foreign", "empty", "no list", "empty list", "no folder"],
)
def test_damage_is_named(sirst, damage, message):
    damage(sirst / "SIRST")
    with pytest.raises(UserError, match=message):
        load_dataset("sirst", sirst / "SIRST", split="test")


def test_wrong_split_variant_and_root(sirst, monkeypatch):
    monkeypatch.delenv("IRSTD_DATA_ROOT", raising=False)
    with pytest.raises(UserError, match="has no split 'tset'; it has: trainval"):
        load_dataset("sirst", sirst, split="tset")
    with pytest.raises(UserError, match="did you mean 'sirst:idx_427'"):
        load_dataset("sirst:idx_247", sirst)
    with pytest.raises(UserError, match="--data-root"):
        load_dataset("sirst")
    with pytest.raises(UserError, match="does not exist"):
        load_dataset("sirst", sirst / "nowhere")
    monkeypatch.setenv("IRSTD_DATA_ROOT", str(sirst))
    assert len(load_dataset("sirst")) == 4


def test_sixteen_bit_and_zero_one_masks(tmp_path):
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4000
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read_grey(tmp_path / "deep.png"), deep)
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "ones.png")
    assert np.array_equal(read_mask(tmp_path / "ones.png", (4, 4))[0], np.eye(4, dtype=bool))
    Image.fromarray(np.eye(4, dtype=np.uint8) * 100).save(tmp_path / "weak.png")
    assert not read_mask(tmp_path / "weak.png", (4, 4))[0].any()


@needs_real
def test_real_sirst():
    train, test = (load_dataset("sirst", REAL, split=s) for s in ("trainval", "test"))
    check_samples(test)
    assert (len(train), len(test)) == (341, 86)
    assert not {s.name for s in train} & {s.name for s in test}
    assert [n for n in train.notes + test.notes if not n.startswith("Misc_111")] == []
    assert len(train.notes + test.notes) == 1
    other = load_dataset("sirst:idx_320", REAL)
    assert len(other) == 96
