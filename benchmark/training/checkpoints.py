"""What training keeps on disk, and the state it resumes from."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmark.errors import UserError
from benchmark.record import Epoch
from benchmark.store import write_atomic


@dataclass
class State:
    """Where a training stands, besides the weights."""

    next_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int | None = None
    best_value: float = -1.0
    best_weights: dict[str, Any] | None = None
    sessions: int = 1
    training_hashes: list[str] = field(default_factory=list)  # see `benchmark.leakage`


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
            "training_hashes": state.training_hashes,
        },
    )


def resume(
    path: Path,
    detector: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: nn.Module | None,
    training_hashes: list[str],
) -> State:
    """Continue from a checkpoint, or start anew where there is none.

    Raises:
        UserError: the detector or the training images are others than those of the checkpoint.
    """
    payload = load(path)
    if payload is None:
        return State(training_hashes=training_hashes)
    if payload.get("training_hashes", training_hashes) != training_hashes:
        raise UserError(
            f"{path}: the training images have changed since this checkpoint; restore them, or "
            "delete this file to train anew"
        )
    try:
        detector.load_state_dict(payload["detector"])
        optimizer.load_state_dict(payload["optimizer"])
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
        training_hashes=training_hashes,
    )
