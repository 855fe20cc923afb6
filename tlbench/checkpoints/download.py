"""Downloads of checkpoints: resumed after interruptions, and renamed to their file name once the hash is right.

gdown downloads from Google Drive, where a confirmation page comes before large files; requests downloads the rest.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from urllib.parse import urlparse

from tlbench.checkpoints.card import Card
from tlbench.checkpoints.weights import Weights, checkpoint_folder, compare_with_first
from tlbench.downloads import (
    TIMEOUT_SECONDS,
    Progress,
    Wanted,
    check_address,
    check_size,
    download,
    end_part,
    remove_part,
    unreachable,
)
from tlbench.errors import TlbenchError
from tlbench.files import WEIGHTS, file_md5, file_sha256, open_outside
from tlbench.owner import owned

DRIVE_RETRIES = 2  # of a lost connection, before the download fails
# Of a file whose card states no size. The largest of them, with the state of its optimiser, has a few gigabytes.
MOST_BYTES = 20 * 10**9


def fetch(card: Card, folder: Path, progress: Progress | None = None, *, take_over: bool = False) -> Path:
    """Download a card's file into ``folder``, unless it is there already.

    An unfinished download is kept as ``FILE.part``, and the next call resumes it.

    Parameters
    ----------
    card : Card
    folder : Path
    progress : callable or None
        Called with the bytes downloaded so far and in all.
    take_over : bool
        Take the file at once from another run that writes it; see :func:`tlbench.owner.owned`.

    Returns
    -------
    Path
        ``folder / card.file``.

    Raises
    ------
    TlbenchError
        If there is no connection, the server refuses, the card's address is a web page, the downloaded file is a web
        page or has another hash than the published file, the disk is full, or another run fetches the file.

    Warns
    -----
    UserWarning
        If the publisher states no hash, and the file is not the one first used in this checkpoint folder.
    """
    target = folder / card.file
    if target.is_file():
        sha256 = file_sha256(target)
        if not sha256.startswith(card.sha256):
            raise TlbenchError(
                f"checkpoint {card.name!r}: {target} has SHA-256 {sha256[:12]} instead of the published "
                f"{card.sha256[:12]}; remove it and fetch again"
            )
        _compare_hash(card, target, sha256)
        return target
    if card.is_page:
        raise TlbenchError(
            f"checkpoint {card.name!r}: {card.url} is a web page; open it in a browser and save the file as {target}"
        )
    check_address(f"checkpoint {card.name!r}", card.url, target, card.url)
    part = folder / f"{card.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with owned(folder, name=card.file, take_over=take_over):
            if urlparse(card.url).hostname == "drive.google.com":
                _from_drive(card, target, part, progress)
            else:
                wanted = Wanted(f"checkpoint {card.name!r}", card.url, target, _most_bytes(card), bool(card.sha256))
                download(wanted, part, progress)
            sha256 = _accept(card, target, part)
            os.replace(part, target)
            end_part(part)
    except OSError as error:  # errors of requests are handled above: this one is the disk's
        raise TlbenchError(
            f"checkpoint {card.name!r}: {target} can't be written ({error.strerror or error}); free some space, or "
            "choose another folder with --out"
        ) from error
    _compare_hash(card, target, sha256)
    return target


def _from_drive(card: Card, target: Path, part: Path, progress: Progress | None) -> None:
    import gdown
    import requests
    from gdown.exceptions import DownloadError, FileURLRetrievalError

    def told(there: int, total: int | None) -> None:
        check_size(f"checkpoint {card.name!r}", _most_bytes(card), max(there, total or 0))
        if progress is not None:
            progress(there, total)

    try:
        gdown.download(
            url=card.url,
            output=str(part),
            quiet=True,
            resume=True,
            use_cookies=False,  # no account is used, and gdown stores no cookies
            timeout=TIMEOUT_SECONDS,
            retries=DRIVE_RETRIES,
            progress=told,
        )
    except TlbenchError:  # too large
        for unfinished in part.parent.glob(f"{glob.escape(part.name)}*"):
            unfinished.unlink()
        raise
    except FileURLRetrievalError as error:
        raise TlbenchError(
            f"checkpoint {card.name!r}: Google Drive sent a web page instead of the file (the file's download quota is "
            f"used up, or a sign-in is needed); try tomorrow, or open {card.url} in a browser and save it as {target}"
        ) from error
    except (DownloadError, requests.RequestException) as error:
        lost = next((e for e in (error, error.__cause__) if isinstance(e, requests.RequestException)), None)
        why = " ".join(str(error).split())[:200] if lost is None else type(lost).__name__
        raise unreachable(f"checkpoint {card.name!r}", card.url, target, why) from error


def _most_bytes(card: Card) -> int:
    return card.size_bytes or MOST_BYTES


def _accept(card: Card, target: Path, part: Path) -> str:
    """The SHA-256 of the downloaded file. A wrong file is removed, so that the next call does not resume it."""
    try:
        refuse_page(part)
    except TlbenchError as error:
        remove_part(part)
        raise TlbenchError(
            f"checkpoint {card.name!r}: {card.url} sent a web page or nothing instead of the file; open it in a "
            f"browser and save the file as {target}"
        ) from error
    sha256 = file_sha256(part)
    if not sha256.startswith(card.sha256):
        remove_part(part)
        raise TlbenchError(
            f"checkpoint {card.name!r}: the file from {card.url} has SHA-256 {sha256[:12]} instead of the published "
            f"{card.sha256[:12]} and was removed; fetch again, and if this repeats, the publisher changed the file"
        )
    if card.md5 and not (md5 := file_md5(part)).startswith(card.md5):
        remove_part(part)
        raise TlbenchError(
            f"checkpoint {card.name!r}: the file from {card.url} has MD5 {md5[:12]} instead of the published "
            f"{card.md5[:12]} and was removed; fetch again, and if this repeats, the publisher changed the file"
        )
    return sha256


def _compare_hash(card: Card, target: Path, sha256: str) -> None:
    if target.parent == checkpoint_folder():
        compare_with_first(Weights(card, target, sha256))


def refuse_page(path: Path) -> None:
    """Check that a file is neither empty nor a saved web page. Raises TlbenchError if it is, OSError if unreadable."""
    with open_outside(path, WEIGHTS) as file:
        head = file.read(512)
    if not head:
        raise TlbenchError(f"weights {path}: the file is empty; download it again")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise TlbenchError(
            f"weights {path}: this is a web page, not a checkpoint; open the download link in a browser and save the "
            "file itself"
        )
