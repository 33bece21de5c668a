"""Fetching one large file over HTTP so that a broken connection costs only what was not yet there.

pooch's own downloader starts from zero each time and throws away what it had. This one is a
downloader as `pooch.retrieve` takes them, which keeps the bytes in a `.part` file and asks the
server for the rest (RFC 9110, section 14: Range and If-Range). A server that does not do that, or
whose file has changed meanwhile, sends all of it again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import UserError, naming

if TYPE_CHECKING:
    from requests import Response, Session

ATTEMPTS = 5
"""Connections that are tried before giving up."""
WAIT = 1.0
"""Seconds before the second attempt; doubled before each further one."""
TIMEOUT = (10.0, 30.0)
"""Seconds without a connection, and without data."""
CHUNK = 1 << 14
"""Bytes that are written at a time."""
MAY_PASS = {408, 425, 429, 500, 502, 503, 504}
"""Status codes that may be gone a moment later; all other errors are final."""


class ResumingDownloader:
    """Downloads to a `.part` file and hands it over to pooch when it is whole.

    Args:
        part: where the bytes are kept until all are there. Beside it, in `part`.json, stands
            which version of which address they belong to.
        report: told of the bytes that are there, and of how many there will be (None: unknown).
        say: told in words what was tried again, and why.
    """

    def __init__(
        self,
        part: Path,
        report: Callable[[int, int | None], None],
        say: Callable[[str], None],
    ) -> None:
        self.part, self.report, self.say = part, report, say
        self.origin = part.with_name(f"{part.name}.json")

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        """Download `url` to `output_file`; the arguments are what pooch passes.

        Raises:
            UserError: the server refuses, or the connection failed too often; says the remedy.
        """
        import requests

        with requests.Session() as session:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    self._continue(session, url)
                    break
                except requests.RequestException as error:
                    reason = _reason(error)
                    status = None if error.response is None else error.response.status_code
                if status is not None and status not in MAY_PASS:
                    raise UserError(f"{url}: {reason}; give another address or a file with --url")
                have = _size(self.part)
                if attempt == ATTEMPTS:
                    kept = f"; {have:,} bytes are kept in {self.part}" if have else ""
                    raise UserError(
                        f"{url}: {reason}, {ATTEMPTS} times{kept}; run the same command again to "
                        "continue, or give another address or a file with --url"
                    )
                pause = WAIT * 2 ** (attempt - 1)
                self.say(f"{reason} after {have:,} bytes; again in {pause:.0f} s")
                time.sleep(pause)
        self.part.replace(output_file)
        self.origin.unlink(missing_ok=True)

    def _continue(self, session: Session, url: str) -> None:
        """One connection: take what is still missing and write it behind what is there."""
        have, headers = self._range(url)
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            start, total = _extent(response)
            if have and response.status_code == 416 and have == total:
                return None  # it was whole already
            if have and (response.status_code == 416 or start not in (0, have)):
                self.origin.unlink()  # what is here is no part of what is there
                return self._continue(session, url)
            response.raise_for_status()
            if start <= 0:
                # emptied first: killed between the two lines, nothing old passes for the new
                self.part.write_bytes(b"")
                version = response.headers.get("ETag") or response.headers.get("Last-Modified")
                self.origin.write_text(json.dumps({"url": url, "version": version}))
            return self._write(response, max(start, 0), total)

    def _range(self, url: str) -> tuple[int, dict[str, str]]:
        """How many bytes need not be sent again, and the request headers that say so."""
        headers = {"Accept-Encoding": "identity"}  # counted bytes are bytes of the file
        try:
            origin = json.loads(self.origin.read_text())
            known, version = origin["url"], origin["version"]
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return 0, headers  # never begun, or not by this program
        have = _size(self.part)
        if known != url or have == 0:
            return 0, headers
        headers["Range"] = f"bytes={have}-"
        # a weak tag (W/...) may not be used to join parts: RFC 9110, section 13.1.5
        if version and not version.startswith("W/"):
            headers["If-Range"] = version
        return have, headers

    def _write(self, response: Response, start: int, total: int | None) -> None:
        """Write a body from its first byte's place on.

        Raises:
            RequestException: the connection broke, or ended before the size that was announced.
        """
        import requests

        done = start
        with naming(self.part), self.part.open("r+b") as file:
            file.seek(start)
            self.report(done, total)
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                done += len(chunk)
                self.report(done, total)
        if total is not None and done != total:
            raise requests.ConnectionError("the server stopped early")


def _extent(response: Response) -> tuple[int, int | None]:
    """First byte of the body within the file (-1: not said), and the size of the whole file."""
    if response.status_code in (206, 416):
        given = response.headers.get("Content-Range", "")
        found = re.match(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", given)
        if not found:
            return -1, None
        start, total = found.groups()
        return int(start or 0), None if total == "*" else int(total)
    length = response.headers.get("Content-Length")
    return 0, None if length is None else int(length)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


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
