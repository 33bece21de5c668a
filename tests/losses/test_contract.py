"""What every loss in the folder must do; a new file is tested without being named here."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losses import REGISTRY, create_loss, list_losses
from losses.base import Loss

WARM, MAIN = 0, 10  # epochs in and after the warm-up of any published recipe

# An option that chooses another formula is a loss of its own here.
NAMES = [*list_losses(), "sls_centroid:per_target=true"]
each_loss = pytest.mark.parametrize("name", NAMES)
each_phase = pytest.mark.parametrize("epoch", [WARM, MAIN], ids=["warm-up", "main"])
few_examples = settings(max_examples=25, deadline=None, derandomize=True)


def blob(shape=(2, 1, 16, 24)) -> torch.Tensor:
    """A target of 3x4 pixels in every image."""
    target = torch.zeros(shape)
    target[..., 4:7, 8:12] = 1
    return target


def value_and_gradient(name, logits, target, epoch, **options):
    logits = logits.detach().clone().requires_grad_()
    value = create_loss(name, **options)(logits, target, epoch=epoch)
    value.backward()
    return value.detach(), logits.grad


def assert_finite(name, logits, target, epoch, **options):
    value, gradient = value_and_gradient(name, logits, target, epoch, **options)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", list_losses())
def test_data_is_complete(name):
    entry = REGISTRY.get(name)
    cls = entry.load()
    assert issubclass(cls, Loss)
    assert cls.name == name
    assert entry.info.paper == cls.paper != ""
    assert entry.info.source == cls.source != ""
    assert inspect.getdoc(cls)


TARGETS = {
    "empty": torch.zeros(2, 1, 16, 24),
    "full": torch.ones(2, 1, 16, 24),
    "blob": blob(),
    "soft": blob() * 0.3,
    "one empty": blob() * torch.tensor([1.0, 0.0])[:, None, None, None],
    "origin pixel": torch.eye(1, 16 * 24).reshape(1, 1, 16, 24).repeat(2, 1, 1, 1),
}


@each_loss
@each_phase
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("level", [-100.0, -88.5, -87.5, -17.0, 0.0, 17.0, 100.0])
def test_finite_for_constant_logits(name, epoch, target, level):
    assert_finite(name, torch.full(target.shape, level), target, epoch)


@each_loss
@each_phase
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_finite_for_saturated_logits(name, epoch, target):
    generator = torch.Generator().manual_seed(0)
    logits = 100 * torch.randn(target.shape, generator=generator).sign()
    assert_finite(name, logits, target, epoch)
    assert_finite(name, 200 * target - 100, target, epoch)  # exactly right
    assert_finite(name, 100 - 200 * target, target, epoch)  # exactly wrong


@each_loss
@each_phase
@pytest.mark.parametrize("pixel", [0.0, 1.0])
@pytest.mark.parametrize("logit", [-100.0, 0.0, 100.0])
def test_finite_for_an_image_of_one_pixel(name, epoch, pixel, logit):
    shape = (1, 1, 1, 1)
    assert_finite(name, torch.full(shape, logit), torch.full(shape, pixel), epoch)


@each_loss
@each_phase
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("target", [TARGETS["blob"], TARGETS["empty"]], ids=["blob", "empty"])
def test_half_precision_logits_are_computed_in_float32(name, epoch, dtype, target):
    generator = torch.Generator().manual_seed(0)
    logits = (8 * torch.randn(target.shape, generator=generator) - 20).to(dtype)
    expected, gradient = value_and_gradient(name, logits.float(), target, epoch)
    value, half_gradient = value_and_gradient(name, logits, target.to(dtype), epoch)
    assert value.dtype == torch.float32
    assert value == expected
    assert half_gradient.dtype == dtype
    assert torch.equal(half_gradient, gradient.to(dtype))


@each_loss
@each_phase
def test_autocast_changes_nothing(name, epoch):
    logits, target = torch.linspace(-9, 9, 2 * 16 * 24).reshape(2, 1, 16, 24), blob()
    expected = create_loss(name)(logits, target, epoch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert create_loss(name)(logits, target, epoch) == expected
        assert create_loss(name)(logits.bfloat16(), target, epoch).dtype == torch.float32


def test_autocast_is_off_inside_the_loss():
    class Probe(Loss):
        def forward(self, logits, target, epoch):
            return (logits.flatten(1) @ target.flatten(1).T).sum()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        assert Probe()(blob(), blob(), 0).dtype == torch.float32


@each_loss
@pytest.mark.parametrize(
    ("logits", "target"),
    [((2, 1, 4, 4), (2, 4, 4)), ((2, 1, 4, 4), (1, 1, 4, 4)), ((2, 2, 4, 4), (2, 2, 4, 4))],
)
def test_shapes_that_would_broadcast_are_refused(name, logits, target):
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        create_loss(name)(torch.zeros(logits), torch.zeros(target), 0)


@each_loss
@each_phase
def test_gradient_descent_finds_the_target(name, epoch):
    """The property that makes it a loss: descending on the logits uncovers the target.

    Except from the location term alone: it compares one moment per image, which many maps share.
    NWD takes longer, since its moments ask for a blob of the right place and size first.
    """
    steps = 150 if name == "nwd" else 60
    target = blob((1, 1, 16, 24))
    logits = torch.zeros_like(target).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.5)
    loss = create_loss(name)
    first = loss(logits, target, epoch).item()
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(logits, target, epoch)
        value.backward()
        optimizer.step()
    assert value.item() < 0.5 * first
    if (name, epoch) != ("location", MAIN):
        assert torch.equal(logits > 0, target > 0.5)


@st.composite
def batches(draw, images=3, side=8):
    """Random logits and binary targets, one target possibly empty."""
    seed = draw(st.integers(0, 2**31))
    scale = draw(st.sampled_from([0.1, 1.0, 10.0, 60.0]))
    density = draw(st.sampled_from([0.0, 0.02, 0.2, 1.0]))
    generator = torch.Generator().manual_seed(seed)
    shape = (images, 1, side, side)
    logits = scale * torch.randn(shape, generator=generator)
    return logits, (torch.rand(shape, generator=generator) < density).float()


@each_loss
@each_phase
@few_examples
@given(batch=batches())
def test_finite_and_not_negative(name, epoch, batch):
    value, gradient = value_and_gradient(name, *batch, epoch)
    assert value >= -1e-6
    assert value.isfinite()
    assert gradient.isfinite().all()


@each_loss
@each_phase
@few_examples
@given(batch=batches(), order=st.permutations(range(3)))
def test_order_of_the_batch_does_not_matter(name, epoch, batch, order):
    logits, target = batch
    value, gradient = value_and_gradient(name, logits, target, epoch)
    other, other_gradient = value_and_gradient(name, logits[order], target[order], epoch)
    torch.testing.assert_close(value, other)
    torch.testing.assert_close(gradient[order], other_gradient)


@each_loss
@each_phase
@few_examples
@given(row=st.integers(0, 13), column=st.integers(0, 21), confidence=st.floats(12.0, 30.0))
def test_right_is_better_than_half_right_is_better_than_wrong(name, epoch, row, column, confidence):
    """For sure predictions: with a visible background the moments of SLS can prefer the half."""
    target = torch.zeros(1, 1, 16, 24)
    target[..., row : row + 3, column : column + 3] = 1
    half = target.clone()
    half[..., row, :] = 0
    loss, sure = create_loss(name), 2 * confidence
    right, part, wrong = (
        loss(sure * m - confidence, target, epoch).item() for m in (target, half, 1 - target)
    )
    assert right < part < wrong


@each_phase
@few_examples
@given(batch=batches())
def test_published_losses_stay_in_their_range(epoch, batch):
    assert create_loss("soft_iou")(*batch, epoch) <= 1
    assert create_loss("soft_iou", whole_batch=True)(*batch, epoch) <= 1
    assert create_loss("sls")(*batch, epoch) <= (1 if epoch == WARM else 3)
    assert create_loss("location")(*batch, epoch) <= (1 if epoch == WARM else 2)
    for name in ("dice", "dice_mshnet", "tversky", "nwd", "scale_iou"):
        assert create_loss(name)(*batch, epoch) <= 1


@pytest.mark.parametrize(
    "name", [n for n in NAMES if not getattr(create_loss(n), "whole_batch", False)]
)
@few_examples
@given(batch=batches())
def test_losses_are_means_over_images(name, batch):
    """Those that pool the batch, as some papers do, have tests of their own."""
    loss = create_loss(name)
    alone = [loss(z[None], t[None], MAIN) for z, t in zip(*batch, strict=True)]
    torch.testing.assert_close(loss(*batch, MAIN), torch.stack(alone).mean())


def test_whole_batch_is_one_ratio():
    """12 of 12 pixels in one image and none of 12 in the other: half of 24, not the mean."""
    target = blob()
    logits = 200 * target - 100
    logits[1] = -100
    assert create_loss("soft_iou")(logits, target, 0) == pytest.approx((0 + 12 / 13) / 2)
    for whole in (create_loss("soft_iou", whole_batch=True), create_loss("soft_iou_batch")):
        assert whole(logits, target, 0) == pytest.approx(1 - 13 / 25)


@each_phase
def test_sls_on_an_image_without_target(epoch):
    """The official loss cannot suppress a false alarm there; `empty_penalty` can."""
    target, logits = TARGETS["empty"][:1], torch.zeros(1, 1, 16, 24)
    _, gradient = value_and_gradient("sls", logits, target, epoch, with_location=False)
    assert not gradient.any()
    value, gradient = value_and_gradient(
        "sls", logits, target, epoch, with_location=False, empty_penalty=2.0
    )
    P = logits.sigmoid().sum()
    assert value == pytest.approx((1 + 2 * P / (P + 1)).item())
    assert (gradient > 0).all()


@each_phase
def test_empty_penalty_spares_images_with_a_target(epoch):
    logits = torch.zeros(2, 1, 16, 24)
    expected = create_loss("sls")(logits, blob(), epoch)
    assert create_loss("sls", empty_penalty=2.0)(logits, blob(), epoch) == expected
