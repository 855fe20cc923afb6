"""Downloads of checkpoints: resumed where they broke off, checked by hash, and in place only when whole.

Files on Google Drive come through gdown, whose whole business is to keep up with that site's pages of confirmation;
everything else through requests.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from tlbench.checkpoints.card import Card
from tlbench.checkpoints.webpage import refuse_page
from tlbench.checkpoints.weights import Weights, checkpoint_folder, compare_with_first
from tlbench.errors import TlbenchError
from tlbench.files import TIMEOUT_SECONDS, Progress, download, file_sha256, unreachable

if TYPE_CHECKING:
    pass

DRIVE_RETRIES = 2  # of a connection that broke off, before it is left to the user
PAGES = ("github.com", "sharepoint.com")  # their addresses on cards are of pages for people


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
        raise unreachable(f"checkpoint {card.name!r}", card.url, target, why) from error


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
