"""Ten ways in which a run cannot start: one line for each reason, exit code 2, nothing on disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from detectors import create_detector
from tests.datasets.tiny import TEST, TRAIN, write_list, write_set
from tests.e2e.commands import run
from tests.e2e.disk import small_disk as small_disk  # a fixture

CELL = ["--detectors", "acm", "--loss", "sls", "--device", "cpu"]


@pytest.fixture
def sirst(tmp_path):
    """A data root with a tiny data set in SIRST's layout."""
    lists = (f"idx_427/{split}.txt" for split in ("trainval", "test"))
    write_set(tmp_path / "data/SIRST", "images", "masks", "_pixels0", *lists)
    return tmp_path / "data"


def refused(output: Path, *arguments: object, dry: bool = True, **environment: str) -> list[str]:
    """The lines with which a run is refused; the dry run says the same, and neither leaves a file.

    The seconds are printed, and seen with `pytest -s`.

    Args:
        output: no folder yet.
        arguments: of the command line.
        dry: ask the dry run, too.
        environment: variables.
    """
    top = output.parent
    before = sorted(top.rglob("*"))
    arguments = (*CELL, "--output", output, *arguments)
    started = time.monotonic()
    real = run(*arguments, **environment)
    took = time.monotonic() - started
    lines = _errors(real.stdout)
    for line in lines:
        print(f"\n{took:5.1f} s  {line}")
    assert real.returncode == 2, real.stdout
    assert "Traceback" not in real.stdout
    assert len(real.stdout.splitlines()) == len(lines)  # no word on what comes to nothing
    if dry:
        result = run(*arguments, "--dry-run", **environment)
        assert result.returncode == 2
        assert _errors(result.stdout) == lines
    assert sorted(top.rglob("*")) == before
    return lines


def _errors(text: str) -> list[str]:
    return [line[7:] for line in text.splitlines() if line.startswith("error: ")]


def assert_line(lines: list[str], *parts: object) -> None:
    """The only line has all of these parts."""
    (line,) = lines
    for part in parts:
        assert str(part) in line, line


def of_sirst(root: Path) -> Iterator[object]:
    yield from ("--dataset", "sirst", "--data-root", root)


def test_no_data(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    lines = refused(tmp_path / "out", *of_sirst(root))
    assert_line(lines, f"--data-root {root}: no SIRST here", "found: nothing", "Get it from https")


def test_half_the_data(sirst, tmp_path):
    folder = sirst / "SIRST/masks"
    for name in (*TRAIN[2:], TEST[1]):
        (folder / f"{name}_pixels0.png").unlink()
    lines = refused(tmp_path / "out", *of_sirst(sirst))
    assert len(lines) == 2  # of both splits
    assert_line(lines[:1], "2 of 8 files are missing: a3_pixels0.png, a4_pixels0.png", folder)
    assert_line(lines[1:], folder / "b2_pixels0.png", "file is missing; download")


def test_files_that_are_no_images(sirst, tmp_path):
    path = sirst / "SIRST/images/a2.png"
    path.write_bytes(b"")  # a download that stopped
    assert_line(refused(tmp_path / "out", *of_sirst(sirst)), path, "cannot be decoded")


def test_wrong_list(sirst, tmp_path):
    write_list(sirst / "SIRST/idx_427/trainval.txt", ["Misc_1", "Misc_2"])
    lines = refused(tmp_path / "out", *of_sirst(sirst))
    assert_line(lines, "4 of 4 files are missing: Misc_1.png, Misc_1_pixels0.png", "SIRST/images")


def test_too_few_images_for_a_validation_part(sirst, tmp_path):
    write_list(sirst / "SIRST/idx_427/trainval.txt", TRAIN[:1])
    best = ["--set", "val_fraction=0.1", "--set", "selection=best-val"]
    lines = refused(tmp_path / "out", *of_sirst(sirst), *best)
    assert_line(lines, "1 training image(s) are too few", "--set selection=last")


def test_wrong_weights(tmp_path):
    weights = tmp_path / "unet.pt"
    torch.save(create_detector("acm:port").state_dict(), weights)
    lines = refused(tmp_path / "out", "--weights", weights, dry=False)
    assert_line(lines, weights, "weights do not fit acm", "missing (", "fit acm:port")


def test_options_that_do_not_build(tmp_path):
    options = ["--detectors", "mshnet:in_channels=-1", "--loss", "tversky:alpha=0.3"]
    lines = refused(tmp_path / "out", *options, dry=False)
    assert_line(lines, "detector 'mshnet:in_channels=-1' does not build", "`show mshnet`")


def test_disk_full(small_disk):
    last = ["--set", "selection=last", "--set", "ema=0", "--set", "optimizer=adagrad"]
    lines = refused(small_disk / "out", "--detectors", "uiunet", *last)
    free = shutil.disk_usage(small_disk).free / 2**20
    assert_line(
        lines, f"--output {small_disk}/out: {free:.1f} MiB are free", "to run write about 964.0 MiB"
    )


def test_no_gpu(tmp_path):
    lines = refused(tmp_path / "out", "--device", "cuda", CUDA_VISIBLE_DEVICES="")
    assert_line(lines, "--device cuda: 0 NVIDIA GPU(s)", "--device cpu")


def test_too_little_memory(tmp_path):
    lines = refused(
        tmp_path / "out", "--batch-size", "64", "--crop-size", "16384", "--precision", "fp32"
    )
    assert_line(
        lines, "--batch-size 64 --crop-size 16384", "would take about 68848 GiB of memory", "has",
        "a smaller --batch-size or --crop-size",
    )  # fmt: skip


def test_crops_too_small(tmp_path):
    lines = refused(tmp_path / "out", "--detectors", "acm,mshnet,dnanet", "--crop-size", "20")
    assert len(lines) == 2  # it does for the first
    assert_line(lines[:1], "--crop-size 20: mshnet needs a multiple of 16, e.g. 16 or 32")
    assert_line(lines[1:], "--crop-size 20: dnanet needs a multiple of 16")


def test_unknown_protocol(tmp_path):
    lines = refused(tmp_path / "out", "--protocols", "nativ")
    assert_line(lines, "unknown protocol 'nativ'; did you mean 'native'?")


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    lines = refused(
        tmp_path / "out", "--device", "cuda", "--detectors", "mshnet:in_channels=-1",
        "--dataset", "sirst,synthetic:size=8", "--data-root", tmp_path,
        dry=False, CUDA_VISIBLE_DEVICES="",
    )  # fmt: skip
    parts = ("--device cuda", "no SIRST here", "size is 8, must be 32", "does not build")
    assert len(lines) == len(parts)
    for line, part in zip(lines, parts, strict=True):
        assert part in line
