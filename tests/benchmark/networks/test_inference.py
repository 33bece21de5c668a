"""Many images at once: whatever their order and batches, each has the map it has alone."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.evaluation.scoring import score
from benchmark.networks.compute import Compute
from benchmark.networks.inference import Predictor, predict
from datasets.base import Sample
from detectors.base import Detector, Prediction

CPU = torch.device("cpu")


class Net(Detector):
    """A product (a convolution on a CPU depends on the batch), and the shapes that it saw."""

    name, stride, in_channels, mean, std = "net", 8, 1, (0.4,), (0.2,)

    def __init__(self, batch_matters=False):
        super().__init__()
        self.scale, self.batch_matters = nn.Parameter(torch.tensor(0.7)), batch_matters
        self.seen = []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        logits = self.scale * x + torch.linspace(
            0, 1, x.shape[-1]
        )  # by column, to tell sizes apart
        if self.batch_matters and len(x) > 1:  # as a library that chooses another algorithm
            logits = logits + 1e-6
        return Prediction(logits)


def images():
    rng = np.random.default_rng(0)
    shapes = [(30, 40), (16, 16), (32, 40), (16, 16), (30, 40), (50, 20), (29, 33), (16, 16)]
    kinds = [np.uint8, np.uint16]
    return [rng.integers(0, 200, s).astype(kinds[i % 2]) for i, s in enumerate(shapes)]


@pytest.mark.parametrize("batch_pixels", [0, 3 * 32 * 40, 2**20])
@pytest.mark.parametrize("batch_matters", [False, True])
def test_every_image_gets_its_own_map(batch_pixels, batch_matters):
    net, given = Net(batch_matters), images()
    predictor = Predictor(net, Compute(CPU), batch_pixels)
    for _ in range(3):  # the second time it knows which shapes may be batches
        found = dict(predictor.maps(given))
        assert sorted(found) == list(range(len(given)))
        for number, image in enumerate(given):
            alone = predict(Net(), image, Compute(CPU))
            assert found[number].shape == image.shape
            assert np.array_equal(found[number], alone)


def test_equal_sizes_become_batches_once_they_are_known_to_be_the_same():
    net = Net()
    predictor = Predictor(net, Compute(CPU), 2 * 32 * 40)  # two images of 32x40, five of 16x16
    list(predictor.maps(images()))
    first, net.seen = net.seen, []
    list(predictor.maps(images()))
    assert (2, 1, 32, 40) in first
    assert first.count((1, 1, 32, 40)) == 2  # the first of two batches one by one, too
    assert net.seen.count((2, 1, 32, 40)) == 2
    assert (1, 1, 32, 40) not in net.seen
    assert net.seen == sorted(net.seen, key=lambda s: s[2:])  # a new size costs a GPU time


def test_a_batch_that_changes_a_bit_is_not_used():
    net = Net(batch_matters=True)
    predictor = Predictor(net, Compute(CPU), 2 * 32 * 40)
    list(predictor.maps(images()))
    net.seen.clear()
    list(predictor.maps(images()))
    assert all(shape[0] == 1 for shape in net.seen)


def test_rows_keep_the_order_of_the_samples(monkeypatch):
    monkeypatch.setattr("benchmark.evaluation.scoring.WINDOW", 3)
    samples = [Sample(im, im > 150, str(i)) for i, im in enumerate(images())]
    scores = score(Predictor(Net(), Compute(CPU), 2**20), samples, ["native", "mshnet"])
    for found in scores.values():
        assert [row.name for row in found.images] == [s.name for s in samples]
    assert [(r.height, r.width) for r in scores["native"].images] == [
        s.image.shape for s in samples
    ]


def test_what_goes_wrong_beside_the_network_is_raised():
    class Broken(Net):
        def forward(self, x):
            return Prediction(super().forward(x).logits * float("nan"))

    with pytest.raises(Exception, match="is nan at row 0"):
        score(Predictor(Broken(), Compute(CPU)), [Sample(im, im > 150, "a") for im in images()],
              ["native"])  # fmt: skip
