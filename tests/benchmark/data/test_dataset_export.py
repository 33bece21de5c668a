"""`datasets export`: what is on disk is what is in memory, and nobody's files are lost."""

import errno
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmark.data.export import UNFINISHED, export_synthetic
from benchmark.errors import UserError
from datasets import load_dataset
from datasets.base import Sample, content_hash
from tests.e2e.commands import run

NAME = "synthetic:hard:size=40:test=3:train=4"


def export(folder, name=NAME, force=False):
    text = io.StringIO()
    export_synthetic(name, folder, force, Console(file=text))
    return text.getvalue()


def read_back(folder, split):
    """With PIL and nothing of the harness."""
    for name in (folder / f"{split}.txt").read_text().split():
        image = np.asarray(Image.open(folder / "images" / f"{name}.png"))
        mask = np.asarray(Image.open(folder / "masks" / f"{name}.png"))
        assert set(np.unique(mask)) <= {0, 255}
        yield Sample(image, mask > 127, name)


@pytest.mark.parametrize("bits", [8, 14])
def test_files_hold_what_the_set_holds(tmp_path, bits):
    name = f"{NAME}:bits={bits}"
    said = export(tmp_path / "out", name)
    assert "4 training and 3 test images of 40 x 40 px" in said
    readme = (tmp_path / "out" / "README.txt").read_text()
    for split, n in (("train", 4), ("test", 3)):
        expected = load_dataset(name, split=split)
        found = list(read_back(tmp_path / "out", split))
        assert len(found) == n
        assert all(s.image.dtype == (np.uint8 if bits == 8 else np.uint16) for s in found)
        assert content_hash(found) == content_hash(expected)
        assert content_hash(expected) in readme
    assert name in readme
    assert UNFINISHED not in readme
    everything = {p.name for p in (tmp_path / "out").iterdir()}
    assert everything == {"images", "masks", "train.txt", "test.txt", "README.txt"}
    assert len(list((tmp_path / "out" / "images").iterdir())) == 7


def test_an_empty_folder_will_do(tmp_path):
    export(tmp_path)
    assert (tmp_path / "train.txt").is_file()


def test_replaces_an_earlier_export_when_asked(tmp_path):
    export(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds an export already; give --force"):
        export(tmp_path)
    export(tmp_path, "synthetic:size=32:test=1:train=1", force=True)
    assert len(list((tmp_path / "images").iterdir())) == 2
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_never_touches_other_peoples_files(tmp_path, force):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.png").write_bytes(b"x")
    (tmp_path / "README.txt").write_text("my own data")
    with pytest.raises(UserError, match="holds no earlier export; name a new folder"):
        export(tmp_path, force=force)
    assert (tmp_path / "images" / "mine.png").read_bytes() == b"x"
    with pytest.raises(UserError, match="is a file; name a folder"):
        export(tmp_path / "README.txt", force=force)


def test_disk_full_leaves_a_state_that_says_so(tmp_path, monkeypatch):
    write, written = Path.write_bytes, []

    def fill(path, data):
        written.append(path)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match=r"masks.*train_00001\.png") as caught:
        export(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert not (tmp_path / "train.txt").exists()
    assert UNFINISHED in (tmp_path / "README.txt").read_text()
    with pytest.raises(UserError, match="holds an interrupted export already"):
        export(tmp_path)
    export(tmp_path, force=True)
    assert len(list(read_back(tmp_path, "test"))) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sirst", "only 'synthetic' is generated"),
        ("synthetic:split=train", "no option .split."),
        ("synthetic:size=8", "size is 8, must be 32 or more"),
        ("synthetic:hrad", "did you mean 'synthetic:hard'"),
    ],
)
def test_mistakes_are_named_and_leave_nothing(tmp_path, name, message):
    with pytest.raises(UserError, match=message):
        export(tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


def test_from_the_command_line(tmp_path):
    result = run("datasets", "export", NAME, tmp_path / "a")
    assert result.returncode == 0, result.stdout
    assert (tmp_path / "a" / "test.txt").read_text().splitlines()[0] == "test_00000"
    result = run("datasets", "export", NAME, tmp_path / "a")
    assert result.returncode == 2
    assert result.stdout.strip().count("\n") == 0
    assert result.stdout.startswith("error: ")
