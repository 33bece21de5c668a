"""The program that a GPU machine is checked with, on a CPU; and that it can fail."""

import json
import os
import subprocess
import sys

import pytest

from tests.e2e.commands import ROOT


def gpu_check(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.gpu.check", "--device", "cpu", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
        check=False,
    )


@pytest.mark.extra
@pytest.mark.timeout(600)
def test_all_checks_pass_on_a_cpu(tmp_path):
    listed = [line.split()[0] for line in gpu_check("--list").stdout.splitlines()]
    assert len(listed) >= 20
    result = gpu_check("--small", "--json", tmp_path / "report.json", "--minutes", 9)
    assert result.returncode == 0, result.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert [entry["name"] for entry in report["checks"]] == listed
    assert not report["left"]
    for entry in report["checks"]:
        assert entry["status"] in ("ok", "skip"), entry
        assert entry["detail"]
    skipped = {entry["name"] for entry in report["checks"] if entry["status"] == "skip"}
    assert skipped == {"waits", "packing_auto", "cuda_graph", "uuid"}
    assert report["machine"]["torch"]
    assert len(result.stdout.splitlines()) == len(listed) + 2  # the machine, and the sum


@pytest.mark.extra
def test_failures_are_seen_and_the_others_go_on(tmp_path):
    path = tmp_path / "report.json"
    result = gpu_check("--modules", "tests.gpu.failing", "--json", path)
    assert result.returncode == 1, result.stdout
    found = {entry["name"]: entry for entry in json.loads(path.read_text())["checks"]}
    status = {name: entry["status"] for name, entry in found.items()}
    assert status == {
        "good": "ok", "off": "FAIL", "undefined": "FAIL", "unequal": "FAIL", "raises": "FAIL",
        "idle": "FAIL", "hangs": "FAIL", "dies": "FAIL", "skips": "skip",
        "too_late": "FAIL", "cuda": "skip",
        "last": "ok",
    }  # fmt: skip
    assert found["off"]["detail"] == "a number: 0.048, at most 0.001"
    assert found["undefined"]["numbers"] == {"a number": "nan"}
    assert "weights[b][0]: 1 of 2 differ" in found["unequal"]["detail"]
    assert found["raises"]["detail"] == "first: ValueError: a bug"
    assert 'raise ValueError("a bug' in found["raises"]["traceback"]
    assert str(ROOT) not in found["raises"]["traceback"]
    assert found["idle"]["detail"] == "nothing was compared"
    assert found["hangs"]["detail"] == "no end within 2 s"
    assert found["dies"]["detail"] == "its process ended, exit code -11"
    assert "last words" in found["dies"]["log"]
    assert found["cuda"]["detail"] == "a CPU has none"
    lines = result.stdout.splitlines()
    assert lines[-1].startswith("2 ok, 8 FAIL, 2 skip; ")
    assert [line.split()[:2] for line in lines[1:-1]] == [[s, n] for n, s in status.items()]


@pytest.mark.extra
def test_what_is_left_when_the_time_is_over(tmp_path):
    path = tmp_path / "report.json"
    names = ("hangs", "last")  # the first takes two seconds
    options = ("--modules", "tests.gpu.failing", "--only", *names, "--minutes", 0.02)
    result = gpu_check(*options, "--json", path)
    assert result.returncode == 1
    assert "0 ok, 1 FAIL, 0 skip, 1 left for lack of time: last; " in result.stdout
    assert json.loads(path.read_text())["left"] == ["last"]


@pytest.mark.extra
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--only", "nothing"], "no check 'nothing'; there are: detectors"),
        (["--json", "no/such/folder/x.json"], "there is no such folder"),
        (["--minutes", "0"], "give more than 0"),
    ],
)
def test_a_mistake_is_exit_code_2(options, text):
    result = gpu_check(*options)
    assert result.returncode == 2
    assert text in result.stdout
