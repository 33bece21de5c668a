"""A download that is broken, refused, changed meanwhile: what is asked for again, what is said."""

import json
from pathlib import Path

import numpy as np
import pooch
import pytest

from benchmark.errors import UserError
from datasets import download
from datasets.download import ResumingDownloader
from tests.datasets.server import Behaviour, serve

CONTENT = np.random.default_rng(0).bytes(300_000)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(download, "WAIT", 0.001)


@pytest.fixture
def fetch(tmp_path):
    """Download through pooch, as the command does; remembers what was reported and said."""

    def run(url):
        loader = ResumingDownloader(
            tmp_path / "f.part", lambda *done: run.reports.append(done), run.said.append
        )
        return Path(pooch.retrieve(url, None, "f", tmp_path, downloader=loader)).read_bytes()

    run.reports, run.said, run.part = [], [], tmp_path / "f.part"
    return run


def test_in_one_go(fetch):
    server = Behaviour(CONTENT)
    with serve(server) as url:
        assert fetch(url) == CONTENT
        assert fetch(url) == CONTENT  # pooch has it already
    assert len(server.asked) == 1
    assert "range" not in server.asked[0]
    assert fetch.reports[0] == (0, len(CONTENT))
    assert fetch.reports[-1] == (len(CONTENT), len(CONTENT))
    assert fetch.said == []
    assert [p.name for p in fetch.part.parent.iterdir()] == ["f"]


def test_broken_connection_is_continued(fetch):
    server = Behaviour(CONTENT, cuts=[100_000, 70_000])
    with serve(server) as url:
        assert fetch(url) == CONTENT
    ranges = [asked.get("range") for asked in server.asked]
    assert ranges[0] is None
    got = [int(r.removeprefix("bytes=").removesuffix("-")) for r in ranges[1:]]
    assert 0 < got[0] <= 100_000 < got[1] <= 170_000
    assert server.asked[1]["if-range"] == '"v1"'
    assert "the connection failed after" in fetch.said[0]


@pytest.mark.parametrize("announce", [True, False], ids=["size known", "size unknown"])
def test_server_without_ranges_sends_all_again(fetch, announce):
    server = Behaviour(CONTENT, ranges=False, announce=announce, cuts=[100_000] * announce)
    with serve(server) as url:
        assert fetch(url) == CONTENT
    assert len(server.asked) == 1 + announce
    assert fetch.reports[0] == (0, len(CONTENT) if announce else None)


def test_continues_in_another_process(fetch):
    server = Behaviour(CONTENT, cuts=[120_000] + [0] * 4)
    with serve(server) as url:
        with pytest.raises(UserError, match=r"5 times; 1[\d,]+ bytes are kept in .*f\.part; run"):
            fetch(url)
        assert fetch(url) == CONTENT  # a new downloader, which knows only what is on disk
    assert server.asked[-1]["range"].startswith("bytes=1")


def test_changed_file_is_not_joined_to_the_old_one(fetch):
    server = Behaviour(CONTENT, cuts=[120_000] + [0] * 4)
    with serve(server) as url:
        with pytest.raises(UserError):
            fetch(url)
        server.content, server.etag = CONTENT[::-1], '"v2"'
        assert fetch(url) == CONTENT[::-1]
    assert server.asked[-1]["if-range"] == '"v1"'


def test_another_address_starts_anew(fetch):
    first = Behaviour(CONTENT, cuts=[120_000] + [0] * 4)
    with serve(first) as url, pytest.raises(UserError):
        fetch(url)
    second = Behaviour(CONTENT)
    with serve(second) as url:
        assert fetch(url) == CONTENT
    assert "range" not in second.asked[0]


def test_weak_tags_do_not_join_parts(fetch):
    server = Behaviour(CONTENT, etag='W/"v1"', cuts=[120_000])
    with serve(server) as url:
        assert fetch(url) == CONTENT
    assert "if-range" not in server.asked[1]


@pytest.mark.parametrize(
    ("kept", "requests"), [(CONTENT, 1), (CONTENT + b"x", 2)], ids=["whole", "too long"]
)
def test_nothing_left_to_send(fetch, kept, requests):
    """Killed after the last byte and before the rename; or the file has become shorter."""
    server = Behaviour(CONTENT)
    with serve(server) as url:
        fetch.part.write_bytes(kept)
        origin = {"url": url, "version": server.etag}
        fetch.part.with_name("f.part.json").write_text(json.dumps(origin))
        assert fetch(url) == CONTENT
    assert len(server.asked) == requests


@pytest.mark.parametrize("origin", ["{", "{}", "[1]", ""])
def test_a_part_of_unknown_origin_is_not_used(fetch, origin):
    server = Behaviour(CONTENT)
    fetch.part.write_bytes(b"x" * 1000)
    fetch.part.with_name("f.part.json").write_text(origin)
    with serve(server) as url:
        assert fetch(url) == CONTENT
    assert "range" not in server.asked[0]


def test_refusals(fetch):
    server = Behaviour(CONTENT, statuses=[404])
    with serve(server) as url, pytest.raises(UserError, match="404 Not Found; give another"):
        fetch(url)
    assert len(server.asked) == 1  # asking again would not help
    server = Behaviour(CONTENT, statuses=[503, 429])
    with serve(server) as url:
        assert fetch(url) == CONTENT
    assert [line.partition(" after")[0] for line in fetch.said] == [
        "503 Service Unavailable",
        "429 Too Many Requests",
    ]


def test_no_server(fetch):
    with serve(Behaviour(CONTENT)) as url:
        pass
    with pytest.raises(UserError, match=r"the connection failed \(Connection refused\), 5 times;"):
        fetch(url)


def test_silent_server(fetch, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", (1.0, 0.05))
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    with (
        serve(Behaviour(CONTENT, pause=0.5)) as url,
        pytest.raises(UserError, match="no answer in time, 2 times"),
    ):
        fetch(url)


def test_full_disk_names_the_file(fetch):
    """/dev/full takes no byte."""
    fetch.part.symlink_to("/dev/full")
    with serve(Behaviour(CONTENT)) as url, pytest.raises(OSError, match="No space") as caught:
        fetch(url)
    assert caught.value.filename == str(fetch.part)
