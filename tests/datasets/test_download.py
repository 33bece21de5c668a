"""A download that is broken, refused, late, out of room: what is said; nothing is left."""

import socket

import numpy as np
import pytest

from benchmark.errors import UserError
from datasets import download as module
from datasets.download import download
from tests.datasets.server import Behaviour, fill_the_disk, serve

CONTENT = np.random.default_rng(0).bytes(300_000)
ELSE = "give another address or a file with --url"


@pytest.fixture
def fetch(tmp_path):
    """Download to a new folder; remembers what was reported."""

    def run(url):
        run.reports = []
        download(url, run.file, lambda *done: run.reports.append(done))
        return run.file.read_bytes()

    run.file, run.reports = tmp_path / "folder" / "f.zip", []
    run.file.parent.mkdir()
    return run


def refused(fetch, url):
    """What a download that fails says; nothing of it is left."""
    with pytest.raises(UserError) as caught:
        fetch(url)
    assert list(fetch.file.parent.iterdir()) == []
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{url}: ")
    return str(caught.value).removeprefix(f"{url}: ")


@pytest.mark.parametrize("announce", [True, False], ids=["size known", "size unknown"])
def test_a_whole_file_with_its_progress(fetch, announce):
    server = Behaviour(CONTENT, announce=announce)
    with serve(server) as url:
        assert fetch(url) == CONTENT
    assert [p.name for p in fetch.file.parent.iterdir()] == ["f.zip"]
    ((_, headers),) = server.asked
    assert headers["accept-encoding"] == "identity"
    counts, totals = zip(*fetch.reports, strict=True)
    assert set(totals) == {len(CONTENT) if announce else None}
    assert len(counts) > 10
    if announce:
        assert list(counts) == sorted(counts)
        assert counts[-1] == len(CONTENT)


@pytest.mark.parametrize("cut", [0, 100_000])
def test_a_broken_connection(fetch, cut):
    server = Behaviour(CONTENT, cuts=[cut])
    with serve(server) as url:
        assert (
            refused(fetch, url) == f"the connection failed; run the same command again, or {ELSE}"
        )
        assert fetch(url) == CONTENT


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, f"404 Not Found; {ELSE}"),
        (403, f"403 Forbidden; {ELSE}"),
        (503, f"503 Service Unavailable; run the same command again, or {ELSE}"),
    ],
)
def test_refusals(fetch, status, message):
    server = Behaviour(CONTENT, statuses=[status])
    with serve(server) as url:
        assert refused(fetch, url) == message
    assert len(server.asked) == 1


def test_no_server(fetch):
    with serve(Behaviour(CONTENT)) as url:
        pass
    assert refused(fetch, url).startswith("the connection failed (Connection refused); run the ")


def test_no_network(fetch, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    text = refused(fetch, "https://example.org/set.zip")
    assert text.startswith("the connection failed (Temporary failure in name resolution); run the")


def test_a_silent_server(fetch, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", (1.0, 0.05))
    with serve(Behaviour(CONTENT, pause=0.5)) as url:
        assert refused(fetch, url).startswith("no answer in time; run the same command again")


@pytest.mark.parametrize("url", ["http://", "http://a b/", "http://[::1"])
def test_no_address(fetch, url):
    assert refused(fetch, url).endswith(ELSE)


def test_a_proxy_is_used_as_the_environment_says(fetch, monkeypatch):
    server = Behaviour(CONTENT)
    with serve(server) as url:
        monkeypatch.setenv("http_proxy", url.removesuffix("/set.zip"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert fetch("http://no-such-host.invalid/set.zip") == CONTENT
    assert server.asked[0][0] == "http://no-such-host.invalid/set.zip"


def test_a_full_disk_names_the_file(fetch, monkeypatch):
    fill_the_disk(monkeypatch)
    with serve(Behaviour(CONTENT)) as url, pytest.raises(OSError, match="No space") as caught:
        fetch(url)
    assert caught.value.filename == str(fetch.file)
    assert list(fetch.file.parent.iterdir()) == []


def test_an_interruption_leaves_nothing(fetch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with serve(Behaviour(CONTENT)) as url, pytest.raises(KeyboardInterrupt):
        download(url, fetch.file, interrupted)
    assert list(fetch.file.parent.iterdir()) == []
