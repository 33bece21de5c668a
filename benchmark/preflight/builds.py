"""Do weights fit, and do detectors and losses build with options that are not their defaults?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from benchmark.environment import ROOT, worker_environment
from benchmark.plan.job import Job
from benchmark.settings.config import Plan


def check_builds(jobs: Sequence[Job], plan: Plan) -> list[str]:
    """Build what is not at its defaults, in one child process; nothing is started where all is.

    Returns:
        What does not build, a line each.
    """
    weights = plan.weights
    detectors = {job.detector: None for job in jobs if weights or ":" in job.detector}
    chosen = (loss for job in jobs for loss in (job.loss, job.settings.warm_loss))
    losses = {loss: None for loss in chosen if loss is not None and ":" in loss}
    if not detectors and not losses:
        return []
    command = [sys.executable, "-m", "benchmark.preflight.builds_child"]
    command += [f"--detector={name}" for name in detectors]
    command += [f"--loss={name}" for name in losses]
    command += [] if weights is None else [f"--weights={weights.resolve()}"]
    command += [] if plan.plugins is None else [f"--plugins={plan.plugins.resolve()}"]
    child = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=worker_environment("cpu", 1),
        cwd=ROOT,
        check=False,
    )
    try:
        return json.loads(child.stdout.splitlines()[-1])
    except (ValueError, IndexError):  # it died
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        names = ", ".join([*detectors, *losses])
        return [f"{names}: building ended with exit code {child.returncode}: {last}"]
