"""A cache of evidence by content.

The key holds everything that decides the evidence (bytes of the videos, boxes, views, decoding, weights), never a path
or a time. So a second run, another folder with the same files, or the rest of an interrupted run only looks entries
up. Each entry is one small file, written under a temporary name and renamed, so a killed process leaves no partial
entry.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from tlbench.errors import ClipError
from tlbench.files import JSON, file_sha256, read_outside, write_text_atomically

SCHEMA = "tlbench.cache/1"


def default_cache() -> Path:
    """``$TLBENCH_CACHE``, or the platform's cache folder."""
    given = os.environ.get("TLBENCH_CACHE")
    return Path(given) if given else user_cache_path("tlbench")


def content_sha256(path: Path | None, clip_id: str, what: str) -> str:
    """:func:`file_sha256` of one of a clip's files. Raises ClipError ``missing`` or ``unreadable``."""
    if path is None:
        raise ClipError("missing", f"clip {clip_id}: there is no {what}")
    try:
        return file_sha256(path)
    except FileNotFoundError as error:
        raise ClipError("missing", f"clip {clip_id}: the {what} {path.name} is not there") from error
    except OSError as error:
        reason = f"{path.name} can't be read ({error.strerror})"
        raise ClipError("unreadable", f"clip {clip_id}: the {what} {reason}") from error


def content_key(what: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a JSON object's canonical form."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Cache:
    """A folder of entries, safe to share between processes and runs."""

    folder: Path

    def path(self, key: Mapping[str, Any]) -> Path:
        name = content_key(key)
        return self.folder / name[:2] / f"{name}.json"

    def read(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The payload stored under ``key``, or None. A damaged entry gives a warning and None."""
        path = self.path(key)
        try:
            text = read_outside(path, JSON).decode()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            _warn_damaged(path, str(error))
            return None
        try:
            entry = json.loads(text)
            payload: dict[str, Any] = entry["payload"]
            if entry["schema"] != SCHEMA:
                return None
            if entry["sha256"] != content_key(payload):
                raise ValueError("its checksum does not fit")
            if content_key(entry["key"]) != path.stem:
                raise ValueError("it belongs under another name")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            _warn_damaged(path, f"{type(error).__name__}: {error}")
            return None
        return payload

    def write(self, key: Mapping[str, Any], payload: Mapping[str, Any]) -> None:
        """Store ``payload``, a JSON object, under ``key``. Raises TlbenchError if the disk is full."""
        entry = {"schema": SCHEMA, "key": dict(key), "sha256": content_key(payload), "payload": dict(payload)}
        write_text_atomically(self.path(key), json.dumps(entry, separators=(",", ":"), allow_nan=False))


def _warn_damaged(path: Path, why: str) -> None:
    warnings.warn(f"cache entry {path.name} is damaged ({why}); its clip is observed again", stacklevel=3)
