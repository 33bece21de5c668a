"""What training keeps on disk, and the state it resumes from."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmark.errors import UserError
from benchmark.record import Epoch
from benchmark.store import write_atomic


class Origin(NamedTuple):
    """What is trained on."""

    train_hash: str  # of the names, images and masks of the training part
    training_hashes: list[str]  # see `benchmark.leakage`


@dataclass
class State:
    """Where a training stands, besides the weights."""

    next_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int | None = None
    best_value: float = -1.0
    best_weights: dict[str, Any] | None = None
    sessions: int = 1
    origin: Origin | None = None


def save(path: Path, payload: dict[str, Any]) -> None:
    """Write tensors and plain data atomically.

    Serialised in memory first: torch reports a full disk as a RuntimeError without a reason.
    """
    buffer = io.BytesIO()
    torch.save(payload, buffer)
    write_atomic(path, buffer.getbuffer())


def load(path: Path) -> dict[str, Any] | None:
    """Read what `save` wrote; None if it is missing or damaged (then training starts anew).

    Raises:
        OSError: it is there and cannot be read; starting anew would overwrite it.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file raises whatever its bytes provoke
        print(f"{path}: damaged checkpoint ignored ({error})", flush=True)
        return None


def save_checkpoint(
    path: Path,
    detector: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    state: State,
) -> None:
    """Everything that the next epoch needs."""
    save(
        path,
        {
            "detector": detector.state_dict(),
            "optimizer": optimizer.state_dict(),
            "average": None if average is None else average.state_dict(),
            "next_epoch": state.next_epoch,
            "history": [e.model_dump() for e in state.history],
            "best_epoch": state.best_epoch,
            "best_value": state.best_value,
            "best_weights": state.best_weights,
            "sessions": state.sessions,
            **(state.origin._asdict() if state.origin else {}),
        },
    )


def resume(
    path: Path,
    detector: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    origin: Origin,
) -> State:
    """Continue from a checkpoint, or start anew where there is none.

    Raises:
        UserError: the detector or the training data are others than those of the checkpoint.
    """
    payload = load(path)
    if payload is None:
        return State(origin=origin)
    if any(payload.get(key, value) != value for key, value in origin._asdict().items()):
        raise UserError(
            f"{path}: training images or masks have changed since this checkpoint; restore them, "
            "or delete this file to train anew"
        )
    fused = [group.get("fused") for group in optimizer.param_groups]
    try:
        detector.load_state_dict(payload["detector"])
        optimizer.load_state_dict(payload["optimizer"])
        for group, choice in zip(optimizer.param_groups, fused, strict=True):
            group["fused"] = choice  # what suits this device, not the one it began on
        if average is not None:
            average.load_state_dict(payload["average"])
    except (RuntimeError, ValueError):
        raise UserError(
            f"{path}: the checkpoint does not fit the detector; if you have changed the detector "
            "since, delete this file to train anew"
        ) from None
    return State(
        next_epoch=payload["next_epoch"],
        history=[Epoch(**e) for e in payload["history"]],
        best_epoch=payload["best_epoch"],
        best_value=payload["best_value"],
        best_weights=payload["best_weights"],
        sessions=payload["sessions"] + 1,
        origin=origin,
    )
