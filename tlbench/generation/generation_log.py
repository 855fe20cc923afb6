"""``generation.json`` in a folder of generated videos: how they were generated, and from which files.

``tlbench generate`` writes it and uses it to continue a run; ``tlbench score`` copies the origin of the videos from it
into its results. The file may come from anybody, so nothing in it is trusted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tlbench.errors import TlbenchError
from tlbench.files import GENERATION_LOG, read_outside, unwritable, write_text_atomically
from tlbench.json_input import parse_json
from tlbench.version import VERSION

LOG_NAME = "generation.json"
PART_NAME = "generation-{}.json"  # of some clips of the folder
FORMAT = 2  # raised when the same entries give other frames, or change their meaning
WRITE_SECONDS = 2.0  # between two writes: the file for LRW's 25,000 clips has 8 MB
MADE_WITH = "made_with"  # versions, for people; a run may be continued by others
_MAX_CHARACTERS = 200  # of a text that is copied into results


@dataclass(frozen=True)
class ClipProvenance:
    """What one video was generated from.

    Attributes
    ----------
    reference : str
        SHA-256 of the reference video.
    audio : str or None
        SHA-256 of the audio file, if that is not the reference video.
    boxes : str
        ``given:`` and the SHA-256 of the clip's box file, or the rule by which boxes were found.
    frames, faceless_frames : int
        The number of frames, and of those without a face, whose box was filled in.
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
    """The log of a folder, new or continued. It is written by :meth:`write` and :meth:`add` only.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    entry : mapping
        JSON: what decides the frames of all clips.
    extra : mapping
        JSON: further fields, which may differ from those in the file, such as the name of the checkpoint's file.
    part : str
        Name of a part of the clips, such as that of a shard, whose log is a file of its own: ``generation-PART.json``.
        So runs side by side write no common file. All read each other's.

    Attributes
    ----------
    clips : dict of clip id to ClipProvenance
        What each video was generated from, by all logs of the folder.

    Raises
    ------
    TlbenchError
        If the folder can't be written, has videos but no log, or has a log with another entry.
    """

    def __init__(self, folder: Path, entry: Mapping[str, Any], extra: Mapping[str, Any], part: str = "") -> None:
        self.path = folder / (PART_NAME.format(part) if part else LOG_NAME)
        self._entry, self._extra = {"form": FORMAT, **entry}, dict(extra)
        self._written = 0.0
        make_folder(folder)
        paths = [path for form in (LOG_NAME, PART_NAME.format("*")) for path in sorted(folder.glob(form))]
        if not any(folder.rglob("*.mp4")):
            _remove(paths)  # of a run that made no video, perhaps with a mistake that is mended now
            paths = []
        elif not paths:
            raise TlbenchError(f"{folder} has videos but no {LOG_NAME} that says how; choose another folder (--out)")
        read = {path: self._read_clips(path) for path in paths}
        self._own = read.pop(self.path, {})
        self.clips = {name: one for clips in [*read.values(), self._own] for name, one in clips.items()}

    def add(self, clip_id: str, provenance: ClipProvenance) -> None:
        """Add a video. It is in the file after the next :meth:`write`, or within seconds."""
        self.clips[clip_id] = self._own[clip_id] = provenance
        if time.monotonic() - self._written > WRITE_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the file."""
        kinds = sorted({provenance.boxes_kind for provenance in self._own.values()})
        content = {**self._entry, **self._extra, "boxes": "+".join(kinds)}
        clips = {name: asdict(provenance) for name, provenance in self._own.items()}
        write_text_atomically(self.path, log_text({**content, "clips": clips}))
        self._written = time.monotonic()

    def _read_clips(self, path: Path) -> dict[str, ClipProvenance]:
        kept = read_log(path)
        wanted = json.loads(json.dumps(self._entry))
        different = [key for key in wanted if kept.get(key) != wanted[key]]
        if different:
            raise TlbenchError(
                f"{path.parent} has videos that were generated otherwise ({', '.join(different)} differ, see "
                f"{path.name}); choose another folder (--out)"
            )
        clips = kept.get("clips")
        entries = clips.items() if isinstance(clips, dict) else ()
        return {name: provenance for name, data in entries if (provenance := _provenance(data)) is not None}


def read_log(path: Path) -> dict[str, Any]:
    """The JSON object in a log. Raises TlbenchError if the file can't be read or has none."""
    try:
        content = parse_json(read_outside(path, GENERATION_LOG))
        if not isinstance(content, dict):
            raise ValueError("it has no JSON object")
    except (OSError, ValueError) as error:
        raise TlbenchError(f"{path}: can't be read ({error}); choose another folder (--out)") from error
    return content


def log_text(content: Mapping[str, Any]) -> str:
    """The text of a log."""
    return json.dumps(dict(content), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def origin_of(folder: Path) -> dict[str, Any] | None:
    """Where a folder's videos come from, as a JSON object for results; None if the folder has no log.

    The names are ``checkpoint`` (file, sha256), ``tlbench``, ``identity``, ``trim``, ``boxes``, and for a checkpoint
    that was trained here ``variant``, ``expert`` (name, sha256) and ``trained_with``. For a generator that is no
    checkpoint ``generator`` (name), and for the script of another repository ``recipe`` (name, title, sha256),
    ``repository`` (url, commit) and ``command``, its words. A value that is missing or of
    another type is left out.

    Raises
    ------
    TlbenchError
        If there is a log that can't be read.
    """
    path = folder / LOG_NAME
    if not path.is_file():
        return None
    log = read_log(path)
    checkpoint = _object(log.get("checkpoint"))
    trained = _object(_object(checkpoint.get("config")).get("trained"))
    script, repository, words = _object(log.get("recipe")), _object(log.get("repository")), log.get("command")
    recipe, expert = _object(trained.get("recipe")), _object(trained.get("expert"))
    names = trained.get("trained_with")
    found = {
        "checkpoint": _texts({"file": _last_part(log.get("checkpoint_file")), "sha256": checkpoint.get("sha256")}),
        **_texts({"tlbench": _object(log.get(MADE_WITH)).get("tlbench")}),
        **_texts({name: log.get(name) for name in ("identity", "trim", "boxes")}),
        **_texts({"variant": trained.get("variant", recipe.get("variant"))}),
        "expert": _texts({name: expert.get(name) for name in ("name", "sha256")}),
        "generator": _texts({"name": _object(log.get("generator")).get("name")}),
        "recipe": _texts({name: script.get(name) for name in ("name", "title", "sha256")}),
        "repository": _texts({name: repository.get(name) for name in ("url", "commit")}),
        "command": [word for word in words if _is_text(word)] if isinstance(words, list) else [],
        "trained_with": [name for name in names if _is_text(name)] if isinstance(names, list) else [],
    }
    return {name: value for name, value in found.items() if value}


def driven_by(folder: Path) -> tuple[str, str] | None:
    """SHA-256 of the drive and the kind that a folder's videos were generated for; None if its log says none.

    Raises TlbenchError if there is a log that can't be read.
    """
    path = folder / LOG_NAME
    log = read_log(path) if path.is_file() else {}
    sha256, kind = log.get("drive"), log.get("kind")
    return (sha256, kind) if isinstance(sha256, str) and isinstance(kind, str) else None


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(path, error) from error


def _provenance(data: object) -> ClipProvenance | None:
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
    return isinstance(value, str) and 0 < len(value) <= _MAX_CHARACTERS and value.isprintable()


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in values.items() if _is_text(value)}


def made_with(libraries: Mapping[str, str]) -> dict[str, Any]:
    """The field with the versions of tlbench and of other libraries."""
    return {MADE_WITH: {"tlbench": VERSION, **libraries}}


def make_folder(folder: Path) -> None:
    """Create a folder. Raises TlbenchError if it can't be created."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TlbenchError(
            f"videos can't be written to {folder} ({error.strerror}); choose another folder (--out)"
        ) from error
