"""Device options, the names of GPUs, and what a worker inherits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark import environment
from benchmark.errors import UserError
from benchmark.execute.process import child_variables

CARDS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-8932f937-d72c-4106-c12f-20bd9faed9f6)
"""
DIVIDED = f"""\
{CARDS}\
  MIG 1g.10gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 2g.20gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-8a56a4bc-e184-a047-2620-be19fdf913d5)
"""
"""The second GPU is in MIG mode."""
ANSWERS = f"""\
case "$1" in
-L) cat <<'END'
{DIVIDED}END
;;
--query-gpu=driver_version) printf '570.86.15\\n570.86.15\\n570.86.15\\n' ;;
*) exit 6 ;;
esac
"""


def put_nvidia_smi(patch: pytest.MonkeyPatch, folder: Path, script: str) -> Path:
    """Put a stand-in for nvidia-smi on the path; the file that gets a line a call.

    Like the real one it does not look at CUDA_VISIBLE_DEVICES, which is unset.
    """
    tool = folder / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\necho "$@" >> "$0.calls"\n{script}')
    tool.chmod(0o755)
    patch.setenv("PATH", str(folder), prepend=":")
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder / "nvidia-smi.calls"


@pytest.fixture
def calls(monkeypatch, tmp_path):
    return put_nvidia_smi(monkeypatch, tmp_path, ANSWERS)


def names(option: str) -> list[str]:
    """What the workers on these devices have in CUDA_VISIBLE_DEVICES."""
    found = environment.devices(option)
    return [child_variables(d, 1)["CUDA_VISIBLE_DEVICES"] for d in found]


@pytest.mark.parametrize(
    ("gpus", "option", "expected"),
    [
        (0, "auto", ["cpu"]),
        (2, "auto", ["cuda:0", "cuda:1"]),
        (2, "cpu", ["cpu"]),
        (2, "cuda", ["cuda:0", "cuda:1"]),
        (3, "cuda:0,2", ["cuda:0", "cuda:2"]),
        (3, "cuda:2, 0", ["cuda:2", "cuda:0"]),
    ],
)
def test_devices(monkeypatch, gpus, option, expected):
    monkeypatch.setattr(environment, "gpu_count", lambda: gpus)
    assert environment.devices(option) == expected


@pytest.mark.parametrize(
    ("gpus", "option", "message"),
    [
        (0, "cuda", "0 NVIDIA GPU(s) can be used here; try --device cpu"),
        (1, "cuda:1", "1 NVIDIA GPU(s) can be used here; try --device cpu"),
        (2, "cuda:0,0", "names a GPU twice"),
        (2, "cuda:1,0,01", "names a GPU twice"),
        *(
            (2, option, "write auto, cpu, cuda or cuda:0,1")
            for option in ("gpu", "cuda:x", "cuda:-1", "cuda:0,-1", "cuda:", "cuda:0,", "cuda:²")
        ),
    ],
)
def test_wrong_devices(monkeypatch, gpus, option, message):
    monkeypatch.setattr(environment, "gpu_count", lambda: gpus)
    with pytest.raises(UserError, match=re.escape(f"--device {option}: {message}")):
        environment.devices(option)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["0", "1"]), ("", []), ("-1", []), (" ", []), ("1", ["1"]), ("0,1", ["0", "1"]),
        ("1, 0", ["1", "0"]), ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6,0",
        ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "0"]), ("GPU-5", ["GPU-5"]),
    ],
)  # fmt: skip
def test_visible_gpus_are_passed_on_as_they_are_named(monkeypatch, tmp_path, visible, expected):
    put_nvidia_smi(monkeypatch, tmp_path, f"cat <<'END'\n{CARDS}END\n")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment.gpu_count() == len(expected)
    if expected:
        assert names("auto") == names("cuda") == expected
        assert names(f"cuda:{len(expected) - 1}") == expected[-1:]
    else:
        assert environment.devices("auto") == ["cpu"]


@pytest.mark.usefixtures("calls")
def test_a_gpu_in_mig_mode_stands_for_its_instances(monkeypatch):
    first, second = re.findall(r"UUID: (MIG-.*)\)", DIVIDED)
    assert names("auto") == ["0", first, second, "2"]
    assert names("cuda:2,0") == [second, "0"]
    name = "NVIDIA H100 80GB HBM3"
    assert [environment.find_gpu(f"cuda:{k}").name for k in range(4)] == [
        name, f"{name} MIG 1g.10gb", f"{name} MIG 2g.20gb", "NVIDIA A100-SXM4-40GB",
    ]  # fmt: skip
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"MIG-cb,{first},1,GPU-8a56")
    assert names("cuda") == ["MIG-cb", first, "1", "GPU-8a56"]
    assert environment.find_gpu("cuda:0").uuid == second


@pytest.mark.parametrize(
    ("visible", "message"),
    [
        ("0,-1", "-1 hides every GPU after it"),
        ("-1,0", "-1 hides every GPU after it"),
        ("0,2,0", "repeats 0; name each GPU once"),
        ("0,GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77", "repeats 0 and GPU-5d5ba0d6-d33d-2b2c-"),
        ("GPU-5d,GPU-5", "repeats GPU-5d and GPU-5, the same GPU"),
        ("MIG-c6,MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "repeats MIG-c6 and MIG-c6d4f1ef-"),
        ("0,3", "there is no GPU '3'; name some of the 5 that nvidia-smi -L lists"),
        ("0,", "there is no GPU ''"),
        ("-2", "there is no GPU '-2'"),
        ("GPU-99", "there is no GPU 'GPU-99'"),
        ("MIG-99", "there is no GPU 'MIG-99'"),
        ("5d5ba0d6", "there is no GPU '5d5ba0d6'"),
        ("GPU-8", "GPU-8 is the start of 2 UUIDs"),
    ],
)
@pytest.mark.usefixtures("calls")
def test_wrong_visible_devices(monkeypatch, visible, message):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for option in ("auto", "cuda", "cuda:0"):
        with pytest.raises(UserError) as error:
            environment.devices(option)
        assert str(error.value).startswith(f"CUDA_VISIBLE_DEVICES={visible}: {message}")
        assert "\n" not in str(error.value)
    assert environment.devices("cpu") == ["cpu"]


def test_nvidia_smi_is_asked_once_and_never_for_the_cpu(calls):
    assert environment.devices("cpu") == ["cpu"]
    child_variables("cpu", 1)
    assert not calls.exists()
    names("auto")
    names("cuda:0")
    assert calls.read_text().split() == ["-L"]


def test_a_hanging_nvidia_smi_is_given_up(monkeypatch, tmp_path):
    assert environment.SMI_PATIENCE == 5
    monkeypatch.setattr(environment, "SMI_PATIENCE", 0.2)
    put_nvidia_smi(monkeypatch, tmp_path, "exec sleep 60")
    for option in ("auto", "cuda", "cuda:0"):
        with pytest.raises(UserError, match=r"nvidia-smi -L: no answer within 0.2 s; .*--device"):
            environment.devices(option)
    assert environment.driver_version() is None
    assert environment.devices("cpu") == ["cpu"]


def test_without_nvidia_smi_or_with_a_failing_one_there_is_no_gpu(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        assert environment.devices("auto") == ["cpu"]
        assert environment.driver_version() is None
        patch.setenv("CUDA_VISIBLE_DEVICES", "0")  # somebody wants one
        with pytest.raises(UserError, match="CUDA_VISIBLE_DEVICES=0: there is no GPU '0'"):
            environment.devices("auto")
    put_nvidia_smi(monkeypatch, tmp_path, f"cat <<'END'\n{CARDS}END\nexit 9\n")
    assert environment.devices("auto") == ["cpu"]


@pytest.mark.usefixtures("calls")
def test_driver():
    assert environment.driver_version() == "570.86.15"


@pytest.mark.usefixtures("calls")
def test_variables_of_a_child(monkeypatch):
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    cpu, gpu = (child_variables(device, 3) for device in ("cpu", "cuda:0"))
    for found in (cpu, gpu):
        pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        assert [found[name] for name in pools] == ["3"] * 4
        assert found["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert "CUDA_VISIBLE_DEVICES" not in cpu
    # an index was looked up in nvidia-smi's list, whatever the user's order is
    assert (gpu["CUDA_VISIBLE_DEVICES"], gpu["CUDA_DEVICE_ORDER"]) == ("0", "PCI_BUS_ID")


def test_flags_of_torch():
    """In a process of its own: they are global, and no other test should run under them."""
    script = """
import json, warnings
import cv2, torch
from benchmark.settings.run_settings import Settings
from benchmark.networks import torch_setup
from benchmark.execute.run import prepare
from benchmark.execute.task import Task
from benchmark.plan.job import Job
warnings.simplefilter("error")
before = torch_setup.describe(torch.device("cpu"))
torch.backends.cudnn.benchmark = torch.backends.cuda.matmul.allow_tf32 = True
cpu = torch_setup.open_device("cpu", 2)
job = Job("synthetic", "acm", "soft_iou", 0, Settings(), "test")
after = prepare(job, cpu, Task(job={}, threads=2))
print(json.dumps([
    before, after.model_dump(), cv2.getNumThreads(), torch.get_num_threads(),
    torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory,
]))
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=environment.ROOT, stdout=subprocess.PIPE, check=True
    )
    before, after, *rest = json.loads(result.stdout)
    assert (before["deterministic"], before["tf32"]) == (False, True)  # as torch is by itself
    assert (after["deterministic"], after["tf32"]) == (True, False)
    assert (after["driver"], after["cuda"], after["cudnn"]) == (None, torch.version.cuda, None)
    assert (after["jobs"], after["cuda_graph"]) == (1, None)
    assert rest == [2, 2, False, False]


def test_a_copy_outside_git_says_what_it_was_told(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.delenv("IRSTD_COMMIT", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.git_commit() is None
    monkeypatch.setenv("IRSTD_COMMIT", "abc123")
    assert environment.git_commit() == "abc123"


def test_what_a_copy_was_told_wins_over_the_repository_it_lies_in(monkeypatch):
    monkeypatch.setenv("IRSTD_COMMIT", "abc123")
    assert environment.git_commit() == "abc123"
