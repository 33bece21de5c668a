"""Can the output be written, and is there room for it?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import UserError
from benchmark.plan.job import Job
from benchmark.preflight.cost import BYTES, parameters, states
from benchmark.preflight.site import Site

RECORD = 32 * 2**10
"""Bytes of a small record with its log and crops; more test images make it larger."""


def check_disk(jobs: Sequence[Job], output: Path, site: Site | None) -> None:
    """Refuse an output folder that cannot be written to or has no room; nothing is left there.

    Raises:
        UserError: read-only, a file of that name, or too small.
    """
    place = _existing(output)
    _probe(place, output)
    need = sum(_kept(job) for job in jobs)
    most = sorted((_meanwhile(job) for job in jobs), reverse=True)
    need += sum(most[: site.at_once if site else 1])
    free = shutil.disk_usage(place).free
    if need > free:
        raise UserError(
            f"--output {output}: {_size(free)} are free on this disk, and the cells to run write "
            f"about {_size(need)} (weights, checkpoints, records); make room or name another folder"
        )


def make_output(output: Path) -> None:
    """Make the output folder and check that it can be written to.

    Raises:
        UserError: read-only, full, or a file of that name.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(output, error) from None
    _probe(output, output)


def _probe(folder: Path, output: Path) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, buffering=0) as probe:
            probe.write(b"x" * 4096)
    except OSError as error:
        raise _refusal(output, error) from None


def _refusal(output: Path, error: OSError) -> UserError:
    return UserError(
        f"--output {output}: cannot write there ({error.strerror}); choose another folder"
    )


def _existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def _kept(job: Job) -> float:
    """Bytes that a cell leaves behind."""
    return BYTES * parameters(job) + RECORD


def _meanwhile(job: Job) -> float:
    """Bytes that a training has on disk besides: its checkpoint, twice while it is replaced, and
    the weights of the best epoch by each rule."""
    settings = job.settings
    if not settings.epochs:
        return 0
    best = sum(rule != "last" for rule in (settings.selection, *settings.also))
    checkpoint = 1 + states(settings) + (settings.ema > 0)
    return BYTES * parameters(job) * (2 * checkpoint + best)


def _size(value: float) -> str:
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.1f} MiB"
