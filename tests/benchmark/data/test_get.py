"""`datasets get`: complete or nothing, whatever the server, the archive and the disk do."""

import errno
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import datasets.manifest
from benchmark.commands.main import main
from datasets.manifest import problems, read_manifest
from tests.datasets.server import Behaviour, fill_the_disk, serve
from tests.e2e.commands import ROOT, wait_for

REAL = ROOT.parent / "shared" / "data"
RANDOM = np.random.default_rng(0)
FILES = {f"images/{n}.png": RANDOM.bytes(40_000) for n in "abc"}
FILES |= {f"masks/{n}_pixels0.png": RANDOM.bytes(500) for n in "abc"}
FILES |= {"idx_427/test.txt": b"a\nb\n", "idx_427/trainval.txt": b"c\n"}


def pack(files, top="sirst-4f1c2a/"):
    """A zip archive as a server makes it: below a folder named after the commit."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr(f"{top}README.md", "not in the manifest")
        for name, content in files.items():
            target.writestr(top + name, content)
    return archive.getvalue()


@pytest.fixture(autouse=True)
def manifest(tmp_path, monkeypatch):
    """SIRST consists of eight files here."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    lines = [f"{hashlib.sha256(c).hexdigest()} {len(c)} {n}" for n, c in sorted(FILES.items())]
    (folder / "sirst.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(datasets.manifest, "FOLDER", folder)
    monkeypatch.setattr("benchmark.commands.datasets.get.out", Console(width=200))
    monkeypatch.delenv("IRSTD_DATA_ROOT", raising=False)
    return folder


@pytest.fixture
def get(tmp_path, capsys):
    """Run the command; returns its exit code and what it printed."""

    def run(*options, name="sirst"):
        code = main(["datasets", "get", name, "--data-root", str(tmp_path / "data"), *options])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    run.root, run.work = tmp_path / "data", tmp_path / "data" / "sirst.download"
    return run


def installed(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_download_then_check(get):
    with serve(Behaviour(pack(FILES))) as url:
        code, text = get("--url", url)
        assert code == 0
        assert "SIRST is complete" in text
        assert "8 files, 0.1 MB, all checksums right" in text
        assert installed(get.root / "SIRST") == FILES
        assert [p.name for p in get.root.iterdir()] == ["SIRST"]  # nothing left over
    code, text = get()  # the server is gone: nothing is downloaded
    assert code == 0
    assert "already there and complete" in text


@pytest.mark.parametrize("top", ["", "a/b/"])
def test_a_file_that_the_user_has(get, tmp_path, top):
    mine = tmp_path / "mine.zip"
    mine.write_bytes(pack(FILES, top))
    assert get("--url", str(mine))[0] == 0
    assert installed(get.root / "SIRST") == FILES
    assert mine.is_file()


def test_a_broken_connection_leaves_nothing(get):
    server = Behaviour(pack(FILES), cuts=[50_000])
    with serve(server) as url:
        code, text = get("--url", url)
        assert code == 2
        assert f"{url}: the connection failed; run the same command again" in text
        assert text.count("error:") == 1
        assert list(get.root.iterdir()) == []
        assert get("--url", url)[0] == 0
    assert installed(get.root / "SIRST") == FILES
    assert [p.name for p in get.root.iterdir()] == ["SIRST"]


def test_killed_then_once_more(get, manifest):
    """kill -9 in the middle, by a real process against a slow server."""
    server = Behaviour(pack(FILES), pause=0.01)
    start = (
        "import sys, pathlib, datasets.manifest\n"
        f"datasets.manifest.FOLDER = pathlib.Path({str(manifest)!r})\n"
        "from benchmark.commands.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    with serve(server) as url:
        options = ["datasets", "get", "sirst", "--data-root", str(get.root), "--url", url]
        process = subprocess.Popen([sys.executable, "-c", start, *options], cwd=ROOT)
        wait_for(lambda: any(p.stat().st_size > 30_000 for p in get.work.glob("downloaded/*")))
        code, text = get("--url", url)
        assert code == 2
        assert "another `datasets get` is at work here" in text
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        assert not (get.root / "SIRST").exists()
        server.pause = 0.0
        assert get("--url", url)[0] == 0
    assert installed(get.root / "SIRST") == FILES
    assert [p.name for p in get.root.iterdir()] == ["SIRST"]


def test_what_a_terminal_shows_meanwhile(get, monkeypatch):
    """And how many bytes there are where no bar can be drawn."""
    screen = io.StringIO()
    monkeypatch.setattr(
        "benchmark.commands.datasets.get.out", Console(file=screen, width=100, force_terminal=True)
    )
    with serve(Behaviour(pack(FILES), pause=0.002)) as url:
        assert get("--url", url)[0] == 0
    assert "━" in screen.getvalue()
    shutil.rmtree(get.root)
    monkeypatch.setattr("benchmark.commands.datasets.get.out", Console(width=200))
    monkeypatch.setattr("benchmark.data.get.PLAIN_EVERY", 0.0)
    with serve(Behaviour(pack(FILES))) as url:
        code, text = get("--url", url)
    assert code == 0
    assert re.search(r"\n0\.1 of 0\.1 MB\n", text)


CHANGED = FILES | {"images/b.png": FILES["images/b.png"][::-1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            pack(CHANGED),
            r"1 of 8 files are wrong: images/b.png: sha256 is \w{16}…, expected \w{16}…;",
        ),
        (pack(FILES | {"images/b.png": b"short"}), "b.png: 5 bytes, expected 40,000"),
        (pack({n: c for n, c in FILES.items() if "mask" not in n}), "masks/a_pixels0.png: missing"),
        (pack({}), "8 of 8 files are wrong"),
        (pack({"./": b""}, ""), "8 of 8 files are wrong"),
        (pack(FILES | {"../evil.png": b""}, ""), "'../evil.png', which leaves its folder"),
        (pack(FILES | {"/evil.png": b""}, ""), "'/evil.png', which leaves its folder"),
        (pack(FILES | {"c:\\evil": b""}, ""), "which leaves its folder"),
        (b"<!DOCTYPE html><title>Sign in", "it is not a zip archive .it begins with b'<!DOCTYPE"),
        (b"", "it is not a zip archive"),
        (pack(FILES)[:-3000], "it is a broken zip archive"),
        (pack(FILES).replace(FILES["images/a.png"][:8], b"\0" * 8), "it is a broken zip archive"),
    ],
    ids=[
        "changed", "short", "missing", "other", "dot", "traversal", "absolute", "drive", "page",
        "empty", "cut", "damaged",
    ],
)  # fmt: skip
def test_a_bad_archive_is_refused_and_replaced(get, content, message):
    server = Behaviour(content)
    with serve(server) as url:
        code, text = get("--url", url)
        assert code == 2
        assert re.search(message, text)
        assert text.count("error:") == 1
        assert f"it is kept as {get.work / 'rejected.zip'}" in text
        assert (get.work / "rejected.zip").read_bytes() == content
        assert not (get.root / "SIRST").exists()
        assert not list(get.root.rglob("evil*"))
        assert not (get.root.parent / "evil.png").exists()
        assert not (get.work / "unpacked").exists()
        server.content = pack(FILES)  # repaired
        assert get("--url", url)[0] == 0
    assert installed(get.root / "SIRST") == FILES


def test_an_offset_that_leads_nowhere_is_a_broken_archive(get):
    """The directory of the archive says that a file begins before the beginning."""
    content = bytearray(pack(FILES))
    end = content.rindex(b"PK\x05\x06")
    content[end + 12 : end + 20] = b"\xff\xff\xff\x7f" * 2  # size and place of the directory
    with serve(Behaviour(bytes(content))) as url:
        code, text = get("--url", url)
    assert code == 2
    assert "it is a broken zip archive" in text
    assert (get.work / "rejected.zip").exists()


def test_a_root_that_is_another_set_is_left_in_peace(get):
    for name in ("images", "masks"):
        (get.root / name).mkdir(parents=True)
        (get.root / name / "mine.png").write_bytes(b"mine")
    with serve(Behaviour(pack(FILES))) as url:
        assert get("--url", url)[0] == 0
    assert installed(get.root / "SIRST") == FILES
    assert (get.root / "images" / "mine.png").read_bytes() == b"mine"


def test_a_bad_file_of_the_user_stays_where_it_is(get, tmp_path):
    mine = tmp_path / "mine.zip"
    content = pack(CHANGED)
    mine.write_bytes(content)
    code, text = get("--url", str(mine))
    assert code == 2
    assert "nothing was changed" in text
    assert mine.read_bytes() == content
    assert list(get.root.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: (r / "images" / "b.png").write_bytes(b"x"), "1 of the 8 .*b.png: 1 bytes, exp"),
        (lambda r: (r / "masks" / "c_pixels0.png").unlink(), "masks/c_pixels0.png: missing"),
        (lambda r: (r / "images").rename(r / "other"), "3 of the 8 .* images/a.png: missing"),
    ],
    ids=["changed", "missing", "renamed"],
)
def test_a_folder_that_is_there_is_never_overwritten(get, damage, message):
    with serve(Behaviour(pack(FILES))) as url:
        assert get("--url", url)[0] == 0
        damage(get.root / "SIRST")
        before = installed(get.root)
        code, text = get("--url", url)
    assert code == 2
    assert re.search(message, text.replace("\n", " "))
    assert "Nothing is overwritten: move this folder away" in text
    assert installed(get.root) == before


def test_nothing_to_download_from(get):
    code, text = get("--url", "no/such/file.zip")
    assert code == 2
    assert "--url no/such/file.zip: no such file, and no address" in text
    with serve(Behaviour(b"", statuses=[404])) as url:
        code, text = get("--url", url)
    assert code == 2
    assert "404 Not Found" in text
    assert list(get.root.iterdir()) == []


def test_full_disk(get, monkeypatch):
    fill_the_disk(monkeypatch)
    with serve(Behaviour(pack(FILES))) as url:
        code, text = get("--url", url)
    assert code == 2
    assert "archive.zip: disk full; free some space and run the same command again" in text
    assert list(get.root.iterdir()) == []


def test_full_disk_while_unpacking(get, tmp_path, monkeypatch):
    mine = tmp_path / "mine.zip"
    mine.write_bytes(pack(FILES))
    write = Path.write_bytes

    def full(path, content):
        if path.name == "b.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    code, text = get("--url", str(mine))
    assert code == 2
    assert "b.png: disk full; free some space" in text
    assert list(get.root.iterdir()) == []
    assert mine.is_file()


def test_without_a_data_root_or_a_need(capsys):
    assert main(["datasets", "get", "sirst"]) == 2
    assert "--data-root DIR or IRSTD_DATA_ROOT" in capsys.readouterr().err
    assert main(["datasets", "get", "synthetic"]) == 0
    assert "nothing to get" in capsys.readouterr().out
    assert main(["datasets", "get", "folder"]) == 0
    assert "your own images: there is nothing to get" in capsys.readouterr().out
    assert main(["datasets", "get", "sirts"]) == 2
    assert "did you mean 'sirst'" in capsys.readouterr().err


def test_a_set_that_a_person_has_to_fetch(get):
    code, text = get(name="irstd1k")
    assert code == 1
    assert "IRSTD-1k (irstd1k) has to be fetched by hand" in text
    assert "1. Open https://github.com/RuiZhang97/ISNet" in text
    assert f"{get.root / 'IRSTD-1k' / 'IRSTD1k_Img'}/  (or images/)" in text
    assert f"{get.root / 'IRSTD-1k' / 'test.txt'}" in text
    assert "not there yet: " in text

    folder = get.root / "IRSTD-1k"
    for name in ("IRSTD1k_Img/a.png", "IRSTD1k_Label/a.png", "IRSTD1k_Img/b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "trainval.txt").write_text("a\n")
    (folder / "test.txt").write_text("b\n")
    code, text = get(name="irstd1k")
    assert code == 1
    assert "not there yet: 1 of 2 files of test: b.png" in text

    (folder / "IRSTD1k_Label" / "b.png").touch()
    code, text = get(name="irstd1k")
    assert code == 0
    assert "IRSTD-1k (irstd1k) is there: all images and masks of its lists" in text


@pytest.mark.parametrize("name", ["nudt", "nuaa", "sirst3", "sirst:v2"])
def test_every_such_set_says_where_from_and_where_to(get, name):
    code, text = get(name=name)
    assert code == 1
    assert "1. Open https://" in text
    assert text.count(str(get.root)) >= 4
    code, text = get("--url", "http://127.0.0.1/a.zip", name=name)
    assert code == 2
    assert "no download could be checked; unpack it by hand" in text


def test_the_manifest_is_that_of_the_real_set(monkeypatch):
    monkeypatch.undo()
    entries = read_manifest("sirst")
    assert len(entries) == 427 + 427 + 10
    assert len({e.path for e in entries}) == len(entries)
    if not (REAL / "SIRST").is_dir():
        pytest.skip("the real SIRST images are not beside the project")
    assert problems(entries, REAL / "SIRST") == []
