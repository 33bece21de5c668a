"""Device options."""

import pytest

from benchmark import environment
from benchmark.errors import UserError


@pytest.mark.parametrize(
    ("gpus", "option", "expected"),
    [
        (0, "auto", ["cpu"]),
        (2, "auto", ["cuda:0", "cuda:1"]),
        (2, "cpu", ["cpu"]),
        (2, "cuda", ["cuda:0", "cuda:1"]),
        (3, "cuda:0,2", ["cuda:0", "cuda:2"]),
    ],
)
def test_devices(monkeypatch, gpus, option, expected):
    monkeypatch.setattr(environment, "gpu_count", lambda: gpus)
    assert environment.devices(option) == expected


@pytest.mark.parametrize(
    ("gpus", "option"), [(0, "cuda"), (1, "cuda:1"), (1, "gpu"), (1, "cuda:x")]
)
def test_wrong_devices(monkeypatch, gpus, option):
    monkeypatch.setattr(environment, "gpu_count", lambda: gpus)
    with pytest.raises(UserError, match=f"--device {option}"):
        environment.devices(option)
