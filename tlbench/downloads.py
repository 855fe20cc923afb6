"""Downloads: over https, from the host that was asked for, of a limited size, and resumed where they broke off.

What is fetched is in a ``.part`` file until its receiver has checked it. A note next to it says which version of the
file it is a part of, so that two versions are never mixed.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from tlbench.errors import TlbenchError, one_line
from tlbench.files import TEXT, read_outside, write_text_atomically

if TYPE_CHECKING:
    from requests import Response

CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 30.0  # of a connection, and of silence
SLOW_SECONDS = 60.0  # how often the rate is measured
SLOWEST_BYTES = 60 * 1024  # that have to come in this time: 1 kB a second, less than any line that is in use
MOST_REDIRECTS = 5
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")  # RFC 9110, 14.4

# Called with the number of bytes so far, and of all bytes (None if the server does not say).
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Wanted:
    """A file to be fetched.

    Attributes
    ----------
    what : str
        The beginning of error messages: ``checkpoint 'syncnet'``.
    url : str
        Its address; https.
    target : Path
        The final path, for error messages only.
    most_bytes : int
        More is never written.
    checked : bool
        Whether the receiver checks the whole file, by a hash or by the sums in an archive. A part of a file that is not
        checked is only continued if the server says that its file is the same.
    """

    what: str
    url: str
    target: Path
    most_bytes: int
    checked: bool


def download(wanted: Wanted, part: Path, progress: Progress | None = None) -> None:
    """Download a file into ``part``, continuing where ``part`` ends if it is a part of the same file.

    Raises
    ------
    TlbenchError
        If the address is not https; if offline or refused by the server; if the server sends elsewhere, too much or too
        slowly; if its file has changed; or if there is not enough room.
    OSError
        If ``part`` can't be written.
    """
    import requests
    import urllib3

    there = _resumable(wanted, part)
    try:
        with _asked(wanted, _request_headers(part, there)) as answer:
            start, total = _range(answer)
            if answer.status_code in (206, 416) and _noted(part) and _tag(answer) not in ("", _noted(part)):
                remove_part(part)  # the server does not know If-Range
                raise TlbenchError(f"{wanted.what}: {wanted.url} has changed since it broke off; fetch again")
            if answer.status_code == 416 and total in (there, None):  # nothing is left to send: the part is complete
                return
            if answer.status_code == 416 or (answer.status_code == 206 and start != there):
                raise TlbenchError(
                    f"{wanted.what}: {part} is no part of what {wanted.url} gives now; remove it and fetch again"
                )
            answer.raise_for_status()
            packed = answer.headers.get("Content-Encoding", "identity")
            if answer.status_code not in (200, 206) or packed != "identity":
                why = f"its server answers {answer.status_code}, content encoding {packed:.20}"
                raise unreachable(wanted.what, wanted.url, wanted.target, one_line(why))
            if answer.status_code != 206:  # the server sends the whole file
                there = 0
            check_size(wanted.what, wanted.most_bytes, total or 0)
            _check_room(wanted.what, part, None if total is None else total - there)
            if there == 0:
                write_text_atomically(_note(part), _tag(answer))
            there = _receive(wanted, answer, part, there, total, progress)
        if total is not None and there < total:  # not every version of urllib3 raises
            raise unreachable(wanted.what, wanted.url, wanted.target, f"{there} of {total} bytes")
        if part.stat().st_size != there:
            remove_part(part)
            raise TlbenchError(f"{wanted.what}: another process has written to {part}; it was removed, fetch again")
    except requests.HTTPError as error:
        raise TlbenchError(
            f"{wanted.what}: {wanted.url} answers {error.response.status_code}; look for the file at its "
            f"publisher's page and save it as {wanted.target}"
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise unreachable(wanted.what, wanted.url, wanted.target, type(error).__name__) from error


@dataclass(frozen=True)
class FetchedRange:
    """A part of a file on a server.

    Attributes
    ----------
    data : bytes
    begin, total_bytes : int
        Where it begins, and the length of the whole file.
    version : str
        Which version of the file; "" if the server does not say.
    """

    data: bytes
    begin: int
    total_bytes: int
    version: str


def fetch_range(wanted: Wanted, begin: int, size_bytes: int) -> FetchedRange:
    """Fetch a part of a file into memory.

    Parameters
    ----------
    begin : int
        Negative: the last ``-begin`` bytes, whatever ``size_bytes`` is.
    size_bytes : int
        Fewer come at the end of the file.

    Raises
    ------
    TlbenchError
        As :func:`download`, and if the server only sends whole files.
    """
    import requests
    import urllib3

    part = f"bytes={begin}" if begin < 0 else f"bytes={begin}-{begin + size_bytes - 1}"
    most = -begin if begin < 0 else size_bytes
    try:
        with _asked(wanted, {"Accept-Encoding": "identity", "Range": part}) as answer:
            answer.raise_for_status()
            start, total = _range(answer)
            if answer.status_code != 206 or total is None or (begin >= 0 and start != begin):
                raise TlbenchError(
                    f"{wanted.what}: {wanted.url} is only sent whole; fetch all of it, or bring it as {wanted.target}"
                )
            check_size(wanted.what, wanted.most_bytes, total)
            expected = min(most, total - start)
            data = b"".join(_limited(answer, most))
            if len(data) != expected:
                raise unreachable(wanted.what, wanted.url, wanted.target, f"{len(data)} of {expected} bytes")
            return FetchedRange(data, start, total, _tag(answer))
    except requests.HTTPError as error:
        raise TlbenchError(
            f"{wanted.what}: {wanted.url} answers {error.response.status_code}; look for the file at its "
            f"publisher's page and save it as {wanted.target}"
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise unreachable(wanted.what, wanted.url, wanted.target, type(error).__name__) from error


def _limited(answer: Response, most_bytes: int) -> Iterator[bytes]:
    """The body of an answer, of which no more than so many bytes are read."""
    there = 0
    while there < most_bytes and (chunk := answer.raw.read1(min(CHUNK_BYTES, most_bytes - there))):
        there += len(chunk)
        yield chunk


def unreachable(what: str, url: str, target: Path, why: str) -> TlbenchError:
    """The error of an interrupted download, with what to do."""
    return TlbenchError(
        f"{what}: {url} can't be reached or broke off ({why}); run the same command when "
        f"online to go on, or bring the file as {target}"
    )


def check_address(what: str, asked: str, target: Path, url: str) -> None:
    """Raises TlbenchError if ``url``, to which ``asked`` led, is not https or of another site."""
    first, now = urlsplit(asked), urlsplit(url)
    shown = f"{one_line(url):.120}"
    if now.scheme != "https":
        raise TlbenchError(
            f"{what}: {shown} is not https, so anybody on the way could change the file; "
            f"get it in another way and save it as {target}"
        )
    site, host = (first.hostname or "").removeprefix("www."), now.hostname or ""
    if host != site and not host.endswith("." + site):
        raise TlbenchError(f"{what}: {asked} leads elsewhere, to {shown}; if you trust that, save the file as {target}")


def remove_part(part: Path) -> None:
    """Remove a part that is not to be continued."""
    part.unlink(missing_ok=True)
    end_part(part)


def end_part(part: Path) -> None:
    """Remove the note beside a part; for one that is complete and gets its name."""
    _note(part).unlink(missing_ok=True)


def check_size(what: str, most_bytes: int, size_bytes: int) -> None:
    """Raises TlbenchError if a server announces, or has sent, more than ``most_bytes``."""
    if size_bytes > most_bytes:
        raise TlbenchError(
            f"{what}: the server sends {size_bytes / 1e6:,.1f} MB or more, but at most {most_bytes / 1e6:,.1f} MB are "
            "taken; this is not the file that was asked for, look for it at its publisher's page"
        )


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _noted(part: Path) -> str | None:
    """The version of the file that a part belongs to, "" if its server stated none; None for a part without a note."""
    try:
        return read_outside(_note(part), TEXT).decode("ascii", "replace")
    except OSError:
        return None


def _tag(answer: Response) -> str:
    """The version of the server's file (RFC 9110, 8.8): a strong ETag, else when it was changed, else ""."""
    tag = answer.headers.get("ETag", "")
    if not tag or tag.startswith("W/"):
        tag = answer.headers.get("Last-Modified", "")
    return tag if tag.isascii() and tag.isprintable() and len(tag) <= 200 else ""


def _resumable(wanted: Wanted, part: Path) -> int:
    """How many bytes of a part may stay: none if nobody could tell whether the rest is of the same file."""
    there = part.stat().st_size if part.is_file() else 0
    if there and not wanted.checked and _noted(part) == "":
        return 0
    return there


def _request_headers(part: Path, there: int) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}  # so that ranges count bytes of the file
    if there:
        headers["Range"] = f"bytes={there}-"
        if tag := _noted(part):
            headers["If-Range"] = tag
    return headers


@contextmanager
def _asked(wanted: Wanted, headers: dict[str, str]) -> Iterator[Response]:
    """The answer, after redirects within the same site."""
    import requests

    url = wanted.url
    with requests.Session() as session:
        for _ in range(MOST_REDIRECTS + 1):
            check_address(wanted.what, wanted.url, wanted.target, url)
            try:
                answer = session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS, allow_redirects=False)
            except ValueError as error:  # requests parses where a redirect leads, followed or not
                raise unreachable(wanted.what, wanted.url, wanted.target, one_line(str(error))[:120]) from error
            with answer:
                if not answer.is_redirect:
                    yield answer
                    return
                url = urljoin(url, answer.headers["Location"])
    raise TlbenchError(
        f"{wanted.what}: {wanted.url} redirects more than {MOST_REDIRECTS} times; look for the file at its publisher's "
        f"page and save it as {wanted.target}"
    )


def _receive(
    wanted: Wanted, answer: Response, part: Path, there: int, total: int | None, progress: Progress | None
) -> int:
    """Write the body to ``part`` as it comes; returns how many bytes there are then."""
    measured, since = there, time.monotonic()
    with part.open("ab" if there else "wb") as file:
        while chunk := answer.raw.read1(CHUNK_BYTES):
            there += len(chunk)
            if there > wanted.most_bytes:
                remove_part(part)
            check_size(wanted.what, wanted.most_bytes, there)
            file.write(chunk)
            if progress is not None:
                progress(there, total)
            if (seconds := time.monotonic() - since) > SLOW_SECONDS:
                if there - measured < SLOWEST_BYTES:
                    why = f"{there - measured} bytes in {seconds:.0f} s"
                    raise unreachable(wanted.what, wanted.url, wanted.target, why)
                measured, since = there, time.monotonic()
    return there


def _range(answer: Response) -> tuple[int, int | None]:
    """The position of the answer in the file, and the length of the file (None if the server does not say)."""
    stated = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if stated is not None:
        return int(stated[1] or 0), None if stated[2] == "*" else int(stated[2])
    length = re.fullmatch("[0-9]{1,18}", answer.headers.get("Content-Length", ""))
    return 0, int(length[0]) if answer.status_code == 200 and length else None


def _check_room(what: str, part: Path, missing_bytes: int | None) -> None:
    """Raises TlbenchError before the download if the disk has not enough room."""
    free_bytes = shutil.disk_usage(part.parent).free
    if missing_bytes is not None and missing_bytes > free_bytes:
        raise TlbenchError(
            f"{what}: {missing_bytes / 1e6:,.1f} MB are to come, but {part.parent} has room for "
            f"{free_bytes / 1e6:,.1f} MB; make room, or choose another folder with --out"
        )
