"""The `losses` command: what it tells apart, and what it refuses to draw."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmark.commands.losses import plot_losses, print_losses
from benchmark.errors import UserError
from benchmark.figures.loss_values import summaries


def test_losses_command_tells_reductions_apart_and_refuses_bad_files(tmp_path: Path) -> None:
    by_name = {s.name: s for s in summaries(["soft_iou", "soft_iou_batch", "dice_mshnet"])}
    assert [s.over for s in by_name.values()] == ["image", "batch", "image"]
    assert by_name["dice_mshnet"].perfect == pytest.approx(1 - 19 / 28, abs=1e-4)
    console = Console(file=io.StringIO(), width=200)
    print_losses(["soft_iou_batch"], console)
    assert "batch" in console.file.getvalue()
    for file, names, message in (
        (tmp_path / "a.pdf", ["sls"], ".png"),
        (tmp_path / "no" / "a.png", ["sls"], "no such folder"),
        (tmp_path / "a.png", ["sls"] * 9, "at most 8"),
    ):
        with pytest.raises(UserError, match=message):
            plot_losses(names, file, console)
    plot_losses(["soft_iou"], tmp_path / "a.png", console)
    assert (tmp_path / "a.png").stat().st_size > 10_000
