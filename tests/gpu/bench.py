"""The speed of everything that a GPU does here, for a machine that is there for ten minutes.

    python -m tests.gpu.bench --json gpu-bench.json

Needs no git, no network and no data. Tables are printed as they come; the file has the same
numbers, and what machine they are of. A part that fails does not keep the others from running.
`--device cpu --small` shows that the program works, not how fast anything is.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

PARTS = {
    "ceilings": "bench_steps:ceilings",
    "grid": "bench_steps:grid",
    "loop": "bench_loop:loop",
    "kernels": "bench_loop:kernels",
    "scoring": "bench_runs:scoring",
    "checkpoints": "bench_runs:checkpoints",
    "latency": "bench_steps:latency",
    "jobs": "bench_jobs:jobs",  # the longest
}
"""Where the function of each part is, which yields the rows of its table."""
CHILDREN = {"profiled": "bench_loop:profiled", "job": "bench_jobs:job"}
"""What a process of its own does for a part."""
HANGS = 60.0
"""Seconds after the time is over in which the last row must be there, or the process ends."""
WANTED = (
    ("grid", {"detector": "mshnet", "form": "fp32 NHWC"}, "eager/graph", ">=", 2.0),
    ("loop", {}, "ours/bare", "<=", 1.10),
    ("kernels", {"mode": "graph"}, "busy", ">=", 0.70),
)
"""Part, which rows of it, number, and what that should be on a GPU."""


def main() -> int:
    """Run; the exit code is 1 if a part failed or was left out, 2 for a mistake on the line."""
    options = _options()
    if options.list:
        for name, place in PARTS.items():
            print(f"{name:12}{(_find(place).__doc__ or '').partition(chr(10))[0]}")
        return 0
    started = time.monotonic()
    from benchmark.environment import cpu_count, device_environment

    os.environ.update(device_environment("cpu"))  # what is set for every worker
    import torch

    from benchmark.networks.torch_setup import configure
    from tests.gpu.bench_common import Bench
    from tests.gpu.bench_steps import warm_up

    if options.device == "cuda" and not torch.cuda.is_available():
        print("error: this torch sees no GPU; use --device cpu", file=sys.stderr)
        return 2
    threads = options.threads or (1 if options.small else cpu_count())
    configure(threads)
    seconds = options.seconds or (0.2 if options.small else 2.0)
    bench = Bench(torch.device(options.device), seconds, options.small, threads)
    if options.child:
        name, *arguments = options.child
        _find(CHILDREN[name])(bench, *arguments)
        return 0

    results: dict[str, Any] = {"machine": _machine(bench), "parts": {}}
    print(*(f"{key}: {value}" for key, value in results["machine"].items()), sep="\n", flush=True)
    warm_up(bench)
    end = started + 60 * options.minutes
    faulthandler.dump_traceback_later(60 * options.minutes + HANGS, exit=True)
    sound = True
    for name in options.only or PARTS:
        part = results["parts"][name] = {"rows": []}
        _run(name, part, bench, end)
        sound &= "error" not in part and "left_out" not in part
        if options.device == "cuda":
            results["summary"] = summary(results["parts"])
        results["minutes"] = (time.monotonic() - started) / 60
        _write(options.json, results)
    _print_summary(results)
    return 0 if sound else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.bench")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="NAME", help=", ".join(PARTS))
    parser.add_argument("--small", action="store_true", help="tiny: only whether it works")
    parser.add_argument("--seconds", type=float, help="for each timing (2); jobs: 6 times as long")
    parser.add_argument("--minutes", type=float, default=8.5, help="nothing starts later (8.5)")
    parser.add_argument("--threads", type=int, help="of the CPU (its cores; 1 with --small)")
    parser.add_argument("--list", action="store_true", help="show the parts")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def _find(place: str) -> Any:
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(f"tests.gpu.{module}"), function)


def _run(name: str, part: dict[str, Any], bench: Any, end: float) -> None:
    """Print the table of a part, row by row, and keep it in `part`, with what went wrong."""
    from tests.gpu.bench_common import first_line

    started = time.monotonic()
    if started >= end:
        part["left_out"] = "no time was left"
        print(f"\n== {name}: left out, no time was left", flush=True)
        return
    table = Table()
    try:
        function = _find(PARTS[name])
        print(f"\n== {name}: {function.__doc__.strip()}\n", flush=True)
        rows = function(bench)
        for row in rows:
            part["rows"].append(row)
            table.show(row)
            if time.monotonic() >= end:
                rows.close()
                part["left_out"] = "rows, if there were more: the time was over"
                print(f"the time is over: what comes after this row of {name} is left out")
                break
    except Exception as error:  # whatever; the other parts are worth having
        part["error"] = first_line(error)
        print(f"FAILED {name}: {part['error']}", flush=True)
    bench.clear()
    part["seconds"] = time.monotonic() - started
    print(f"({part['seconds']:.0f} s)", flush=True)


class Table:
    """Prints rows as they come, under the names of the first one's values."""

    def __init__(self) -> None:
        self._widths: dict[str, int] = {}

    def show(self, row: dict[str, Any]) -> None:
        """Print a row."""
        if "skipped" in row:
            *names, reason = row.values()
            print("  ".join(map(str, names)), f"skipped: {reason}", flush=True)
            return
        if not self._widths:
            self._widths = {
                key: max(len(key), 36 if key == "what" else 9) for key in row if key != "note"
            }
            self._print(row, dict(zip(row, row, strict=True)))
        self._print(row, {key: number(value) for key, value in row.items()})

    def _print(self, row: dict[str, Any], texts: dict[str, str]) -> None:
        cells = [
            texts[key].ljust(width) if isinstance(row[key], str) else texts[key].rjust(width)
            for key, width in self._widths.items()
        ]
        print("  ".join([*cells, texts.get("note", "")]).rstrip(), flush=True)


def number(value: Any) -> str:
    """A value of a table; of a number three digits, or all before the point."""
    if value is None:
        return "—"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def summary(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """What was wanted and what was measured, worst value first."""
    found = []
    for name, where, key, sign, bound in WANTED:
        rows = [r for r in parts.get(name, {}).get("rows", []) if where.items() <= r.items()]
        values = [r[key] for r in rows if r.get(key) is not None]
        met = [v >= bound if sign == ">=" else v <= bound for v in values]
        found.append(
            {
                "wanted": f"{name}: {key} {sign} {bound:g}",
                "measured": sorted(values, reverse=sign == "<="),
                "met": all(met) if met else None,
            }
        )
    return found


def _print_summary(results: dict[str, Any]) -> None:
    print(f"\n== summary, after {results['minutes']:.1f} min")
    if "summary" not in results:
        print("what is wanted of a GPU is not judged on a CPU")
    for line in results.get("summary", []):
        verdict = {True: "met", False: "NOT MET", None: "not measured"}[line["met"]]
        print(f"{line['wanted']}: {verdict}  {'  '.join(map(number, line['measured']))}")
    for name, part in results["parts"].items():
        if trouble := part.get("error") or part.get("left_out"):
            print(f"{name}: {trouble}")
        if skipped := sum("skipped" in row for row in part["rows"]):
            print(f"{name}: {skipped} of {len(part['rows'])} rows skipped")
    sys.stdout.flush()


def _machine(bench: Any) -> dict[str, Any]:
    import torch

    from benchmark.environment import cpu_count, cpu_name, git_commit
    from benchmark.networks.torch_setup import describe

    facts = {
        "card": torch.cuda.get_device_name() if bench.device.type == "cuda" else None,
        "processor": cpu_name(),
        "cores": cpu_count(),
        "threads": bench.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": git_commit(),
        "small": bench.small,
        "seconds": bench.seconds,
    }
    return facts | describe(bench.device)


def _write(path: Path | None, results: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
