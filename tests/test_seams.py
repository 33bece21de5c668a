"""One of each thing that people add, in a copy of the code: a file, at most a line in a list."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure import PACKAGES, ROOT

ADDED = {
    "detector": (
        "detectors/seam_net.py",
        """
        from torch import nn
        from detectors.base import Detector, Prediction

        class SeamNet(Detector):
            \"\"\"One convolution.\"\"\"
            name = "seam_net"
            in_channels = 1
            mean, std = (0.4,), (0.2,)

            def __init__(self) -> None:
                super().__init__()
                self.net = nn.Conv2d(1, 1, 3, padding=1)

            def forward(self, x):
                return Prediction(self.net(x))
        """,
    ),
    "loss": (
        "losses/seam_loss.py",
        """
        from losses.base import Loss

        class SeamLoss(Loss):
            \"\"\"Squared error.\"\"\"
            name = "seam_loss"

            def forward(self, logits, target, epoch):
                return (logits.sigmoid() - target).square().mean()
        """,
    ),
    "dataset": (
        "datasets/seam_set.py",
        """
        import numpy as np
        from datasets.base import Dataset, Sample

        class SeamSet(Dataset):
            \"\"\"Six squares.\"\"\"
            name = "seam_set"
            needs_root = False
            splits = ("train", "test")
            train_split = "train"

            def read(self):
                rng = np.random.default_rng(len(self.split))
                samples = []
                for number in range(6):
                    image = rng.integers(0, 60, (32, 32), dtype=np.uint8)
                    mask = np.zeros((32, 32), bool)
                    mask[9:12, number : number + 3] = True
                    image[mask] = 250
                    samples.append(Sample(image, mask, f"{self.split}_{number}"))
                return samples
        """,
    ),
    "protocol": (
        "benchmark/evaluation/protocols/seam_rule.py",
        """
        from benchmark.evaluation.protocol import Counts, Protocol

        class SeamRule(Protocol):
            \"\"\"Whether anything is predicted at all.\"\"\"
            name = "seam_rule"
            version = 1
            radius = None
            rules = "hit: any predicted pixel"
            source = "this test"

            def _count(self, predicted, mask):
                return Counts(1, int(predicted.any()), 0, 0)
        """,
    ),
    "command": (
        "benchmark/commands/seam_greeting.py",
        """
        def command() -> None:
            \"\"\"Say that a file is enough.\"\"\"
            print("one file is enough")
        """,
    ),
    "executor": (
        "benchmark/execute/executors/seam_inline.py",
        """
        import subprocess
        import sys
        from dataclasses import dataclass
        from pydantic import BaseModel
        from benchmark.execute.executors import Exit
        from benchmark.records.store import write_atomic

        class Options(BaseModel):
            \"\"\"None.\"\"\"

        @dataclass
        class Handle:
            code: int
            place: str = "here"

        class Inline:
            \"\"\"Waits for each task.\"\"\"
            usable = True

            def start(self, task, folder, alone):
                write_atomic(folder.task, task.to_json())
                command = [sys.executable, "-m", "benchmark.execute.worker", str(folder.path)]
                return Handle(subprocess.run(command, stdout=subprocess.DEVNULL).returncode)

            def poll(self, handle):
                return Exit("failed", f"exit code {handle.code}")

            def hear(self, handle, event): ...
            def stop(self, handle): ...
            def close(self): ...

        def create(plan, options):
            return Inline()
        """,
    ),
    "page": (
        "benchmark/report/seam_page.py",
        """
        def seam_page(collection) -> str:
            return f"{len(collection.tables)} tables\\n"
        """,
        "benchmark/report/pages.py",
        "PAGES: dict[str, Callable[[Collection], str]] = {",
        '    "seam.md": seam_page,',
    ),
    "figure": (
        "benchmark/report/seam_figure.py",
        """
        from matplotlib.figure import Figure

        def seam_figure(table, style) -> Figure:
            return Figure(figsize=(1, 1))
        """,
        "benchmark/report/figures.py",
        "FIGURES: dict[str, Kind] = {",
        '    "seam": Kind(seam_figure),',
    ),
}
"""What is added -> its file and its text; where it is listed, too, the file of the list, how that
begins, and the line."""
COMMAND = """
import sys
from benchmark.commands.main import main
run = ["--detectors", "seam_net", "--loss", "seam_loss", "--dataset", "seam_set", "--protocols",
       "native,seam_rule", "--executor", "seam_inline", "--epochs", "1", "--set", "crop_size=32",
       "--set", "base_size=32", "--set", "batch_size=2", "--no-profile", "--device", "cpu",
       "--output", sys.argv[1]]
sys.exit(main(["seam-greeting"]) or main(run))
"""


def _add(copy: Path, file: str, text: str, *listed: str) -> int:
    """Add one thing; the number of files that had to be touched."""
    lines = text.strip("\n").splitlines()
    margin = len(lines[0]) - len(lines[0].lstrip())
    (copy / file).write_text("\n".join(line[margin:] for line in lines) + "\n")
    if not listed:
        return 1
    name, begins, line = listed
    place, source = copy / name, (copy / name).read_text("utf-8")
    assert source.count(begins) == 1
    function = file.rpartition("/")[2].removesuffix(".py")
    imported = f"from benchmark.report.{function} import {function}\n"
    head, tail = source.split("from __future__ import annotations\n")
    tail = tail.replace(begins, f"{begins}\n{line}")
    place.write_text(f"{head}from __future__ import annotations\n\n{imported}{tail}")
    return 2


@pytest.mark.extra
def test_one_file_each(tmp_path):
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "*.png", "*.md")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    touched = {kind: _add(tmp_path, *what) for kind, what in ADDED.items()}
    assert touched == dict.fromkeys(ADDED, 1) | {"page": 2, "figure": 2}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, str(tmp_path / "out")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one file is enough" in done.stdout
    report = tmp_path / "out" / "report"
    assert "protocol seam_rule v1" in (report / "leaderboard.md").read_text()
    assert "seam_net | seam_loss" in " ".join((report / "leaderboard.md").read_text().split())
    assert (report / "seam.md").read_text() == "2 tables\n"
    assert list((report / "figures").glob("seam_*.png"))
