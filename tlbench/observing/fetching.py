"""Downloads of checkpoints: resumed where they broke off, checked by hash, and in place only when whole.

Files on Google Drive come through gdown, whose whole business is to keep up with that site's pages of confirmation;
everything else through requests.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

from tlbench.errors import TlbenchError
from tlbench.observing.cache import file_sha256
from tlbench.observing.card import Card
from tlbench.observing.checkpoints import refuse_page

CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 30.0
PAGES = ("github.com", "sharepoint.com")  # their addresses on cards are of pages for people

# Bytes there so far, and in all (None if the server does not say).
Progress = Callable[[int, int | None], None]


def fetch(card: Card, folder: Path, progress: Progress | None = None) -> Path:
    """Download a card's file into ``folder``; a file that is there and right is left alone.

    What has come so far is kept as ``<file>.part``, and the next call goes on from there.

    Returns
    -------
    Path
        ``folder / card.file``.

    Raises
    ------
    TlbenchError
        Offline or refused by the server; the address is a page for people; what came is a web page or not the
        published file; the disk is full.
    """
    target = folder / card.file
    if target.is_file():
        _check_hash(card, target)
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
            _from_drive(card, part, progress)
        else:
            _from_server(card, part, progress)
        refuse_page(part)
        _check_hash(card, part)
        os.replace(part, target)
    except OSError as error:  # requests' errors have been dealt with: this is the disk
        raise TlbenchError(
            f"checkpoint {card.name!r}: {target} can't be written ({error.strerror or error})"
        ) from error
    return target


def _from_server(card: Card, part: Path, progress: Progress | None) -> None:
    import requests

    there = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={there}-"} if there else {}
    try:
        with requests.get(card.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
            if answer.status_code == 416:  # nothing is left to send: the part is the whole
                return
            answer.raise_for_status()
            if answer.status_code != 206:  # the server begins anew
                there = 0
            length = answer.headers.get("Content-Length")
            total = there + int(length) if length else None
            with part.open("ab" if there else "wb") as file:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                    there += len(chunk)
                    if progress is not None:
                        progress(there, total)
        if total is not None and there < total:
            raise TlbenchError(f"checkpoint {card.name!r}: the connection broke off; run the same command to go on")
    except requests.HTTPError as error:
        raise TlbenchError(
            f"checkpoint {card.name!r}: {card.url} answers {error.response.status_code}; look for the file at its "
            "publisher's page"
        ) from error
    except requests.RequestException as error:
        raise TlbenchError(
            f"checkpoint {card.name!r}: {card.url} can't be reached or broke off ({type(error).__name__}); run the "
            f"same command when online to go on, or bring the file as {part.with_suffix('')}"
        ) from error


def _from_drive(card: Card, part: Path, progress: Progress | None) -> None:
    import gdown
    import requests
    from gdown.exceptions import DownloadError

    try:
        gdown.download(url=card.url, output=str(part), resume=True, quiet=True, progress=progress)
    except (DownloadError, requests.RequestException) as error:
        raise TlbenchError(
            f"checkpoint {card.name!r}: Google Drive gives no file ({type(error).__name__}: too many people took it "
            f"today, or it is offline); try later, or open {card.url} in a browser and save it as "
            f"{part.with_suffix('')}"
        ) from error


def _check_hash(card: Card, path: Path) -> None:
    if not card.sha256:
        return
    sha256 = file_sha256(path)
    if not sha256.startswith(card.sha256):
        raise TlbenchError(
            f"checkpoint {card.name!r}: SHA-256 of {path} is {sha256[:12]}, published is {card.sha256[:12]}; remove it "
            "and fetch again"
        )
