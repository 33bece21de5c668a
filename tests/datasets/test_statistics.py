"""The numbers of a set: by hand, against a slow oracle, and where they cannot be told."""

import statistics
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmark.evaluation.outcomes import Outcomes
from datasets.base import Sample
from datasets.statistics import measure, overlap, shares
from tests.e2e.commands import ROOT
from tests.oracles import flood


def sample(image, *boxes, name="a"):
    """With targets at (row, column, height, width)."""
    mask = np.zeros(image.shape, bool)
    for row, column, height, width in boxes:
        mask[row : row + height, column : column + width] = True
    return Sample(image, mask, name)


def textured(shape=(40, 60), dtype=np.uint8):
    """Columns of 8 and 12: mean 10, standard deviation 2."""
    image = np.full(shape, 8, dtype)
    image[:, ::2] = 12
    return image


def test_by_hand() -> None:
    image = textured()
    image[10:12, 20:23] = 61
    image[39, 0] = 5
    found = measure([sample(image, (10, 20, 2, 3), (39, 0, 1, 1)), sample(textured((16, 32)))])
    images, targets = found.images, found.targets
    assert targets.image.tolist() == [0, 0]
    assert targets.area.tolist() == [6, 1]
    assert targets.border.tolist() == [10, 0]
    assert targets.scr.tolist() == pytest.approx([51 / 2, 5 / 2], rel=0.03)
    assert targets.contrast.tolist() == pytest.approx([51 / 255, -5 / 255], rel=0.03)
    assert images.targets.tolist() == [2, 0]
    assert images.height.tolist() == [40, 16]
    assert images.width.tolist() == [60, 32]
    assert images.mean[1] == pytest.approx(10 / 255)
    assert images.std[1] == pytest.approx(2 / 255)
    assert images.share.tolist() == [7 / 2400, 0]
    assert found.spectra.shape == (2, 20)


@pytest.mark.parametrize(
    ("box", "distance"),
    [((3, 20, 2, 2), 3), ((20, 4, 2, 2), 4), ((33, 20, 2, 2), 5), ((20, 52, 2, 2), 6)],
)
def test_distance_to_each_border(box, distance) -> None:
    assert measure([sample(textured(), box)]).targets.border.tolist() == [distance]


def test_16_bits_are_fractions_of_their_own_range() -> None:
    grey = sample(textured() + np.eye(40, 60, dtype=np.uint8), (10, 20, 2, 3))
    wide = Sample(grey.image.astype(np.uint16) * 257, grey.mask, "b")
    found = measure([grey, wide])
    for column in (found.images.mean, found.images.std, found.targets.contrast, found.targets.scr):
        assert column[0] == pytest.approx(column[1])
    np.testing.assert_allclose(found.spectra[0], found.spectra[1], rtol=1e-5)


def test_what_cannot_be_told_is_nan() -> None:
    flat = np.full((12, 30), 7, np.uint8)
    everywhere = sample(np.eye(5, dtype=np.uint8), (0, 0, 5, 5))
    found = measure([sample(flat, (4, 4, 1, 1)), everywhere])
    assert np.isnan(found.targets.scr).all()
    assert found.targets.contrast[0] == 0
    assert np.isnan(found.targets.contrast[1])  # no background
    assert np.isnan(found.images.slope).all()


def test_no_image_and_no_target() -> None:
    empty = measure([])
    assert empty.spectra.shape == (0, 20)
    assert empty.images.mean.size == empty.targets.area.size == 0
    none = measure([sample(textured())])
    assert none.targets.area.size == 0
    assert none.images.targets.tolist() == [0]


@st.composite
def scenes(draw):
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    image = rng.integers(0, draw(st.integers(1, 200)), shape).astype(dtype)
    mask = rng.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.2, 1.0]))
    return Sample(image, mask, "scene")


@given(scenes())
def test_equals_a_slow_oracle(scene) -> None:
    image, mask, _ = scene
    height, width = image.shape
    full = 255 if image.dtype == np.uint8 else 65535
    every = [
        (r, c)
        for r in range(height)
        for c in range(width)
        if not mask[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].any()
    ]
    expected = []
    for pixels in flood(mask):
        rows, columns = zip(*pixels, strict=True)
        around = [
            float(image[r, c])
            for r, c in every
            if min(rows) - 20 <= r <= max(rows) + 20 and min(columns) - 20 <= c <= max(columns) + 20
        ]
        signal = statistics.fmean(float(image[p]) for p in pixels)
        contrast = signal - statistics.fmean(around) if around else np.nan
        spread = statistics.pstdev(around) if around else 0
        border = min(min(r, c, height - 1 - r, width - 1 - c) for r, c in pixels)
        scr = abs(contrast) / spread if spread else np.nan
        expected.append((len(pixels), border, contrast / full, scr))
    targets = measure([scene]).targets
    got = np.stack([targets.area, targets.border, targets.contrast, targets.scr], axis=1)
    np.testing.assert_allclose(
        sorted(map(tuple, np.nan_to_num(got, nan=-99))),
        sorted(map(tuple, np.nan_to_num(np.reshape(expected, (-1, 4)), nan=-99))),
        rtol=1e-7,
        atol=1e-9,
    )


@given(scenes())
def test_scr_is_that_of_the_sensitivity_report(scene) -> None:
    outcomes = Outcomes()
    outcomes.add(np.zeros_like(scene.mask), scene.mask, scene.image)
    reported = outcomes.compute()["targets"]["scr"]
    targets = measure([scene]).targets
    assert [None if np.isnan(ratio) else ratio for ratio in targets.scr] == reported
    assert targets.area.tolist() == outcomes.compute()["targets"]["area"]


def test_overlap_by_hand() -> None:
    edges = np.array([0.0, 1, 2, 4])
    a, b = np.array([0.5, 0.5, 1.5, 3]), np.array([1.5, 9, -7, np.nan])
    assert shares(a, edges).tolist() == [0.5, 0.25, 0.25]
    assert shares(b, edges).tolist() == pytest.approx([1 / 3] * 3)  # what lies outside counts
    assert overlap(a, b, edges) == pytest.approx(1 / 3 + 1 / 4 + 1 / 4)
    assert overlap(a, np.array([3.0, 3.0]), edges) == 0.25
    assert overlap(np.zeros(3), np.array([4.0]), edges) == 0
    assert np.isnan(overlap(a, np.array([np.nan]), edges))


values = hnp.arrays(float, st.integers(1, 30), elements=st.floats(-5, 5))


@given(values, values)
def test_overlap_is_symmetric_and_1_for_the_same_histograms_only(a, b) -> None:
    edges = np.linspace(-3, 3, 7)
    found = overlap(a, b, edges)
    assert found == overlap(b, a, edges)
    assert 0 <= found <= 1 + 1e-12
    same = np.allclose(shares(a, edges), shares(b, edges), atol=1e-12)
    assert (abs(found - 1) < 1e-9) == same
    assert overlap(a, np.tile(a, 2), edges) == pytest.approx(1)
    assert shares(a, edges).sum() == pytest.approx(1)


def test_imports_no_torch_and_no_matplotlib() -> None:
    code = (
        "import sys\nimport datasets.statistics\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
