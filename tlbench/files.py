"""Files: their hashes, and writing them whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from pathlib import Path

from tlbench.errors import TlbenchError


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes. Raises OSError if it can't be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def write_text_atomically(path: Path, text: str) -> None:
    """Write a file so that it is either whole or not there.

    Raises TlbenchError if the disk is full or the folder can't be written.
    """
    # Not tempfile's: its files are their owner's alone, and a cache or a result may be shared.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TlbenchError(
                f"{path.parent}: the disk is full; free some space and run the same command again, "
                "what is done already is kept"
            ) from error
        raise TlbenchError(f"{path}: can't be written ({error.strerror}); choose another folder") from error
