"""The supervision adapter against the official trainers, and its own rules."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from detectors import create_detector
from detectors.base import Prediction
from losses import create_loss, supervise
from losses.base import Loss
from tests.parity import arrays, assert_close_gradients, facts, fill, gradient_norms, images

FACTS = facts("losses")
ARRAYS = arrays("supervision")


def tensor(name: str) -> torch.Tensor:
    return torch.from_numpy(ARRAYS[name]).double()


@pytest.mark.parametrize("case", ["epoch0_warm5", "epoch5_warm5", "epoch6_warm5", "epoch0_warm-1"])
def test_mshnet_composite(case):
    expected = FACTS["mshnet_composite"]["results"][case]
    masks = [tensor(f"composite/mask{k}") for k in range(4)] if expected["masks_used"] else []
    loss = create_loss("sls", warm_epoch=expected["warm_epoch"])
    prediction = Prediction(tensor("composite/output"), tuple(masks))
    value = supervise(loss, prediction, tensor("composite/labels"), expected["epoch"])
    assert value.item() == pytest.approx(expected["total_float64"], abs=1e-9)


@pytest.mark.parametrize("epoch", [5, 6])
def test_mshnet_end_to_end(epoch):
    model = fill(create_detector("mshnet")).double().train()
    model.begin_epoch(epoch)
    prediction = model(images(2, 3, 64, 64).double())
    value = supervise(create_loss("sls"), prediction, tensor("e2e/labels"), epoch)
    value.backward()
    expected = FACTS["mshnet_end_to_end"]["results"][f"epoch{epoch}"]["total_float64"]
    assert value.item() == pytest.approx(expected, rel=1e-8)
    assert_close_gradients(gradient_norms(model), ARRAYS[f"e2e/grad_norm_epoch{epoch}_f64"])


def test_dnanet_deep_supervision():
    outputs = [tensor(f"multi/logit{k}") for k in range(4)]
    loss = create_loss("soft_iou", whole_batch=True)
    value = supervise(
        loss, Prediction(outputs[-1], tuple(outputs[:3])), tensor("composite/labels"), 0
    )
    expected = FACTS["other_composites"]["dnanet_deep_supervision"]["value_float64"]
    assert value.item() == pytest.approx(expected, abs=1e-9)


class Recorder(Loss):
    """Keeps the targets it is given and returns 1, 2, 3, ..."""

    def __init__(self):
        super().__init__()
        self.targets, self.epochs = [], []

    def forward(self, logits, target, epoch):
        self.targets.append(target)
        self.epochs.append(epoch)
        return logits.sum() * 0 + len(self.targets)


def test_targets_are_pooled_so_that_none_disappears():
    target = torch.zeros(1, 1, 32, 48)
    target[0, 0, 31, 17] = 1
    target[0, 0, 0, 0] = 0.5
    shapes = [(32, 48), (32, 48), (16, 24), (8, 12), (4, 6), (3, 7)]  # the last: uneven windows
    maps = [torch.zeros(1, 1, *shape) for shape in shapes]
    loss = Recorder()
    value = supervise(loss, Prediction(maps[0], tuple(maps[1:])), target, 7)

    assert value.item() == (1 + 2 + 3 + 4 + 5 + 6) / 6
    assert loss.epochs == [7] * 6
    assert torch.equal(loss.targets[0], target)
    assert torch.equal(loss.targets[1], target)
    pooled = target
    for given in loss.targets[2:5]:
        pooled = F.max_pool2d(pooled, 2)
        assert torch.equal(given, pooled)
    assert loss.targets[5].shape == (1, 1, 3, 7)
    assert loss.targets[5].max() == 1


def test_without_auxiliary_outputs_it_is_the_loss():
    logits, target = torch.randn(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)
    target[:, :, 2:4, 2:4] = 1
    loss = create_loss("soft_iou")
    assert supervise(loss, Prediction(logits), target, 0) == loss(logits, target, 0)
