"""The note on single clips that were fetched out of GRID's archives: which, from where, and their hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.files import JSON, read_outside, write_text_atomically
from tlbench.json_input import parse_json

NOTE_NAME = "fetched_clips.json"  # in the data set's folder; a speaker in it is not there as a whole


def fetched_clips(root: Path) -> dict[str, dict[str, str]]:
    """SHA-256 by clip name, by speaker; empty if no single clips were fetched.

    Raises TlbenchError if the note is damaged.
    """
    path = root / NOTE_NAME
    try:
        content = parse_json(read_outside(path, JSON))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TlbenchError(f"{path}: can't be read ({error}); remove it and fetch the clips again") from error
    speakers = content.get("speakers") if isinstance(content, dict) else None
    if not isinstance(speakers, dict) or not all(
        isinstance(clips, dict) and all(isinstance(sha256, str) for sha256 in clips.values())
        for clips in speakers.values()
    ):
        raise TlbenchError(f"{path}: has no hashes of clips by speaker; remove it and fetch the clips again")
    return speakers


def note_clips(root: Path, speaker: str, clips: Mapping[str, str], source: str) -> None:
    """Write the hashes of a speaker's clips into the note. Raises OSError if it can't be written."""
    _write(root, {**fetched_clips(root), speaker: dict(clips)}, source)


def forget_clips(root: Path, speaker: str) -> None:
    """Take a speaker out of the note, whose archive was unpacked as a whole. Raises OSError if it can't be written."""
    speakers = fetched_clips(root)
    if speakers.pop(speaker, None) is not None:
        _write(root, speakers, "")


def _write(root: Path, speakers: Mapping[str, Mapping[str, str]], source: str) -> None:
    content = {"source": source, "speakers": dict(sorted(speakers.items()))}
    write_text_atomically(root / NOTE_NAME, json.dumps(content, indent=1, sort_keys=True) + "\n")
