"""Checks before a worker starts: is everything there, does it fit, how long will it take?

Nothing here imports torch; what needs it (building a detector, measuring the device) runs in a
child process. Nothing is written but the measurement of a device, in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmark.errors import UserError, collecting
from benchmark.execute.cards import make_cards
from benchmark.plan.matrix import Cell
from benchmark.preflight.builds import check_builds
from benchmark.preflight.data import Survey, survey
from benchmark.preflight.disk import check_disk
from benchmark.preflight.hours import Hours, estimate
from benchmark.preflight.memory import check_memory
from benchmark.preflight.site import Site
from benchmark.preflight.speed import measured
from benchmark.settings.plan import Plan


@dataclass
class Outlook:
    """The findings.

    Attributes:
        site: where the cells would run; None where the device is not there.
        data: by name of the data set.
        hours: how long it would take; None where that is not known yet.
        problems: why the cells cannot start, a line each.
    """

    site: Site | None = None
    data: dict[str, Survey] = field(default_factory=dict)
    hours: Hours | None = None
    problems: list[str] = field(default_factory=list)


def look_ahead(cells: Sequence[Cell], plan: Plan, measure: bool = False) -> Outlook:
    """Check that cells can start, and estimate how long they take.

    Args:
        cells: those to run, in their order.
        plan: where they run.
        measure: find out how fast the device is, where that is not known.
    """
    outlook = Outlook()
    with collecting(outlook.problems):
        outlook.site = Site(make_cards(plan))
    for name in dict.fromkeys(cell.job.dataset for cell in cells):
        found = survey(name, plan.data_root, outlook.problems)
        if found is not None:
            outlook.data[name] = found
    jobs = [cell.job for cell in cells]
    for job in jobs:
        if job.dataset in outlook.data:
            with collecting(outlook.problems):
                outlook.data[job.dataset].check_parts(job)
    outlook.problems += check_builds(jobs, plan)
    with collecting(outlook.problems):
        check_disk(jobs, plan.output, outlook.site)
    if outlook.site is not None:
        with collecting(outlook.problems):
            check_memory(jobs, outlook.data, outlook.site)
    outlook.problems = list(dict.fromkeys(outlook.problems))
    if outlook.site is not None and not outlook.problems:
        speeds = measured(jobs, outlook.site, measure)
        outlook.hours = estimate(cells, plan, outlook.data, outlook.site, speeds)
    return outlook


def refuse(outlook: Outlook) -> None:
    """Stop if cells cannot start.

    Raises:
        UserError: with every reason.
    """
    if outlook.problems:
        raise UserError(*outlook.problems)
