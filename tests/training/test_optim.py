"""Optimizers whose learning rate lies on the device compute what torch's do."""

import copy

import pytest
import torch
from torch import nn

from benchmark.settings.run_settings import Settings
from benchmark.training.optim import DeviceAdagrad, make_optimizer, set_learning_rate


def steps(model, optimizer, rates):
    torch.manual_seed(1)
    for rate in rates:
        set_learning_rate(optimizer, rate)
        optimizer.zero_grad()
        x = torch.randn(6, 5)
        (model[0](x).tanh() * (1 + model[1].weight)).square().mean().backward()
        optimizer.step()


def pair():
    """Two layers, of which one has a parameter without a gradient, twice."""
    torch.manual_seed(0)
    one = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7))
    return one, copy.deepcopy(one)


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("foreach", [False, True])
def test_our_adagrad_is_torchs_to_the_bit(decay, foreach):
    one, other = pair()
    ours = DeviceAdagrad(one.parameters(), torch.tensor(0.05), weight_decay=decay, eps=1e-10)
    theirs = torch.optim.Adagrad(
        other.parameters(), 0.05, weight_decay=decay, eps=1e-10, foreach=foreach
    )
    rates = [0.05, 0.05, 0.03, 0.01, 1 / 300] * 4
    for model, optimizer in ((one, ours), (other, theirs)):
        steps(model, optimizer, rates)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert one[1].bias.grad is None


@pytest.mark.parametrize("name", ["adagrad", "mxnet_adagrad", "adam", "adamw", "sgd"])
def test_a_rate_on_the_device_changes_nothing_but_rounding(name):
    one, other = pair()
    settings = Settings(optimizer=name, lr=0.02, weight_decay=0.01)
    rates = [0.02, 0.02, 0.005]
    optimizers = [make_optimizer(m, settings, h) for m, h in ((one, False), (other, True))]
    lr = optimizers[0].param_groups[0]["lr"]
    steps(one, optimizers[0], rates)
    steps(other, optimizers[1], rates)
    assert optimizers[0].param_groups[0]["lr"] is lr  # filled, not replaced: a graph reads it there
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["adagrad", "mxnet_adagrad", "adam", "adamw", "sgd"])
@pytest.mark.parametrize("on_host", [False, True])
def test_a_part_of_a_network_may_join_later(name, on_host):
    """As MSHNet's heads after the warm-up; it then steps as one that starts there."""
    torch.manual_seed(0)
    early, late = nn.Linear(3, 2), nn.Linear(3, 2)
    both = nn.ModuleList([early, late])
    optimizer = make_optimizer(both, Settings(optimizer=name, lr=0.1), on_host)
    fresh = copy.deepcopy(late)
    alone = make_optimizer(fresh, Settings(optimizer=name, lr=0.1), on_host)
    x = torch.randn(4, 3)
    for step in range(4):
        optimizer.zero_grad()
        y = early(x).square().mean() + (late(x).square().mean() if step > 1 else 0)
        y.backward()
        optimizer.step()
        if step > 1:
            alone.zero_grad()
            fresh(x).square().mean().backward()
            alone.step()
    torch.testing.assert_close(late.weight, fresh.weight)
