"""Augmentation of batches against PIL and SciPy, image by image."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from datasets.transforms import (
    Draw,
    blur_matrix,
    blur_taps,
    crop_corners,
    cut_crops,
    draw_patches,
    draw_scaled,
    place_crops,
)

NOWHERE = np.empty((0, 2), int)


def augment(images, masks, target_pixels, drawn, side):
    """One batch, from the random choices to the crops."""
    sizes = np.array([tuple(image.shape) for image in images])
    crops = place_crops(sizes, target_pixels, drawn, side, torch.device("cpu"))
    return cut_crops(images, masks, crops)


def blur(sigma, length):
    return blur_matrix(torch.from_numpy(blur_taps(np.array([sigma]))), length)[0]


def choice(
    n=1, flip=False, upside_down=False, transpose=False, long_side=64, top=0.0, left=0.0, sigma=0.0,
    target=np.nan,
):  # fmt: skip
    def filled(value, dtype):
        return np.full(n, value, dtype)

    return Draw(
        filled(flip, bool),
        filled(upside_down, bool),
        filled(transpose, bool),
        filled(long_side, int),
        filled(top, float),
        filled(left, float),
        filled(sigma, float),
        filled(target, float),
    )


def reference(image, mask, flip, long_side, corner, crop):
    """The published augmentation of one image with PIL: flip, resize, pad, crop."""
    h, w = image.shape
    ratio = long_side / max(h, w)
    size = (int(w * ratio + 0.5), int(h * ratio + 0.5))
    picture, truth = Image.fromarray(image), Image.fromarray(mask)
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        truth = truth.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
    truth = np.asarray(truth.resize(size, Image.Resampling.NEAREST))
    padding = [(0, max(crop - size[1], 0)), (0, max(crop - size[0], 0))]
    top, left = corner
    window = np.s_[top : top + crop, left : left + crop]
    return np.pad(picture, padding)[window], np.pad(truth, padding)[window]


@settings(max_examples=60, deadline=None)
@given(
    h=st.integers(20, 90),
    w=st.integers(20, 90),
    long_side=st.integers(24, 160),
    flip=st.booleans(),
    top=st.floats(0, 0.999),
    left=st.floats(0, 0.999),
    seed=st.integers(0, 99),
)
def test_geometry_equals_pil(h, w, long_side, flip, top, left, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (h, w), dtype=np.uint8)
    mask = rng.random((h, w)) < 0.1
    crop = 48
    drawn = choice(flip=flip, long_side=long_side, top=top, left=left)
    crops, truth = augment(
        [torch.tensor(image)], [torch.tensor(mask)], [np.argwhere(mask)], drawn, crop
    )
    sizes = np.array([[h, w]])
    scaled = np.floor(sizes * (long_side / max(h, w)) + 0.5).astype(int)
    corner = crop_corners(sizes, scaled, [NOWHERE], drawn, crop)[0]
    expected, expected_truth = reference(image, mask, flip, long_side, corner, crop)
    # PIL rounds to 8 bits after each of its two passes
    assert np.abs(crops[0, 0].numpy() * 255 - expected).max() <= 1.6
    # where a centre falls exactly between two pixels, PIL's rounding error decides
    sure = [
        ((2 * np.arange(start, start + crop) + 1) * size) % (2 * length) != 0
        for start, size, length in zip(corner, sizes[0], scaled[0], strict=True)
    ]
    sure = np.ix_(*sure)
    assert np.array_equal(truth[0, 0].numpy()[sure] > 0, expected_truth[sure])


def test_batch_equals_its_images_one_by_one():
    rng = np.random.default_rng(0)
    images = [torch.tensor(rng.integers(0, 256, s, dtype=np.uint8)) for s in [(50, 70), (90, 40)]]
    masks = [image > 200 for image in images]
    pixels = [np.argwhere(m.numpy()) for m in masks]
    drawn = draw_scaled(rng, 2, 64, positive_crops=0.5)
    together = augment(images, masks, pixels, drawn, 32)
    for i in range(2):
        part = Draw(*(values[i : i + 1] for values in drawn))
        alone = augment(images[i : i + 1], masks[i : i + 1], pixels[i : i + 1], part, 32)
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[i : i + 1], b)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 0.99])
def test_blur_equals_scipy(sigma):
    image = np.random.default_rng(0).random((40, 40))
    matrix = blur(sigma, 40).double().numpy()
    expected = scipy.ndimage.gaussian_filter(image, sigma, mode="nearest", radius=4)
    assert np.abs(matrix @ image @ matrix.T - expected).max() < 1e-6


def test_no_blur_is_the_identity():
    assert torch.equal(blur(0.0, 16), torch.eye(16))


def test_sixteen_bit_images_come_out_in_zero_to_one():
    image = torch.full((32, 32), 65535, dtype=torch.int32).to(torch.uint16)
    mask = torch.zeros(32, 32, dtype=torch.bool)
    crops, _ = augment([image], [mask], [NOWHERE], choice(long_side=32), 32)
    torch.testing.assert_close(crops, torch.ones_like(crops))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_positive_crops_contain_their_target(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((60, 80), bool)
    mask[rng.integers(60), rng.integers(80)] = True
    drawn = draw_scaled(
        rng, 1, 80, scale_jitter=1.0, positive_crops=1.0
    )  # scale 1: nothing vanishes
    image = torch.zeros(60, 80, dtype=torch.uint8)
    _, truth = augment([image], [torch.tensor(mask)], [np.argwhere(mask)], drawn, 32)
    assert truth.sum() == 1


def test_moments_of_the_draw():
    drawn = draw_scaled(np.random.default_rng(0), 40_000, 256)
    assert abs(drawn.flip.mean() - 0.5) < 0.01
    assert (drawn.long_side.min(), drawn.long_side.max()) == (128, 512)
    assert abs(drawn.long_side.mean() - 320) < 2
    assert abs((drawn.sigma > 0).mean() - 0.5) < 0.01
    assert abs(drawn.sigma[drawn.sigma > 0].mean() - 0.5) < 0.01
    assert np.isnan(drawn.target).all()


@settings(max_examples=60, deadline=None)
@given(
    h=st.integers(20, 90),
    w=st.integers(20, 90),
    turns=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    top=st.floats(0, 0.999),
    left=st.floats(0, 0.999),
    seed=st.integers(0, 99),
)
def test_patches_are_cut_out_of_the_image_and_turned(h, w, turns, top, left, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (h, w), dtype=np.uint8)
    mask = rng.random((h, w)) < 0.1
    flip, upside_down, transpose = turns
    drawn = choice(
        flip=flip, upside_down=upside_down, transpose=transpose, long_side=0, top=top, left=left
    )
    crops, truth = augment(
        [torch.tensor(image)], [torch.tensor(mask)], [np.argwhere(mask)], drawn, 48
    )
    for found, source in ((crops * 255, image), (truth, mask)):
        expected = source[::-1] if upside_down else source
        expected = expected[:, ::-1] if flip else expected
        y, x = int(top * (max(h - 48, 0) + 1)), int(left * (max(w - 48, 0) + 1))
        expected = np.pad(expected, [(0, 48), (0, 48)])[y : y + 48, x : x + 48]
        expected = expected.T if transpose else expected
        assert np.abs(found[0, 0].numpy() - expected).max() < 1e-3


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_positive_patches_contain_their_target(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((60, 80), bool)
    mask[rng.integers(60), rng.integers(80)] = True
    drawn = draw_patches(rng, 1, positive_crops=1.0)
    image = torch.zeros(60, 80, dtype=torch.uint8)
    _, truth = augment([image], [torch.tensor(mask)], [np.argwhere(mask)], drawn, 32)
    assert truth.sum() == 1


def test_moments_of_the_patches():
    drawn = draw_patches(np.random.default_rng(0), 40_000, 0.5)
    for turns in (drawn.flip, drawn.upside_down, drawn.transpose):
        assert abs(turns.mean() - 0.5) < 0.01
    assert abs(np.isnan(drawn.target).mean() - 0.5) < 0.01
    assert not drawn.sigma.any()
    assert not drawn.long_side.any()


def test_the_published_augmentation_has_the_moments_of_a_slow_one():
    """Grey levels, target pixels and empty crops of 3000 crops, against PIL with its own draws."""
    rng = np.random.default_rng(1)
    image = (rng.random((60, 80)) * 120).astype(np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[20:23, 50:54] = True  # no edge in the middle, where rounding errors decide
    image[mask] = 255
    n, crop = 3000, 64
    drawn = draw_scaled(rng, n, crop)
    ours, truth = augment(
        [torch.tensor(image)] * n, [torch.tensor(mask)] * n, [np.argwhere(mask)] * n, drawn, crop
    )
    other = np.random.default_rng(2)
    slow, slow_truth = zip(
        *(published_crop(other, image, mask, crop) for _ in range(n)), strict=True
    )
    for a, b in ((ours.numpy()[:, 0] * 255, np.stack(slow)), (truth[:, 0], np.stack(slow_truth))):
        a, b = np.asarray(a, float), np.asarray(b, float)
        per_crop = a.mean((1, 2)), b.mean((1, 2))
        error = np.hypot(*(np.std(x) for x in per_crop)) / np.sqrt(n)
        assert abs(per_crop[0].mean() - per_crop[1].mean()) < 4 * error
        assert np.std(per_crop[0]) == pytest.approx(np.std(per_crop[1]), rel=0.06)
    assert ours.std() * 255 == pytest.approx(np.stack(slow).astype(float).std(), rel=0.03)
    empty = [float((np.asarray(t).reshape(n, -1).max(1) == 0).mean()) for t in (truth, slow_truth)]
    assert 0.02 < empty[0] < 0.6
    assert empty[0] == pytest.approx(empty[1], abs=4 * np.sqrt(0.5 / n))


def published_crop(rng, image, mask, crop):
    """One image as the released code augments it: PIL, step by step."""
    picture, truth = Image.fromarray(image), Image.fromarray(mask)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        truth = truth.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    long_side = int(rng.integers(crop // 2, crop * 2, endpoint=True))
    w, h = picture.size
    ow, oh = (long_side, int(h * long_side / w + 0.5)) if w > h else (
        int(w * long_side / h + 0.5), long_side
    )  # fmt: skip
    picture = picture.resize((ow, oh), Image.Resampling.BILINEAR)
    truth = truth.resize((ow, oh), Image.Resampling.NEAREST)
    right, below = max(crop - ow, 0), max(crop - oh, 0)
    picture = ImageOps.expand(picture, (0, 0, right, below), fill=0)
    truth = ImageOps.expand(truth, (0, 0, right, below), fill=0)
    w, h = picture.size
    x, y = (int(rng.integers(0, side - crop, endpoint=True)) for side in (w, h))
    box = (x, y, x + crop, y + crop)
    picture, truth = picture.crop(box), truth.crop(box)
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(radius=rng.random()))
    return np.asarray(picture), np.asarray(truth)
