"""The cache: same samples, never stale, safe against kills and other processes, optional."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from benchmark.errors import UserError
from datasets import cache, load_dataset
from datasets.base import Item, Sample, content_hash
from datasets.decode_split import decode_all
from tests.datasets.tiny import SHAPE, TRAIN, basicirstd, target, write_list

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    basicirstd(tmp_path / "NUDT-SIRST")
    Image.fromarray(np.full((9, 7), 40000, np.uint16)).save(
        tmp_path / "NUDT-SIRST/images/a2.png"
    )  # of another size and depth than the others
    return tmp_path / "NUDT-SIRST"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("IRSTD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def read(folder):
    return load_dataset("nudt", folder, "train")


def from_files(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("IRSTD_CACHE", "off")
        return read(folder)


@pytest.fixture
def decoded(monkeypatch):
    """How often a split was decoded."""
    calls = []

    def counting(items):
        calls.append(len(items))
        return decode_all(items)

    monkeypatch.setattr("datasets.file_dataset.decode_all", counting)
    return calls


@pytest.mark.usefixtures("store")
def test_the_cache_gives_what_the_files_give(folder, decoded, monkeypatch):
    plain = from_files(folder, monkeypatch)
    first, second = read(folder), read(folder)
    assert decoded == [4, 4]  # without the cache, and the first time with it
    for data in (first, second):
        assert content_hash(data) == content_hash(plain)
        assert data.notes == plain.notes
        assert len(data.notes) == 1  # the mask that is of another size than its image
        assert [s.image.dtype for s in data] == [np.uint8, np.uint16, np.uint8, np.uint8]
        assert [s.image.shape for s in data] == [SHAPE, (9, 7), SHAPE, SHAPE]
        for sample in data:
            for array in sample[:2]:
                with pytest.raises(ValueError, match="read-only"):
                    array[0, 0] = 0


def test_off_writes_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("IRSTD_CACHE", "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    read(folder)
    assert not (tmp_path / "xdg").exists()
    monkeypatch.delenv("IRSTD_CACHE")
    read(folder)
    assert len(list((tmp_path / "xdg" / "irstd-bench").iterdir())) == 1


def in_place(path, mask=False):
    """Other bytes, as many, in the same file, with the same modification time."""
    before = path.stat()
    pixels = (~target(0)).astype(np.uint8) * 255 if mask else np.zeros(SHAPE, np.uint8)
    with path.open("r+b") as file:
        Image.fromarray(pixels).save(file, "bmp")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        before.st_size, before.st_mtime_ns, before.st_ino,
    )  # fmt: skip


def replaced(path):
    """Another file of the same size and modification time under the same name."""
    before = path.stat()
    other = path.with_name("other")
    shutil.copy(path.with_name("a3.bmp"), other)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    assert path.stat().st_size == before.st_size


def rewritten(path):
    path.write_bytes(path.with_name("a4.bmp").read_bytes())


@pytest.fixture
def bitmaps(tmp_path):
    """A set whose files all have the same size."""
    basicirstd(tmp_path / "NUDT-SIRST")
    for path in (tmp_path / "NUDT-SIRST").rglob("*.png"):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    return tmp_path / "NUDT-SIRST"


@pytest.mark.parametrize(
    "change",
    [
        lambda f: in_place(f / "images/a1.bmp"),
        lambda f: in_place(f / "masks/a1.bmp", mask=True),
        lambda f: replaced(f / "images/a1.bmp"),
        lambda f: rewritten(f / "images/a1.bmp"),
        lambda f: write_list(f / "img_idx/train_NUDT-SIRST.txt", TRAIN[:3]),
        lambda f: write_list(f / "img_idx/train_NUDT-SIRST.txt", TRAIN[::-1]),
    ],
    ids=["same size and time", "mask, same size and time", "replaced", "rewritten", "shorter list",
         "other order"],
)  # fmt: skip
def test_a_change_is_noticed(change, bitmaps, store, decoded, monkeypatch):
    before = content_hash(read(bitmaps))
    assert content_hash(read(bitmaps)) == before
    change(bitmaps)
    after = content_hash(read(bitmaps))
    assert after != before
    assert after == content_hash(from_files(bitmaps, monkeypatch))
    read(bitmaps)
    assert len(decoded) == 3  # at first, after the change, and once without the cache
    assert len(list(store.iterdir())) == 1  # the new entry has taken the place of the old one


@pytest.mark.usefixtures("store")
def test_a_file_that_goes_is_an_error_in_spite_of_the_cache(folder):
    read(folder)
    (folder / "images" / "a3.png").unlink()
    with pytest.raises(UserError, match=r"a3\.png: file is missing"):
        read(folder)


def test_two_places_have_two_entries(folder, store, tmp_path):
    shutil.copytree(folder, tmp_path / "copy" / "NUDT-SIRST")
    assert content_hash(read(folder)) == content_hash(read(tmp_path / "copy"))
    load_dataset("nudt", folder, "test")
    assert len(list(store.iterdir())) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: data.replace(b'"notes"', b'"nodes"'),
        lambda data: data + b"\0",
        lambda data: b"\0" * len(data),
    ],
    ids=["empty", "half", "one bit", "table", "longer", "zeros"],
)
def test_a_damaged_entry_is_not_used(damage, folder, store, decoded):
    expected = content_hash(read(folder))
    (entry,) = store.iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    assert content_hash(read(folder)) == expected
    assert content_hash(read(folder)) == expected
    assert len(decoded) == 2


def test_a_file_in_the_way_of_the_cache(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    cache._complain.cache_clear()
    monkeypatch.setenv("IRSTD_CACHE", str(tmp_path / "file"))
    assert len(read(folder)) == 4
    assert len(read(folder)) == 4
    error = capsys.readouterr().err
    assert error == (
        f"data cache {tmp_path}/file: cannot be written (File exists), so images are decoded at "
        "every start; name another folder in IRSTD_CACHE, or set IRSTD_CACHE=off\n"
    )


def test_a_full_disk(folder, store, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    cache._complain.cache_clear()
    monkeypatch.setattr("datasets.cache._Checked.write", full)
    assert len(read(folder)) == 4
    assert "(No space left on device)" in capsys.readouterr().err
    assert list(store.iterdir()) == []


def process(folder, code=""):
    """Another process that reads the set and says its hash."""
    script = (
        f"{code}\nfrom datasets import load_dataset\nfrom datasets.base import content_hash\n"
        f"print(content_hash(load_dataset('nudt', {str(folder)!r}, 'train')), flush=True)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_two_processes_at_once(folder, store):
    together = f"import time; time.sleep(max(0, {time.time() + 1.5} - time.time()))"
    processes = [process(folder, together) for _ in range(3)]
    hashes = {p.communicate(timeout=60)[0].strip() for p in processes}
    assert [p.returncode for p in processes] == [0, 0, 0]
    assert hashes == {content_hash(read(folder))}
    assert len(list(store.iterdir())) == 1


def test_a_kill_during_the_write_leaves_no_broken_entry(folder, store, decoded):
    slow = (
        "import time, datasets.cache as cache\n"
        "real = cache._Checked.write\n"
        "def write(self, data):\n    print('writing', flush=True)\n    time.sleep(0.2)\n"
        "    return real(self, data)\n"
        "cache._Checked.write = write"
    )
    killed = process(folder, slow)
    for _ in range(4):
        assert killed.stdout.readline() == "writing\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    left = list(store.iterdir())
    assert [path.suffix for path in left] == [".tmp"]
    assert content_hash(read(folder)) == content_hash(read(folder))
    assert len(decoded) == 1
    entry = next(path for path in store.iterdir() if path.suffix == ".split")

    os.utime(left[0], (0, time.time() - 2 * 86400))
    old = entry.with_name("sirst-test-0.split")
    old.touch()
    os.utime(old, (0, time.time() - 91 * 86400))
    load_dataset("nudt", folder, "test")  # the next write clears what is left over
    assert not left[0].exists()
    assert not old.exists()
    assert entry.exists()


def test_a_used_entry_stays(folder, store):
    read(folder)
    (entry,) = store.iterdir()
    os.utime(entry, (0, time.time() - 91 * 86400))
    read(folder)
    load_dataset("nudt", folder, "test")
    assert entry.exists()


def samples_of(images):
    return [Sample(image, image % 3 == 0, f"näme {number}") for number, image in enumerate(images)]


@given(
    st.lists(
        st.sampled_from([np.uint8, np.uint16]).flatmap(
            lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=2, max_side=9))
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_samples_come_back(tmp_path_factory, images):
    base = tmp_path_factory.mktemp("any")
    samples = samples_of(images)
    items = [Item(s.name, base / "i", base / "m") for s in samples]
    for path in items[0][1:]:
        path.touch()
    state = cache._state(items)
    cache._write(base / "x.split", state, (samples, ["a note"]))
    back, notes = cache._read(base / "x.split", items, state)
    assert content_hash(back) == content_hash(samples)
    assert notes == ["a note"]
