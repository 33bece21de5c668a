"""The GPU benchmark, as far as a CPU takes it: on the day it has ten minutes."""

import json
import subprocess
import sys

import pytest

from benchmark.environment import ROOT
from tests.gpu.bench import PARTS, number, summary
from tests.gpu.bench_common import attempt
from tests.gpu.bench_loop import summarise

COMMAND = [sys.executable, "-m", "tests.gpu.bench"]


@pytest.mark.extra
@pytest.mark.timeout(900)  # a minute, where nothing else runs
def test_every_part_works(tmp_path):
    listed = subprocess.run([*COMMAND, "--list"], cwd=ROOT, capture_output=True, text=True)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(PARTS)

    path = tmp_path / "bench.json"
    command = [*COMMAND, "--device", "cpu", "--small", "--minutes", "14", "--json", str(path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    results = json.loads(path.read_text())
    assert results["machine"]["torch"]
    assert list(results["parts"]) == list(PARTS)
    for name, part in results["parts"].items():
        assert part["rows"], name
        for row in part["rows"]:
            numbers = [v for v in row.values() if isinstance(v, float)]
            assert "skipped" in row or (numbers and max(numbers) > 0), (name, row)
            assert all(v >= 0 for v in numbers), (name, row)
        assert not all("skipped" in row for row in part["rows"]), (name, part["rows"])


def test_what_a_trace_of_a_gpu_says():
    def event(kind, name, start=0, length=1):
        return {"cat": kind, "name": name, "ts": start, "dur": length}

    events = [
        {"ph": "M", "name": "process_name"},
        event("kernel", "conv", 0, 30),
        event("kernel", "norm", 20, 20),  # on another stream: together 40
        event("gpu_memcpy", "Memcpy HtoD", 50, 10),
        event("gpu_user_annotation", "Optimizer.step", 0, 1000),
        event("cuda_runtime", "cudaLaunchKernel"),
        event("cuda_driver", "cuLaunchKernelEx"),
        event("cuda_runtime", "cudaGraphLaunch"),
        event("cuda_runtime", "cudaStreamSynchronize"),
        event("cuda_runtime", "cudaDeviceSynchronize"),  # the profiler's
    ]
    row = summarise(events, 2, wall=200e-6, as_run=100e-6)
    assert row["busy"] == pytest.approx(0.25)
    assert row["busy, as run"] == pytest.approx(0.5)
    assert (row["launches"], row["graphs"], row["kernels"]) == (1.5, 0.5, 1.0)
    assert (row["waits"], row["copies"], row["CPU ops"]) == (0.5, 0.5, 0)


def test_summary():
    loop = [{"ours/bare": 1.05}, {"ours/bare": 1.2}, {"skipped": "x"}]
    grid = [{"detector": "mshnet", "form": "fp32 NHWC", "eager/graph": 2.5}]
    grid += [{"detector": "acm", "form": "fp32 NHWC", "eager/graph": 1.5}]
    found = summary({"loop": {"rows": loop}, "grid": {"rows": grid}})
    assert [line["met"] for line in found] == [True, False, None]
    assert found[1]["measured"] == [1.2, 1.05]


def test_a_row_that_fails_says_why():
    def fail():
        raise RuntimeError("no room\nmore")

    assert attempt({"jobs": 8}, fail) == {"jobs": 8, "skipped": "RuntimeError: no room"}


@pytest.mark.parametrize(
    ("value", "text"), [(None, "—"), (3, "3"), (0.0123, "0.0123"), (1234.5, "1234"), (2.0, "2")]
)
def test_number(value, text):
    assert number(value) == text
