"""The sweep over thresholds against labelling from scratch at each of them by a slow oracle."""

import math
import subprocess
import sys

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import UserError
from benchmark.evaluation import create_protocol
from benchmark.evaluation.curves.kernel import compiled, levels, thresholds_below
from benchmark.evaluation.curves.sweep import DEFAULT_THRESHOLDS, PdFaSweep
from benchmark.evaluation.matching import centroid_distances, match
from datasets.components import find_components
from tests.e2e.commands import ROOT
from tests.oracles import oracle_counts, scenes, skimage_components

GENEROUS = settings(deadline=None, derandomize=True)
CURVE_SUMS = ("hits", "false_alarm_pixels", "false_components", "intersection", "predicted")


def swept(*pairs, thresholds=DEFAULT_THRESHOLDS):
    sweep = PdFaSweep(thresholds)
    for prob, mask in pairs:
        sweep.update(prob, mask)
    return sweep.compute()


def from_scratch(prob, mask, thresholds, **oracle):
    """The oracle's counts at each threshold."""
    counts = [oracle_counts(prob.astype(float) > t, mask, **oracle) for t in thresholds]
    return {key: [c[key] for c in counts] for key in CURVE_SUMS}


def sums(curve):
    return {key: curve[key] for key in CURVE_SUMS}


# --- cases made by hypothesis ----------------------------------------------------------------


def made(seed, height, width, shapes, noise):
    """(prob, mask, thresholds): rectangles and frames over one another, and pixels of noise.

    Most probabilities lie on a threshold or next to one. Noise makes components that compete for
    the targets, and cuts others apart.
    """
    rng = np.random.default_rng(seed)
    thresholds = np.sort(rng.choice(np.arange(9) / 8, rng.integers(1, 7), replace=False))
    values = np.array([0, *thresholds, *np.minimum(np.nextafter(thresholds, 2), 1)])
    rows, columns = np.indices((height, width))

    def depth(*sides):
        """In a rectangle that may reach over the border: 0 in its outermost pixels."""
        r, c = rng.integers(-1, (height, width))
        h, w = rng.choice(sides, 2)
        inside = rows - r, columns - c, r + h - 1 - rows, c + w - 1 - columns
        return np.minimum.reduce(inside)

    prob = np.full((height, width), rng.choice([0, rng.choice(values)]))
    for _ in range(shapes):
        where = depth(1, 1, 2, 3, 5, 9)
        prob[where == 0 if rng.random() < 0.4 else where >= 0] = rng.choice(values)
    noisy = rng.random(prob.shape) < noise
    prob[noisy] = rng.random(noisy.sum())
    mask = rng.random(prob.shape) < rng.choice([0, 0.03])
    for _ in range(rng.integers(4)):
        mask |= depth(1, 2, 3) >= 0
    return prob, mask, thresholds.tolist()


side = st.integers(1, 12)
cases = st.builds(
    made,
    seed=st.integers(0, 2**32),
    height=side,
    width=side,
    shapes=st.integers(0, 6),
    noise=st.sampled_from([0, 0.1, 0.4, 1]),
)
pairs = cases.map(lambda case: case[:2])


@settings(GENEROUS, max_examples=2000)
@given(cases)
def test_counts_equal_labelling_from_scratch(case):
    prob, mask, thresholds = case
    curve = swept((prob, mask), thresholds=thresholds)
    assert sums(curve) == from_scratch(prob, mask, thresholds)
    totals = (curve[key] for key in ("targets", "positive", "pixels", "images"))
    expected = (len(skimage_components(mask)), mask.sum(), prob.size, 1)
    assert tuple(totals) == expected


@settings(GENEROUS, max_examples=100)
@given(st.lists(pairs, min_size=2, max_size=5), st.data())
def test_merging_parts_and_reordering_change_nothing(images, data):
    whole = swept(*images)
    assert swept(*data.draw(st.permutations(images))) == whole
    cut = data.draw(st.integers(1, len(images) - 1))
    first, second = PdFaSweep(), PdFaSweep()
    for prob, mask in images[:cut]:
        first.update(prob, mask)
    for prob, mask in images[cut:]:
        second.update(prob, mask)
    second.merge(first)
    assert second.compute() == whole


@settings(GENEROUS, max_examples=200)
@given(cases)
def test_flips_and_transposition_change_nothing(case):
    prob, mask, thresholds = case
    expected = swept((prob, mask), thresholds=thresholds)
    for turned in (np.flipud, np.fliplr, np.transpose, np.rot90):
        assert swept((turned(prob), turned(mask)), thresholds=thresholds) == expected


@settings(GENEROUS, max_examples=100)
@given(st.lists(scenes(), min_size=1, max_size=3))
def test_at_one_half_it_equals_the_protocol(images):
    protocol = create_protocol("native")
    for prob, mask in images:
        protocol.update(prob, mask)
    curve = protocol.details()["curve"]
    half = curve["thresholds"].index(0.5)
    for key in CURVE_SUMS:
        assert curve[key][half] == sum(row[key] for row in protocol.rows), key
    for key in ("targets", "positive"):
        assert curve[key] == sum(row[key] for row in protocol.rows), key
    assert curve["pixels"] == sum(row["height"] * row["width"] for row in protocol.rows)
    assert curve["images"] == len(images)


# --- thresholds ------------------------------------------------------------------------------


def test_default_thresholds():
    t = np.array(DEFAULT_THRESHOLDS)
    assert t.size == 256
    assert (np.diff(t) > 3e-8).all()  # none is there twice, rounded differently
    assert {k / 128 for k in range(128)} <= set(t)
    others = t[~np.isin(t, np.arange(128) / 128)]
    steps = np.delete(np.arange(-64, 65), 64)
    assert np.allclose(np.log(others / (1 - others)) * 4, steps, atol=1e-7)


def network_like(rng, shape):
    """Logits on an uneven background with a few peaks."""
    logits = np.cumsum(np.cumsum(rng.normal(0, 0.5, shape), 0), 1) / 3 - 5
    logits += rng.normal(0, 1.5, shape)
    rows, columns = np.indices(shape)
    mask = np.zeros(shape, bool)
    for _ in range(3):
        r, c = rng.integers(0, shape)
        distance = np.hypot(rows - r, columns - c)
        mask |= distance < 1.8
        r, c = r + rng.normal(0, 1), c + rng.normal(0, 1)
        logits += 9 * np.exp(-(np.hypot(rows - r, columns - c) ** 2) / 4)
    return logits, mask


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_default_sweep_equals_labelling_from_scratch(dtype):
    rng = np.random.default_rng(4)
    for shape in [(16, 24), (23, 17), (1, 30)]:
        logits, mask = network_like(rng, shape)
        prob = (1 / (1 + np.exp(-logits))).astype(dtype)
        # Some pixels lie on a threshold (exactly, in float64), where the comparison is strict.
        ties = rng.random(shape) < 0.1
        prob[ties] = rng.choice(DEFAULT_THRESHOLDS, ties.sum()).astype(dtype)
        curve = swept((prob, mask))
        assert sums(curve) == from_scratch(prob, mask, DEFAULT_THRESHOLDS)
    assert len(set(curve["false_components"])) > 3  # the maps do change along the sweep


def test_all_levels_of_a_16_bit_map():
    """65 536 thresholds; the oracle is asked once for each different map."""
    rng = np.random.default_rng(5)
    logits, mask = network_like(rng, (15, 18))
    grey = np.rint(65535 / (1 + np.exp(-logits))).astype(int)
    thresholds = np.arange(65536) / 65535
    curve = swept((grey / 65535, mask), thresholds=thresholds)
    # The map at a threshold is that at the highest grey value up to it, or all ones below.
    values = np.unique(grey)
    kinds = from_scratch(grey, mask, [-1, *values])
    place = np.searchsorted(values, np.arange(65536), side="right")
    assert sums(curve) == {key: np.array(kinds[key])[place].tolist() for key in CURVE_SUMS}


def test_levels_are_the_numbers_of_thresholds_exceeded():
    rng = np.random.default_rng(6)
    tiny = 10.0 ** rng.uniform(-323, 0, 3000)
    edges = [0, -0.0, 5e-324, 2.0**-40, np.nextafter(2.0**-40, 0), np.nextafter(1, 0), 1]
    for thresholds in (
        np.array(DEFAULT_THRESHOLDS),
        np.arange(65536) / 65535,
        np.unique(tiny[:400]),
        np.array([0.0]),
        np.array([5e-324, 0.5, np.nextafter(1, 0), 1]),
    ):
        near = np.clip([np.nextafter(thresholds, 0), np.nextafter(thresholds, 2)], 0, 1).ravel()
        prob = np.concatenate([edges, thresholds, near, tiny, 1 - tiny, rng.random(3000)])[None]
        got = levels(prob, thresholds, thresholds_below(thresholds))
        assert np.array_equal(got, np.searchsorted(thresholds, prob, side="left"))


@pytest.mark.parametrize("bad", [[], [0.5, 0.5], [0.6, 0.5], [-0.1, 0.5], [0.5, 1.1], [math.nan]])
def test_bad_thresholds_are_refused(bad):
    with pytest.raises(UserError, match="thresholds must increase"):
        PdFaSweep(bad)


# --- cases of their own ----------------------------------------------------------------------


def test_an_empty_map_and_a_full_one():
    mask = np.zeros((6, 8), bool)
    mask[2, 3] = True
    thresholds = [0.0, 0.5, 1.0]
    empty, full = (np.zeros((6, 8)), mask), (np.ones((6, 8)), mask)
    assert swept(empty, thresholds=thresholds)["predicted"] == [0, 0, 0]  # 0 > 0 is false
    assert swept(empty, full, thresholds=thresholds) == {
        "thresholds": thresholds,
        "hits": [1, 1, 0],  # the whole image has its centroid at (2.5, 3.5)
        "false_alarm_pixels": [0, 0, 0],
        "false_components": [0, 0, 0],
        "intersection": [1, 1, 0],
        "predicted": [48, 48, 0],
        "targets": 2,
        "positive": 2,
        "pixels": 96,
        "images": 2,
    }


def test_crowds_where_most_thresholds_leave_a_choice():
    """Lone pixels that grow together, among targets so near that they compete for them."""
    rng = np.random.default_rng(7)
    contested = 0
    for spacing in (2, 3):
        prob = rng.random((24, 24)) * 0.3
        prob[::spacing, ::spacing] += 0.7 * rng.random(prob[::spacing, ::spacing].shape)
        mask = np.zeros((24, 24), bool)
        mask[1::3, ::4] = rng.random((8, 6)) < 0.8
        targets = find_components(mask)
        curve = swept((prob, mask))
        for k, threshold in enumerate(DEFAULT_THRESHOLDS):
            regions = skimage_components(prob > threshold)
            predictions = find_components(prob > threshold)
            assert len(regions) == len(predictions)
            pairs = match(targets, predictions)
            assert curve["hits"][k] == len(pairs)
            hit_area = sum(predictions.area[p] for _, p in pairs)
            assert curve["false_alarm_pixels"][k] == (prob > threshold).sum() - hit_area
            assert curve["false_components"][k] == len(regions) - len(pairs)
            near = centroid_distances(targets, predictions) < 3
            contested += (near.sum(0) > 1).any() and (near.sum(1) > 1).any()
    assert contested > 150


def test_sums_of_a_large_map_are_exact():
    """Index sums beyond 2**31, and a distance that one pixel of four millions brings below 3."""
    prob, mask = np.ones((2001, 2001)), np.zeros((2001, 2001), bool)
    mask[1003, 1000] = True  # 3 px from the centre
    assert swept((prob, mask), thresholds=[0.5])["hits"] == [0]
    prob[0, 1000] = 0
    assert swept((prob, mask), thresholds=[0.5])["hits"] == [1]
    prob[0, 1000], prob[2000, 1000] = 1, 0
    assert swept((prob, mask), thresholds=[0.5])["hits"] == [0]


def test_input_is_checked_and_only_like_is_merged():
    with pytest.raises(UserError, match=r"image 'x': prob has shape \(2, 2\)"):
        PdFaSweep().update(np.zeros((2, 2)), np.zeros((2, 3), bool), "x")
    with pytest.raises(UserError, match="different thresholds"):
        PdFaSweep([0.1, 0.2]).merge(PdFaSweep([0.1, 0.3]))


# --- Numba -----------------------------------------------------------------------------------


def test_compiles_where_no_cache_can_be_written(tmp_path, monkeypatch):
    """Files stand where Numba would make its folders, as root may write anywhere."""
    (tmp_path / "__pycache__").touch()
    (tmp_path / "cache").touch()
    (tmp_path / "read_only.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from read_only import double

    with pytest.raises(RuntimeError, match="no locator available"):
        numba.njit(double, cache=True)
    assert compiled(double)(21) == 42


def test_numba_is_not_imported_before_a_sweep_is_made():
    code = (
        "import sys\nfrom benchmark.evaluation import create_protocol\n"
        "create_protocol('native', details=False)\nassert 'numba' not in sys.modules\n"
        "create_protocol('native')\nassert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
