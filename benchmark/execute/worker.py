"""One job in one fresh process: read data, train, score, write the record.

Started by `executors.local` as `python -m benchmark.execute.worker FOLDER ...`; events go to
standard output, everything else that is printed to the run's log. SIGTERM stops it: a training
saves the epochs that it has finished first. So does the end of its standard input, that is of its
parent.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path

from filelock import Timeout

from benchmark import __version__
from benchmark.errors import UserError, describe_os_error
from benchmark.execute.events import EventWriter, listen_to_parent
from benchmark.execute.memory import is_out_of_memory
from benchmark.plan.job import Job
from benchmark.records.record import Cell, Environment, Record
from benchmark.records.store import RunFolder, write_atomic
from benchmark.training.stop import Interrupted, OutOfTime, Stop

PATIENCE = 30.0
"""Seconds that a training gets to save itself after it was asked to stop: one step of a large
network on a slow CPU, and writing its checkpoint to a busy disk."""


def main() -> int:
    """Run the job; the exit code is 0 for done, 1 for every other end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--plugins", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--allow-leakage", action="store_true")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-share", type=float, help="of the GPU's memory")
    parser.add_argument("--packed", action="store_true", help="take no more than was told")
    parser.add_argument("--deadline", type=float, help="seconds since 1970")
    parser.add_argument("--cuda-graph", action="store_true")
    parser.add_argument("--command", default="")
    args = parser.parse_args()

    # events keep the original standard output; whatever else prints goes to the log
    send = EventWriter(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    stop, company = Stop(args.deadline), Company()
    signal.signal(signal.SIGTERM, stop.ask)
    listener = threading.Thread(target=listen_to_parent, args=(company.now, PATIENCE), daemon=True)
    listener.start()

    folder = RunFolder(args.folder)
    try:
        # a moment's patience: whoever asks for the state of a run holds its lock briefly
        with folder.lock().acquire(timeout=3):
            return _run(folder, args, send, stop, company)
    except Timeout:
        send("end", status="running", message="another process is running it")
    except OSError as error:
        send("end", status="failed", message=describe_os_error(error))
    return 1


class Company:
    """How many runs shared the device at most."""

    most = 1

    def now(self, jobs: int) -> None:
        """So many do now."""
        self.most = max(self.most, jobs)


def _run(
    folder: RunFolder, args: argparse.Namespace, send: EventWriter, stop: Stop, company: Company
) -> int:
    job = Job.from_dict(json.loads(folder.job.read_text(encoding="utf-8")))
    if folder.state(job.id, locked=False) == "done":  # by another harness meanwhile
        send("end", status="done", message="done by another process")
        return 0
    folder.discard_record(job.id)
    for pattern in (".*.pt.*", ".record.json.*", ".crops.npz.*"):  # of a write that was killed
        for leftover in folder.path.glob(pattern):
            leftover.unlink(missing_ok=True)

    started = _now()
    fields: dict = {}
    environment = None
    status, message, trace = "done", "", None
    try:
        from benchmark.execute import run
        from benchmark.execute.inputs import Inputs

        device = run.open_device(args.device, args.threads, args.memory_share)
        send("ready", memory=run.device_memory(device))
        environment = run.prepare(job, device, args.threads, args.plugins)
        inputs = Inputs(
            args.data_root, args.weights, args.allow_leakage, args.cuda_graph, args.packed
        )
        fields = run.run_job(job, folder, device, environment, inputs, send, stop)
    except Interrupted as interruption:
        status = "paused" if isinstance(interruption, OutOfTime) else "interrupted"
        send("end", status=status, message=str(interruption))
        return 1
    except UserError as error:
        status, message = "failed", str(error)
    except OSError as error:
        status, message, trace = "failed", describe_os_error(error), traceback.format_exc()
    except Exception as error:
        status, message, trace = _classify(error, job)
    if trace:
        print(trace, file=sys.stderr, flush=True)

    environment = environment or _bare_environment(args)
    environment.jobs = company.most
    record = Record(
        cell=Cell(**{k: v for k, v in job.to_dict().items() if k != "settings"}),
        status=status,
        settings=job.settings.model_dump(mode="json"),
        started=started,
        finished=_now(),
        command=args.command,
        environment=environment,
        selection=job.settings.selection,
        error=message or None,
        traceback=trace,
        **fields,
    )
    write_atomic(folder.record, record.to_json())
    if status == "done":
        folder.discard_checkpoint()
    metrics = record.scores["native"].metrics if "native" in record.scores else {}
    send("end", status=status, message=message, metrics=metrics)
    return 0 if status == "done" else 1


def _classify(error: Exception, job: Job) -> tuple[str, str, str | None]:
    """Status, one line and traceback of an exception out of a detector or loss."""
    text = _first_line(error)
    if is_out_of_memory(error):
        return "oom", f"{text}; {_oom_advice(job)}", None
    from benchmark.training.loop import DivergedError

    if isinstance(error, DivergedError):
        return "diverged", f"{error}; try a smaller --lr", None
    return "failed", f"{type(error).__name__}: {text}", traceback.format_exc()


def _oom_advice(job: Job) -> str:
    return (
        f"try a smaller --batch-size (now {job.settings.batch_size}), a smaller --crop-size "
        f"(now {job.settings.crop_size}) or --jobs-per-device 1"
    )


def _bare_environment(args: argparse.Namespace) -> Environment:
    """For a worker that failed before it knew more."""
    import platform

    return Environment(
        harness=__version__,
        python=platform.python_version(),
        torch="unknown",
        platform=platform.platform(),
        device=args.device,
        threads=args.threads,
        precision="unknown",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    sys.exit(main())
