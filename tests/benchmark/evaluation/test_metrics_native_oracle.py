"""The `native` protocol against a slow oracle that shares no code with it, and its invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from skimage.measure import label, regionprops

from benchmark.evaluation import create_protocol
from benchmark.evaluation.matching import match
from datasets.components import Components, find_components
from tests.oracles import oracle_counts, scenes, skimage_components

# --- cases made by hypothesis ----------------------------------------------------------------

GENEROUS = settings(deadline=None, derandomize=True)


def scored(*pairs, details=False):
    protocol = create_protocol("native", details=details)
    for prob, mask in pairs:
        protocol.update(prob, mask)
    return protocol


def everything(protocol):
    """All results; the rows sorted, since they come in the order of the updates."""
    rows = sorted(tuple(row.items()) for row in protocol.rows)
    return rows, protocol.compute(), protocol.details().get("curve")


@settings(GENEROUS, max_examples=1000)
@given(scenes())
def test_counts_equal_the_oracle(scene):
    prob, mask = scene
    row = scored(scene).rows[0]
    expected = oracle_counts(prob > 0.5, mask)
    assert {key: row[key] for key in expected} == expected


def test_counts_equal_the_oracle_on_single_pixels():
    """Lone pixels on a coarse grid: many equal distances, so the tie rules decide."""
    rng = np.random.default_rng(0)
    for _ in range(1500):
        prob, mask = np.zeros((9, 11)), np.zeros((9, 11), bool)
        prob[tuple(rng.integers(0, (9, 11), (5, 2)).T)] = 1
        mask[tuple(rng.integers(0, (9, 11), (4, 2)).T)] = True
        row = scored((prob, mask)).rows[0]
        expected = oracle_counts(prob > 0.5, mask)
        assert {key: row[key] for key in expected} == expected


@settings(GENEROUS, max_examples=150)
@given(st.lists(scenes(), min_size=1, max_size=5), st.data())
def test_merging_parts_and_reordering_change_nothing(pairs, data):
    whole = everything(scored(*pairs, details=True))
    assert everything(scored(*data.draw(st.permutations(pairs)), details=True)) == whole
    cut = data.draw(st.integers(0, len(pairs)))
    first, second = scored(*pairs[:cut], details=True), scored(*pairs[cut:], details=True)
    second.merge(first)
    assert everything(second) == whole


def test_many_images_in_any_order_give_the_same_bits():
    rng = np.random.default_rng(1)
    pairs = [(rng.random((7, 9)), rng.random((7, 9)) < 0.3) for _ in range(300)]
    numbers = scored(*pairs).compute()
    naive = [row["intersection"] for row in scored(*pairs).rows]
    assert len(set(naive)) > 3  # the images differ
    for _ in range(5):
        shuffled = [pairs[i] for i in rng.permutation(len(pairs))]
        assert scored(*shuffled).compute() == numbers


@settings(GENEROUS, max_examples=150)
@given(scenes())
def test_flips_and_transposition_change_nothing(scene):
    prob, mask = scene
    expected = scored(scene, details=True)
    for turned in (np.flipud, np.fliplr, np.transpose, np.rot90):
        got = scored((turned(prob), turned(mask)), details=True)
        assert got.compute() == expected.compute()
        assert got.details()["curve"] == expected.details()["curve"]


@settings(GENEROUS, max_examples=300)
@given(scenes(), st.integers(1, 4), st.integers(1, 4))
def test_an_isolated_false_component_costs_exactly_its_pixels(scene, height, width):
    prob, mask = (np.pad(m, ((0, 4), (0, 10))) for m in scene)
    worse = prob.copy()
    worse[:height, -width:] = 1  # at least 6 columns from anything else
    before, after = scored((prob, mask)), scored((worse, mask))
    numbers, worse_numbers = before.compute(), after.compute()
    assert worse_numbers["iou"] <= numbers["iou"]
    assert worse_numbers["pd"] == numbers["pd"]
    assert worse_numbers["false_alarms_per_image"] == numbers["false_alarms_per_image"] + 1
    added = after.rows[0]["false_alarm_pixels"] - before.rows[0]["false_alarm_pixels"]
    assert added == height * width
    assert worse_numbers["fa"] == after.rows[0]["false_alarm_pixels"] / prob.size


@settings(GENEROUS, max_examples=150)
@given(scenes())
def test_the_truth_is_perfect(scene):
    mask = scene[1]
    protocol = scored((mask.astype(float), mask), details=True)
    numbers = protocol.compute()
    for key in ("iou", "niou", "precision", "recall", "f1", "pd"):
        assert numbers[key] == 1, key
    assert numbers["fa"] == numbers["false_alarms_per_image"] == 0
    assert set(protocol.details()["curve"]["hits"]) == {numbers["n_targets"]}


# --- parts -----------------------------------------------------------------------------------


def test_components_equal_scikit_image():
    rng = np.random.default_rng(2)
    for density in (0.01, 0.1, 0.3, 0.5, 0.9):
        binary = rng.random((57, 83)) < density
        binary[:3] = binary[:, -5:] = False  # so that the part in use is not the whole image
        found = find_components(binary)
        regions = skimage_components(binary)
        expected = sorted((len(p), *map(sum, zip(*p, strict=True))) for p in regions)
        ours = zip(found.area, found.row_sum, found.column_sum, strict=True)
        assert sorted(ours) == expected
        assert sorted(map(tuple, found.centroids)) == sorted(
            r.centroid for r in regionprops(label(binary, connectivity=2))
        )


def test_components_of_a_large_map_are_exact():
    binary = np.zeros((1500, 2000), bool)
    binary[3:, 5:] = True
    binary[-1, -1] = False
    rows, columns = np.nonzero(binary)
    found = find_components(binary)
    assert (found.area[0], found.row_sum[0], found.column_sum[0]) == (
        binary.sum(),
        rows.sum(),
        columns.sum(),
    )


def test_a_crowded_map_gets_the_most_hits_at_nearly_the_least_distance():
    """Hundreds of components in one cluster, one of them large: distance steps become coarser."""
    rng = np.random.default_rng(3)
    on = np.zeros((2, 120, 120), bool)
    on[0, 15:105:3, 15:105:3] = rng.random((30, 30)) < 0.7
    on[1, 16:106:3, 16:106:3] = rng.random((30, 30)) < 0.7
    on[1, :10] = on[1, -10:] = on[1, :, :10] = on[1, :, -10:] = True  # a frame, centred
    targets, predictions = map(find_components, on)
    delta = targets.centroids[:, None] - predictions.centroids[None]
    distance = np.hypot(delta[..., 0], delta[..., 1])

    pairs = match(targets, predictions)
    t, p = map(list, zip(*pairs, strict=True))
    assert len(set(t)) == len(set(p)) == len(pairs)
    assert (distance[t, p] < 3).all()
    partner = maximum_bipartite_matching(csr_matrix(distance < 3))
    assert len(pairs) == (partner >= 0).sum() > 400
    best = linear_sum_assignment(np.where(distance < 3, distance, 1e5))
    least = distance[best][distance[best] < 3].sum()
    assert least - 1e-6 < distance[t, p].sum() < least + 0.5


@pytest.mark.parametrize("larger", [0, 1])
def test_ties_are_exact_where_the_packed_cost_would_not_fit_float64(larger):
    """Two equally near predictions, one pixel apart in area, far larger than any real image."""
    areas = np.full(2, 2**34)
    areas[larger] += 1
    target = Components(*np.array([[1], [10], [10]]))
    predictions = Components(areas, 10 * areas, np.array([8, 12]) * areas)
    assert match(target, predictions) == [(0, larger)]
