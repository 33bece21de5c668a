"""Strict loading of checkpoints, the official ones included."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.errors import UserError
from detectors.base import Detector

_WRAPPERS = ("state_dict", "net", "model")  # layouts in circulation: {"net": state_dict, ...}
_PREFIXES = ("module.", "model.")  # DataParallel; the LESPS and BasicIRSTD ports
_SHOWN = 10

# Resume files keep the score beside the weights as a NumPy scalar, which is harmless data.
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_SCALARS = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
]


def load_weights(detector: Detector, path: str | Path) -> None:
    """Load a checkpoint into `detector`, in place; every key and shape must fit.

    Accepts a bare state_dict or one under `state_dict`, `net` or `model`, with or without the
    prefixes `module.` and `model.`. Nothing in the file is executed.

    Raises:
        UserError: the file is missing, not a checkpoint, or does not fit the detector.
    """
    path = Path(path)
    state = _strip_prefixes(_read(path), detector.state_dict())
    own = detector.state_dict()
    wrong = [
        f"{key} is {_shape(state[key])}, needs {_shape(own[key])}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    problems = [
        f"{len(keys)} {kind} ({_listed(keys)})"
        for kind, keys in (
            ("missing", [key for key in own if key not in state]),
            ("unexpected", [key for key in state if key not in own]),
            ("of the wrong shape", wrong),
        )
        if keys
    ]
    if problems:
        variants = getattr(detector, "variants", ())
        other = f" (variants: {', '.join(variants)})" if variants else ""
        raise UserError(
            f"{path}: weights do not fit {detector.name}: {'; '.join(problems)}; name the "
            f"detector, variant and options that these weights were trained with{other}"
        )
    detector.load_state_dict(state)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; give the path of a PyTorch checkpoint")
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            content: Any = torch.load(path, weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{path}: not readable as a PyTorch checkpoint ({reason}); save only the weights, "
            f"with torch.save(model.state_dict(), path)"
        ) from None
    if isinstance(content, Mapping):
        for key in _WRAPPERS:
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(value, Tensor) for value in content.values())
    ):
        raise UserError(
            f"{path}: no state_dict in this file, neither bare nor under "
            f"{', '.join(_WRAPPERS)}; save the weights with torch.save(model.state_dict(), path)"
        )
    return dict(content)


def _strip_prefixes(state: dict[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """Remove the prefixes that every key of the file has and the detector's own keys have not."""
    own = list(own)
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state) and not any(
            key.startswith(prefix) for key in own
        ):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _listed(keys: list[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f", and {more} more" if more > 0 else "")
