"""Values worked by hand, and slow plain-Python versions of the formulas."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from losses import create_loss
from losses.cross_entropy import bce, focal
from losses.moments import moments, profiles
from losses.regions import find_regions
from losses.sls import REACH, Pair, centroid_term, target_centroid_term
from losses.tversky import tversky
from losses.wasserstein import nwd
from tests.oracles import flood

MAIN = 10
TARGET = ("....", ".##.", ".##.", "....")  # T = 4
SHIFTED = ("....", "..##", "..##", "....")  # P = 4, I = 2, U = 6, one column off
HALF = ("....", ".#..", ".#..", "....")  # P = 2, I = 2, U = 4
NOTHING = ("....",) * 4
ln2 = math.log(2)


def mask(*rows: str) -> torch.Tensor:
    return torch.tensor([[c == "#" for c in row] for row in rows]).float()[None, None]


def sure(*rows: str) -> torch.Tensor:
    """Logits of +-100: probabilities of 1 and (in float32 next to nothing above) 0."""
    return 200 * mask(*rows) - 100


def rectangle(y, x, h, w, shape=(40, 48)) -> torch.Tensor:
    m = torch.zeros(1, 1, *shape)
    m[..., y : y + h, x : x + w] = 1
    return m


def centroid(prob: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return centroid_term(Pair.of(prob, target))


def random_maps(seed=0, shape=(3, 1, 6, 9)) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and a soft target, float64."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return logits, torch.rand(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "options", "prediction", "expected"),
    [
        ("soft_iou", {}, SHIFTED, 1 - 3 / 7),
        ("dice", {}, TARGET, 0),
        ("dice", {}, SHIFTED, 1 - 5 / 9),
        ("dice", {}, HALF, 1 - 5 / 7),
        ("dice", {}, NOTHING, 1 - 1 / 5),
        ("dice_mshnet", {}, TARGET, 1 - 9 / 13),
        ("dice_mshnet", {}, SHIFTED, 1 - 5 / 11),
        ("tversky", {}, TARGET, 0),
        ("tversky", {}, SHIFTED, 1 - 3 / (2 + 0.3 * 2 + 0.7 * 2 + 1)),
        ("tversky", {}, HALF, 1 - 3 / (2 + 0.7 * 2 + 1)),
        ("tversky", {"alpha": 0.7, "beta": 0.3}, HALF, 1 - 3 / (2 + 0.3 * 2 + 1)),
        ("scale_iou", {}, TARGET, 0),
        ("scale_iou", {}, SHIFTED, 1 - 2 / 6),  # sizes agree: alpha = 1
        ("scale_iou", {}, HALF, 1 - 3 / 5 * 2 / 4),  # V = 1, alpha = (2 + 1) / (4 + 1)
        ("scale_iou", {"warm_epoch": MAIN}, HALF, 1 - 2 / 4),
        ("sls_centroid", {}, TARGET, 0),
        ("sls_centroid", {}, SHIFTED, 1 - 2 / 6 + 1 / math.sqrt(32)),
        ("sls_centroid", {}, HALF, 1 - 3 / 5 * 2 / 4 + 0.5 / math.sqrt(32)),
        ("sls_centroid", {"with_location": False}, HALF, 1 - 3 / 5 * 2 / 4),
        ("sls_centroid", {"warm_epoch": MAIN}, HALF, 1 - 2 / 4),
        ("nwd", {"iou_weight": 0}, TARGET, 0),
        ("nwd", {"iou_weight": 0}, SHIFTED, 1 - math.exp(-1 / 12.8)),
        ("nwd", {"iou_weight": 0}, HALF, 1 - math.exp(-math.sqrt(0.5**2 + 0.5**2) / 12.8)),
        ("nwd", {"iou_weight": 0, "constant": 1}, SHIFTED, 1 - math.exp(-1)),
        ("nwd", {"iou_weight": 1}, SHIFTED, 1 - 3 / 7),
        ("nwd", {}, SHIFTED, (1 - math.exp(-1 / 12.8) + 1 - 3 / 7) / 2),
        ("bce", {}, SHIFTED, 4 * 100 / 16),  # 2 misses and 2 false alarms among 16 pixels
        ("focal", {}, SHIFTED, (2 * 0.25 + 2 * 0.75) * 100 / 16),
        ("focal", {"per_target_pixel": True}, SHIFTED, (2 * 0.25 + 2 * 0.75) * 100 / 4),
        ("bce_soft_iou", {}, SHIFTED, 4 * 100 / 16 + 1 - 3 / 7),
    ],
)
def test_sure_predictions(name, options, prediction, expected):
    value = create_loss(name, **options)(sure(*prediction), mask(*TARGET), MAIN)
    assert value.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("bce", {}, ln2),
        ("focal", {}, (4 * 0.25 + 12 * 0.75) * 0.5**2 * ln2 / 16),
        ("focal", {"alpha": None}, 0.5**2 * ln2),
        ("focal", {"alpha": None, "gamma": 0.5}, 0.5**0.5 * ln2),
        ("focal", {"alpha": None, "per_target_pixel": True}, 16 * 0.5**2 * ln2 / 4),
        ("dice", {}, 1 - 5 / 13),
        ("bce_soft_iou", {}, ln2 + 1 - 3 / 11),
    ],
)
def test_undecided_predictions(name, options, expected):
    """P = 8, T = 4, I = 2, U = 10."""
    value = create_loss(name, **options)(torch.zeros(1, 1, 4, 4), mask(*TARGET), MAIN)
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_location_by_hand():
    """Moments (1/8, 0) and (1/8, 1/8): angles 0 and pi / 4, lengths 1/8 and sqrt(2) / 8."""
    value = create_loss("location")(sure(".#", ".."), mask("..", ".#"), MAIN)
    expected = 1 - 1 / math.sqrt(2) + 4 / math.pi**2 * (math.pi / 4) ** 2
    assert value.item() == pytest.approx(expected, abs=1e-5)


def test_bce_is_torch():
    logits, target = random_maps()
    expected = F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(create_loss("bce")(logits, target, 0), expected)
    torch.testing.assert_close(bce(logits, target).mean(), expected)


def test_relations_between_losses():
    logits, target = random_maps()
    prob = logits.sigmoid()
    P, T, I = (m.sum((1, 2, 3)) for m in (prob, target, prob * target))  # noqa: E741

    def same(a, b):
        torch.testing.assert_close(a(logits, target, 0), b(logits, target, 0))

    same(create_loss("tversky", alpha=1, beta=1), create_loss("soft_iou"))
    same(create_loss("nwd", iou_weight=1), create_loss("soft_iou"))
    same(create_loss("focal", alpha=None, gamma=0), create_loss("bce"))
    both = create_loss("bce")(logits, target, 0) + create_loss("soft_iou")(logits, target, 0)
    torch.testing.assert_close(create_loss("bce_soft_iou")(logits, target, 0), both)
    torch.testing.assert_close(tversky(prob, target, 0.5, 0.5), (2 * I + 2) / (P + T + 2))


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 4])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
def test_focal_oracle(alpha, gamma):
    logits, target = random_maps()
    target = torch.where(target > 0.7, 1.0, target.where(target < 0.3, 0.0)).double()
    on, off = (1, 1) if alpha is None else (alpha, 1 - alpha)
    values = []
    for z, t in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        hit = -on * (1 - p) ** gamma * math.log(p)
        alarm = -off * p**gamma * math.log(1 - p)
        values.append(t * hit + (1 - t) * alarm)
    found = focal(logits, target, alpha, gamma)
    torch.testing.assert_close(found.flatten(), torch.tensor(values).double(), rtol=1e-6, atol=0)
    loss = create_loss("focal", alpha=alpha, gamma=gamma, per_target_pixel=True)
    expected = sum(values) / target.sum().item()
    assert loss(logits, target, 0).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 5.0])
def test_focal_is_finite_for_every_gamma(gamma):
    logits = torch.tensor([-100.0, -20, 0, 20, 100]).reshape(1, 1, 1, 5).requires_grad_()
    for level in (0.0, 0.5, 1.0):
        value = focal(logits, torch.full_like(logits, level), gamma=gamma).sum()
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.5, 0.5), (2, 0)])
def test_tversky_oracle(alpha, beta):
    logits, target = random_maps()
    prob, values = logits.sigmoid(), []
    for p, t in zip(prob.flatten(1).tolist(), target.flatten(1).tolist(), strict=True):
        hit = alarm = miss = 0.0
        for a, b in zip(p, t, strict=True):
            hit, alarm, miss = hit + a * b, alarm + a * (1 - b), miss + b * (1 - a)
        values.append((hit + 1) / (hit + alpha * alarm + beta * miss + 1))
    found = tversky(prob, target, alpha, beta)
    torch.testing.assert_close(found, torch.tensor(values).double(), rtol=1e-6, atol=0)


def slow_moments(m: torch.Tensor) -> tuple[float, float, float, float]:
    """Mean x and y and variance along x and y of one (H, W) map, from its top-left corner."""
    h, w = m.shape
    pixels = [(x, y, m[y, x].item()) for y, x in product(range(h), range(w))]
    mass = sum(p for _, _, p in pixels)
    mx, my = sum(x * p for x, _, p in pixels) / mass, sum(y * p for _, y, p in pixels) / mass
    vx = sum((x - mx) ** 2 * p for x, _, p in pixels) / mass
    vy = sum((y - my) ** 2 * p for _, y, p in pixels) / mass
    return mx, my, vx, vy


def test_moments_nwd_and_centroid_oracle():
    logits, target = random_maps()
    prob = logits.sigmoid()
    h, w = prob.shape[-2:]
    mean, variance = moments(profiles(prob))
    for i in range(len(prob)):
        a, b = slow_moments(prob[i, 0]), slow_moments(target[i, 0])
        assert mean[i].tolist() == pytest.approx([a[0] - (w - 1) / 2, a[1] - (h - 1) / 2], rel=1e-6)
        assert variance[i].tolist() == pytest.approx(a[2:], rel=1e-6)
        apart = math.hypot(a[0] - b[0], a[1] - b[1])
        spread = [math.sqrt(3 * (v + 1 / 12)) - math.sqrt(3 * (u + 1 / 12))
                  for v, u in zip(a[2:], b[2:], strict=True)]  # fmt: skip
        close = math.exp(-math.hypot(apart, *spread) / 12.8)
        assert nwd(prob, target)[i].item() == pytest.approx(close, rel=1e-6)
        expected = apart / math.hypot(h, w)
        assert centroid(prob, target)[i].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "boxes",
    [
        ((3, 4, 5, 6), (3, 4, 5, 6)),
        ((0, 0, 1, 1), (37, 45, 3, 2)),
        ((8, 9, 2, 7), (9, 2, 30, 20)),
    ],
)
def test_nwd_of_filled_boxes_is_the_papers(boxes):
    (y1, x1, h1, w1), (y2, x2, h2, w2) = boxes
    distance = math.hypot(
        x1 + w1 / 2 - x2 - w2 / 2, y1 + h1 / 2 - y2 - h2 / 2, (w1 - w2) / 2, (h1 - h2) / 2
    )
    found = nwd(rectangle(*boxes[0]), rectangle(*boxes[1])).item()
    assert found == pytest.approx(math.exp(-distance / 12.8), rel=1e-5)


def test_centroid_and_nwd_are_blind_to_mass_and_to_flips():
    """What the released location term is not."""
    a, b = rectangle(3, 4, 5, 6), rectangle(20, 30, 2, 2)
    for term in (nwd, centroid):
        torch.testing.assert_close(term(0.01 * a, b), term(a, b))
        torch.testing.assert_close(term(a.flip(-1), b.flip(-1)), term(a, b))
        torch.testing.assert_close(term(a.flip(-2), b.flip(-2)), term(a, b))


def test_centroid_measures_small_targets_at_full_resolution():
    """One pixel, moved by (128, 128) in 256x256; `location` gives 0.0115 (spec SLS-2)."""
    a, b = rectangle(64, 64, 1, 1, (256, 256)), rectangle(192, 192, 1, 1, (256, 256))
    assert centroid(a, b).item() == pytest.approx(0.5, rel=1e-6)
    assert create_loss("location")(200 * a - 100, b, MAIN).item() == pytest.approx(0.0115, rel=0.01)


@pytest.mark.parametrize("name", ["sls_centroid", "nwd", "dice", "tversky", "focal"])
def test_an_image_without_target(name):
    """P = 8 of 16 pixels are false alarms."""
    logits, target = torch.zeros(1, 1, 4, 4, requires_grad=True), torch.zeros(1, 1, 4, 4)
    expected, options = {
        "sls_centroid": (1, {}),
        "nwd": ((1 - 1 / 9) / 2, {}),
        "dice": (1 - 1 / 9, {}),
        "tversky": (1 - 1 / (0.3 * 8 + 1), {}),
        "focal": (16 * 0.75 * 0.5**2 * ln2, {"per_target_pixel": True}),
    }[name]
    value = create_loss(name, **options)(logits, target, MAIN)
    value.backward()
    assert value.item() == pytest.approx(expected, rel=1e-6)
    assert logits.grad.any() == (name != "sls_centroid")


def test_empty_penalty_reaches_the_derived_losses():
    for name in ("sls_centroid", "scale_iou"):
        loss = create_loss(name, empty_penalty=2.0)
        assert loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), MAIN) == 1 + 2 * 8 / 9


def test_without_prediction_or_with_everything():
    """The middle of the image in both cases, 1.5 columns and rows from the target."""
    target = mask("#...", "....", "....", "....")
    for logits in (torch.full((1, 1, 4, 4), -1000.0), torch.full((1, 1, 4, 4), 1000.0)):
        expected = math.hypot(1.5, 1.5) / math.sqrt(32)
        assert centroid(logits.sigmoid(), target).item() == pytest.approx(expected, rel=1e-6)
    lost = nwd(torch.zeros(1, 1, 4, 4), target).item()
    assert lost == pytest.approx(math.exp(-math.hypot(1.5, 1.5) / 12.8), rel=1e-6)


def slow_regions(mask, reach):
    """For each target its pixels and those near it alone, and the pixels that are a tie."""
    targets = flood(mask.numpy())
    regions, ties = [set() for _ in targets], set()
    for y, x in product(*map(range, mask.shape)):
        away = [min(max(abs(y - r), abs(x - c)) for r, c in pixels) for pixels in targets]
        nearest = [k for k, distance in enumerate(away) if distance == min(away)]
        if min(away) <= reach:
            (ties if len(nearest) > 1 else regions[nearest[0]]).add((y, x))
    return targets, regions, ties


masks = st.integers(0, 2**31).flatmap(
    lambda seed: st.sampled_from([0.01, 0.05, 0.3, 0.6]).map(
        lambda density: torch.rand(12, 17, generator=torch.Generator().manual_seed(seed)) < density
    )
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(mask=masks, reach=st.integers(0, 4))
def test_regions_oracle(mask, reach):
    targets, regions, ties = slow_regions(mask, reach) if mask.any() else ([], [], set())
    batch = torch.stack([torch.zeros_like(mask), mask, mask])[:, None].float()
    found = find_regions(batch, reach)
    assert sorted(found.image.tolist()) == [1] * len(targets) + [2] * len(targets)
    parts = [set() for _ in found.image]
    for pixel, target in zip(found.pixel.tolist(), found.target.tolist(), strict=True):
        image, place = divmod(pixel, mask.numel())
        assert image == found.image[target]
        parts[target].add(divmod(place, mask.shape[1]))
    for image in (1, 2):
        ours = [part for part, i in zip(parts, found.image.tolist(), strict=True) if i == image]
        assert sum(map(len, ours)) == len(set().union(*ours))  # no pixel twice
        assert set().union(*ours) == set().union(ties, *regions)
        assert sorted(map(sorted, (part - ties for part in ours))) == sorted(map(sorted, regions))


def test_target_centroid_oracle():
    prob = random_maps(shape=(3, 1, 40, 48))[0].sigmoid()
    target = torch.zeros_like(prob)
    target[0] = rectangle(3, 4, 2, 3)[0] + rectangle(20, 30, 5, 4)[0]  # far apart
    target[1, 0, 30:32, 0:2] = torch.tensor([[1.0, 0.5], [0.25, 0]])
    expected = []
    for p, t in zip(prob[:, 0], target[:, 0], strict=True):
        errors = []
        targets, regions, ties = slow_regions(t > 0, REACH) if t.any() else ([], [], set())
        assert not ties
        for pixels, region in zip(targets, regions, strict=True):
            centre = [sum(z[k] * t[z].item() for z in pixels) / sum(t[z].item() for z in pixels)
                      for k in (0, 1)]  # fmt: skip
            mass = sum(p[z].item() for z in region)
            mean = [sum(z[k] * p[z].item() for z in region) / mass for k in (0, 1)]
            errors.append(math.dist(mean, centre) / max(math.dist(z, centre) for z in region))
        expected.append(sum(errors) / len(errors) if errors else 0)
    assert target_centroid_term(prob, target).tolist() == pytest.approx(expected, rel=1e-6)
    assert expected[2] == 0 < min(expected[:2])


def test_target_centroid_sees_what_the_common_centre_hides():
    """Two targets predicted 2 px apart in opposite directions: their common centre is right."""
    target = rectangle(10, 10, 3, 3) + rectangle(10, 30, 3, 3)
    prob = rectangle(10, 8, 3, 3) + rectangle(10, 32, 3, 3)
    assert centroid(prob, target).item() == pytest.approx(0, abs=1e-6)
    farthest = math.hypot(REACH + 1, REACH + 1)
    assert target_centroid_term(prob, target).item() == pytest.approx(2 / farthest, rel=1e-5)


def test_target_centroid_leaves_misses_and_far_false_alarms_alone():
    target = rectangle(10, 10, 3, 3)
    for prob in (torch.zeros_like(target), rectangle(30, 30, 4, 4)):
        prob.requires_grad_()
        value = target_centroid_term(prob, target).sum()
        value.backward()
        assert value == 0
        assert prob.grad.isfinite().all()


def test_sls_on_an_image_without_target_lowers_the_mass_and_turns_the_centre():
    """What the docstring of SLS says of its gradient there, in a warm-up epoch and after it."""
    target = torch.zeros(1, 1, 16, 24, dtype=torch.float64)
    logits = torch.full_like(target, -4.0, requires_grad=True)
    loss = create_loss("sls")
    loss(logits, target, loss.warm_up.last).backward()
    assert not logits.grad.any()
    loss(logits, target, MAIN).backward()
    gradient = logits.grad[0, 0]
    y, x = torch.meshgrid(torch.arange(16) / 16, torch.arange(24) / 24, indexing="ij")
    cy, cx = (0.5 - 0.5 / 16), (0.5 - 0.5 / 24)  # the direction of the predicted centre
    turn = (cx * y - cy * x) / torch.hypot(x, y).clamp(min=1e-9)
    assert (gradient[turn > 0.01] > 0).all()  # lowered
    assert (gradient[turn < -0.01] < 0).all()  # raised
    assert gradient.sum() > 0
