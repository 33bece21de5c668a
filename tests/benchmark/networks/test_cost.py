"""Parameters, MACs, time and memory of a forward pass."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch
from torch import Tensor

import detectors
from benchmark.networks.cost import count_macs, count_parameters
from benchmark.profiling import latency
from benchmark.profiling.latency import PeakMemory, measure
from detectors.base import Detector, Prediction
from tests.parity import facts

CPU = torch.device("cpu")
DEVICES = [
    CPU,
    pytest.param(
        torch.device("cuda"),
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    ),
]


class Untrained(Detector):
    """Has no weights; holds `megabytes` for a moment."""

    trained = False
    in_channels = 1
    mean, std = (0.0,), (1.0,)

    def __init__(self, megabytes: int = 0) -> None:
        super().__init__()
        self.megabytes = megabytes
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Prediction:
        self.inputs.append(x)
        torch.ones(self.megabytes * 1_000_000, dtype=torch.uint8, device=x.device)
        return Prediction(x)


@pytest.mark.parametrize("name", ["mshnet", "acm"])
def test_parameters_and_macs_are_the_golden_ones(name: str) -> None:
    golden = facts(name)
    macs = golden["flops_1x3x256x256"]
    macs = macs.get("warm_flag=True", macs)["macs"]  # MSHNet past its warm-up
    assert count_macs(name) == (macs, "1x3x256x256")
    assert count_parameters(detectors.create_detector(name)) == golden["trainable_parameters"]


def test_macs_at_another_size_and_of_a_variant() -> None:
    assert count_macs("acm", 480) == (facts("acm")["flops_1x3x480x480"]["macs"], "1x3x480x480")
    macs, text = count_macs("acm:port")
    assert text == "1x1x256x256"
    assert 0 < macs < count_macs("acm")[0]


def test_methods_without_weights_have_no_macs() -> None:
    assert count_macs("top_hat") == (None, None)
    assert count_parameters(Untrained()) == 0


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_measure(device: torch.device, precision: str) -> None:
    detector = detectors.create_detector("acm:port")
    found = measure(detector, device, 2, 64, precision, seconds=0.05)
    assert found.batch == 2
    assert 0 < found.p10_ms <= found.median_ms <= found.p90_ms
    assert found.repeats >= 1
    assert not detector.training


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_memory(device: torch.device) -> None:
    """In a fresh process, as `PeakMemory` asks for: earlier tests leave free memory in this one."""
    if device == CPU and sys.platform != "linux":
        pytest.skip("the old peak cannot be forgotten here")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        assert 190e6 <= fresh.submit(peak_of_200_megabytes, device).result() < 400e6


def peak_of_200_megabytes(device: torch.device) -> int | None:
    memory = PeakMemory(device)
    found = measure(Untrained(megabytes=200), device, 3, 64, seconds=0.0, memory=memory)
    return found.peak_memory_bytes


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_input(device: torch.device) -> None:
    detector = Untrained()
    measure(detector, device, 3, 64, seconds=0.0)
    (x, *more) = detector.inputs
    assert x.shape == (3, 1, 64, 64)
    assert x.device.type == device.type
    assert x.is_inference()
    assert 0 <= x.min() < x.max() <= 1
    assert not torch.equal(x[0], x[1])
    assert all(y is x for y in more)  # made once, outside the timed part


def test_repeats_until_warm_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(clock))  # one run, one second
    cooling = iter([9.0, 5.0, 3.0, 2.0, 2.0, 2.05, 2.0])
    warm = latency._repeat(lambda: next(cooling), 3, 100, done=latency._settled)
    assert warm == [9.0, 5.0, 3.0, 2.0, 2.0, 2.05]
    assert len(latency._repeat(lambda: 1.0, 5, 2)) == 5  # the least number of runs
    assert len(latency._repeat(lambda: 1.0, 5, 8)) == 8  # the time
    assert len(latency._repeat(lambda: 1.0, 5, 0.2)) == 2  # out of patience
