"""`datasets list`: complete, quick, and true about what is on the disk."""

import pytest
from rich.console import Console

import datasets
from benchmark.commands.main import main
from tests.datasets.tiny import LAYOUTS, TRAIN, basicirstd, write_parts, write_set


@pytest.fixture
def listed(capsys, monkeypatch):
    """What the command says, one line per line of the table."""
    monkeypatch.setattr("benchmark.commands.datasets.list.out", Console(width=400))
    monkeypatch.delenv("IRSTD_DATA_ROOT", raising=False)

    def run(*arguments):
        code = main(["datasets", "list", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, [" ".join(line.split()) for line in (captured.out + captured.err).splitlines()]

    return run


def of(name, lines):
    """The lines on one set."""
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{name} "))
    end = next((i for i in range(start + 1, len(lines)) if not lines[i]), len(lines))
    return lines[start:end]


def test_every_set_with_its_facts(listed):
    code, lines = listed()
    assert code == 0
    for name in datasets.REGISTRY.names():
        info = datasets.REGISTRY.get(name).info
        about = "\n".join(of(name, lines))
        for key in ("title", "paper", "licence", "source"):
            assert getattr(info, key) in about
        for split in {info.train_split, "test"} & set(info.sizes):
            assert f"{split} {info.sizes[split]}" in about
        for variant in info.variants:
            assert f"{name}:{variant}" in about
    assert not any(line.startswith("found") for line in lines)
    assert "With --data-root DIR" in lines[-1]


def test_what_is_there(listed, tmp_path):
    write_parts(tmp_path)
    (tmp_path / "NUDT-SIRST" / "masks" / "NUD12.png").unlink()
    _, lines = listed("--data-root", tmp_path)
    place = tmp_path / "NUAA-SIRST"
    assert of("nuaa", lines)[-1] == (
        f"found {place}: 2 train (published: 213) / 2 test (published: 214) listed, all files there"
    )
    assert of("nudt", lines)[-1].endswith("listed, 1 files missing")
    assert of("irstd1k", lines)[-1].startswith(f"found {tmp_path}/IRSTD-1K: 2 trainval")
    assert "6 train (published: 1676) / 6 test" in of("sirst3", lines)[-1]
    assert [line.split(": ", 1)[1] for line in of("sirst", lines)[-3:]] == [
        "not found; expected in SIRST/", "not found; expected in SIRST/",
        "not found; expected in SIRST-V2/",
    ]  # fmt: skip
    assert of("folder", lines)[-1] == "found not found"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_found(layout, listed, tmp_path):
    name, folder, write = LAYOUTS[layout]
    write(tmp_path / folder)
    _, lines = listed("--data-root", tmp_path)
    key, _, variant = name.partition(":")
    found = [line for line in of(key, lines) if f"{tmp_path}/{folder}: 4 " in line]
    assert len(found) == 1
    assert found[0].endswith("listed, all files there")
    assert variant in found[0]


def test_a_set_without_its_lists_is_incomplete(listed, tmp_path):
    basicirstd(tmp_path / "NUDT-SIRST")
    (tmp_path / "NUDT-SIRST" / "img_idx" / "test_NUDT-SIRST.txt").unlink()
    _, lines = listed("--data-root", tmp_path)
    assert "incomplete: " in of("nudt", lines)[-1]
    assert "test.txt: split list is missing" in of("nudt", lines)[-1]


def test_the_environment_names_the_root(listed, tmp_path, monkeypatch):
    write_set(tmp_path, "images", "masks", "", "train.txt", "test.txt")
    monkeypatch.setenv("IRSTD_DATA_ROOT", str(tmp_path))
    _, lines = listed()
    assert of("folder", lines)[-1] == (
        f"found {tmp_path}: {len(TRAIN)} trainval / 2 test listed, all files there"
    )


def test_no_such_root(listed, tmp_path):
    code, lines = listed("--data-root", tmp_path / "none")
    assert code != 0
    assert lines == [f"error: --data-root {tmp_path}/none: the folder does not exist"]
