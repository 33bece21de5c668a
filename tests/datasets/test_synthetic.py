"""The synthetic set: splits, options, repeatability. Its scenes are in test_scenes.py."""

import subprocess
import sys

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.evaluation.outcomes import Outcomes
from datasets import list_datasets, load_dataset
from datasets.base import content_hash
from datasets.synthetic import SceneSet
from tests.datasets.test_sets import REAL, needs_real
from tests.e2e.commands import ROOT

FEW = {"train": 6, "test": 5, "size": 64}


def pixels(samples):
    return [(s.name, s.image.tobytes(), s.mask.tobytes()) for s in samples]


def test_defaults():
    train, test = (load_dataset("synthetic", split=split) for split in ("train", "test"))
    assert (len(train), len(test)) == (224, 80)
    assert train.variant == "standard"
    assert {s.image.shape for s in (*train, *test)} == {(128, 128)}
    assert {s.image.dtype for s in (*train, *test)} == {np.dtype(np.uint8)}


def test_options_in_the_name():
    test = load_dataset("synthetic:hard:size=48:test=3")
    assert [s.image.shape for s in test] == [(48, 48)] * 3
    again = load_dataset("synthetic", variant="hard", size=48, test=3)
    assert content_hash(test) == content_hash(again)
    assert list_datasets("synthetic:standard:size=128:bits=8") == ["synthetic"]


@pytest.mark.parametrize("level", ["standard", "easy", "hard"])
def test_a_longer_split_begins_with_a_shorter_one(level):
    short = load_dataset("synthetic", split="train", variant=level, **FEW)
    long = load_dataset("synthetic", split="train", variant=level, **(FEW | {"train": 9}))
    assert len(long) == 9
    assert pixels(long)[:6] == pixels(short)
    # and the other split does not care
    other = load_dataset("synthetic", variant=level, **(FEW | {"train": 9}))
    assert pixels(other) == pixels(load_dataset("synthetic", variant=level, **FEW))


def test_no_backdrop_is_in_two_images():
    backgrounds = [
        SceneSet(level=level, size=64, seed=seed).scene(split, i).background
        for level in ("standard", "easy", "hard")
        for seed in (0, 1)
        for split in ("train", "test")
        for i in range(8)
    ]
    patterns = np.stack([b.ravel() - b.mean() for b in backgrounds])
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    # Smooth fields correlate by chance, the same field does so to 1.
    alike = np.triu(patterns @ patterns.T, 1)
    assert alike.max() < 0.9999
    assert len({b.tobytes() for b in backgrounds}) == len(backgrounds)


def test_same_bytes_in_another_process():
    code = (
        "from datasets import load_dataset\nfrom datasets.base import content_hash\n"
        "print(content_hash(load_dataset('synthetic:test=12')))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == content_hash(load_dataset("synthetic:test=12"))


def test_seeds_and_levels_give_other_images():
    sets = [
        load_dataset("synthetic", **FEW),
        load_dataset("synthetic", seed=1, **FEW),
        load_dataset("synthetic:easy", **FEW),
        load_dataset("synthetic:hard", **FEW),
        load_dataset("synthetic", split="train", **FEW),
    ]
    images = [s.image.tobytes() for data in sets for s in data]
    assert len(set(images)) == len(images)


def test_fourteen_bits_are_the_same_scenes_quantised_finer():
    coarse, fine = (load_dataset("synthetic", bits=bits, **FEW) for bits in (8, 14))
    for a, b in zip(coarse, fine, strict=True):
        assert b.image.dtype == np.uint16
        np.testing.assert_array_equal(a.mask, b.mask)
        assert np.abs(b.image / 65532 * 255 - a.image).max() <= 0.51
    assert len(np.unique(fine[0].image)) > 2 * len(np.unique(coarse[0].image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 12}, "bits is 12, must be one of 8, 14"),
        ({"size": 16}, "size is 16, must be 32 or more"),
        ({"train": 0}, "train is 0, must be 1 or more"),
        ({"seed": -1}, "seed is -1, must be 0 or more"),
        ({"split": "val"}, "has no split 'val'; it has: train, test"),
        ({"variant": "medium"}, "level is medium, must be one of standard, easy, hard"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_mistakes_are_named(options, message):
    with pytest.raises(UserError, match=message):
        load_dataset("synthetic", **options)


def described(samples):
    """Area and local SCR of every target (as in the reports), mean and deviation of every image."""
    outcomes = Outcomes()
    for sample in samples:
        outcomes.add(np.zeros_like(sample.mask), sample.mask, sample.image)
    targets = outcomes.compute()["targets"]
    return {
        "area": np.log(targets["area"]),
        "scr": np.log([value for value in targets["scr"] if value]),
        "mean": np.array([s.image.mean() for s in samples]),
        "deviation": np.log([s.image.std() for s in samples]),
    }


@needs_real
def test_standard_level_looks_like_sirst_in_numbers():
    real = described(load_dataset("sirst", REAL, split="trainval"))
    ours = described(load_dataset("synthetic:train=341", split="train"))
    for name, values in real.items():
        edges = np.linspace(values.min(), values.max(), 13)[1:-1]
        shares = [
            np.bincount(np.digitize(v, edges), minlength=12) / len(v) for v in (values, ours[name])
        ]
        assert np.minimum(*shares).sum() > 0.75, name
