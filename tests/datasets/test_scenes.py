"""The steps of a synthetic scene, each against physics or a slow independent rendering."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from benchmark.evaluation.outcomes import Outcomes
from datasets.scenes.backgrounds import PAINTERS, backdrop
from datasets.scenes.difficulty import LEVELS
from datasets.scenes.distractors import add_distractors
from datasets.scenes.noise import fractional_line, fractional_noise
from datasets.scenes.optics import BLUR, render
from datasets.scenes.placing import GAP
from datasets.scenes.scene import make_scene
from datasets.scenes.sensor import Sensor, expose
from datasets.scenes.shapes import IN_AIR, ON_WATER
from datasets.scenes.targets import draw_profile
from datasets.scenes.windows import overlap

STANDARD = LEVELS["standard"]


def scenes(level="standard", n=60, size=128, seed=3):
    return [make_scene(np.random.default_rng([seed, i]), LEVELS[level], size) for i in range(n)]


@pytest.fixture(scope="module")
def standard():
    return scenes()


# ---- noise


@pytest.mark.parametrize("beta", [0.0, 2.0, 3.5])
def test_spectrum_falls_with_the_exponent(beta):
    power = 0
    for seed in range(30):
        field = fractional_noise(np.random.default_rng(seed), 96, 128, beta)
        window = np.hanning(96)[:, None] * np.hanning(128)
        power = power + np.abs(np.fft.rfft2(field * window)) ** 2
    f = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.rfftfreq(128))
    band = (f > 0.06) & (f < 0.4)
    slope = np.polyfit(np.log(f[band]), np.log(power[band]), 1)[0]
    assert abs(slope + beta) < 0.1


def test_noise_is_not_periodic_and_has_the_same_variance_everywhere():
    rng = np.random.default_rng(0)
    fields = np.stack([fractional_noise(rng, 64, 64, 3.0) for _ in range(200)])
    across = np.abs(fields[:, :, 0] - fields[:, :, -1]).mean()
    beside = np.abs(np.diff(fields, axis=2)).mean()
    assert across > 3 * beside
    white = np.stack([fractional_noise(rng, 32, 48, 0.0) for _ in range(400)])
    # White in rows and columns too: no column of the half spectrum is short of power.
    assert abs(white.mean(2).std() * np.sqrt(48) - 1) < 0.05
    assert abs(white.mean(1).std() * np.sqrt(32) - 1) < 0.05


def test_stretch_makes_rows_smoother_than_columns():
    field = fractional_noise(np.random.default_rng(0), 128, 128, 2.5, stretch=4.0)
    assert np.diff(field, axis=1).std() < 0.6 * np.diff(field, axis=0).std()
    line = fractional_line(np.random.default_rng(0), 300, 2.5)
    assert line.shape == (300,)
    assert abs(line.std() - 1) < 1e-5


# ---- backdrops


@pytest.mark.parametrize("kind", PAINTERS)
@pytest.mark.parametrize("size", [32, 100, 128])
def test_backdrops_are_finite_and_not_flat(kind, size):
    for seed in range(5):
        field = backdrop(np.random.default_rng(seed), size, STANDARD, kind, 0.8)
        assert field.shape == (size, size)
        assert field.dtype == np.float32
        assert np.isfinite(field).all()
        assert field.std() > 0.1


def test_every_kind_is_drawn(standard):
    assert {scene.kind for scene in standard} == set(PAINTERS)


# ---- targets


def render_slowly(points, weights, blur, height, width):
    """Pixel by pixel, source by source, with the closed form of the integral."""
    image = np.zeros((height, width))
    root = np.sqrt(2) * blur
    for (y, x), weight in zip(points, weights, strict=True):
        for i in range(height):
            for j in range(width):
                dy = erf((i + 0.5 - y) / root) - erf((i - 0.5 - y) / root)
                dx = erf((j + 0.5 - x) / root) - erf((j - 0.5 - x) / root)
                image[i, j] += weight * dy * dx / 4
    return image


@settings(max_examples=25, deadline=None)
@given(
    place=st.tuples(st.floats(5, 8), st.floats(5, 8)),
    blur=st.floats(*BLUR),
    seed=st.integers(0, 99),
)
def test_optics_conserve_energy_and_centroid(place, blur, seed):
    rng = np.random.default_rng(seed)
    points = np.array(place) + rng.uniform(-1, 1, (4, 2))
    weights = rng.uniform(0.5, 2, 4)
    image = render(points, weights, blur, 14, 15)
    np.testing.assert_allclose(image, render_slowly(points, weights, blur, 14, 15), atol=1e-6)
    assert abs(image.sum() / weights.sum() - 1) < 3e-4
    centroid = [
        (image.sum(1 - axis) @ np.arange(image.shape[axis])) / image.sum() for axis in (0, 1)
    ]
    np.testing.assert_allclose(centroid, weights @ points / weights.sum(), atol=2e-3)


def test_optics_agree_with_numerical_integration():
    fine = 21  # samples a pixel and axis
    centre, blur = np.array([5.3, 6.8]), 0.7
    y, x = (np.arange(13 * fine) + 0.5) / fine - 0.5, (np.arange(13 * fine) + 0.5) / fine - 0.5
    squared = (y[:, None] - centre[0]) ** 2 + (x - centre[1]) ** 2
    dense = np.exp(-0.5 * squared / blur**2) / (2 * np.pi * blur**2)
    expected = dense.reshape(13, fine, 13, fine).mean((1, 3))
    image = render(centre[None], np.ones(1), blur, 13, 13)
    np.testing.assert_allclose(image, expected, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    blur=st.floats(*BLUR),
    kind=st.sampled_from(["sky", "sea"]),
    log_area=st.sampled_from([(3.1, 0.8), (0.5, 0.5), (4.2, 0.3)]),
)
def test_masks_follow_the_rule_and_keep_their_bounds(seed, blur, kind, log_area):
    profile = draw_profile(np.random.default_rng(seed), kind, blur, log_area)
    signal, mask = profile.signal, profile.mask
    assert signal.max() == 1
    np.testing.assert_array_equal(mask, signal > 0.3)
    assert 1 <= mask.sum() <= 80
    assert scipy.ndimage.label(mask, np.ones((3, 3)))[1] == 1
    border = np.concatenate([signal[0], signal[-1], signal[:, 0], signal[:, -1]])
    assert border.max() < 0.02  # the window holds the target
    assert profile.shape in (ON_WATER if kind == "sea" else IN_AIR)


def test_areas_are_those_asked_for():
    rng = np.random.default_rng(0)
    drawn = [draw_profile(rng, "sky", 0.7, (3.0, 0.1)).mask.sum() for _ in range(200)]
    assert abs(np.log(drawn).mean() - 3.0) < 0.1
    assert np.log(drawn).std() < 0.35


# ---- scenes


def test_mask_is_what_the_targets_are_alone(standard):
    for scene in standard:
        mask = np.zeros_like(scene.mask)
        signal = np.zeros(scene.mask.shape)
        for target in scene.targets:
            h, w = target.profile.signal.shape
            for i in range(h):
                for j in range(w):
                    y, x = target.top + i, target.left + j
                    if 0 <= y < 128 and 0 <= x < 128:
                        signal[y, x] += target.peak * target.profile.signal[i, j]
                        mask[y, x] |= target.profile.signal[i, j] > 0.3
        np.testing.assert_array_equal(scene.mask, mask)
        np.testing.assert_allclose(scene.signal, signal, rtol=1e-5, atol=1e-4)


def test_targets_are_separate_whole_and_off_distractors(standard):
    counts = []
    for scene in standard:
        labels, n = scipy.ndimage.label(scene.mask, np.ones((3, 3)))
        assert n == len(scene.targets)
        areas = sorted(np.bincount(labels.ravel())[1:])
        assert areas == sorted(t.profile.mask.sum() for t in scene.targets)  # none is cut off
        for k in range(1, n + 1):
            others = (labels > 0) & (labels != k)
            if others.any():
                distance = scipy.ndimage.distance_transform_cdt(~others, "chessboard")
                assert distance[labels == k].min() > GAP
        assert not (scene.mask & scene.distractors).any()
        counts.append(n)
    assert {0, 1, 2} <= set(counts) <= {0, 1, 2, 3, 4}


def test_contrast_is_that_asked_for_by_the_reports_own_definition():
    asked, noise_free, measured = [], [], []
    for scene in scenes(n=80):
        if len(scene.targets) != 1:  # of several, the order drawn is not that of the components
            continue
        (target,) = scene.targets
        asked.append(target.scr)
        # By hand, on the scene without noise; noise and rounding add to the variance.
        rows, columns = np.nonzero(scene.mask)
        window = np.s_[
            max(rows.min() - 20, 0) : rows.max() + 21,
            max(columns.min() - 20, 0) : columns.max() + 21,
        ]
        grown = scipy.ndimage.binary_dilation(scene.mask, np.ones((3, 3)))
        around = scene.background[window][~grown[window]].astype(float)
        full = scene.background.astype(float) + scene.signal
        spread = np.sqrt(around.var() + scene.sensor.noise**2 + scene.sensor.columns**2 + 1 / 12)
        noise_free.append(abs(full[scene.mask].mean() - around.mean()) / spread)
        outcomes = Outcomes()
        outcomes.add(np.zeros_like(scene.mask), scene.mask, scene.image)
        measured += outcomes.compute()["targets"]["scr"]
    assert len(asked) > 40
    np.testing.assert_allclose(noise_free, asked, rtol=1e-3)
    ratio = np.array(measured) / asked
    assert abs(np.median(ratio) - 1) < 0.05
    assert (np.abs(ratio - 1) < 0.2).mean() > 0.85  # the rest has a bad pixel or glow near it


def test_nothing_is_brighter_than_white_where_a_target_is(standard):
    for scene in standard:
        assert (scene.background + scene.signal)[scene.mask].max(initial=0) <= 255.01


def test_levels_are_ordered_in_contrast_and_clutter():
    scr = {
        level: np.median([t.scr for scene in scenes(level, 60) for t in scene.targets])
        for level in LEVELS
    }
    assert scr["easy"] > 1.5 * scr["standard"]
    assert scr["standard"] > 2 * scr["hard"]
    covered = {
        level: np.mean([scene.distractors.mean() for scene in scenes(level, 60)])
        for level in LEVELS
    }
    assert covered["easy"] < covered["standard"] < covered["hard"]


def test_distractors_change_the_image_and_never_the_mask():
    rng = np.random.default_rng(0)
    hard, changed = LEVELS["hard"], 0
    for _ in range(20):
        scene = np.full((128, 128), 50, np.float32)
        where = add_distractors(rng, scene, hard, "sea", 0.8)
        assert where.any() == (np.abs(scene - 50) > 0.5).any()
        assert (np.abs(scene - 50)[~where] <= 0.1 * np.abs(scene - 50).max() * 3 + 1e-3).all()
        changed += where.any()
    assert changed > 10


# ---- sensor


QUIET = Sensor(noise=0, smooth=(0, 0), columns=0, gain=0, bad_pixels=0)
GREY = np.linspace(-20, 280, 64 * 64, dtype=np.float32).reshape(64, 64)
NOWHERE = np.zeros((64, 64), bool)


def test_sensor_without_faults_rounds():
    rng = np.random.default_rng(0)
    image = expose(rng, GREY, NOWHERE, QUIET, 8)
    np.testing.assert_array_equal(image, np.clip(np.rint(GREY), 0, 255))
    deep = expose(rng, GREY, NOWHERE, QUIET, 14)
    assert deep.dtype == np.uint16
    assert (deep.min(), deep.max()) == (0, 65532)
    assert (deep % 4 == 0).all()
    assert np.abs(deep / 65532 * 255 - np.clip(GREY, 0, 255)).max() < 0.51 * 255 / 16383


@pytest.mark.parametrize("smooth", [(0, 0), (0, 1.0), (0.8, 0.3)])
def test_noise_and_columns_have_their_deviations(smooth):
    flat = np.full((256, 256), 120, np.float32)
    sensor = QUIET._replace(noise=4.0, smooth=smooth, columns=3.0)
    image = expose(np.random.default_rng(0), flat, np.zeros((256, 256), bool), sensor, 8)
    columns = image.mean(0)
    assert abs(columns.std() - 3) < 0.5
    assert abs((image - columns).std() - 4) < 0.15
    assert abs(image.std() - sensor.spread) < 0.4
    assert abs(image.mean() - 120) < 0.7


def test_bad_pixels_are_single_and_off_targets():
    flat = np.full((64, 64), 120, np.float32)
    mask = np.zeros((64, 64), bool)
    mask[:, :32] = True
    sensor = QUIET._replace(bad_pixels=400)
    image = expose(np.random.default_rng(0), flat, mask, sensor, 8)
    assert 20 < (image != 120).sum() < 100
    assert (image[:, :33] == 120).all()
    assert {True, False} == set((image[image != 120] > 120).tolist())


# ---- windows


@given(
    size=st.integers(1, 20),
    top=st.integers(-30, 30),
    left=st.integers(-30, 30),
    height=st.integers(1, 25),
    width=st.integers(1, 25),
)
def test_overlap_is_where_both_are(size, top, left, height, width):
    there, part = overlap(size, top, left, height, width)
    canvas, small = np.zeros((size, size), int), np.ones((height, width), int)
    canvas[there] += small[part]
    expected = [
        [top <= y < top + height and left <= x < left + width for x in range(size)]
        for y in range(size)
    ]
    np.testing.assert_array_equal(canvas, expected)


def test_threads_do_not_change_a_scene():
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        one = scenes(n=6, size=256)
        cv2.setNumThreads(4)
        four = scenes(n=6, size=256)
    finally:
        cv2.setNumThreads(before)
    for a, b in zip(one, four, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.mask, b.mask)
