"""Records survive the way to a file and back, and a damaged file is refused by line."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path

import numpy as np
import pytest

from tlbench.errors import TlbenchError
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.scoring.record import ClipRecord, Failure, RecordWriter, read_records
from tlbench.scoring.result_file import load_result

FULL = ClipRecord(
    ClipInfo("s1/bbaf2n", "s1", generated_sha256="a" * 64, frames=3),
    evidence={
        "pixels": Evidence("pixels", {"psnr": np.array([30.5, math.inf, math.nan], np.float32), "lag": -math.inf})
    },
    failures={"syncnet": Failure("no-audio", "clip s1/bbaf2n: ünïcode \u2028 and\nnewline")},
    notes=("29.97 to 25 frames/s",),
)


def write(path: Path, records: list[ClipRecord]) -> Path:
    with RecordWriter(path) as writer:
        for record in records:
            writer.write(record)
    return path


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    (read,) = read_records(write(tmp_path / "new folder" / "records.jsonl", [FULL]))
    psnr = read.evidence["pixels"].array("psnr")
    assert psnr.dtype == np.float32
    np.testing.assert_array_equal(psnr, [30.5, math.inf, math.nan])
    assert read.evidence["pixels"].number("lag") == -math.inf
    assert (read.failures, read.notes, read.info.speaker, read.info.frames) == (FULL.failures, FULL.notes, "s1", 3)


def test_a_line_is_strict_json_and_one_line() -> None:
    line = FULL.to_line()

    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert json.loads(line, parse_constant=refuse)["schema"] == "tlbench.record/1"
    assert len(line.splitlines()) == 1


def test_the_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with RecordWriter(path) as writer:
        writer.write(FULL)
        assert not path.exists()
    assert path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["records.jsonl"]


def test_an_interrupted_run_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = write(tmp_path / "records.jsonl", [FULL])
    before = path.read_bytes()

    def interrupted() -> None:
        with RecordWriter(path) as writer:
            writer.write(ClipRecord(ClipInfo("other")))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before


def test_a_run_that_lost_its_folder_to_another_does_not_touch_the_others_file(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    first, second = RecordWriter(path).__enter__(), RecordWriter(path)
    first.write(FULL)
    second.__enter__().write(FULL)
    with pytest.raises(TlbenchError, match="another run has taken it over"):
        first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert len(list(read_records(path))) == 1


def test_records_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path / "records.jsonl", [FULL])
    path.write_bytes(path.read_bytes() + b"garbage\n")
    reading = read_records(path)
    assert next(reading).id == FULL.id
    with pytest.raises(TlbenchError, match=r"records\.jsonl:2: not a record"):
        next(reading)


GOOD = json.loads(ClipRecord(ClipInfo("c")).to_line())


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"[]", "not a tlbench record"),
        (b"{}", "not a tlbench record"),
        (b"\xff\xfe", "utf-8"),
        (b'{"schema":"tlbench.record/2"}', "score the clips again"),
        (json.dumps({**GOOD, "frames": math.nan}).encode(), "NaN is not JSON"),
        (json.dumps({**GOOD, "frames": -1}).encode(), "frames must be a count"),
        (json.dumps({**GOOD, "id": 7}).encode(), "id must be a text"),
        (json.dumps({**GOOD, "notes": [1]}).encode(), "note must be a text"),
        (json.dumps({**GOOD, "failures": {"eye": ["code"]}}).encode(), "not a record"),
        (json.dumps({**GOOD, "evidence": {"eye": {}}}).encode(), "'observer' is missing"),
        (json.dumps({**GOOD, "evidence": []}).encode(), "not of its kind"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "speaker"}).encode(), "'speaker' is missing"),
        (b"[" * 100_000, "not a record"),
    ],
)
def test_garbage_is_named_by_file_and_line(tmp_path: Path, line: bytes, why: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(TlbenchError, match=why) as caught:
        list(read_records(path))
    assert "records.jsonl:1: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_last_line_that_breaks_off_is_told_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "records.jsonl", [FULL, FULL])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(TlbenchError, match=r"records\.jsonl:2: the last line is incomplete"):
        list(read_records(path))


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"", b"\n\n \n"], ids=["lf", "crlf", "none", "blank lines"])
def test_marks_and_line_ends_of_editors_change_nothing(tmp_path: Path, start: bytes, end: bytes) -> None:
    path = write(tmp_path / "records.jsonl", [FULL])
    path.write_bytes(start + path.read_bytes().rstrip(b"\n") + end)
    assert [record.id for record in read_records(path)] == [FULL.id]


def test_utf_16_is_told_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "records.jsonl", [FULL])
    path.write_bytes(path.read_bytes().decode().encode("utf-16"))
    with pytest.raises(TlbenchError, match=r"records\.jsonl:1: UTF-16, not utf-8; copy the file again"):
        list(read_records(path))


def test_records_of_a_run_that_did_not_end_are_told_as_such(tmp_path: Path) -> None:
    write(tmp_path / "records.jsonl", [FULL]).rename(tmp_path / "records.jsonl.partial")
    with pytest.raises(TlbenchError, match=r"its run did not end, .* run the same `tlbench score` again"):
        list(read_records(tmp_path / "records.jsonl"))


def test_an_id_in_decomposed_letters_is_the_same_clip(tmp_path: Path) -> None:
    (read,) = read_records(write(tmp_path / "records.jsonl", [ClipRecord(ClipInfo("cafe\u0301"))]))
    assert read.id == "caf\u00e9"


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"none\.jsonl: can't be read"):
        list(read_records(tmp_path / "none.jsonl"))


def test_a_full_disk_is_told_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tlbench.scoring.record.os.replace", full)
    with pytest.raises(TlbenchError, match="disk is full"):
        write(tmp_path / "records.jsonl", [FULL])


KEPT = Path(__file__).parent / "kept"  # written before a record's facts became a ClipInfo


def test_records_kept_from_before_are_written_byte_for_byte_the_same(tmp_path: Path) -> None:
    kept = list(read_records(KEPT / "records.jsonl"))
    assert {record.info.word for record in kept} == {None, "ABOUT"}
    assert write(tmp_path / "records.jsonl", kept).read_bytes() == (KEPT / "records.jsonl").read_bytes()


def test_a_result_kept_from_before_is_written_byte_for_byte_the_same(tmp_path: Path) -> None:
    load_result(KEPT / "result.json").write(tmp_path / "result.json")
    assert (tmp_path / "result.json").read_bytes() == (KEPT / "result.json").read_bytes()
