"""Does it fit into memory? A run is refused only if it certainly does not."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from benchmark.environment import gpu_memory, host_memory
from benchmark.errors import UserError
from benchmark.plan.job import Job
from benchmark.preflight.cost import BYTES, parameters, states, sure
from benchmark.preflight.data import Survey
from benchmark.preflight.site import Site

BASE = 350 * 2**20
"""Bytes of a worker before its network: torch and the libraries. Records of untrained methods have
500 MiB, small images included."""
MARGIN = 1.1
"""Need, in units of the memory that there is, from which on a run is refused."""


def check_memory(jobs: Sequence[Job], data: dict[str, Survey], site: Site) -> None:
    """Refuse trainings that cannot fit.

    On a CPU concurrent runs share the memory, so the largest of them are added up. On a GPU one
    that ran out of memory is repeated alone, so each is judged by itself.

    Raises:
        UserError: they need clearly more than there is.
    """
    needs = {job: need(job, data.get(job.dataset), site) for job in jobs}
    at_once = site.at_once if site.is_cpu else 1
    largest = heapq.nlargest(at_once, needs, key=lambda job: needs[job])
    limit = host_memory() if site.is_cpu else gpu_memory(site.cards[0].name)
    wanted = sum(needs[job] for job in largest)
    if limit is None or wanted <= MARGIN * limit:
        return
    first = largest[0]
    s = first.settings
    alone = needs[first] > MARGIN * limit or len(largest) == 1
    who = first.label if alone else f"{len(largest)} runs at a time, such as {first.label},"
    where = "this machine" if site.is_cpu else site.device
    more = "" if alone else ", or fewer --jobs-per-device"
    raise UserError(
        f"--batch-size {s.batch_size} --crop-size {s.crop_size}: {who} would take about "
        f"{(needs[first] if alone else wanted) / 2**30:.0f} GiB of memory, and {where} has "
        f"{limit / 2**30:.0f} GiB; use a smaller --batch-size or --crop-size{more}"
    )


def need(job: Job, found: Survey | None, site: Site) -> float:
    """Bytes that a training takes at least; for one that is not trained, or declares no cost, those
    of the process."""
    settings = job.settings
    kept = sure(job.detector).get("activations", 0.0)
    base = BASE if site.is_cpu else 0
    if not settings.epochs:
        return base + BYTES * parameters(job)
    pixels = found.pixels(job) if found else None
    batch = min(settings.batch_size, pixels.training) if pixels else settings.batch_size
    # half of what is kept has 2 bytes, or is computed again
    half = settings.compile or site.precision(settings.precision) == "bf16"
    values = 1e6 * kept * (settings.crop_size / 256) ** 2 * batch / (2 if half else 1)
    return base + BYTES * (parameters(job) * (2 + states(settings)) + values)
