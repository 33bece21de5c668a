"""The structure of the code, read from its imports: files, rooms, arrows between them, sizes."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("benchmark", "detectors", "losses", "datasets", "docs")
FILE_LINES, FUNCTION_LINES = 400, 70
"""What `make lint` reports beyond; of functions the body without its docstring."""

FLOORS = (
    ("run_benchmark",),
    ("benchmark.commands",),
    ("benchmark.launch", "docs.build", "benchmark.foreign"),
    ("benchmark.preflight", "benchmark.report"),
    ("benchmark.profiling",),
    ("benchmark.execute",),
    ("benchmark.training", "benchmark.data"),
    ("benchmark.plan", "benchmark.networks"),
    ("benchmark.settings", "benchmark.figures"),
    ("benchmark.evaluation",),
    ("losses",),
    ("detectors", "datasets"),
    ("benchmark.records", "benchmark.registry", "benchmark.environment"),
    ("benchmark.measures",),
    ("benchmark.console", "benchmark.install"),
    ("benchmark.errors", "benchmark.warm_up", "benchmark"),
)
"""Rooms, from the command line down: what is imported lies on a lower floor, or in the room."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the product by its dotted name; a package is its `__init__`."""
    found = {"run_benchmark": ROOT / "run_benchmark.py"}
    for file in sorted(f for package in PACKAGES for f in (ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """What a module names in its imports, those inside functions and for types included.

    Our own modules by their full names, of others the first part.
    """
    found = set()
    for node in ast.walk(ast.parse(modules()[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {_known(name) for name in names}
    return frozenset(found - {module})


def _known(name: str) -> str:
    """The module of ours that a dotted name lies in; of any other name the first part."""
    while "." in name and name not in modules():
        name = name.rpartition(".")[0]
    return name


def room(module: str) -> str:
    """A folder of `benchmark/`, a module that lies loose in it, or another package."""
    depth = 2 if module.startswith(("benchmark.", "docs.")) else 1
    return ".".join(module.split(".")[:depth])


def arrows() -> Iterator[tuple[str, str]]:
    """Module and module that it imports, both of ours."""
    for module in modules():
        for other in imports(module) & modules().keys():
            yield module, other


def reached(start: str) -> set[str]:
    """All that the modules of a room import, directly or through others of ours."""
    waiting = [module for module in modules() if room(module) == start]
    found = set(waiting)
    while waiting:
        module = waiting.pop()
        new = (imports(module) if module in modules() else frozenset()) - found
        found |= new
        waiting += new
    return found


def too_long() -> Iterator[str]:
    """A line for each file and function that is longer than it should be."""
    for path in modules().values():
        text = path.read_text("utf-8")
        where, lines = path.relative_to(ROOT), len(text.splitlines())
        if lines > FILE_LINES:
            yield f"{where}: {lines} lines; more than {FILE_LINES} are hard to keep in mind"
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            body = node.body[ast.get_docstring(node) is not None :] or node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1
            if lines > FUNCTION_LINES:
                place = f"{where}:{node.lineno}: {node.name}"
                yield f"{place} has {lines} lines; {FUNCTION_LINES} will do"


def main() -> int:
    """Print what is too long; the exit code of lint."""
    found = list(too_long())
    print("\n".join(found) or "No file or function is too long.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
