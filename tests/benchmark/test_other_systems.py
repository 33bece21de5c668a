"""What workers and `profile` need of a system other than Linux: simulated, never run on one.

Other packages are loaded as on Linux; then the system loses what macOS or Windows lack, and our
modules are imported anew.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.commands import ROOT

SCRIPT = """
import importlib, os, pathlib, signal, subprocess, sys
from types import SimpleNamespace

NAMES = (
    "benchmark.commands.main", "benchmark.environment", "benchmark.execute.dispatch",
    "benchmark.execute.executors.local", "benchmark.networks.memory", "benchmark.execute.process",
    "benchmark.execute.run", "benchmark.execute.worker", "benchmark.profiling.child",
    "benchmark.profiling.latency", "benchmark.profiling.parent",
)
for name in NAMES:
    importlib.import_module(name)
for name in list(sys.modules):
    if name.partition(".")[0] in ("benchmark", "datasets", "detectors", "losses"):
        del sys.modules[name]

system = sys.argv[1]
real = pathlib.Path.read_text
def read_text(path, *args, **more):
    if path.parts[:2] in (("/", "proc"), ("/", "sys")):
        raise FileNotFoundError(path)
    return real(path, *args, **more)
pathlib.Path.read_text = read_text
sys.platform = system
del os.sched_getaffinity
core = SimpleNamespace(user=3.0, system=2.0, idle=90.0)
sys.modules["psutil"] = SimpleNamespace(
    Error=OSError, virtual_memory=lambda: SimpleNamespace(total=1000),
    swap_memory=lambda: SimpleNamespace(total=24), cpu_times=lambda percpu: [core] * 4,
    Process=lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=4321)),
)
if system == "win32":
    sys.modules["resource"] = None
    subprocess.CREATE_NEW_PROCESS_GROUP = 512
    del os.sysconf, signal.SIGKILL

found = {name: importlib.import_module(name) for name in NAMES}
environment, process = found["benchmark.environment"], found["benchmark.execute.process"]
parent, memory = found["benchmark.profiling.parent"], found["benchmark.networks.memory"]
latency = found["benchmark.profiling.latency"]
assert environment.host_memory() == 1024
assert environment.cpu_count() == os.cpu_count()
assert environment.cpu_name() and not environment.cpu_computes_bf16()
assert parent._busy_seconds() == 20
with parent.Bystanders() as bystanders:
    pass
assert bystanders.warning is None
memory.keep_freed(), memory.give_back()
latency._reset_high_water()

flags = {}
subprocess.Popen = lambda arguments, **more: flags.update(more)
process.start_child("benchmark.execute.worker", ["folder"], {}, attached=True)
if system == "win32":
    assert parent.Bystanders._others() is None
    assert memory.peak_resident() == latency._high_water() == 4321
    assert process.STOPPED == (1,) and flags["creationflags"] == 512
else:
    assert parent.Bystanders._others() < 20
    import resource  # which counts bytes there
    assert memory.peak_resident() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert latency._high_water() == memory.peak_resident()
    assert process.STOPPED == (-15, -9) and flags["creationflags"] == 0
    assert flags["start_new_session"]
"""


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_modules_can_be_imported_and_measure_what_there_is(system: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, system], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_nothing_imports_resource_with_its_module() -> None:
    """It is missing on Windows."""
    files = (ROOT / "benchmark").rglob("*.py")
    lines = {line for path in files for line in path.read_text(encoding="utf-8").splitlines()}
    assert not [line for line in lines if line.startswith(("import resource", "from resource"))]
