"""What every detector in the folder must do; a new file is tested without being named here."""

from __future__ import annotations

import inspect

import pytest
import torch

from benchmark.errors import UserError
from detectors import REGISTRY, create_detector, list_detectors
from detectors.base import Detector, Prediction
from losses import list_losses

NAMES = [
    f"{name}:{variant}" if variant else name
    for name in list_detectors()
    for variant in REGISTRY.get(name).data.get("variants", (None,))
]
RECIPE = {
    "optimizer": str,
    "lr": float,
    "weight_decay": float,
    "schedule": str,
    "epochs": int,
    "batch_size": int,
    "base_size": int,
    "crop_size": int,
    "loss": str,
    "warm_epoch": int,
}

each_detector = pytest.mark.parametrize("name", NAMES)


def make(name: str) -> Detector:
    torch.manual_seed(0)
    return create_detector(name)


def batch(model: Detector, n: int, rows: int, columns: int) -> torch.Tensor:
    """Images whose sides are the given multiples of the stride."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(
        n, model.in_channels, rows * model.stride, columns * model.stride, generator=generator
    )


@pytest.mark.parametrize("name", list_detectors())
def test_data_is_complete_and_readable_without_import(name):
    entry = REGISTRY.get(name)
    cls = entry.load()
    assert issubclass(cls, Detector)
    assert cls.name == name
    for key in ("paper", "venue", "source", "in_channels", "mean", "std", "stride", "recipe"):
        assert entry.data[key] == getattr(cls, key), f"{key} must be a literal"
        assert entry.data[key], f"{key} is empty"
    assert {key: type(value) for key, value in cls.recipe.items()}.items() <= RECIPE.items()
    assert cls.recipe.get("loss", "sls") in list_losses()
    assert inspect.getdoc(cls)


@each_detector
def test_instance_data_fits_the_input(name):
    model = make(name)
    assert len(model.mean) == len(model.std) == model.in_channels
    assert all(0 <= m <= 1 for m in model.mean)
    assert all(0 < s <= 1 for s in model.std)
    assert model.stride >= 1


@each_detector
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_output_shapes_at_odd_multiples_of_the_stride(name, training):
    model = make(name).train(training)
    n = 2 if training else 1
    x = batch(model, n, 3, 5)
    prediction = model(x)
    assert isinstance(prediction, Prediction)
    assert isinstance(prediction.aux, tuple)
    assert prediction.logits.shape == (n, 1, *x.shape[-2:])
    for out in prediction.aux:
        assert out.shape[:2] == (n, 1)
        assert out.shape[2] <= x.shape[2]
        assert out.shape[3] <= x.shape[3]
    for out in (prediction.logits, *prediction.aux):
        assert out.dtype == torch.float32
        assert out.isfinite().all()


@each_detector
def test_outputs_are_logits(name):
    """Probabilities would not scale with the last layer; logits of large inputs leave [0, 1]."""
    model = make(name).train()
    logits = model(batch(model, 4, 3, 3)).logits
    assert logits.min() < 0 or logits.max() > 1


@each_detector
def test_smallest_image(name):
    model = make(name).eval()
    x = batch(model, 1, 1, 1)
    assert model(x).logits.shape == (1, 1, *x.shape[-2:])


@each_detector
def test_eval_treats_images_alone(name):
    model = make(name).eval()
    x = batch(model, 3, 2, 3)
    with torch.no_grad():
        together = model(x).logits
        alone = torch.cat([model(image[None]).logits for image in x])
    assert (together - alone).abs().max() <= 1e-3 * alone.std()  # other kernels, other rounding


@each_detector
def test_state_dict_round_trip(name):
    model = make(name).train()
    model(batch(model, 4, 2, 2))  # moves the running statistics
    torch.manual_seed(2)
    other = create_detector(name)
    other.load_state_dict(model.state_dict())
    x = batch(model, 1, 2, 2)
    with torch.no_grad():
        assert torch.equal(model.eval()(x).logits, other.eval()(x).logits)


@each_detector
def test_gradient_reaches_every_parameter(name):
    model = make(name).train()
    prediction = model(batch(model, 4, 3, 3))
    sum(out.square().mean() for out in (prediction.logits, *prediction.aux)).backward()
    for key, p in model.named_parameters():
        assert p.grad is not None, f"{key} gets no gradient"
        assert p.grad.isfinite().all(), key
    assert any(p.grad.abs().max() > 0 for p in model.parameters())


@each_detector
def test_bfloat16_autocast_is_finite(name):
    model = make(name).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prediction = model(batch(model, 4, 3, 3))
        loss = sum(out.float().square().mean() for out in (prediction.logits, *prediction.aux))
    loss.backward()
    assert all(out.isfinite().all() for out in (prediction.logits, *prediction.aux))
    assert all(p.grad.isfinite().all() for p in model.parameters())


@each_detector
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("value", [0.0, -2.1])
def test_constant_image_is_finite(name, training, value):
    model = make(name).train(training)
    side = 2 * model.stride
    logits = model(torch.full((2, model.in_channels, side, side), value)).logits
    assert logits.isfinite().all()


@each_detector
def test_initial_weights_follow_the_seed(name):
    first, second = make(name).state_dict(), make(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", ["mshnet", "acm", "acm:port"])
@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_follow_the_number_of_channels(name, channels):
    model = create_detector(name, in_channels=channels).eval()
    assert model.in_channels == len(model.mean) == len(model.std) == channels
    assert model(batch(model, 1, 1, 1)).logits.shape[1] == 1


def test_acm_port_uses_grey_levels_of_nuaa_sirst():
    model = create_detector("acm:port")
    assert model.mean == (101.0639 / 255,)
    assert model.std == (34.6196 / 255,)
    assert (model.stride, create_detector("acm").stride) == (16, 4)


@pytest.mark.parametrize("options", [{"variant": "tiny"}, {"stem": "shallow"}])
def test_acm_rejects_unknown_settings(options):
    with pytest.raises(UserError, match=next(iter(options.values()))):
        create_detector("acm", **options)
