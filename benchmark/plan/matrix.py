"""The matrix: datasets x detectors x losses x seeds, each cell with its settings and its state."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import detectors
import losses
from benchmark.config import Plan, resolve_settings
from benchmark.errors import UserError
from benchmark.evaluation import describe_protocol
from benchmark.plan.job import Job
from benchmark.store import RunFolder


@dataclass(frozen=True)
class Cell:
    """A job, its folder and what to do with it."""

    job: Job
    folder: RunFolder
    state: str  # todo, done, failed, oom, diverged, running, interrupted

    @property
    def skip_reason(self) -> str | None:
        """Why this cell is not run now; None if it is."""
        return {
            "done": "done",
            "running": "another process is running it",
            "diverged": f"diverged; to try again delete {self.folder.path}",
        }.get(self.state)


def make_matrix(plan: Plan, preset: dict[str, Any], options: dict[str, Any]) -> list[Cell]:
    """All cells of the plan.

    Args:
        plan: what to cross.
        preset: settings keys of the preset.
        options: settings keys of the command line.

    Raises:
        UserError: unknown names, settings out of range, or a crop that does not fit a detector.
    """
    cells = []
    seeds = list(dict.fromkeys(plan.seeds))
    for dataset in datasets.REGISTRY.match(plan.datasets):
        if datasets.REGISTRY.get(dataset).data.get("needs_root", True) and plan.data_root is None:
            raise UserError(
                f"dataset '{dataset}' is read from disk: say where with --data-root DIR "
                "or IRSTD_DATA_ROOT"
            )
        for detector in detectors.REGISTRY.match(plan.detectors):
            data = detectors.REGISTRY.get(detector).data
            settings = resolve_settings(data.get("recipe", {}), preset, options)
            for protocol in settings.protocols:
                describe_protocol(protocol)  # refuses unknown names
            stride = data.get("stride", 1)
            if settings.crop_size % stride:
                lower = settings.crop_size // stride * stride
                raise UserError(
                    f"--crop-size {settings.crop_size}: {detector} needs a multiple of {stride}, "
                    f"e.g. {lower or stride} or {lower + stride}"
                )
            for loss in losses.REGISTRY.match(plan.losses):
                for seed in seeds:
                    job = Job(dataset, detector, loss, seed, settings, plan.preset)
                    folder = RunFolder(job.folder(plan.output))
                    cells.append(Cell(job, folder, folder.state(job.id)))
    return cells


def preflight(output: Path) -> None:
    """Make the output folder and check that it can be written to.

    Raises:
        UserError: read-only, full, or in the way of a file.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=output, buffering=0) as probe:
            probe.write(b"x" * 4096)
    except OSError as error:
        raise UserError(
            f"--output {output}: cannot write there ({error.strerror}); choose another folder"
        ) from None
