"""Run benchmarks: every module beside this file without a leading underscore is one.

Such a module has `add_arguments(group)` for options of its own and `run(options)`, which prints a
table and returns the same numbers as data for --json. All options reach every benchmark.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from pathlib import Path

import torch

import tests.bench
from benchmark.environment import cpu_count, cpu_name
from benchmark.errors import UserError
from benchmark.networks.memory import keep_freed


def main() -> int:
    """Run what the command line names; the exit code is 2 for a mistake in it."""
    modules = {
        found.name: importlib.import_module(f"tests.bench.{found.name}")
        for found in pkgutil.iter_modules(tests.bench.__path__)
        if not found.ispkg and not found.name.startswith("_")
    }
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(modules)}; all if none is named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers there")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="of the CPU")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each timing, about (10)")
    for name, module in modules.items():
        module.add_arguments(parser.add_argument_group(name, module.__doc__.partition("\n")[0]))
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in modules]:
        parser.error(f"no benchmark '{unknown[0]}'; there are: {', '.join(modules)}")
    if options.threads < 1:
        parser.error(f"--threads {options.threads}: give 1 or more")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: there is no such folder")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this torch sees no GPU; use --device cpu")

    if options.device == "cpu":
        keep_freed()  # all candidates run as a worker does
    torch.set_num_threads(options.threads)
    device = torch.cuda.get_device_name() if options.device == "cuda" else cpu_name()
    print(f"{device}, {options.threads} CPU threads, torch {torch.__version__}\n")
    results = {
        "device": device,
        "torch": torch.__version__,
        "options": {key: value for key, value in vars(options).items() if key != "json"},
    }
    try:
        for name in options.names or modules:
            results[name] = modules[name].run(options)
            print()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
