"""A result file gives back what was written, and nothing that its tallies do not bear out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.factories.results_factory import ACC, LEVEL, PSNR, QUICK, WER, levels, metric, protocol_of, record, result
from tlbench.checkpoints.card import Card
from tlbench.checkpoints.weights import Weights
from tlbench.errors import ClipError, TlbenchError
from tlbench.metrics.tally import HitTally, MeanTally, Tally
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.scoring.aggregation import aggregate
from tlbench.scoring.provenance import make_provenance, without_folders
from tlbench.scoring.record import ClipRecord, Failure, RecordWriter, read_records
from tlbench.scoring.result import Result
from tlbench.scoring.result_file import load_result

KNOWN = (LEVEL, PSNR, WER, ACC)


def mixed() -> Result:
    """Three clips: one whole, one with remarks, one that failed."""
    values = {"level": np.array([1.0, 2.0]), "mse": 0.0, "edits": np.array([1, 0, 2, 2]), "hit": 1}
    whole = record("s1/a", values, "s1")
    remarks = record("s2/b", values, "s2")
    remarks = replace(remarks, info=replace(remarks.info, frames=75), notes=("29.97 to 25 frames/s",))
    failed = ClipRecord(
        ClipInfo("s2/c", "s2", reference_sha256="b" * 64), {}, {"eye": Failure("missing", "clip s2/c: not there")}
    )
    return result([whole, remarks, failed], KNOWN)


def test_values_are_ratios_of_sums() -> None:
    found = mixed()
    assert found.row("level/sound").value == 1.5
    assert found.row("wer/paper").value == 150.0
    assert found.row("acc/paper").value == 100.0
    assert found.row("mse/sound").value == math.inf
    assert found.row("level/sound").scored == 2
    assert found.row("level/sound").expected == 3


def test_a_result_comes_back_from_its_file_equal(tmp_path: Path) -> None:
    before = mixed()
    before.write(tmp_path / "result.json")
    assert load_result(tmp_path / "result.json", KNOWN) == before
    assert load_result(tmp_path, KNOWN) == before
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_the_file_is_strict_json_with_an_entry_a_line(tmp_path: Path) -> None:
    mixed().write(tmp_path / "result.json")
    text = (tmp_path / "result.json").read_text("utf-8")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    data = json.loads(text, parse_constant=refuse)
    assert data["schema"] == "tlbench.result/1"
    assert data["metrics"]["mse/sound"]["value"] == "inf"
    assert data["metrics"]["wer/paper"]["fields"]["insertions"] == [2, 2, None]
    assert any(line.startswith('"name":') for line in text.splitlines())


def test_aggregating_records_of_a_file_needs_no_observer(tmp_path: Path) -> None:
    records = levels([1.0, 2.0, 4.0])
    with RecordWriter(tmp_path / "records.jsonl") as writer:
        for item in records:
            writer.write(item)
    again = aggregate(
        read_records(tmp_path / "records.jsonl"),
        [LEVEL],
        {LEVEL.key: protocol_of(LEVEL)},
        name="wav2lip",
        dataset="toy",
        split="test",
        expected=3,
        interval=QUICK,
    )
    assert again == result(records)


def test_complete_means_every_clip_and_no_failure() -> None:
    assert result(levels([1, 2])).complete
    assert not result(levels([1, 2]), expected=3).complete
    assert not mixed().complete
    assert mixed().failure_counts == {"missing": 1}


def test_a_tally_of_nothing_is_not_a_score() -> None:
    nothing = metric("nothing", tally=lambda _: MeanTally())
    row = result(levels([1, 2]), [nothing]).row(nothing.key)
    assert (row.value, row.scored, row.expected) == (None, 0, 2)


def _inside(evidence: Evidence) -> HitTally:
    hits, trials = evidence.array("inside").tolist()
    return HitTally(hits, trials)


def test_a_clip_with_nothing_to_divide_up_is_scored_where_the_metric_says_so_and_adds_nothing(tmp_path: Path) -> None:
    share = replace(metric("inside", tally=_inside), scores_empty=True)
    counts = ((1, 2), (0, 0), (2, 4), (0, 0))
    made = result([record(f"c{i}", {"inside": np.array(pair)}) for i, pair in enumerate(counts)], [share])
    row = made.row(share.key)
    assert (row.value, row.scored, row.expected) == (0.5, 4, 4)
    made.write(tmp_path / "result.json")
    again = load_result(tmp_path, [share])
    assert again.row(share.key) == row
    perfect = result([record("a", {"inside": np.array([0, 0])})], [share]).row(share.key)
    assert (perfect.value, perfect.scored, perfect.low) == (None, 1, None)


def spoken(word: str, hits: str) -> list[ClipRecord]:
    """Clips of one word, of which some are read right: 1 or 0 each."""
    return [
        replace(made, info=replace(made.info, word=word))
        for made in (record(f"{word}/{i:02d}", {"hit": int(hit)}) for i, hit in enumerate(hits))
    ]


WORDS = [one for i in range(12) for one in spoken(f"WORD{i:02d}", "11111" if i % 3 else "00000")]


def test_clips_of_one_word_are_resampled_together_where_the_metric_says_so() -> None:
    by_word = replace(metric("acc", tally=ACC.tally, scale=100.0), cluster="word")
    made = result(WORDS, [ACC, by_word])
    clips, words = made.row(ACC.key), made.row(by_word.key)
    assert (clips.unit, clips.clusters, words.unit, words.clusters) == ("clips", 60, "words", 12)
    assert clips.value == words.value
    assert None not in (clips.low, clips.high, words.low, words.high)
    assert words.high - words.low > 1.5 * (clips.high - clips.low)  # type: ignore[operator]
    few = result(WORDS[:20], [by_word]).row(by_word.key)
    assert few.unit == "clips"


def test_a_metric_can_be_broken_down_by_word_and_words_survive_the_file(tmp_path: Path) -> None:
    made = result([*WORDS[:15], record("nameless", {"hit": 1})], [ACC])
    made.write(tmp_path / "result.json")
    for one in (made, load_result(tmp_path, [ACC])):
        assert one.by_word(ACC.key) == {"WORD00": (0.0, 5), "WORD01": (100.0, 5), "WORD02": (100.0, 5)}
    assert list(made.clips_dataframe()["word"].dropna()) == [clip.info.word for clip in WORDS[:15]]
    with RecordWriter(tmp_path / "records.jsonl") as writer:
        for spoken_record in WORDS[:2]:
            writer.write(spoken_record)
    assert list(read_records(tmp_path / "records.jsonl")) == WORDS[:2]


def test_a_result_from_before_there_were_words_is_still_read(tmp_path: Path) -> None:
    made = result(levels([1, 2]))
    data = made.to_json()
    del data["clips"]["word"]
    (tmp_path / "result.json").write_text(json.dumps(data))
    assert load_result(tmp_path, KNOWN).clips == made.clips


def test_a_metric_that_refuses_a_clip_is_a_failure_with_its_reason() -> None:
    def refuse(_: Evidence) -> Tally:
        raise ClipError("no-speech", "clip c00000: nobody speaks")

    picky = metric("picky", tally=refuse)
    found = result(levels([1]), [LEVEL, picky])
    assert found.clips[0].failures == {"picky/sound": Failure("no-speech", "clip c00000: nobody speaks")}
    assert found.row("level/sound").scored == 1


def test_a_record_without_the_observer_or_the_view_is_an_error() -> None:
    with pytest.raises(TlbenchError, match="clip x: its record has nothing of observer 'eye'"):
        result([ClipRecord(ClipInfo("x"))])
    with pytest.raises(TlbenchError, match="clip x: the evidence of eye lacks 'level'"):
        result([record("x", {"other": 1.0})])


def test_a_clip_that_is_there_twice_is_an_error() -> None:
    with pytest.raises(TlbenchError, match="clip c00000 occurs twice"):
        result(levels([1]) * 2)


def test_more_clips_than_expected_is_an_error() -> None:
    with pytest.raises(TlbenchError, match="2 clips, but only 1 are expected"):
        result(levels([1, 2]), expected=1)


def test_an_unknown_metric_names_those_there_are() -> None:
    with pytest.raises(TlbenchError, match=r"no metric 'wer'; it has level/sound"):
        result(levels([1])).row("wer")


def test_tables_for_pandas_and_notebooks() -> None:
    found = mixed()
    rows = found.to_dataframe().set_index("metric")
    assert rows.loc["level/sound", "value"] == 1.5
    assert rows.loc["mse/sound", "value"] == math.inf
    clips = found.clips_dataframe().set_index("clip")
    assert clips.loc["s1/a", "level/sound"] == 1.5
    assert np.isnan(clips.loc["s2/c", "level/sound"])
    assert clips.loc["s2/c", "failures"] == "eye: missing"
    page = replace(found, name="<script>")._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


# Files from elsewhere


Change = Callable[[dict[str, Any]], None]


def changed(tmp_path: Path, change: Change) -> Path:
    path = tmp_path / "result.json"
    mixed().write(path)
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), "utf-8")
    return path


def put(value: Any, *where: str | int) -> Change:
    def change(data: dict[str, Any]) -> None:
        inner: Any = data
        for step in where[:-1]:
            inner = inner[step]
        inner[where[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            put(1.4, "metrics", "level/sound", "value"),
            "metric level/sound states 1.4 over 2 clips, but its tallies give",
        ),
        (put(None, "metrics", "level/sound", "value"), "metric level/sound states None"),
        (put("inf", "metrics", "level/sound", "value"), "metric level/sound states inf"),
        (put("nan", "metrics", "mse/sound", "value"), "metric mse/sound states nan"),
        (put(math.nan, "metrics", "level/sound", "value"), "NaN is not JSON"),
        (put(3, "metrics", "level/sound", "scored"), "over 3 clips, but its tallies give"),
        (put([9, 9, None], "metrics", "level/sound", "fields", "total"), "metric level/sound states 1.5"),
        (put([3.0, None, None], "metrics", "level/sound", "fields", "total"), "an incomplete tally"),
        (put([3.0, 3.0], "metrics", "level/sound", "fields", "total"), "2 values of total for 3 clips"),
        (
            put([2.5, 2, None], "metrics", "level/sound", "fields", "count"),
            "count has a value that is not a number",
        ),
        (put([True, 2, None], "metrics", "level/sound", "fields", "count"), "not a number"),
        (put([-2, 2, None], "metrics", "level/sound", "fields", "count"), "impossible"),
        (put([1e999, 3.0, None], "metrics", "level/sound", "fields", "total"), "JSON|finite"),
        (put("Path", "metrics", "level/sound", "tally"), "there is no tally 'Path'"),
        (put("other", "metrics", "level/sound", "protocol"), "not a protocol id"),
        (put(2.0, "metrics", "level/sound", "low"), "interval of level/sound runs from 2.0 to 1.5"),
        (put(2, "metrics", "level/sound", "version"), "its version 2, this tlbench has version 1"),
        (put({}, "metrics", "new/sound"), "metric 'new/sound' is not known"),
        (put(["s1/a", "s1/a", "s2/c"], "clips", "id"), "clip s1/a occurs twice"),
        (put(["s1/a", 7, "s2/c"], "clips", "id"), "clip id must be a text"),
        (put(["s1/a"], "clips", "speaker"), "damaged result"),
        (put("abc", "clips", "id"), "clips.id must be a list"),
        (put(["s1/a", "../b", "s2/c"], "clips", "id"), "clip id '../b' must be a relative name"),
        (put(["s1/a", "caf\u00e9", "cafe\u0301"], "clips", "id"), "clip caf\u00e9 occurs twice"),
        (put(["s1/a", "b\u202e", "s2/c"], "clips", "id"), r"has an invisible character \(U\+202E\)"),
        (put({"3": ["a note"]}, "clips", "notes"), "clips.notes has '3', but there are 3 clips"),
        (put([10**13, 1, None], "clips", "frames"), "frames must be a count of at most"),
        (put([1e16, 3.0, None], "metrics", "level/sound", "fields", "total"), "a value beyond 1e"),
        (put(None, "metrics", "level/sound", "low"), "level/sound low must be a finite number"),
        (put(3, "metrics", "level/sound", "clusters"), "resamples 3 clips, but 2 clips were scored"),
        (put("x" * 501, "name"), "has 501 characters"),
        (put("a\x1b[31m", "name"), "has a control character"),
        (put("remark", "remarks"), "remarks must be a list"),
        (put("yes", "strict"), "strict must be true or false"),
        (put(10**8, "interval", "resamples"), "100,000,000 resamples are too many"),
        (put(-1, "interval", "seed"), "seed must be a count"),
        (put({"2": {"eye": 3}}, "clips", "failures"), "damaged result"),
        (put([], "clips"), "damaged result"),
        (put("king", "role"), "role 'king'"),
        (put(-1, "expected"), "expected must be a count"),
        (put([], "provenance"), "provenance is not an object"),
        (put(7.0, "interval", "level"), "confidence level 7.0"),
        (lambda data: data.pop("split"), "field 'split' is missing"),
        (put("tlbench.result/2", "schema"), "written by a newer tlbench: .*; update tlbench"),
        (put("tlbench.result/0", "schema"), "written by an older tlbench: .*; score the same folder again"),
        (put("tlbench.record/1", "schema"), "not a tlbench result"),
        (put(None, "schema"), "not a tlbench result"),
    ],
)
def test_a_file_that_was_changed_is_refused_in_one_line(tmp_path: Path, change: Change, why: str) -> None:
    path = changed(tmp_path, change)
    with pytest.raises(TlbenchError, match=why) as caught:
        load_result(path, KNOWN)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_that_no_clip_can_have_is_refused_though_all_sums_agree(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    mixed().write(path)
    load_result(path, [replace(of, lowest=0, highest=1.5) if of is LEVEL else of for of in KNOWN])
    with pytest.raises(TlbenchError, match=r"a clip has 1\.5 of level/sound, which is from 0 to 1\.4; score again"):
        load_result(path, [replace(of, lowest=0, highest=1.4) if of is LEVEL else of for of in KNOWN])


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "not a JSON file"), (b"\xff\x00", "not a JSON file"), (b"[1]", "not a tlbench result"),
     (b"[" * 100_000, "not a JSON file"), (b"<html>", "not a JSON file")],
)  # fmt: skip
def test_other_files_are_told_as_such(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(TlbenchError, match=why):
        load_result(tmp_path / "x.json", KNOWN)


def test_a_folder_without_result_and_a_huge_file_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"result\.json: there is no such file"):
        load_result(tmp_path, KNOWN)
    huge = tmp_path / "huge.json"
    with open(huge, "wb") as file:
        file.truncate(3 * 2**30)  # sparse: takes no room
    with pytest.raises(TlbenchError, match=r"3,221 MB, a result file of at most 268 MB is read"):
        load_result(huge, KNOWN)


def test_known_metrics_are_those_of_the_catalogue(tmp_path: Path) -> None:
    mixed().write(tmp_path / "result.json")
    with pytest.raises(TlbenchError, match="metric 'level/sound' is not known to this tlbench"):
        load_result(tmp_path)


# Provenance


def test_provenance_names_versions_and_weights_but_no_folder_or_person() -> None:
    card = Card("syncnet", "SyncNet v2", "syncnet", "s.model", "http://x", "MIT", "LRS", "whole", sha256="ab")
    home = str(Path.home())
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    found = make_provenance(
        ["tlbench", "score", f"{home}/secret/generated/", "--out=/data/my results", f"--data-root={home}"],
        [Weights(card, Path("/weights/s.model"), "ab" * 32)],
        moment,
        moment,
    )
    assert found["command"] == ["tlbench", "score", "generated", "--out=my results", "--data-root=~"]
    assert found["weights"]["syncnet"]["sha256"] == "ab" * 32
    assert found["weights"]["syncnet"]["as_published"] is True
    assert found["started"] == "2026-01-02T03:04:05+00:00"
    assert found["packages"]["numpy"] == np.__version__
    text = json.dumps(found)
    assert "secret" not in text
    assert "/weights" not in text


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("--limit=20", "--limit=20"),
        ("generated", "generated"),
        ("a/b=c/d", "d"),
        ("C:\\Users\\me\\clips", "clips"),
        ("s3fd=../w/s3fd.pth", "s3fd=s3fd.pth"),
        ("/", "/"),
        ("-", "-"),
        ("", ""),
    ],
)
def test_words_of_a_command_lose_their_folders(word: str, shown: str) -> None:
    assert without_folders(word) == shown


@pytest.mark.parametrize("joined", [False, True])
def test_names_with_a_slash_are_recorded_as_given(joined: bool) -> None:
    pairs = [("--metrics", "wer1/sound,lse_c/paper"), ("--trained-with", "other:lab/reader"), ("--cache", "/tmp/kept")]
    words = [f"{a}={b}" for a, b in pairs] if joined else [word for pair in pairs for word in pair]
    kept = make_provenance(["tlbench", "score", "/home/me/made", *words], [], *[datetime.now(timezone.utc)] * 2)
    expected = [word.replace("/tmp/", "") for word in words]
    assert kept["command"] == ["tlbench", "score", "made", *expected]


@pytest.mark.slow
def test_a_result_of_25_000_clips_loads_in_seconds_and_is_small(tmp_path: Path) -> None:
    import time

    rng = np.random.default_rng(0)
    metrics = [metric(f"m{i}") for i in range(16)]
    records = [record(f"W/{i}", {m.name: rng.normal(0, 1, 29) for m in metrics}) for i in range(25_000)]
    result(records, metrics).write(tmp_path / "result.json")
    assert (tmp_path / "result.json").stat().st_size < 20e6
    started = time.perf_counter()
    load_result(tmp_path, metrics)
    assert time.perf_counter() - started < 15  # three seconds where nobody else is at work
