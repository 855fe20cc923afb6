"""Records: one clip's evidence as one line of JSON, from which every number can be made again without a model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn

from tlbench.errors import TlbenchError
from tlbench.files import RECORDS, open_outside, unwritable
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.preflight.findings import Finding

SCHEMA = "tlbench.record/1"
RECORDS_NAME = "records.jsonl"  # of the file in a run's folder
# One hour of video has 90,000 frames; SyncNet's 31 distances for each, in two views, are 30 MB of base64.
LINE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Failure:
    """Why an observer has no evidence about a clip: ``code`` for programs, ``message`` for people."""

    code: str
    message: str


@dataclass(frozen=True)
class ClipRecord:
    """What a run found out about one clip. It has no path, host or time, so equal input gives an equal record.

    Attributes
    ----------
    info : ClipInfo
    evidence : mapping of observer name to Evidence
    failures : mapping of observer name to Failure
    notes : tuple of str
        Only in records written before there were findings.
    findings : tuple of Finding
        What the checks found, and every failure.
    """

    info: ClipInfo
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def id(self) -> str:
        """The clip's id."""
        return self.info.id

    def to_line(self) -> str:
        """The record as one line of strict JSON (no NaN), without the newline."""
        info = self.info
        data = {
            "schema": SCHEMA,
            "id": info.id,
            "speaker": info.speaker,
            **({} if info.word is None else {"word": info.word}),
            "generated_sha256": info.generated_sha256,
            "reference_sha256": info.reference_sha256,
            **({} if info.pictures_sha256 is None else {"pictures_sha256": info.pictures_sha256}),
            "frames": info.frames,
            **({} if info.frames_expected is None else {"frames_expected": info.frames_expected}),
            "notes": list(self.notes),
            **({"findings": [found.to_json() for found in self.findings]} if self.findings else {}),
            "failures": {name: [why.code, why.message] for name, why in self.failures.items()},
            "evidence": {name: evidence.to_json() for name, evidence in self.evidence.items()},
        }
        return json.dumps(data, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_line(cls, line: str) -> ClipRecord:
        """The inverse of :meth:`to_line`. Raises ValueError with one line saying what is wrong."""
        try:
            data = json.loads(line, parse_constant=refuse_constant)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(data, dict) or not isinstance(data.get("schema"), str):
            raise ValueError("not a tlbench record")
        if data["schema"] != SCHEMA:
            raise ValueError(
                f"schema {data['schema']!r}, but this tlbench reads {SCHEMA!r}; score the clips again "
                "(with the same cache, only what changed is observed again)"
            )
        try:
            return cls(
                info=_read_info(data),
                evidence={name: Evidence.from_json(item) for name, item in data["evidence"].items()},
                failures={
                    name: Failure(text(code, "failure code"), text(message, "failure message"))
                    for name, (code, message) in data["failures"].items()
                },
                notes=tuple(text(note, "note") for note in data["notes"]),
                findings=tuple(Finding.from_json(item) for item in data.get("findings", ())),
            )
        except KeyError as error:
            raise ValueError(f"field {error} is missing") from error
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"a field is not of its kind ({error})") from error


def _read_info(data: Mapping[str, Any]) -> ClipInfo:
    return ClipInfo(
        id=text(data["id"], "id"),
        speaker=optional_text(data["speaker"], "speaker"),
        word=optional_text(data.get("word"), "word"),
        generated_sha256=optional_text(data["generated_sha256"], "generated_sha256"),
        reference_sha256=optional_text(data["reference_sha256"], "reference_sha256"),
        pictures_sha256=optional_text(data.get("pictures_sha256"), "pictures_sha256"),
        frames=optional_count(data["frames"], "frames"),
        frames_expected=optional_count(data.get("frames_expected"), "frames_expected"),
    )


def refuse_constant(name: str) -> NoReturn:
    """Raises ValueError; for ``json.loads(parse_constant=...)``, which would read NaN and Infinity otherwise."""
    raise ValueError(f"{name} is not JSON")


def text(value: Any, name: str) -> str:
    """``value`` if it is a text that is not empty. Raises ValueError, which names the field."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text, got {value!r:.60}")
    return value


def optional_text(value: Any, name: str) -> str | None:
    """As :func:`text`, or None."""
    return None if value is None else text(value, name)


def count(value: Any, name: str) -> int:
    """``value`` if it is an integer of 0 or more. Raises ValueError, which names the field."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} must be a count, got {value!r:.60}")
    return value


def optional_count(value: Any, name: str) -> int | None:
    """As :func:`count`, or None."""
    return None if value is None else count(value, name)


class RecordWriter:
    """Writes records to a file, one at a time.

    A context manager. Lines are written to ``<path>.partial``, which is renamed to ``path`` if the block ends without
    an exception, so a file without ``.partial`` is complete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self._file: IO[str] | None = None

    def __enter__(self) -> RecordWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.partial, "w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def write(self, record: ClipRecord) -> None:
        """Add one record. Raises TlbenchError if the disk is full."""
        if self._file is None:
            raise ValueError("RecordWriter.write outside its with block")
        try:
            self._file.write(record.to_line() + "\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        try:
            self._file.close()
            if kind is None:
                os.replace(self.partial, self.path)
        except OSError as problem:
            if kind is None:  # else the exception of the block matters more
                raise self._unwritable(problem) from problem
        finally:
            self._file = None

    def _unwritable(self, error: OSError) -> TlbenchError:
        return unwritable(self.path, error)


def read_records(path: Path) -> Iterator[ClipRecord]:
    """The records of a file, one at a time.

    Raises
    ------
    TlbenchError
        With file and line: not a record, another schema version, or a last line that is incomplete.
    """
    try:
        with open_outside(path, RECORDS) as file:
            number = 0
            while raw := file.readline(LINE_BYTES):
                number += 1
                where = f"{path}:{number}"
                if len(raw) == LINE_BYTES and not raw.endswith(b"\n"):
                    raise TlbenchError(f"{where}: longer than {LINE_BYTES >> 20} MiB, so not a record of one clip")
                try:
                    yield ClipRecord.from_line(raw.decode("utf-8"))
                except ValueError as error:
                    if not raw.endswith(b"\n"):
                        raise TlbenchError(
                            f"{where}: the last line is incomplete; score again (the cache has what was observed)"
                        ) from error
                    raise TlbenchError(f"{where}: not a record of this tlbench: {error}") from error
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror}); pass the records.jsonl of a run") from error
