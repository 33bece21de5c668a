"""A server on localhost that breaks as real ones do, and a disk that is full."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest


@dataclass
class Behaviour:
    """What the server does, and what it was asked.

    Attributes:
        content: the file, at any path.
        cuts: bytes after which the first, second, ... connection is closed.
        statuses: codes with which the first, second, ... request is refused.
        announce: whether it says the file's size.
        pause: waited after every KiB, seconds.
        asked: the path and the headers of every request.
        stop: ends what is being sent.
    """

    content: bytes
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    announce: bool = True
    pause: float = 0.0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        does = self.behaviour
        does.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        if does.statuses:
            self.send_error(does.statuses.pop(0))
            return
        size = len(does.content)
        self.send_response(200)
        if does.announce:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        end = does.cuts.pop(0) if does.cuts else size
        for at in range(0, min(end, size), 1024):
            self.wfile.write(does.content[at : min(at + 1024, end)])
            if does.stop.wait(does.pause):
                return

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serve(behaviour: Behaviour) -> Iterator[str]:
    """The address of the file while the server runs."""
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/set.zip"
    finally:
        behaviour.stop.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def fill_the_disk(patch: pytest.MonkeyPatch) -> None:
    """What is downloaded goes to /dev/full, which takes no byte."""
    real = pooch.HTTPDownloader.__call__

    def download(self: pooch.HTTPDownloader, url: str, output_file: str, *more: object) -> None:
        Path(output_file).unlink()
        Path(output_file).symlink_to("/dev/full")
        real(self, url, output_file, *more)

    patch.setattr(pooch.HTTPDownloader, "__call__", download)
