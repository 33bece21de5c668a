"""Images of one scene are found whatever was done to them; others, though alike, are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets import load_dataset
from datasets.audit import duplicates
from datasets.audit.duplicates import make_print, same_scenes
from tests.datasets.skies import clouds, grey


def found(*images):
    """The pairs of images that show one scene."""
    pairs = same_scenes([make_print(image) for image in images], len(images))
    return {(p.first, p.second) for p in pairs}


def spot(place, height, width):
    """Largest distance in rows or columns from a pixel."""
    y, x = np.mgrid[:height, :width]
    return np.maximum(abs(y - place), abs(x - place))


def noisy(image, rng):
    return image + rng.integers(-1, 2, image.shape)


CHANGES = {
    "noise of one grey level": noisy,
    "gain and offset": lambda i, _: 0.7 * i + 20,
    "a pixel less on each side": lambda i, _: i[1:-1, 1:-1],
    "a tenth less on one side": lambda i, _: i[:, i.shape[1] // 10 :],
    "moved on": lambda i, _: np.roll(i, (20, -30), (0, 1)),
    "half the size": lambda i, _: i[::2, ::2],
    "another target": lambda i, _: i + 120 * (spot(99, i.shape[0], i.shape[1]) < 3),
    "a gradient": lambda i, _: i + np.linspace(0, 60, i.shape[1]),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_changed_copy_is_found(change, seed):
    image = clouds(seed)
    copy = change(image, np.random.default_rng(seed))
    assert found(grey(image), grey(copy)) == {(0, 1)}


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_sixteen_bits_and_eight_are_compared(seed):
    image = clouds(seed)
    assert found(grey(image), grey(200 * image, np.uint16)) == {(0, 1)}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), strength=st.sampled_from([0.3, 1, 5, 40]))
def test_unrelated_noise_is_not(seed, strength):
    rng = np.random.default_rng(seed)
    images = [grey(100 + rng.normal(0, strength, (100, 120))) for _ in range(6)]
    assert found(*images) == set()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_other_clouds_are_not(seed):
    assert found(*(grey(clouds(seed + k)) for k in range(4))) == set()


def sky(level, target, gradient=0.0, noise=0.0):
    """One blurred target on a sky, (200, 260) uint8."""
    y, x = np.mgrid[:200, :260]
    image = level + gradient * x + 150 * np.exp(-((y - target[0]) ** 2 + (x - target[1]) ** 2) / 8)
    return grey(image + np.random.default_rng(int(sum(target))).normal(0, noise, image.shape))


@pytest.mark.parametrize("noise", [0.0, 0.5, 3.0])
def test_targets_on_clear_skies_are_not(noise):
    images = [
        sky(20, (100, 130), 0, noise),
        sky(25, (96, 120), 0, noise),
        sky(60, (105, 140), 0.2, noise),
        sky(60, (90, 131), 0.25, noise),
    ]
    assert found(*images) == set()


def test_level_horizons_are_not():
    rng = np.random.default_rng(0)
    images = []
    for height in (90, 100, 110):
        image = np.full((200, 260), 90.0)
        image[height:] = 30
        images.append(grey(image + rng.normal(0, 2, image.shape)))
    assert found(*images) == set()


def test_images_without_any_structure():
    assert found(*[np.full((64, 64), 7, np.uint8)] * 2, np.zeros((1, 1), np.uint8)) == set()


def test_only_own_images_are_compared():
    scenes = [make_print(grey(clouds(k))) for k in (0, 1, 1, 0, 0)]
    assert {p[:2] for p in same_scenes(scenes, 5)} == {(1, 2), (0, 3), (0, 4), (3, 4)}
    assert {p[:2] for p in same_scenes(scenes, 2)} == {(1, 2), (0, 3), (0, 4)}
    assert all(p.score == pytest.approx(1, abs=1e-5) for p in same_scenes(scenes, 5))


def test_more_images_than_a_block(monkeypatch):
    scenes = [make_print(grey(clouds(k % 5, 60, 80))) for k in range(9)]
    expected = same_scenes(scenes, 9)
    monkeypatch.setattr(duplicates, "ROWS", 2)
    assert same_scenes(scenes, 9) == expected
    assert len(expected) == 4


def test_hashes_are_those_of_the_definition():
    """Against a plain count of differing signs."""
    first, second = (make_print(grey(clouds(k))) for k in (3, 4))
    bits = [np.unpackbits(p.hashes.view(np.uint8), axis=1) for p in (first, second)]
    plain = (bits[0][60] != bits[1]).sum(1)
    words = np.stack([first.hashes, second.hashes]).transpose(1, 2, 0).copy()
    distance, place = duplicates._nearest_windows(words, 0, 1)
    assert distance[0, 1] == plain.min()
    assert plain[place[0, 1]] == plain.min()
    assert distance[0, 0] == 0
    assert place[0, 0] == 60


def test_generated_set_has_no_scene_twice():
    data = [load_dataset("synthetic", split=split) for split in ("train", "test")]
    prints = [make_print(sample.image) for part in data for sample in part][::2]
    assert same_scenes(prints, len(prints)) == []
