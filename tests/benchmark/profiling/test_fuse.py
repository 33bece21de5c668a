"""Batch normalisations folded into convolutions: which, and that nothing else changes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import detectors
from benchmark.profiling.fuse import fold_batchnorm
from detectors.base import Detector, Prediction
from tests.parity import fill, images


class Small(Detector):
    """Base of the examples: one input channel, random weights and statistics."""

    in_channels = 1

    def __init__(self) -> None:
        super().__init__()
        self.build()
        fill(self)

    def build(self) -> None: ...


class Chain(Small):
    """Everything that can be folded; the second pair runs twice."""

    def build(self) -> None:
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.twice = nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False),
            nn.BatchNorm2d(4, affine=False),
            nn.ReLU(inplace=True),
        )
        self.up = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)
        self.norm = nn.BatchNorm2d(6, eps=0.1)
        self.down = nn.ConvTranspose2d(6, 1, 3, padding=1, bias=False)
        self.last = nn.BatchNorm2d(1)
        self.never_used = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Prediction:
        x = self.twice(self.twice(self.first(x)))
        return Prediction(F.max_pool2d(self.last(self.down(self.norm(self.up(x)))), 2))


class TwoConsumers(Small):
    """The convolution's output is used beside its batch normalisation."""

    def build(self) -> None:
        self.conv, self.norm = nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Prediction:
        y = self.conv(x)
        return Prediction(self.norm(y) + y)


class AlsoReturned(TwoConsumers):
    """The convolution's output is a result, too."""

    def forward(self, x: Tensor) -> Prediction:
        y = self.conv(x)
        return Prediction(self.norm(y), (y,))


class NormFirst(TwoConsumers):
    """Batch normalisation before the convolution."""

    def forward(self, x: Tensor) -> Prediction:
        return Prediction(self.conv(self.norm(x)))


class NotDirectly(TwoConsumers):
    """Something in between."""

    def forward(self, x: Tensor) -> Prediction:
        return Prediction(self.norm(F.relu(self.conv(x))))


class TwoNorms(Small):
    """One convolution, each time with another batch normalisation."""

    def build(self) -> None:
        self.conv = nn.Conv2d(1, 1, 3, padding=1)
        self.norm, self.other = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Prediction:
        return Prediction(self.other(self.conv(self.norm(self.conv(x)))))


class KernelUsedElsewhere(TwoConsumers):
    """The kernel is an operand of something else."""

    def forward(self, x: Tensor) -> Prediction:
        return Prediction(self.norm(self.conv(x)) * self.conv.weight.sum())


class WithActivation(nn.BatchNorm2d):
    """As timm's: not only a batch normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


class Subclass(TwoConsumers):
    def build(self) -> None:
        self.conv, self.norm = nn.Conv2d(1, 1, 3, padding=1), WithActivation(1)

    def forward(self, x: Tensor) -> Prediction:
        return Prediction(self.norm(self.conv(x)))


class Fickle(TwoConsumers):
    """Another network at its second forward pass."""

    def build(self) -> None:
        super().build()
        self.calls = 0

    def forward(self, x: Tensor) -> Prediction:
        self.calls += 1
        return Prediction(self.norm(self.conv(x)) * self.calls)


@torch.no_grad()
def assert_same(detector: Detector, folded: Detector) -> None:
    x = images(2, detector.in_channels, 64, 64)
    for old, new in zip(flat(detector.eval()(x)), flat(folded(x)), strict=True):
        assert (old - new).abs().max() <= 1e-4 * old.std()


def flat(prediction: Prediction) -> list[Tensor]:
    return [prediction.logits, *prediction.aux]


@pytest.mark.parametrize(("name", "kept"), [("mshnet", []), ("acm", ["stem.0"])])
def test_networks_compute_the_same(name: str, kept: list[str]) -> None:
    detector = fill(detectors.create_detector(name))
    keys = list(detector.state_dict())
    folded, count, total = fold_batchnorm(detector)
    norms = [key for key, m in folded.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms == kept  # ACM normalises the image itself
    assert count == total - len(kept)
    assert total == sum(isinstance(m, nn.BatchNorm2d) for m in detector.modules())
    assert_same(detector, folded)
    assert list(detector.state_dict()) == keys  # the original is as it was
    assert not folded.training


def test_groups_transposed_shared_and_plain_normalisations_are_folded() -> None:
    detector = Chain()
    folded, count, total = fold_batchnorm(detector)
    assert (count, total) == (4, 4)
    assert_same(detector, folded)


@pytest.mark.parametrize(
    "kind",
    [TwoConsumers, AlsoReturned, NormFirst, NotDirectly, TwoNorms, KernelUsedElsewhere, Subclass],
)
def test_everything_else_is_kept(kind: type[Small]) -> None:
    detector = kind()
    folded, count, total = fold_batchnorm(detector)
    assert count == 0
    assert total == (2 if kind is TwoNorms else 1)
    assert_same(detector, folded)


def test_a_change_of_the_outputs_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"changed an output by .*cannot be folded"):
        fold_batchnorm(Fickle())
