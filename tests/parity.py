"""Golden numbers of the published implementations; see `tests/fixtures/README.md`."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FIXTURES = Path(__file__).parent / "fixtures"
SEED = 0


def facts(name: str) -> dict[str, Any]:
    """The JSON half of a fixture."""
    return json.loads((FIXTURES / f"{name}.json").read_text())


def arrays(name: str) -> dict[str, np.ndarray]:
    """The `.npz` half of a fixture."""
    return dict(np.load(FIXTURES / f"{name}.npz"))


def stream(name: str) -> np.random.Generator:
    """A generator of its own for every name."""
    return np.random.Generator(np.random.PCG64([zlib.crc32(name.encode()), SEED]))


def entry(key: str, shape: Iterable[int]) -> np.ndarray:
    """The value of one state_dict entry: it depends on its key and shape only."""
    g, shape = stream(key), tuple(shape)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_var"):
        v = g.uniform(0.5, 1.5, shape)
    elif key.endswith(("running_mean", ".bias")):
        v = 0.1 * g.standard_normal(shape)
    elif len(shape) >= 2:  # convolution weight
        v = g.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    else:  # BatchNorm scale
        v = g.uniform(0.5, 1.5, shape)
    return v.astype(np.float32)


def fill(model: nn.Module) -> nn.Module:
    """Give every entry of the model its value; returns the model."""
    state = {k: torch.from_numpy(entry(k, v.shape)) for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    return model


def images(n: int, c: int, h: int, w: int) -> Tensor:
    """The input batch (n, c, h, w) of the golden runs, float32."""
    return torch.from_numpy(stream("input").standard_normal((n, c, h, w)).astype(np.float32))


def probe(output: str, shape: Iterable[int]) -> Tensor:
    """Random weights that turn one output map into a scalar."""
    r = stream(f"probe:{output}").standard_normal(tuple(shape)).astype(np.float32)
    return torch.from_numpy(r)


def key_hash(model: nn.Module) -> str:
    """Digest of all keys and shapes in order."""
    lines = (f"{k} {'x'.join(map(str, v.shape))}" for k, v in model.state_dict().items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def weight_hash(model: nn.Module) -> str:
    """Digest of all values in order; blames the filling, not the network, for a failure."""
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()


def gradient_norms(model: nn.Module) -> np.ndarray:
    """L2 norm of each parameter's gradient in registration order, NaN where there is none."""
    return np.array(
        [np.nan if p.grad is None else p.grad.norm().item() for p in model.parameters()]
    )


def running_stat_norms(model: nn.Module) -> np.ndarray:
    """L2 norm of each BatchNorm's running mean and variance, in state_dict order."""
    return np.array(
        [
            value.norm().item()
            for key, value in model.state_dict().items()
            if key.endswith(("running_mean", "running_var"))
        ]
    )


def assert_close_map(actual: Tensor, expected: np.ndarray) -> None:
    """Largest error of an output map within 1e-4 of its standard deviation."""
    assert tuple(actual.shape) == expected.shape
    error = np.abs(actual.detach().numpy() - expected).max()
    assert error <= 1e-4 * expected.std(), f"off by {error / expected.std():.2e} std"


def assert_close_gradients(actual: np.ndarray, expected: np.ndarray) -> None:
    """Float64 gradient norms: relative 1e-6, plus rounding noise where theory says zero."""
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    tolerance = 1e-6 * expected + 1e-8 * np.nanmax(expected)
    assert not (np.abs(actual - expected) > tolerance).any()
