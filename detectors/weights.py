"""Strict loading of checkpoints, the official ones included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmark.errors import UserError, describe_os_error
from detectors.base import Detector
from detectors.mxnet import is_params, read_params, to_state_dict
from detectors.registry import REGISTRY

_Adapt = Callable[[dict[str, Tensor], Mapping[str, Tensor]], dict[str, Tensor]]
"""Turns the content of a file into a state_dict for a network with the given one."""

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

    Accepts what `torch.save` wrote, a bare state_dict or one under `state_dict`, `net` or `model`
    (this harness's `weights.pt` is one), with or without the prefixes `module.` and `model.`; and
    MXNet's `.params`. The content decides, not the extension. Nothing in the file is executed.

    Raises:
        UserError: the file is missing, not a checkpoint, or does not fit the detector.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; give the path of a checkpoint")
    content, adapt = _open(path)
    own = detector.state_dict()
    state = adapt(content, own)
    problems = _problems(state, own)
    if problems:
        remedy = "name the detector, variant and options that these weights were trained with"
        has = list(getattr(detector, "variants", ()))
        if detector.name in REGISTRY.names():
            options = REGISTRY.get(detector.name).options
            has += [f"{key}={value}" for key, value in options.items() if key != "variant"]
        if has:
            remedy += f" ({detector.name} has: {', '.join(has)})"
        fitting = _fitting(content, adapt)
        if fitting:
            remedy = f"these weights fit {' or '.join(fitting)} with default options"
        raise UserError(
            f"{path}: weights do not fit {detector.name}: {'; '.join(problems)}; {remedy}"
        )
    detector.load_state_dict(state)


def _open(path: Path) -> tuple[dict[str, Tensor], _Adapt]:
    """The tensors in a file, and the function that makes a state_dict of them."""
    try:
        from_mxnet = is_params(path)
    except OSError as error:
        raise UserError(describe_os_error(error)) from None
    if from_mxnet:
        return read_params(path), to_state_dict
    return _read(path), _strip_prefixes


def _problems(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """How the keys and shapes of `state` differ from those of the network, `own`."""
    wrong = [
        f"{key} is {_shape(state[key])}, needs {_shape(own[key])}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    return [
        f"{len(keys)} {kind} ({_listed(keys)})"
        for kind, keys in (
            ("missing", [key for key in own if key not in state]),
            ("unexpected", [key for key in state if key not in own]),
            ("of the wrong shape", wrong),
        )
        if keys
    ]


def _fitting(content: dict[str, Tensor], adapt: _Adapt) -> list[str]:
    """Names of the detectors, with default options, that these weights fit."""
    found = []
    for name in REGISTRY.names():
        for variant in REGISTRY.get(name).info.variants or ("",):
            full = f"{name}:{variant}" if variant else name
            try:
                with torch.device("meta"):  # keys and shapes without values
                    own = REGISTRY.create(full).state_dict()
            except Exception:  # a plug-in may raise anything there: it is not the one
                continue
            if own and not _problems(adapt(content, own), own):
                found += REGISTRY.match([full])
    return found


def _read(path: Path) -> dict[str, Tensor]:
    """The state_dict in a file of PyTorch's."""
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            content: Any = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged file may raise anything
        raise UserError(
            f"{path}: not readable as a PyTorch checkpoint of tensors ({type(error).__name__}): "
            "damaged, of another kind, or with Python objects in it, which are never executed; "
            "save only the weights, with torch.save(model.state_dict(), path)"
        ) from None
    for _ in _WRAPPERS:  # nested at most so deep: a pickle can contain itself
        if isinstance(content, Mapping):
            wrapped = (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping))
            content = next(wrapped, content)
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    ):
        raise UserError(
            f"{path}: no state_dict in this file, neither bare nor under "
            f"{', '.join(_WRAPPERS)}; save the weights with torch.save(model.state_dict(), path)"
        )
    return dict(content)


def _strip_prefixes(state: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that every key of the file has and the network's own keys lack."""
    removable = [p for p in _PREFIXES if not any(key.startswith(p) for key in own)]
    while prefix := next((p for p in removable if all(k.startswith(p) for k in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _listed(keys: list[str]) -> str:
    more = len(keys) - _SHOWN
    return ", ".join(keys[:_SHOWN]) + (f", and {more} more" if more > 0 else "")
