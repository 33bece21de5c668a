"""Augmentation of batches against PIL and SciPy, image by image."""

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets.transforms import Draw, augment, blur_matrix, crop_corners, draw

NOWHERE = np.empty((0, 2), int)


def choice(n=1, flip=False, long_side=64, top=0.0, left=0.0, sigma=0.0, target=np.nan):
    def filled(value, dtype):
        return np.full(n, value, dtype)

    return Draw(
        filled(flip, bool),
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
    drawn = draw(rng, 2, 64, positive_crops=0.5)
    together = augment(images, masks, pixels, drawn, 32)
    for i in range(2):
        part = Draw(*(values[i : i + 1] for values in drawn))
        alone = augment(images[i : i + 1], masks[i : i + 1], pixels[i : i + 1], part, 32)
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[i : i + 1], b)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 0.99])
def test_blur_equals_scipy(sigma):
    image = np.random.default_rng(0).random((40, 40))
    matrix = blur_matrix(torch.tensor([sigma]), 40)[0].double().numpy()
    expected = scipy.ndimage.gaussian_filter(image, sigma, mode="nearest", radius=4)
    assert np.abs(matrix @ image @ matrix.T - expected).max() < 1e-6


def test_no_blur_is_the_identity():
    assert torch.equal(blur_matrix(torch.zeros(1), 16)[0], torch.eye(16))


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
    drawn = draw(rng, 1, 80, scale_jitter=1.0, positive_crops=1.0)  # scale 1: nothing vanishes
    image = torch.zeros(60, 80, dtype=torch.uint8)
    _, truth = augment([image], [torch.tensor(mask)], [np.argwhere(mask)], drawn, 32)
    assert truth.sum() == 1


def test_moments_of_the_draw():
    drawn = draw(np.random.default_rng(0), 40_000, 256)
    assert abs(drawn.flip.mean() - 0.5) < 0.01
    assert (drawn.long_side.min(), drawn.long_side.max()) == (128, 512)
    assert abs(drawn.long_side.mean() - 320) < 2
    assert abs((drawn.sigma > 0).mean() - 0.5) < 0.01
    assert abs(drawn.sigma[drawn.sigma > 0].mean() - 0.5) < 0.01
    assert np.isnan(drawn.target).all()
