"""Training speed of a device: measured once, kept beside the data cache."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import UserError
from benchmark.execute.process import child_variables, describe_exit, last_line, start_child
from benchmark.plan.job import Job
from benchmark.preflight.site import Site
from benchmark.records.store import write_atomic
from datasets.cache import cache_folder


class Speed(NamedTuple):
    """Work that a training does in a second, forwards and back.

    Attributes:
        macs: multiply-adds of convolutions.
        values: values of maps that are normalised and activated.
    """

    macs: float
    values: float

    def seconds(self, macs: float, values: float) -> float:
        """Seconds of a pass with this many multiply-adds and values kept."""
        return macs / self.macs + values / self.values


def measured(jobs: Sequence[Job], site: Site, now: bool) -> dict[str, Speed]:
    """The speed of a site by precision, as far as it is known.

    Args:
        jobs: their precisions are looked up.
        site: devices and threads.
        now: measure.

    Raises:
        UserError: the measurement fails.
    """
    found = {}
    copies = min(site.lanes, len(jobs))
    for precision in dict.fromkeys(site.precision(job.settings.precision) for job in jobs):
        speed = _measure(site, precision, copies) if now else read_speed(site, precision, copies)
        if now and speed is not None:
            keep(site, precision, copies, speed)
        if speed is not None:
            found[precision] = speed
    return found


def keep(site: Site, precision: str, copies: int, speed: Speed) -> None:
    """Keep a speed for later runs; without a cache it is lost.

    Args:
        site: devices and threads.
        precision: that was computed with.
        copies: runs at a time.
        speed: of each.
    """
    path = _path(site, precision, copies)
    if path is None:
        return
    try:
        write_atomic(path, json.dumps(_key(site, precision, copies) | speed._asdict(), indent=1))
    except OSError as error:
        print(f"{path}: the speed could not be kept ({error.strerror})", file=sys.stderr)


def read_speed(site: Site, precision: str, copies: int) -> Speed | None:
    """The speed that was kept, see `keep`; None if there is none, or a damaged one."""
    path = _path(site, precision, copies)
    try:
        raw = json.loads(path.read_text(encoding="utf-8")) if path else {}
        return Speed(*(float(raw[field]) for field in Speed._fields))
    except (OSError, ValueError, TypeError, KeyError):  # not there, or damaged
        return None


def _key(site: Site, precision: str, copies: int) -> dict[str, str | int]:
    return {
        "device": site.device,
        "threads": site.threads,
        "copies": copies,
        "precision": precision,
        "torch": version("torch"),
    }


def _path(site: Site, precision: str, copies: int) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    text = json.dumps(_key(site, precision, copies), sort_keys=True)
    return folder / f"speed-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _measure(site: Site, precision: str, copies: int) -> Speed:
    """Measure in child processes, as many as there will be workers: they share the machine.

    Raises:
        UserError: one fails.
    """
    arguments = ["--precision", precision, "--threads", site.threads]
    arguments += ["--device", "cpu" if site.is_cpu else "cuda"]
    names = [card.name for card in site.cards] * copies  # those of GPUs once each, a CPU's again
    module = "benchmark.preflight.speed_child"
    children = [
        start_child(module, arguments, child_variables(name, site.threads))
        for name in names[:copies]
    ]
    answers = [(*child.communicate(), child.returncode) for child in children]
    for _, errors, code in answers:
        if code:
            reason = last_line(errors) if errors.strip() else describe_exit(code)
            raise UserError(f"--measure: {site.device} could not be measured: {reason}")
    rates = [json.loads(last_line(output)) for output, _, _ in answers]
    return Speed(*(min(rate[field] for rate in rates) for field in Speed._fields))
