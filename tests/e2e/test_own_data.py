"""Own data as `folder:PATH`: trained on, tabled and scored against, under a short name."""

import numpy as np
from PIL import Image

from benchmark.record import read_record
from tests.datasets.tiny import write_pairs
from tests.e2e.commands import SMALL, run

NAMES = [f"frame {i:02d}" for i in range(24)]


def test_own_data_from_folder_to_table(tmp_path):
    data = tmp_path / "my data: night=1"
    write_pairs(data / "Imgs", data / "Labels", NAMES, "_gt", 0, ".bmp", ".tif")
    output = tmp_path / "out"
    result = run(
        "--detectors", "tiny", "--loss", "sls", "--dataset", f"folder:{data}", *SMALL,
        "--output", output,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    (path,) = output.glob("runs/*/*/*/record.json")
    record = read_record(path)
    assert record.cell.dataset == f"folder:{data}"
    assert path.parts[-4] == "folder-my_data-_night=1"
    assert record.data.split.startswith("hash of the name, test_fraction 0.2: trainval ")
    assert len(record.data.notes) == 1
    table = (output / "report" / "leaderboard.md").read_text()
    assert "## folder:my_data:_night=1 · " in table
    assert str(tmp_path) not in table

    maps = tmp_path / "maps"
    maps.mkdir()
    for name in NAMES:
        mask = np.asarray(Image.open(data / "Labels" / f"{name}_gt.tif"))
        Image.fromarray(mask).save(maps / f"{name}.png")
    result = run(
        "evaluate", "--predictions", maps, "--dataset", "folder", "--data-root", data,
        "--output", output,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    records = [read_record(found) for found in output.glob("runs/*/*/*/record.json")]
    assert len(records) == 2
    # With a path or with a data root, it is one data set.
    assert {r.cell.dataset for r in records} == {f"folder:{data}"}
    assert len({r.data.test_hash for r in records}) == 1
    assert max(r.scores["native"].metrics["iou"] for r in records) == 1
