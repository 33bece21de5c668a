"""Fetching an archive over HTTP: pooch's downloader, with progress and errors of a line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from benchmark.errors import UserError, naming

TIMEOUT = (10.0, 30.0)
"""Seconds without a connection, and without data."""
CHUNK = 1 << 14
"""Bytes that are written at a time."""

Report = Callable[[int, int | None], None]
"""Told of the bytes that are there, and of how many there will be (None: unknown)."""


def download(url: str, file: Path, report: Report) -> None:
    """Download to a file, which is there only when it is whole.

    Its content is not checked: that is done file by file, see `datasets/manifest.py`. A proxy is
    used as requests does, from HTTP_PROXY, HTTPS_PROXY and NO_PROXY.

    Raises:
        UserError: the server refuses, or the connection failed; says the remedy.
        OSError: the file cannot be written, with its name.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel(logging.WARNING)
    fetch = pooch.HTTPDownloader(
        progressbar=_Progress(report),
        chunk_size=CHUNK,
        timeout=TIMEOUT,
        headers={"Accept-Encoding": "identity"},  # counted bytes are bytes of the file
    )
    with naming(file):
        try:
            pooch.retrieve(url, None, file.name, file.parent, downloader=fetch)
        except requests.RequestException as error:
            refused = error.response is not None and 400 <= error.response.status_code < 500
            again = "" if refused else "run the same command again, or "
            raise UserError(
                f"{url}: {_reason(error)}; {again}give another address or a file with --url"
            ) from None


class _Progress:
    """A progress bar as pooch wants one."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.total = self.done = 0  # pooch sets the total; 0 where the server does not say

    def update(self, count: int) -> None:
        """So many bytes more, of the last chunk too many."""
        self.done += count
        self.report(min(self.done, self.total or self.done), self.total or None)

    def reset(self) -> None:
        """Begin anew: pooch does so in the end, to say the exact number."""
        self.done = 0

    def close(self) -> None:
        """Nothing is open."""


def _reason(error: BaseException | None) -> str:
    """What happened, in a few words; requests' own texts are nested and long."""
    import requests

    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    reason, deeper = "the connection failed", error
    while deeper is not None:
        if isinstance(deeper, (TimeoutError, requests.Timeout)):
            return "no answer in time"
        if isinstance(deeper, OSError) and deeper.strerror:
            reason = f"the connection failed ({deeper.strerror})"
        deeper = deeper.__cause__ or deeper.__context__
    return reason
