"""The note beside generated videos: how all of them were made, and each of what.

It is written by ``tlbench generate``, which goes on by it, and read by ``tlbench score``, which hands on where the
videos come from. Whoever reads one must expect anything in it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tlbench.errors import TlbenchError
from tlbench.files import GENERATION_LOG, read_outside, write_text_atomically
from tlbench.version import VERSION

NOTE = "generation.json"
FORM = 2  # raised when the same note stands for other pictures, or its fields change their meaning
PAUSE_SECONDS = 2.0  # between writings: a note of LRW's 25,000 clips is 8 MB
MADE_WITH = "made_with"  # for people: another version may go on
_LONGEST = 200  # characters of what is handed on


@dataclass(frozen=True)
class ClipProvenance:
    """What one video was made of.

    Attributes
    ----------
    reference : str
        SHA-256 of the reference video.
    audio : str or None
        SHA-256 of the sound's file if that is another one.
    boxes : str
        ``given:`` and the SHA-256 of the clip's own boxes, or the rule by which they were found.
    frames, faceless_frames : int
        The latter of the former showed no face, and a box that stood in.
    """

    reference: str
    audio: str | None
    boxes: str
    frames: int = field(default=0, compare=False)
    faceless_frames: int = field(default=0, compare=False)

    @property
    def boxes_kind(self) -> str:
        """``given``, or the rule."""
        return "given" if self.boxes.startswith("given:") else self.boxes


class GenerationLog:
    """A folder's note, opened to be gone on with. Nothing is written before :meth:`write` or :meth:`add`.

    Parameters
    ----------
    folder : Path
        Is made if it is not there.
    recipe : mapping
        JSON: what decides the pictures of all clips.
    remarks : mapping
        JSON: further fields, which may differ from what is there: a checkpoint's file may be renamed.

    Raises
    ------
    TlbenchError
        If the folder can't be written, holds videos without a note, or a note of another recipe.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, Any], remarks: Mapping[str, Any]) -> None:
        self.path = folder / NOTE
        self._recipe, self._remarks = {"form": FORM, **recipe}, dict(remarks)
        self._written = 0.0
        make_folder(folder)
        self.clips = self._opened(folder)

    def add(self, clip_id: str, made: ClipProvenance) -> None:
        """Take down a video that is written. It is in the file after :meth:`write`, or soon."""
        self.clips[clip_id] = made
        if time.monotonic() - self._written > PAUSE_SECONDS:
            self.write()

    def write(self) -> None:
        """Bring the file up to date."""
        kinds = sorted({made.boxes_kind for made in self.clips.values()})
        content = {**self._recipe, **self._remarks, "boxes": "+".join(kinds)}
        write_text_atomically(
            self.path, note_text({**content, "clips": {name: asdict(made) for name, made in self.clips.items()}})
        )
        self._written = time.monotonic()

    def _opened(self, folder: Path) -> dict[str, ClipProvenance]:
        if not self.path.is_file():
            if any(folder.rglob("*.mp4")):
                raise TlbenchError(
                    f"{folder} holds videos, and no {NOTE} that says how they were made; choose another folder"
                )
            return {}
        there = read_note(self.path)
        wanted = json.loads(json.dumps(self._recipe))
        different = [key for key in wanted if there.get(key) != wanted[key]]
        if different:
            raise TlbenchError(
                f"{folder} holds another generation ({', '.join(different)} differ, see {NOTE}); choose another folder"
            )
        clips = there.get("clips")
        entries = clips.items() if isinstance(clips, dict) else ()
        return {name: made for name, data in entries if (made := _made(data)) is not None}


def read_note(path: Path) -> dict[str, Any]:
    """The JSON object in a note. Raises TlbenchError if there is none."""
    try:
        content = json.loads(read_outside(path, GENERATION_LOG))
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise TlbenchError(f"{path}: can't be read ({error}); choose another folder") from error
    return content


def note_text(content: Mapping[str, Any]) -> str:
    """A note as it is written."""
    return json.dumps(dict(content), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def origin_of(folder: Path) -> dict[str, Any] | None:
    """Where a folder's videos come from, for results: a JSON object; None if it has no note.

    ``checkpoint`` (file, sha256), ``tlbench``, ``identity``, ``trim``, ``boxes``, and, of a checkpoint that was trained
    here, ``variant``, ``expert`` (name, sha256) and ``trained_with``. What a note does not tell, or not as it should,
    is left out.

    Raises
    ------
    TlbenchError
        If there is a note, and it can't be read.
    """
    path = folder / NOTE
    if not path.is_file():
        return None
    note = read_note(path)
    checkpoint = _object(note.get("checkpoint"))
    trained = _object(_object(checkpoint.get("config")).get("trained"))
    recipe, expert = _object(trained.get("recipe")), _object(trained.get("expert"))
    named = trained.get("trained_with")
    found = {
        "checkpoint": _texts({"file": _last_part(note.get("checkpoint_file")), "sha256": checkpoint.get("sha256")}),
        **_texts({"tlbench": _object(note.get(MADE_WITH)).get("tlbench")}),
        **_texts({name: note.get(name) for name in ("identity", "trim", "boxes")}),
        **_texts({"variant": trained.get("variant", recipe.get("variant"))}),
        "expert": _texts({name: expert.get(name) for name in ("name", "sha256")}),
        "trained_with": [name for name in named if _is_text(name)] if isinstance(named, list) else [],
    }
    return {name: value for name, value in found.items() if value}


def _made(data: object) -> ClipProvenance | None:
    fields = _object(data)
    reference, audio, boxes = (fields.get(name) for name in ("reference", "audio", "boxes"))
    frames, faceless = fields.get("frames"), fields.get("faceless_frames")
    if not isinstance(reference, str) or not isinstance(audio, str | None) or not isinstance(boxes, str):
        return None
    if not isinstance(frames, int) or not isinstance(faceless, int):
        return None
    return ClipProvenance(reference, audio, boxes, frames, faceless)


def _object(data: object) -> dict[str, Any]:
    return data if isinstance(data, dict) else {}


def _last_part(name: object) -> str | None:
    return PurePosixPath(name.replace("\\", "/")).name if isinstance(name, str) else None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable()


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in values.items() if _is_text(value)}


def made_with(libraries: Mapping[str, str]) -> dict[str, Any]:
    """The entry that says which versions made it."""
    return {MADE_WITH: {"tlbench": VERSION, **libraries}}


def make_folder(folder: Path) -> None:
    """Raises TlbenchError if it can't be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TlbenchError(f"videos can't be written to {folder} ({error.strerror}); choose another folder") from error
