"""What became of targets and false alarms: cases worked out by hand, and a slow oracle.

The oracle fills components pixel by pixel, measures every distance between every two pixels, and
takes only the matching itself from the code under test (it has an oracle of its own).
"""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.evaluation import create_protocol
from benchmark.evaluation.matching import match
from benchmark.evaluation.outcomes import Outcomes
from benchmark.records.record import FalseAlarms, Scores, Targets
from datasets.components import label_components

GENEROUS = settings(deadline=None, derandomize=True)


def drawn(*rectangles: tuple[int, int, int, int], shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    """A map with rectangles (row, column, height, width) on."""
    on = np.zeros(shape, bool)
    for r, c, h, w in rectangles:
        on[r : r + h, c : c + w] = True
    return on


def found(predicted: np.ndarray, mask: np.ndarray, image: np.ndarray | None = None) -> tuple:
    """Targets and false alarms of one image, checked against the schema of records."""
    outcomes = Outcomes()
    outcomes.add(predicted, mask, image)
    columns = outcomes.compute()
    return Targets(**columns["targets"]), FalseAlarms(**columns["false_alarms"])


# --- one case a rule -------------------------------------------------------------------------


def test_hit() -> None:
    # Centroids (11, 11) and (11.5, 12): 3 x 3 against 4 x 5 pixels, 9 of them shared.
    targets, false = found(drawn((10, 10, 4, 5)), drawn((10, 10, 3, 3)))
    assert targets.outcome == ["hit"]
    assert (targets.area, targets.predicted_area, targets.intersection) == ([9], [20], [9])
    assert targets.distance == [pytest.approx(math.sqrt(1.25))]
    assert false.area == []


def test_a_hit_need_not_overlap() -> None:
    """A ring around the target has the same centroid and no pixel in common."""
    ring = drawn((8, 8, 5, 5)) & ~drawn((9, 9, 3, 3))
    targets, _ = found(ring, drawn((10, 10, 1, 1)))
    assert targets.outcome == ["hit"]
    assert (targets.predicted_area, targets.intersection) == ([16], [0])
    assert targets.distance == [0.0]


@pytest.mark.parametrize(("column", "outcome"), [(13, "shifted"), (14, "unseen")])
def test_a_prediction_counts_up_to_three_pixels_from_the_target(column: int, outcome: str) -> None:
    """Target columns 6-10, centroid 8; one predicted pixel, centroids 5 or 6 px apart."""
    targets, false = found(drawn((10, column, 1, 1)), drawn((10, 6, 1, 5)))
    assert targets.outcome == [outcome]
    assert (targets.predicted_area, targets.intersection) == ([0], [0])
    assert targets.distance == [None]
    assert (false.area, false.distance) == ([1], [column - 10.0])


def test_three_pixels_diagonally_are_near() -> None:
    targets, _ = found(drawn((13, 13, 1, 1)), drawn((10, 10, 1, 1)))  # sqrt(18) px apart
    assert targets.outcome == ["shifted"]
    targets, _ = found(drawn((14, 13, 1, 1)), drawn((10, 10, 1, 1)))
    assert targets.outcome == ["unseen"]


def test_overlap_with_a_far_centroid_is_shifted() -> None:
    targets, false = found(drawn((10, 10, 1, 9)), drawn((10, 10, 1, 2)))  # centroids 3.5 px apart
    assert targets.outcome == ["shifted"]
    assert (false.area, false.distance) == ([9], [0.0])


def test_one_prediction_over_two_targets() -> None:
    """Columns 10-11 and 16-17 below one blob of 10-17: both centroids are 3 px off."""
    targets, false = found(drawn((10, 10, 1, 8)), drawn((10, 10, 1, 2), (10, 16, 1, 2)))
    assert targets.outcome == ["merged", "merged"]
    assert (false.area, false.distance) == ([8], [0.0])


def test_a_neighbour_takes_the_prediction() -> None:
    targets, _ = found(drawn((10, 10, 1, 3)), drawn((10, 11, 1, 1), (10, 14, 1, 1)))
    assert targets.outcome == ["hit", "merged"]


def test_a_matched_prediction_with_no_pixel_near_the_target() -> None:
    """Only the centroids are close: both targets lie within a wide ring, 4 px from it or more."""
    ring = drawn((3, 3, 15, 15)) & ~drawn((4, 4, 13, 13))  # centroid (10, 10)
    targets, _ = found(ring, drawn((10, 10, 1, 1), (10, 12, 1, 1)))
    assert targets.outcome == ["hit", "merged"]
    targets, _ = found(ring, drawn((10, 10, 1, 1), (10, 13, 1, 1)))  # centroids 3 px apart
    assert targets.outcome == ["hit", "unseen"]


def test_a_prediction_of_its_own_beside_a_shared_one_is_still_merged() -> None:
    mask = drawn((10, 10, 1, 2), (10, 16, 1, 2))
    targets, false = found(drawn((10, 10, 1, 8), (13, 10, 1, 1)), mask)
    assert targets.outcome == ["merged", "merged"]  # the lone pixel is sqrt(9.25) px off
    assert (false.area, false.distance) == ([8, 1], [0.0, 3.0])


def test_a_target_in_the_bounding_box_of_another_is_not_taken_for_it() -> None:
    """An L of 31 pixels around a lone one, which alone has a prediction."""
    mask = drawn((5, 5, 16, 1), (20, 5, 1, 16), (8, 17, 1, 1))
    image = np.full((40, 60), 8, np.uint8)
    image[:, ::2] = 12
    image[mask] = 100
    image[8, 17] = 250
    targets, _ = found(drawn((8, 18, 1, 1)), mask, image)
    assert targets.outcome == ["unseen", "hit"]
    assert targets.scr[0] == pytest.approx((100 - 10) / 2, rel=0.02)


def test_scr_by_hand() -> None:
    """Half of the background is 8, half 12: mean 10, deviation 2. Target mean 20: SCR 5."""
    image = np.full((90, 90), 8, np.uint8)
    image[:, ::2] = 12
    image[:, 65:] = 255  # further than 20 px from the target's columns 43-44
    mask = drawn((40, 43, 2, 2), shape=(90, 90))
    image[39:43, 42:46] = 99  # the ring of 1 px around it is no background
    image[40, 43:45], image[41, 43:45] = 15, 25
    targets, _ = found(np.zeros_like(mask), mask, image)
    assert targets.scr == [pytest.approx(5)]
    targets, _ = found(np.zeros_like(mask), mask, (image.astype(np.uint16) + 3) * 200)
    assert targets.scr == [pytest.approx(5)]  # neither an offset nor a gain changes it


def test_scr_leaves_out_other_targets_and_the_outside_of_the_image() -> None:
    image = np.full((6, 8), 10, np.uint8)
    image[:, ::2] = 14
    image[0, 0] = 100  # the target, in a corner
    image[3:, 4:] = 200  # the other target and its ring
    mask = drawn((0, 0, 1, 1), (4, 5, 2, 3), shape=(6, 8))
    targets, _ = found(np.zeros_like(mask), mask, image)
    kept = [image[r, c] for r in range(6) for c in range(8) if max(r, c) > 1 and (r < 3 or c < 4)]
    expected = (100 - statistics.fmean(kept)) / statistics.pstdev(map(float, kept))
    assert targets.scr[0] == pytest.approx(expected)


def test_scr_of_a_dark_target_is_positive_and_none_where_it_cannot_be_told() -> None:
    mask = drawn((10, 10, 2, 2))
    image = np.tile(np.array([100, 120], np.uint8), (40, 30))
    image[mask] = 90  # 20 below the mean of a background with deviation 10
    assert found(mask, mask, image)[0].scr == [pytest.approx(2, rel=0.01)]
    assert found(mask, mask, np.full((40, 60), 7, np.uint8))[0].scr == [None]  # flat
    assert found(mask, mask, None)[0].scr == [None]
    everywhere = np.ones((5, 5), bool)
    assert found(everywhere, everywhere, np.eye(5, dtype=np.uint8))[0].scr == [None]


def test_false_alarms() -> None:
    mask = drawn((10, 10, 1, 1), (30, 50, 1, 1))
    # The first is 3 rows and 4 columns from the first target, the second 20 rows below it, the
    # third 5 px from the other one, which is nearer.
    targets, false = found(drawn((13, 14, 2, 3), (30, 10, 1, 1), (30, 45, 1, 1)), mask)
    assert (false.image, false.area) == ([0, 0, 0], [6, 1, 1])
    assert false.distance == [5.0, 20.0, 5.0]
    assert targets.outcome == ["unseen", "unseen"]


def test_the_second_best_prediction_on_a_target_is_a_false_alarm_at_distance_0() -> None:
    _, false = found(drawn((10, 10, 1, 2), (10, 13, 1, 1)), drawn((10, 10, 1, 4)))
    assert (false.area, false.distance) == ([1], [0.0])


def test_without_targets_or_predictions() -> None:
    nothing = drawn()
    targets, false = found(drawn((1, 2, 3, 4)), nothing)
    assert targets.image == []
    assert (false.image, false.area, false.distance) == ([0], [12], [None])
    targets, false = found(nothing, drawn((1, 2, 3, 4)))
    assert targets.outcome == ["unseen"]
    assert false.image == []


# --- against the oracle ----------------------------------------------------------------------


def oracle(predicted: np.ndarray, mask: np.ndarray, image: np.ndarray | None) -> dict:
    targets, predictions = pixels_of(mask), pixels_of(predicted)
    pairs = match(label_components(mask)[0], label_components(predicted)[0])
    partner, owner = dict(pairs), {p: t for t, p in pairs}

    def overlaps(t: int, p: int) -> bool:
        return bool(set(targets[t]) & set(predictions[p]))

    def kind(t: int) -> str:
        near = [
            p for p in range(len(predictions))
            if min(max(abs(a - c), abs(b - d)) for (a, b), (c, d)
                   in itertools.product(targets[t], predictions[p])) <= 3
            or centroid_distance(targets[t], predictions[p]) < 3 - 1e-9
        ]  # fmt: skip
        others = [o for o in range(len(targets)) if o != t]
        if any(p in owner or any(overlaps(o, p) for o in others) for p in near):
            return "merged"
        return "shifted" if near else "unseen"

    def clutter(t: int) -> float | None:
        rows, columns = zip(*targets[t], strict=True)
        around = [
            float(image[r, c]) for r in range(image.shape[0]) for c in range(image.shape[1])
            if min(rows) - 20 <= r <= max(rows) + 20 and min(columns) - 20 <= c <= max(columns) + 20
            and not mask[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].any()
        ]  # fmt: skip
        if not around or statistics.pstdev(around) == 0:
            return None
        signal = statistics.fmean(float(image[pixel]) for pixel in targets[t])
        return abs(signal - statistics.fmean(around)) / statistics.pstdev(around)

    everything = [pixel for target in targets for pixel in target]
    number = range(len(targets))
    false = [p for p in range(len(predictions)) if p not in owner]
    hits = {t: predictions[p] for t, p in partner.items()}
    return {
        "targets": {
            "image": [0 for _ in number],
            "area": [len(targets[t]) for t in number],
            "scr": [None if image is None else clutter(t) for t in number],
            "outcome": ["hit" if t in hits else kind(t) for t in number],
            "predicted_area": [len(hits.get(t, [])) for t in number],
            "intersection": [len(set(targets[t]) & set(hits.get(t, []))) for t in number],
            "distance": [
                centroid_distance(targets[t], hits[t]) if t in hits else None for t in number
            ],
        },
        "false_alarms": {
            "image": [0 for _ in false],
            "area": [len(predictions[p]) for p in false],
            "distance": [
                min(math.dist(*pair) for pair in itertools.product(everything, predictions[p]))
                if everything else None
                for p in false
            ],
        },
    }  # fmt: skip


def pixels_of(on: np.ndarray) -> list[list[tuple[int, int]]]:
    """Pixels of each component, in scan order of the first ones."""
    left = [(r, c) for r, c in np.argwhere(on).tolist()]
    components = []
    while left:
        component = [left.pop(0)]
        for r, c in component:
            near = [(a, b) for a, b in left if abs(a - r) <= 1 and abs(b - c) <= 1]
            component += near
            left = [pixel for pixel in left if pixel not in near]
        components.append(component)
    return components


def centroid_distance(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> float:
    return math.dist(np.mean(first, axis=0), np.mean(second, axis=0))


@st.composite
def scenes(draw: st.DrawFn) -> tuple:
    """(predicted, mask, image) with a few rectangles, close enough to compete for each other."""
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 26))
    rectangle = st.tuples(
        st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1),
        st.sampled_from([1, 1, 2, 3]), st.sampled_from([1, 1, 2, 5]),
    )  # fmt: skip
    mask = drawn(*draw(st.lists(rectangle, max_size=4)), shape=shape)
    predicted = drawn(*draw(st.lists(rectangle, max_size=5)), shape=shape)
    kind = draw(st.sampled_from([None, np.uint8, np.uint16]))
    if kind is None:
        return predicted, mask, None
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return predicted, mask, rng.integers(0, np.iinfo(kind).max, shape, dtype=kind)


@settings(GENEROUS, max_examples=400)
@given(scenes())
def test_equal_to_the_oracle(scene: tuple) -> None:
    outcomes = Outcomes()
    outcomes.add(*scene)
    got, expected = outcomes.compute(), oracle(*scene)
    for part in expected:
        for name, column in expected[part].items():
            assert got[part][name] == pytest.approx(column, abs=5e-4), name


@settings(GENEROUS, max_examples=60)
@given(st.lists(scenes(), max_size=5), st.integers(0, 5))
def test_merging_parts_equals_the_whole(several: list, cut: int) -> None:
    whole, first, second = Outcomes(), Outcomes(), Outcomes()
    for number, scene in enumerate(several):
        whole.add(*scene)
        (first if number < cut else second).add(*scene)
    before = second.compute()
    first.merge(second)
    assert first.compute() == whole.compute()
    assert first.images == len(several)
    assert second.compute() == before


@settings(GENEROUS, max_examples=60)
@given(scenes())
def test_flips_change_only_the_order(scene: tuple) -> None:
    def lines(turn: object) -> list:
        outcomes = Outcomes()
        outcomes.add(*(np.ascontiguousarray(turn(m)) if m is not None else None for m in scene))
        parts = outcomes.compute()
        parts["targets"].pop("scr")  # equal to rounding errors only
        return [sorted(zip(*part.values(), strict=True), key=repr) for part in parts.values()]

    assert lines(np.fliplr) == lines(np.rot90) == lines(np.asarray)


# --- in the protocol -------------------------------------------------------------------------


def test_the_protocol_keeps_outcomes_that_agree_with_its_rows() -> None:
    rng = np.random.default_rng(3)
    protocol, other = create_protocol("native"), create_protocol("native")
    for number in range(6):
        mask = rng.random((50, 40)) < 0.004
        prob = np.where(rng.random((50, 40)) < 0.01, 0.9, 0.1)
        prob[mask & (rng.random((50, 40)) < 0.7)] = 0.8
        image = rng.integers(0, 255, (50, 40), dtype=np.uint8)
        (protocol if number < 4 else other).update(prob, mask, str(number), image)
    protocol.merge(other)
    scores = Scores(protocol="native", version=1, metrics={}, images=protocol.rows,
                    **protocol.details())  # fmt: skip
    targets, false = scores.targets, scores.false_alarms
    assert None not in targets.scr
    for place, row in enumerate(scores.images):
        mine = [i for i, image in enumerate(targets.image) if image == place]
        theirs = [i for i, image in enumerate(false.image) if image == place]
        assert (len(mine), len(theirs)) == (row.targets, row.false_components)
        assert sum(targets.outcome[i] == "hit" for i in mine) == row.hits
        assert sum(targets.area[i] for i in mine) == row.positive
        assert sum(false.area[i] for i in theirs) == row.false_alarm_pixels
    assert sum(row.hits for row in scores.images) > 5
    assert "targets" not in create_protocol("native", details=False).details()
