"""Downloads of checkpoints: resumed where they broke off, checked by hash, and in place only when whole.

Files on Google Drive come through gdown, whose whole business is to keep up with that site's pages of confirmation;
everything else through requests.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from tlbench.checkpoints.card import Card
from tlbench.checkpoints.webpage import refuse_page
from tlbench.checkpoints.weights import Weights, checkpoint_folder, compare_with_first
from tlbench.errors import TlbenchError
from tlbench.files import file_sha256

if TYPE_CHECKING:
    from requests import Response

CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 30.0
DRIVE_RETRIES = 2  # of a connection that broke off, before it is left to the user
PAGES = ("github.com", "sharepoint.com")  # their addresses on cards are of pages for people
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")  # RFC 9110, 14.4

# Bytes there so far, and in all (None if the server does not say).
Progress = Callable[[int, int | None], None]


def fetch(card: Card, folder: Path, progress: Progress | None = None) -> Path:
    """Download a card's file into ``folder``; a file that is there and right is left alone.

    What has come so far is kept beside it in a file that ends in ``.part``, and the next call goes on from there.

    Returns
    -------
    Path
        ``folder / card.file``.

    Raises
    ------
    TlbenchError
        Offline or refused by the server; the address is a page for people; what came is a web page or not the
        published file; the disk is full.

    Warns
    -----
    UserWarning
        If the publisher states no hash, and the file is not the one that was first seen in this checkpoint folder.
    """
    target = folder / card.file
    if target.is_file():
        sha256 = file_sha256(target)
        if not sha256.startswith(card.sha256):
            raise TlbenchError(
                f"checkpoint {card.name!r}: SHA-256 of {target} is {sha256[:12]}, published is {card.sha256[:12]}; "
                "remove it and fetch again"
            )
        _remember(card, target, sha256)
        return target
    host = urlparse(card.url).hostname or ""
    if any(host == page or host.endswith("." + page) for page in PAGES):
        raise TlbenchError(
            f"checkpoint {card.name!r}: {card.url} is a page where the file has to be taken by hand; open it in a "
            f"browser and save the file as {target}"
        )
    part = folder / f"{card.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if host == "drive.google.com":
            _from_drive(card, target, part, progress)
        else:
            download(f"checkpoint {card.name!r}", card.url, target, part, progress)
        sha256 = _accept(card, target, part)
        os.replace(part, target)
    except OSError as error:  # requests' errors have been dealt with: this is the disk
        raise TlbenchError(
            f"checkpoint {card.name!r}: {target} can't be written ({error.strerror or error}); make room, or choose "
            "another folder with --out"
        ) from error
    _remember(card, target, sha256)
    return target


def download(what: str, url: str, target: Path, part: Path, progress: Progress | None = None) -> None:
    """Fetch a file into ``part``, going on where it ends. ``target``, where it is to be, is only told to the user.

    Parameters
    ----------
    what : str
        How errors begin: ``checkpoint 'syncnet'``.

    Raises
    ------
    TlbenchError
        Offline or refused by the server, the server's file is another one now, or there is not enough room.
    OSError
        The disk.
    """
    import requests

    there = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity"}  # ranges count the bytes on the disk
    if there:
        headers["Range"] = f"bytes={there}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
            start, total = _range(answer)
            if answer.status_code == 416 and total in (there, None):  # nothing is left to send: the part is the whole
                return
            if answer.status_code == 416 or (answer.status_code == 206 and start != there):
                raise TlbenchError(f"{what}: {part} is no part of what {url} gives now; remove it and fetch again")
            answer.raise_for_status()
            if answer.status_code != 206:  # the server begins anew
                there = 0
            _check_room(what, part, None if total is None else total - there)
            with part.open("ab" if there else "wb") as file:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    there += len(chunk)
                    if progress is not None:
                        progress(there, total)
        if total is not None and there < total:  # older urllib3 does not mind
            raise _unreachable(what, url, target, f"{there} of {total} bytes")
    except requests.HTTPError as error:
        raise TlbenchError(
            f"{what}: {url} answers {error.response.status_code}; look for the file at its "
            f"publisher's page and save it as {target}"
        ) from error
    except requests.RequestException as error:
        raise _unreachable(what, url, target, type(error).__name__) from error


def _range(answer: Response) -> tuple[int, int | None]:
    """Where the answer begins in the file, and how long all of the file is (None if the server does not say)."""
    stated = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if stated is not None:
        return int(stated[1] or 0), None if stated[2] == "*" else int(stated[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if answer.status_code == 200 and length.isdigit() else None


def _check_room(what: str, part: Path, missing_bytes: int | None) -> None:
    """Better before the first gigabyte than after the last."""
    free_bytes = shutil.disk_usage(part.parent).free
    if missing_bytes is not None and missing_bytes > free_bytes:
        raise TlbenchError(
            f"{what}: {missing_bytes / 1e6:,.1f} MB are to come, but {part.parent} has room for "
            f"{free_bytes / 1e6:,.1f} MB; make room, or choose another folder with --out"
        )


def _from_drive(card: Card, target: Path, part: Path, progress: Progress | None) -> None:
    import gdown
    import requests
    from gdown.exceptions import DownloadError, FileURLRetrievalError

    try:
        gdown.download(
            url=card.url,
            output=str(part),
            quiet=True,
            resume=True,
            use_cookies=False,  # what is fetched must not depend on who is signed in, and nothing is kept elsewhere
            timeout=TIMEOUT_SECONDS,
            retries=DRIVE_RETRIES,
            progress=progress,
        )
    except FileURLRetrievalError as error:
        raise TlbenchError(
            f"checkpoint {card.name!r}: Google Drive shows a page instead of the file (too many people took it "
            f"lately, or it wants you to sign in); try tomorrow, or open {card.url} in a browser and save it as "
            f"{target}"
        ) from error
    except (DownloadError, requests.RequestException) as error:
        lost = next((e for e in (error, error.__cause__) if isinstance(e, requests.RequestException)), None)
        why = " ".join(str(error).split())[:200] if lost is None else type(lost).__name__
        raise _unreachable(f"checkpoint {card.name!r}", card.url, target, why) from error


def _unreachable(what: str, url: str, target: Path, why: str) -> TlbenchError:
    return TlbenchError(
        f"{what}: {url} can't be reached or broke off ({why}); run the same command when "
        f"online to go on, or bring the file as {target}"
    )


def _accept(card: Card, target: Path, part: Path) -> str:
    """The SHA-256 of what came. If it is another file it is removed: the next call could only go on from it."""
    try:
        refuse_page(part)
    except TlbenchError as error:
        part.unlink()
        raise TlbenchError(
            f"checkpoint {card.name!r}: {card.url} gave a web page or nothing in place of the file; open it in a "
            f"browser and save the file as {target}"
        ) from error
    sha256 = file_sha256(part)
    if not sha256.startswith(card.sha256):
        part.unlink()
        raise TlbenchError(
            f"checkpoint {card.name!r}: SHA-256 of what {card.url} gave is {sha256[:12]}, published is "
            f"{card.sha256[:12]}; it was removed. Fetch again, and if that stays so the file has changed there"
        )
    return sha256


def _remember(card: Card, target: Path, sha256: str) -> None:
    if target.parent == checkpoint_folder():
        compare_with_first(Weights(card, target, sha256))
