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
    ("visible", "expected"), [(None, 2), ("", 0), ("1", 1), ("0,1", 2), ("-1", 0)]
)
def test_visible_gpus(monkeypatch, tmp_path, visible, expected):
    """A stand-in for nvidia-smi that lists two GPUs, as it does whatever the variable says."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: A'; echo 'GPU 1: B'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment.gpu_count() == expected


@pytest.mark.parametrize(
    ("gpus", "option"), [(0, "cuda"), (1, "cuda:1"), (1, "gpu"), (1, "cuda:x")]
)
def test_wrong_devices(monkeypatch, gpus, option):
    monkeypatch.setattr(environment, "gpu_count", lambda: gpus)
    with pytest.raises(UserError, match=f"--device {option}"):
        environment.devices(option)
