"""Training-free detectors against slow references, and what their formulas imply."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmark.errors import UserError
from benchmark.evaluation.curves.sweep import DEFAULT_THRESHOLDS
from detectors import REGISTRY, create_detector, list_detectors
from detectors.classical import SHARPNESS, ClassicalDetector
from detectors.ipi import from_patches, robust_pca, to_patches

LOCAL = ["top_hat", "max_median", "mpcm"]
ALL = [*LOCAL, "ipi"]
REACH = {"top_hat": 8, "max_median": 7, "mpcm": 13}  # px, of one pixel on the response

each_local = pytest.mark.parametrize("name", LOCAL)
each_detector = pytest.mark.parametrize("name", ALL)
few_examples = settings(max_examples=15, deadline=None)


def noise(seed: int, *shape: int) -> torch.Tensor:
    """Grey levels as an 8-bit camera gives them, in [0, 1]."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape) / 255).float()


def scene(seed: int, side: int = 96) -> tuple[torch.Tensor, tuple[int, int]]:
    """A Gaussian target (sigma 1 px, contrast 0.4) on a gradient with noise, and its centre."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    row, column = rng.integers(2, side - 2, 2)
    background = 0.2 + 0.3 * x / side + 0.1 * y / side
    target = 0.4 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2)
    image = background + target + rng.normal(0, 0.01, (side, side))
    return torch.from_numpy(image).float()[None, None], (int(row), int(column))


def response(name: str, image: torch.Tensor, **options) -> np.ndarray:
    """Saliency (H, W) of an image (H, W)."""
    return create_detector(name, **options).response(image[None, None])[0, 0].numpy()


# --- what they share ------------------------------------------------------------------------


@each_detector
def test_declares_itself_classical_without_import(name):
    entry = REGISTRY.get(name)
    expected = {"group": "classical", "trained": False, "recipe": {}, "in_channels": 1}
    assert {key: getattr(entry.info, key) for key in expected} == expected
    assert entry.info.year >= 1993
    assert all(getattr(entry.info, key) for key in ("paper", "venue", "source"))
    assert entry.doc
    model = create_detector(name)
    assert list(model.parameters()) == []
    assert torch.equal(model.normalise(noise(0, 1, 1, 4, 4)), noise(0, 1, 1, 4, 4))


def test_base_is_not_a_detector_to_choose():
    assert "classical" not in list_detectors()


class Given(ClassicalDetector):
    """Its response is its input."""

    def response(self, x):
        return x


def test_logits_are_standardised_responses_above_k():
    r = noise(0, 3, 1, 40, 50) * torch.tensor([1.0, 1e-4, 7.0]).view(3, 1, 1, 1)
    logits = Given(k=2.0)(r).logits
    for image, result in zip(r.double().numpy(), logits.numpy(), strict=True):
        expected = 0.25 * ((image - image.mean()) / image.std() - 2)
        np.testing.assert_allclose(result, expected, atol=1e-4)
        assert ((result > 0) == (image > image.mean() + 2 * image.std())).all()


@pytest.mark.parametrize("value", [0.0, 1e-3, 0.3, 1.0])
def test_constant_response_detects_nothing(value):
    logits = Given(k=3.0)(torch.full((2, 1, 33, 47), value)).logits
    assert (logits == -3 * SHARPNESS).all()


def test_one_bright_pixel_among_a_million_is_finite():
    r = torch.zeros(1, 1, 1024, 1024)
    r[..., 500, 500] = 1e-6
    logits = Given(k=5.0)(r).logits
    assert logits.isfinite().all()
    assert logits.max() == pytest.approx(SHARPNESS * (1024 - 5), rel=1e-3)


def test_thresholds_of_the_curve_are_whole_steps_of_k():
    """What the comment at SHARPNESS promises: there is a threshold at every k from -64 to 64."""
    logit = np.array([np.log(t / (1 - t)) for t in DEFAULT_THRESHOLDS if t > 0])
    nearest = np.abs(logit[None] / SHARPNESS - np.arange(-64, 65)[:, None]).min(axis=1)
    assert nearest.max() < 1e-6
    assert torch.sigmoid(torch.tensor(66 * SHARPNESS)) < 1


@each_detector
def test_finds_a_target_on_a_gradient(name):
    for seed in range(3):
        image, (row, column) = scene(seed)
        detected = torch.sigmoid(create_detector(name)(image).logits)[0, 0].numpy() > 0.5
        labels, count = ndimage.label(detected, np.ones((3, 3)))
        assert count == 1
        centre = ndimage.center_of_mass(detected)
        assert np.hypot(centre[0] - row, centre[1] - column) < 1.5
        assert (labels > 0).sum() <= 49


@each_detector
def test_dark_target_is_not_detected(name):
    image, (row, column) = scene(0)
    logits = create_detector(name)(1 - image).logits[0, 0]
    assert logits[row, column] < 0


@each_detector
@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 1.0])
def test_constant_image_detects_nothing(name, value):
    model = create_detector(name)
    logits = model(torch.full((1, 1, 97, 61), value)).logits
    assert (logits == -SHARPNESS * model.k).all()


@each_detector
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (8, 8), (51, 3), (3, 130)])
def test_any_size(name, shape):
    r = create_detector(name).response(noise(1, 2, 1, *shape))
    assert r.shape == (2, 1, *shape)
    assert (r >= 0).all()
    logits = create_detector(name)(noise(1, 2, 1, *shape)).logits
    assert logits.shape == (2, 1, *shape)
    assert logits.isfinite().all()


@each_detector
def test_batch_is_images_one_by_one(name):
    model = create_detector(name)
    images = torch.cat([scene(seed, side=70)[0] for seed in range(3)])
    together = model(images).logits
    alone = torch.cat([model(image[None]).logits for image in images])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)


@each_detector
def test_same_result_twice_and_under_autocast(name):
    model, image = create_detector(name), scene(3, side=70)[0]
    first = model(image).logits
    with torch.autocast("cpu", torch.bfloat16):
        again = model(image).logits
    assert again.dtype == torch.float32
    assert torch.equal(first, again)
    assert not model(image.requires_grad_()).logits.requires_grad


@each_local
@few_examples
@given(seed=st.integers(0, 999), offset=st.floats(-0.5, 0.5))
def test_brightness_does_not_matter(name, seed, offset):
    image = noise(seed, 30, 41)
    np.testing.assert_allclose(response(name, image + offset), response(name, image), atol=1e-6)


@each_detector
@few_examples
@given(seed=st.integers(0, 99), scale=st.floats(0.01, 1.0))
def test_contrast_does_not_matter_to_the_logits(name, seed, scale):
    model, (image, _) = create_detector(name), scene(seed, side=64)
    difference = model(scale * image).logits - model(image).logits
    assert difference.abs().max() < 0.01


@each_local
@few_examples
@given(seed=st.integers(0, 999), dy=st.integers(-9, 9), dx=st.integers(-9, 9))
def test_response_moves_with_the_image(name, seed, dy, dx):
    image = noise(seed, 60, 64)
    moved = np.roll(response(name, image), (dy, dx), (0, 1))
    inner = slice(9 + REACH[name], -9 - REACH[name])
    np.testing.assert_allclose(
        response(name, image.roll((dy, dx), (0, 1)))[inner, inner],
        moved[inner, inner],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("name", "options", "word"),
    [
        ("top_hat", {"size": 8}, "size is 8"),
        ("max_median", {"size": 1}, "size is 1"),
        ("mpcm", {"scales": (3, 4)}, "scales is 4"),
        ("ipi", {"step": 60}, "step is 60"),
        ("ipi", {"step": 0}, "step is 0"),
        ("ipi", {"noise": 0.0}, "noise is 0"),
    ],
)
def test_impossible_options_are_refused(name, options, word):
    with pytest.raises(UserError, match=word):
        create_detector(name, **options)


# --- local filters against loops ------------------------------------------------------------


@pytest.mark.parametrize("shape", [(31, 44), (5, 60), (1, 7)])
@pytest.mark.parametrize("size", [3, 9])
def test_top_hat_is_that_of_scipy(shape, size):
    image = noise(2, *shape).numpy()
    eroded = ndimage.grey_erosion(image, (size, size), mode="constant", cval=np.inf)
    opened = ndimage.grey_dilation(eroded, (size, size), mode="constant", cval=-np.inf)
    actual = response("top_hat", torch.from_numpy(image), size=size)
    np.testing.assert_array_equal(actual, image - opened)


def test_top_hat_equals_scipy_opening_away_from_the_border():
    image = noise(3, 50, 40).numpy()
    expected = image - ndimage.grey_opening(image, (9, 9))
    actual = response("top_hat", torch.from_numpy(image))
    np.testing.assert_array_equal(actual[8:-8, 8:-8], expected[8:-8, 8:-8])


@pytest.mark.parametrize("shape", [(17, 23), (4, 3)])
@pytest.mark.parametrize("size", [5, 15])
def test_max_median_is_that_of_a_loop(shape, size):
    image = noise(4, *shape).numpy()
    half = size // 2
    padded = np.pad(image, half, mode="edge")
    expected = np.zeros_like(image)
    for i, j in np.ndindex(*shape):
        window = padded[i : i + size, j : j + size]
        lines = window[half], window[:, half], np.diag(window), np.diag(window[:, ::-1])
        expected[i, j] = max(0, image[i, j] - max(np.median(line) for line in lines))
    actual = response("max_median", torch.from_numpy(image), size=size)
    np.testing.assert_array_equal(actual, expected)


def slow_contrast(image: np.ndarray, scale: int) -> np.ndarray:
    """MPCM's contrast at one scale, pixel by pixel in float64; bright targets only."""
    half, margin = scale // 2, scale + scale // 2
    padded = np.pad(image.astype(np.float64), margin, mode="edge")

    def mean(y: int, x: int) -> float:
        return padded[y - half : y + half + 1, x - half : x + half + 1].mean()

    contrast = np.zeros(image.shape)
    for i, j in np.ndindex(*image.shape):
        y, x = i + margin, j + margin
        products = []
        for dy, dx in ((-scale, -scale), (-scale, 0), (-scale, scale), (0, -scale)):
            one, other = mean(y, x) - mean(y + dy, x + dx), mean(y, x) - mean(y - dy, x - dx)
            products.append(one * other if one > 0 and other > 0 else 0.0)
        contrast[i, j] = min(products)
    return contrast


@pytest.mark.parametrize("shape", [(40, 33), (12, 9)])
@pytest.mark.parametrize("scales", [(3,), (5, 9), (3, 5, 7, 9)])
def test_mpcm_is_that_of_a_loop(shape, scales):
    image = noise(5, *shape).numpy()
    image[shape[0] // 2, shape[1] // 2] += 10
    image = ndimage.gaussian_filter(image, 1.5)  # blobs of all these sizes
    contrasts = [slow_contrast(image, scale) for scale in scales]
    assert all(contrast.max() > 1e-4 for contrast in contrasts)
    actual = response("mpcm", torch.from_numpy(image), scales=scales)
    np.testing.assert_allclose(actual, np.max(contrasts, axis=0), atol=1e-7)


# --- IPI ------------------------------------------------------------------------------------


def starts(side: int, patch: int, step: int) -> list[int]:
    return sorted({*range(0, max(side - patch, 0), step), max(side - patch, 0)})


def test_patches_are_those_of_a_loop():
    image = noise(6, 29, 16)
    expected = [
        image[y : y + 12, x : x + 12].reshape(-1)
        for y in starts(29, 12, 5)
        for x in starts(16, 12, 5)
    ]
    assert torch.equal(to_patches(image, 12, 5), torch.stack(expected, dim=1))


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    patch=st.integers(1, 50),
    data=st.data(),
)
def test_image_comes_back_from_its_patches(height, width, patch, data):
    """So every pixel is covered, whatever the size."""
    step = data.draw(st.integers(max(1, patch // 8), patch))
    image = noise(7, height, width)
    columns = to_patches(image, patch, step)
    assert torch.equal(from_patches(columns, height, width, patch, step), image)


def test_overlapping_patches_are_joined_by_their_median():
    height, width, patch, step = 23, 31, 10, 4
    tops, lefts = starts(height, patch, step), starts(width, patch, step)
    columns = noise(8, patch * patch, len(tops) * len(lefts))
    covering = [[[] for _ in range(width)] for _ in range(height)]
    for column, (top, left) in enumerate(itertools.product(tops, lefts)):
        for i, j in np.ndindex(patch, patch):
            covering[top + i][left + j].append(columns[i * patch + j, column].item())
    counts = {len(values) for row in covering for values in row}
    assert {1, 2, 3} <= counts  # odd and even ones
    expected = [[np.median(values) for values in row] for row in covering]
    actual = from_patches(columns, height, width, patch, step)
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def clutter_problem(patch: int, step: int) -> tuple[np.ndarray, float, float]:
    """Patch-image of cloud, noise and a target, with mu and lambda of `robust_pca(., 0.05)`."""
    rng = np.random.default_rng(0)
    cloud = ndimage.gaussian_filter(rng.standard_normal((48, 48)), 3)
    y, x = np.mgrid[:48, :48]
    target = 0.4 * np.exp(-((y - 20) ** 2 + (x - 25) ** 2) / 2)
    image = 0.4 + 0.1 * cloud / cloud.std() + target + rng.normal(0, 0.005, (48, 48))
    D = to_patches(torch.from_numpy(image), patch, step).numpy()
    return D, 0.05 * np.linalg.svd(D, compute_uv=False)[3], max(D.shape) ** -0.5


@pytest.mark.parametrize(("patch", "step"), [(20, 5), (10, 3)], ids=["tall", "wide"])
def test_robust_pca_closes_the_duality_gap(patch, step):
    """The dual: maximise <R, D> - |R|^2 / 2 with |R|_2 <= mu and |R|_inf <= lambda mu."""
    D, mu, sparsity = clutter_problem(patch, step)
    B, T = (x.double().numpy() for x in robust_pca(torch.from_numpy(D).float(), 0.05))
    R = D - B - T
    nuclear = np.linalg.norm(B, "nuc")
    primal = mu * nuclear + sparsity * mu * np.abs(T).sum() + (R**2).sum() / 2
    R *= min(1, mu / np.linalg.norm(R, 2), sparsity * mu / np.abs(R).max())
    dual = (R * D).sum() - (R**2).sum() / 2
    assert 0 <= primal - dual <= 0.002 * primal
    assert np.linalg.matrix_rank(B, tol=1e-3) < min(D.shape) / 2
    assert 0 < np.count_nonzero(T) < T.size / 2


def test_robust_pca_agrees_with_plain_proximal_gradient():
    D, mu, sparsity = clutter_problem(10, 3)
    B = np.zeros_like(D)
    for _ in range(400):
        U, s, V = np.linalg.svd(B + np.clip(D - B, -sparsity * mu, sparsity * mu), False)
        before, B = B, (U * np.maximum(s - mu, 0)) @ V
        if np.linalg.norm(B - before) < 1e-6 * np.linalg.norm(D):
            break
    else:
        pytest.fail("the reference did not converge")
    expected = np.sign(D - B) * np.maximum(np.abs(D - B) - sparsity * mu, 0)
    _, T = robust_pca(torch.from_numpy(D).float(), 0.05)
    assert expected.max() > 0.2
    np.testing.assert_allclose(T, expected, atol=0.003)


def test_robust_pca_recovers_low_rank_and_sparse_parts():
    rng = np.random.default_rng(9)
    low = rng.uniform(0, 1, (300, 2)) @ rng.uniform(0, 1, (2, 80))
    sparse = rng.uniform(0.5, 1, low.shape) * (rng.random(low.shape) < 0.03)
    B, T = robust_pca(torch.from_numpy(low + sparse).float(), noise=0.005)
    np.testing.assert_allclose(B, low, atol=0.02)
    np.testing.assert_allclose(T, sparse, atol=0.02)


def test_ipi_sees_nothing_in_an_exactly_low_rank_image():
    y, x = np.mgrid[:100, :120] / 120
    r = response("ipi", torch.from_numpy(0.2 + 0.4 * x + 0.3 * y).float())
    assert r.max() == 0


def test_ipi_on_a_single_patch_is_brightness():
    image = noise(10, 40, 30) * 0.5 + 0.3
    np.testing.assert_allclose(response("ipi", image), image - image.min(), atol=0.01)
