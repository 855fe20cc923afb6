"""Rows of blind readers in results, files and tables, and which numbers count as read beside them."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories.results_factory import ACC, LEVEL, QUICK, WER, record, result
from tlbench.comparison.compare import compare
from tlbench.errors import TlbenchError
from tlbench.metrics.blind import BlindReading
from tlbench.metrics.metric import Metric
from tlbench.metrics.tally import ErrorTally, HitTally
from tlbench.scoring.blind_rows import (
    Verdict,
    make_verdicts,
    probe_findings,
    probe_of,
    with_blind,
    with_blind_rows_of,
)
from tlbench.scoring.result import FILE_NAME, Result
from tlbench.scoring.result_file import load_result, parse_result
from tlbench.scoring.result_notes import UNREAD_MEANS
from tlbench.tables.comparison_table import render_comparison
from tlbench.tables.result_table import render

READ = replace(WER, reads="sentence")
RIGHT = replace(ACC, reads="word")


def system(errors: list[int], of: Metric = READ, name: str = "wav2lip") -> Result:
    """One clip of six words an entry, with so many of them wrong."""
    own = [record(f"c{i:03d}", {"edits": [wrong, 0, 0, 6], "level": [1.0]}) for i, wrong in enumerate(errors)]
    return result(own, (of, LEVEL), name=name)


def blind(errors: list[int], name: str = "most frequent sentence", key: str = READ.key) -> BlindReading:
    return BlindReading(name, {key: {f"c{i:03d}": ErrorTally(wrong, 0, 0, 6) for i, wrong in enumerate(errors)}})


def verdict(errors: list[int], *blinds: list[int]) -> Verdict:
    readings = [blind(own, f"way {i}") for i, own in enumerate(blinds)]
    found = with_blind(system(errors), readings, ["a test"]).blind
    assert found is not None
    return found.verdicts[READ.key]


def test_what_is_clearly_better_is_read_and_what_is_not_is_not() -> None:
    better, worse, alike = [1, 0, 2, 1] * 5, [6, 5, 6, 6] * 5, [5, 4, 5, 4] * 5
    assert verdict(better, alike).read
    assert not verdict(worse, alike).read
    assert not verdict(alike, alike).read
    assert not verdict([5, 5, 4, 4] * 5, alike).read  # as often better as worse


def test_the_best_of_the_blind_ones_counts() -> None:
    told = verdict([3, 2, 3, 2] * 5, [6, 6, 5, 6] * 5, [1, 1, 2, 1] * 5, [4, 5, 4, 5] * 5)
    assert (told.blind, told.read) == ("way 1", False)
    assert told.value == pytest.approx(100 * 2.5 / 6)
    assert told.blind_value == pytest.approx(100 * 1.25 / 6)


def test_where_higher_is_better_the_difference_has_to_be_above_zero() -> None:
    hits = result([record(f"c{i}", {"hit": int(i < 18)}) for i in range(20)], (RIGHT,))
    tallies = {RIGHT.key: {f"c{i}": HitTally(int(i < 2), 1) for i in range(20)}}
    found = with_blind(hits, [BlindReading("most frequent word", tallies)], []).blind
    assert found is not None
    told = found.verdicts[RIGHT.key]
    assert told.read
    assert told.low is not None
    assert told.low > 0
    unread = with_blind(
        replace(hits), [BlindReading("way", {RIGHT.key: {f"c{i}": HitTally(1, 1) for i in range(20)}})], []
    )
    assert unread.blind is not None
    assert not unread.blind.verdicts[RIGHT.key].read


@settings(max_examples=25)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=12))
def test_nobody_reads_better_than_itself(errors: list[int]) -> None:
    assert not verdict(errors, errors).read


def test_only_clips_that_both_have_are_compared() -> None:
    own, guessed = system([0, 0, 0, 6]), blind([6, 6, 6])
    told = make_verdicts(own, list(_rows(own, guessed)))[READ.key]
    assert (told.value, told.blind_value, told.clips) == (0.0, 100.0, 3)


def _rows(own: Result, *readings: BlindReading) -> tuple[Result, ...]:
    found = with_blind(own, readings, []).blind
    assert found is not None
    return found.rows


def test_a_single_clip_shows_nothing() -> None:
    told = verdict([0], [6])
    assert (told.low, told.high, told.read) == (None, None, False)


def test_a_result_without_a_reading_stays_as_it_is() -> None:
    own = system([1, 2])
    assert with_blind(own, [blind([3, 3], key="other/sound")], ["a test"]) is own
    assert with_blind(own, [], ["a test"]) is own


def test_rows_have_the_metrics_numbers_and_protocols() -> None:
    (row,) = _rows(system([1, 2, 3]), blind([6, 3, 3]))
    assert (row.role, row.name, [m.key for m in row.metrics]) == ("blind", "most frequent sentence", [READ.key])
    assert row.row(READ.key).value == pytest.approx(100 * 12 / 18)
    assert row.row(READ.key).protocol == system([1, 2, 3]).row(READ.key).protocol


def scored_result(errors: list[int], probe: list[int] | None = None, name: str = "wav2lip") -> Result:
    readings = [blind([5, 4] * (len(errors) // 2)), blind([6, 5] * (len(errors) // 2), "sentence by chance")]
    told = None
    if probe is not None:
        told = probe_of(with_blind(system(probe, name="probe"), readings, []), "probe")
    return with_blind(system(errors, name=name), readings, ["12 transcripts of toy:train"], told)


def test_a_file_gives_rows_verdicts_and_probe_back(tmp_path: Path) -> None:
    own = scored_result([1, 0, 2, 1, 0, 0], [5, 6, 5, 6])
    own.write(tmp_path / FILE_NAME)
    back = load_result(tmp_path, [READ, LEVEL])
    assert back.blind is not None
    assert back.blind == own.blind
    assert back.to_json() == own.to_json()


def test_a_file_from_before_has_no_such_field() -> None:
    data = system([1, 2]).to_json()
    assert "blind" not in data
    assert parse_result(data, [READ, LEVEL]).blind is None


def changed(data: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    own = copy.deepcopy(data)
    inner: Any = own["blind"]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return own


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("verdicts", READ.key, "value"), 12.0, "states other values than its tallies give"),
        (
            ("verdicts", READ.key, "blind_value"),
            "low",
            "blind_value of the blind verdict on wer/paper must be a finite",
        ),
        (("verdicts", READ.key, "blind"), "nobody", "against 'nobody', which has no row"),
        (("verdicts", READ.key, "read"), 1, "read of the blind verdict on wer/paper must be true or false"),
        (("probe", "source"), "rumour", "probe source 'rumour' is none of"),
        (("rows", 0, "metrics", READ.key, "value"), 1.0, "wer"),
        (("learned_from",), [3], "learned_from"),
    ],
)
def test_a_file_that_states_something_else_than_its_tallies_is_refused(
    place: tuple[Any, ...], value: Any, said: str
) -> None:
    data = json.loads(json.dumps(scored_result([1, 0, 2, 1], [5, 6, 5, 6]).to_json()))
    with pytest.raises(TlbenchError, match=said):
        parse_result(changed(data, place, value), [READ, LEVEL])


def test_a_result_made_anew_keeps_its_blind_rows() -> None:
    before = scored_result([1, 0, 2, 1], [5, 6, 5, 6])
    assert before.blind is not None
    anew = with_blind_rows_of(before, system([1, 0, 2, 1]))
    assert anew.blind == before.blind
    assert with_blind_rows_of(system([1, 1]), system([1, 1])).blind is None
    other = result([record("c000", {"level": [1.0]})], (LEVEL,))
    assert with_blind_rows_of(before, other) is other


def test_a_probe_that_is_no_better_than_blind_is_a_finding_of_the_run() -> None:
    own = scored_result([1, 0, 2, 1], [5, 6, 5, 6])
    assert own.blind is not None
    assert own.blind.probe is not None
    assert own.blind.probe.unreadable == {"eye": (READ.key,)}
    (told,) = probe_findings(own.blind.probe)
    assert (told.code, told.clip, told.level) == ("cannot-read", None, "warning")
    assert "observer 'eye' can't read these faces" in told.message
    assert "4 clips" in told.message


def test_a_probe_that_is_read_and_one_of_a_single_clip_say_nothing() -> None:
    for probe in ([0, 1, 0, 1], [6]):
        own = scored_result([1, 0, 2, 1], probe)
        assert own.blind is not None
        assert own.blind.probe is not None
        assert list(probe_findings(own.blind.probe)) == []
    assert probe_of(system([1, 2]), "probe") is None


def table(*results: Result, **options: Any) -> str:
    return render(list(results), width=120, **options)


def test_a_table_has_a_section_of_blind_rows_and_marks_what_is_not_read() -> None:
    shown = table(scored_result([1, 0] * 5), scored_result([6, 5] * 5, name="frozen"))
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("wav2lip", "frozen "))][:2] == ["wav2lip", "frozen"]
    own, other = (next(line for line in lines if line.startswith(name)) for name in ("wav2lip", "frozen "))
    assert "†" not in own
    assert "†" in other
    after = lines[lines.index(other) :]
    assert "blind" in [line.strip() for line in after]
    assert sum(line.startswith("most frequent sentence") for line in lines) == 1  # the same of both systems
    assert UNREAD_MEANS + " frozen: wer/paper" in " ".join(shown.split())
    assert "guessing without looking, from 12 transcripts of toy:train" in " ".join(shown.split())


def test_a_table_of_an_observer_that_can_not_read_says_so_first() -> None:
    shown = table(scored_result([1, 0] * 5, [5, 6] * 5))
    notes = shown[shown.index("observer 'eye'") :]
    assert notes.startswith("observer 'eye' can't read these faces")
    assert notes.index("can't read") < notes.index("is better")
    assert "can't read" not in table(scored_result([1, 0] * 5, [1, 0] * 5))
    assert "can't read" not in table(scored_result([1, 0] * 5))


def test_programs_are_told_what_is_read() -> None:
    data = json.loads(table(scored_result([1, 0] * 5), scored_result([6, 5] * 5, name="frozen"), format="json"))
    read = {(r["system"], row["metric"]): row["read"] for r in data["results"] for row in r["rows"]}
    assert read["wav2lip", READ.key] is True
    assert read["frozen", READ.key] is False
    assert read["wav2lip", LEVEL.key] is None
    assert read["most frequent sentence", READ.key] is None
    assert {r["role"] for r in data["results"]} == {"system", "blind"}
    assert ",read" in table(scored_result([1, 0] * 5), format="csv").splitlines()[0]


def test_a_notebook_shows_the_system_alone() -> None:
    html = scored_result([6, 5] * 5)._repr_html_()
    assert "not read" in html
    assert QUICK.level == 0.95


@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_mark_is_drawn_in_every_form(ascii_only: bool) -> None:
    shown = table(scored_result([6, 5] * 5), ascii_only=ascii_only)
    assert shown.isascii() is ascii_only
    assert ("91.7!" if ascii_only else "91.7†") in shown
    assert r"\dag{}" in table(scored_result([6, 5] * 5), format="latex")


def test_a_comparison_says_which_of_its_numbers_are_no_reading() -> None:
    comparison = compare(scored_result([1, 0] * 5), scored_result([6, 5] * 5, name="frozen"))
    assert comparison.not_read == (("frozen", READ.key),)
    assert "Not read, at 95 % no better" in render_comparison(comparison)
    assert json.loads(render_comparison(comparison, "json"))["not_read"] == [{"system": "frozen", "metric": READ.key}]
    assert "Not read" not in render_comparison(
        compare(scored_result([1, 0] * 5), scored_result([1, 1] * 5, name="other"))
    )


def test_a_comparison_by_an_observer_that_can_not_read_says_so_first() -> None:
    comparison = compare(scored_result([1, 0] * 5, [5, 6] * 5), scored_result([6, 5] * 5, [5, 6] * 5, name="frozen"))
    shown = " ".join(render_comparison(comparison).split())
    assert shown.count("can't read these faces") == 1  # both say the same
    assert "a, b: observer 'eye' can't read these faces: on real clips" in shown
    assert shown.index("can't read these faces") < shown.index("bootstrap interval")
    data = json.loads(render_comparison(comparison, "json"))
    assert data["sides"]["a"]["cannot_read"] == data["sides"]["b"]["cannot_read"]
    assert "can't read" not in render_comparison(
        compare(scored_result([1, 0] * 5), scored_result([1, 1] * 5, name="other"))
    )


def test_a_part_of_a_split_table_without_readers_has_no_blind_rows() -> None:
    """They would stand there with dashes alone. A system stays in every part, whatever it has."""
    read = replace(READ, arithmetic="sound")
    others = tuple(replace(LEVEL, name=f"level{number}", label=f"LEVEL {number}") for number in range(8))
    own = [record(f"c{i:03d}", {"edits": [1, 0, 0, 6], "level": [1.0]}) for i in range(4)]
    whole = with_blind(result(own, (read, *others)), [blind([5, 4, 5, 4], key=read.key)], ["a test"])
    pieces = render([whole], width=60, all_metrics=True).partition("↑ higher")[0].split("sound: ")[1:]
    assert len(pieces) > 2
    assert all(whole.name in piece for piece in pieces)
    assert ["most frequent" in piece for piece in pieces] == [read.label in piece for piece in pieces]
    assert ["blind" in piece for piece in pieces] == [read.label in piece for piece in pieces]
    assert "most frequent sentence" in render([whole], width=300)
