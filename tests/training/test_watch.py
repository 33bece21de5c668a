"""The losses of an epoch, looked at without waiting."""

import math

import numpy as np
import pytest
import torch

from benchmark.training import watch
from benchmark.training.watch import Losses, all_finite, first_bad

CPU = torch.device("cpu")


def test_a_cpu_tells_at_once():
    losses = Losses(4, CPU)
    for value in (1.0, 2.0):
        losses.add(torch.tensor(value))
        assert losses.bad_step() is None
    losses.add(torch.tensor(math.inf))
    assert losses.bad_step() == (2, math.inf)


def test_the_end_of_an_epoch():
    losses = Losses(3, CPU)
    for value in (1.0, 2.5):
        losses.add(torch.tensor(value))
    values, sound = losses.finish([torch.ones(3), torch.tensor(7)])
    assert values.tolist() == [1.0, 2.5]
    assert sound
    values, sound = losses.finish([torch.tensor([1.0, math.nan])])
    assert not sound


class Elsewhere(Losses):
    """A GPU whose copies arrive when the test says so."""

    def __init__(self, steps):
        super().__init__(steps, CPU)
        self.values = _NotHere(self.values)
        self.arrived = False

    def _start_copy(self):
        self._copy = self.values.tensor.clone()
        self._arrived = self

    def query(self):
        return self.arrived


class _NotHere:
    is_cpu = False

    def __init__(self, tensor):
        self.tensor = tensor

    def __getitem__(self, key):
        return self.tensor[key]


def test_a_gpu_is_never_waited_for(monkeypatch):
    """A copy is started now and then, looked at once it is there, and names the first bad step."""
    now = [0.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    losses = Elsewhere(10)
    losses.add(torch.tensor(math.nan))
    assert losses.bad_step() is None  # not time to look yet
    now[0] = watch.LOOK_EVERY
    assert losses.bad_step() is None  # the copy starts
    losses.add(torch.tensor(math.inf))
    assert losses.bad_step() is None  # and has not arrived
    losses.arrived = True
    step, value = losses.bad_step()
    assert step == 0
    assert math.isnan(value)


def test_first_bad():
    assert first_bad(torch.zeros(3)) is None
    assert first_bad(torch.tensor([0.0, -math.inf, math.nan])) == (1, -math.inf)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", range(3))
def test_every_weight_counts(bad, where):
    tensors = [torch.full((2, 3), 3e38), torch.zeros(4), torch.ones(1), torch.empty(0)]
    assert all_finite([*tensors, torch.arange(3)])
    tensors[where].view(-1)[-1] = bad
    assert not all_finite(tensors)


def test_the_mean_loss_is_a_running_total():
    """As it was before: added up one by one in single precision."""
    values = np.random.default_rng(0).random(999).astype(np.float32)
    total = torch.zeros(())
    for value in values:
        total += torch.tensor(value)
    assert float(np.add.accumulate(values)[-1]) == float(total)
