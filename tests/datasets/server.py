"""A server on localhost that breaks as real ones do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server does, and what it was asked.

    Attributes:
        content: the file, at any path.
        ranges: whether it sends parts.
        etag: version of the file; None sends none.
        cuts: bytes after which the first, second, ... connection is closed.
        statuses: codes with which the first, second, ... request is refused.
        announce: whether it says the file's size.
        pause: waited after every KiB, seconds.
        asked: the headers of every request.
        stop: ends what is being sent.
    """

    content: bytes
    ranges: bool = True
    etag: str | None = '"v1"'
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    announce: bool = True
    pause: float = 0.0
    asked: list[dict[str, str]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        does = self.behaviour
        does.asked.append({k.lower(): v for k, v in self.headers.items()})
        if does.statuses:
            self.send_error(does.statuses.pop(0))
            return
        size, start = len(does.content), 0
        wanted = self.headers.get("Range")
        if wanted and does.ranges and self.headers.get("If-Range", does.etag) == does.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start and start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if does.announce:
            self.send_header("Content-Length", str(size - start))
        if does.etag:
            self.send_header("ETag", does.etag)
        self.end_headers()
        end = start + does.cuts.pop(0) if does.cuts else size
        for at in range(start, min(end, size), 1024):
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
