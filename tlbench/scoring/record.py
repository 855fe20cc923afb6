"""Records: one clip's evidence as one line of JSON, from which every number can be made again without a model."""

from __future__ import annotations

import json
import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.files import RECORD_LINE_BYTES, RECORDS, open_outside, unwritable
from tlbench.json_fields import clip_id, entries_of, fields_of, name_text, optional_count, optional_name, text
from tlbench.json_input import parse_json
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.preflight.findings import Finding

SCHEMA = "tlbench.record/1"
RECORDS_NAME = "records.jsonl"  # of the file in a run's folder
PARTIAL = ".partial"  # behind the name while the file is written
MOST_FINDINGS = 1_000  # of one clip


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
        data = parse_json(line)
        if not isinstance(data, dict) or not isinstance(data.get("schema"), str):
            raise ValueError("not a tlbench record")
        if data["schema"] != SCHEMA:
            raise ValueError(
                f"schema {quoted(data['schema'])}, but this tlbench reads {SCHEMA!r}; score the clips again "
                "(with the same cache, only what changed is observed again)"
            )
        try:
            findings = entries_of(data.get("findings", []), "findings", most=MOST_FINDINGS)
            return cls(
                info=_read_info(data),
                evidence=_read_evidence(data["evidence"]),
                failures=read_failures(data["failures"]),
                notes=tuple(text(note, "note") for note in entries_of(data["notes"], "notes", most=MOST_FINDINGS)),
                findings=tuple(map(Finding.from_json, findings)),
            )
        except KeyError as error:
            raise ValueError(f"field {error} is missing") from error
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"a field is not of its kind ({shortened(str(error))})") from error


def _read_info(data: Mapping[str, Any]) -> ClipInfo:
    return ClipInfo(
        id=clip_id(data["id"], "id"),
        speaker=optional_name(data["speaker"], "speaker"),
        word=optional_name(data.get("word"), "word"),
        generated_sha256=optional_name(data["generated_sha256"], "generated_sha256"),
        reference_sha256=optional_name(data["reference_sha256"], "reference_sha256"),
        pictures_sha256=optional_name(data.get("pictures_sha256"), "pictures_sha256"),
        frames=optional_count(data["frames"], "frames"),
        frames_expected=optional_count(data.get("frames_expected"), "frames_expected"),
    )


def _read_evidence(data: Any) -> dict[str, Evidence]:
    """The evidence by observer. Raises ValueError, TypeError or KeyError if it is malformed."""
    found = {}
    for name, item in fields_of(data, "evidence").items():
        found[name_text(name, "observer")] = evidence = Evidence.from_json(fields_of(item, "evidence"))
        if evidence.observer != name:
            raise ValueError(f"the evidence of {quoted(name)} is of observer {quoted(evidence.observer)}")
    return found


def read_failures(data: Any) -> dict[str, Failure]:
    """Failures of a clip from their JSON, ``{observer: [code, message]}``. Raises ValueError if it is malformed."""
    found = {}
    for who, why in fields_of(data, "failures").items():
        code, message = entries_of(why, "failure", length=2)
        found[name_text(who, "observer")] = Failure(name_text(code, "failure code"), text(message, "failure message"))
    return found


class RecordWriter:
    """Writes records to a file, one at a time.

    A context manager. Lines are written to ``<path>.partial``, which is renamed to ``path`` if the block ends without
    an exception, so a file without ``.partial`` is complete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(path.name + PARTIAL)
        self._file: IO[str] | None = None

    def __enter__(self) -> RecordWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.partial.unlink(missing_ok=True)  # not emptied: another run, which lost the folder, may have it open
            self._file = open(self.partial, "x", encoding="utf-8", newline="\n")
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
            own = os.fstat(self._file.fileno())
            self._file.close()
            if kind is None:
                if not os.path.samestat(own, os.stat(self.partial)):
                    raise TlbenchError(f"{self.path}: another run has taken it over; let one of them end")
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

    Takes a byte order mark, CRLF and a last line without a line end.

    Raises
    ------
    TlbenchError
        With file and line: not a record, another schema version, or a last line that is incomplete. If there is no such
        file, but that of a run that did not end, it says so.
    """
    try:
        with open_outside(path, RECORDS) as file:
            number = 0
            while raw := file.readline(RECORD_LINE_BYTES):
                number += 1
                if number == 1:
                    raw = _without_mark(raw, path)
                if raw.strip():
                    yield _read_line(raw, f"{path}:{number}")
    except FileNotFoundError as error:
        raise TlbenchError(_absent(path)) from error
    except OSError as error:
        raise TlbenchError(f"{path}: can't be read ({error.strerror}); pass the {RECORDS_NAME} of a run") from error


def _read_line(raw: bytes, where: str) -> ClipRecord:
    whole = raw.endswith(b"\n")
    if len(raw) == RECORD_LINE_BYTES and not whole:
        raise TlbenchError(f"{where}: longer than {RECORD_LINE_BYTES >> 20} MiB, so not a record of one clip")
    try:
        return ClipRecord.from_line(raw.decode("utf-8"))
    except ValueError as error:
        if not whole:
            raise TlbenchError(
                f"{where}: the last line is incomplete, as after a crash; score again (the cache has what was observed)"
            ) from error
        raise TlbenchError(f"{where}: not a record of this tlbench: {error}") from error


def _without_mark(line: bytes, path: Path) -> bytes:
    """The first line without its byte order mark. Raises TlbenchError for the mark of UTF-16."""
    if line.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise TlbenchError(f"{path}:1: UTF-16, not utf-8; copy the file again, or save it as UTF-8")
    return line.removeprefix(BOM_UTF8)


def _absent(path: Path) -> str:
    partial = path.with_name(path.name + PARTIAL)
    if partial.exists():
        return f"{path}: its run did not end, there is only {partial.name}; run the same `tlbench score` again"
    return f"{path}: can't be read (there is no such file); pass the {RECORDS_NAME} of a run"
