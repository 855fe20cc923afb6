"""Submissions: what may be filed, and what is refused with one line."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.factories.leaderboard_factory import filed_result, with_clip, with_info
from tlbench.checkpoints.catalogue import known_cards
from tlbench.errors import TlbenchError
from tlbench.files import FileKind
from tlbench.leaderboard import submission_file as room
from tlbench.leaderboard.submission import Computed, Figure, Published, comes_from_relative
from tlbench.leaderboard.submission_file import digest, parse_submission, read_submission, submit, to_json, to_text
from tlbench.metrics.tally import MeanTally
from tlbench.scoring.record import Failure
from tlbench.scoring.result import Result

CARDS = known_cards()
PAPER = Published(
    "Wav2Lip", "lrs2", "system", "talklip", "A title", "https://example.org", (Figure("psnr/paper", 31.36, "Table 1"),)
)


def computed() -> Computed:
    return submit(filed_result(), CARDS, paper="https://example.org/p", trained_with=["none"])


def parsed(
    change: Callable[[Any], object], made: Computed | Published | None = None, *, redigest: bool = True
) -> object:
    """A record after a change by somebody who knows how to make the digest fit."""
    data = json.loads(to_text(made or computed()))
    change(data)
    if redigest:
        data["digest"] = digest(data)
    return parse_submission(data, CARDS)


@pytest.mark.parametrize("made", [computed(), PAPER], ids=["computed", "published"])
def test_a_record_comes_back_from_its_file_as_it_was(made: Computed | Published, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(to_text(made), "utf-8")
    assert to_text(read_submission(path, CARDS)) == to_text(made)


def test_a_record_holds_counts_and_hashes_of_each_clip() -> None:
    clips = to_json(computed())["result"]["clips"]
    assert set(clips) == {
        "id", "speaker", "generated_sha256", "reference_sha256", "frames", "word", "failures", "notes"
    }  # fmt: skip


def test_a_changed_record_is_known_by_its_digest() -> None:
    with pytest.raises(TlbenchError, match="changed after it was filed"):
        parsed(lambda data: data["result"].update(name="Other"), redigest=False)


def _value(data: Any) -> None:
    data["result"]["metrics"]["ssim/sound"]["value"] = 0.99


def _tally(data: Any) -> None:
    data["result"]["metrics"]["ssim/sound"]["fields"]["total"][0] = 75.0


def _interval(data: Any) -> None:
    data["result"]["metrics"]["ssim/sound"]["high"] += 0.01


def _label(data: Any) -> None:
    data["result"]["metrics"]["ssim/sound"]["label"] = "<b>SSIM</b>"


def _protocol(data: Any) -> None:
    item = data["result"]["metrics"]["ssim/sound"]
    item["protocol"] = item["protocol"].replace("grid:test", "grid:val")


def _no_weights(data: Any) -> None:
    data["result"]["provenance"]["weights"] = {}


REFUSED: list[tuple[Callable[[Any], object], str]] = [
    (_value, "states 0.99 over 20 clips, but its tallies give"),
    (_tally, "its tallies give"),
    (_interval, "ssim/sound states the interval"),
    (_label, "result.metrics.ssim/sound.label states"),
    (_protocol, "another data set, split or part"),
    (_no_weights, "names weights that the provenance does not"),
    (lambda d: d["result"]["provenance"].update(weights=[1]), "weights in the provenance are not objects"),
    (lambda d: d["result"]["provenance"].update(host="mine"), "unknown field 'host' in the provenance"),
    (lambda d: d["result"]["clips"].update(transcript=[]), "unknown field 'transcript' in result.clips"),
    (lambda d: d.update(extra=1), "unknown field 'extra' in the record"),
    (lambda d: d.pop("paper"), "field 'paper' is missing"),
    (
        lambda d: d.update(schema="tlbench.leaderboard/9"),
        "schema 'tlbench.leaderboard/9', but this tlbench reads",
    ),
    (lambda d: d.update(schema="tlbench.result/1"), "not a leaderboard record"),
    (lambda d: d.update(kind="rumour"), "neither computed nor published"),
    (lambda d: d["result"].update(schema="tlbench.result/0"), "written by an older tlbench"),
    (lambda d: d.update(overlaps={"syncnet": "no"}), "states the overlaps"),
    (lambda d: d.update(paper="javascript:alert(1)"), "--paper: 'javascript:alert"),
    (lambda d: d.update(result=[]), "the result is not an object"),
    (lambda d: d["result"].update(clips=7), "damaged result"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_tampered_record_is_refused_in_one_line(change: Callable[[Any], object], said: str) -> None:
    with pytest.raises(TlbenchError) as caught:
        parsed(change)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


FIGURES: list[tuple[Any, str]] = [
    ([], "needs a list of figures"),
    ([{"metric": "psnr/paper", "value": 10**400, "table": "T"}], "is not a number a table may hold"),
    ([{"metric": "psnr/paper", "value": True, "table": "T"}], "is not a number a table may hold"),
    ([{"metric": "beauty", "value": 1.0, "table": "T"}], "unknown metric 'beauty'"),
    ([{"metric": "psnr/paper", "value": 1.0, "table": "T"}] * 2, "two figures of psnr/paper"),
    ([{"metric": "psnr/paper", "value": 1.0}], "field 'table' is missing from the figure"),
]


@pytest.mark.parametrize(("figures", "said"), FIGURES, ids=[said for _, said in FIGURES])
def test_a_published_record_with_bad_figures_is_refused(figures: Any, said: str) -> None:
    with pytest.raises(TlbenchError, match=said):
        parsed(lambda data: data.update(figures=figures), PAPER)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema":NaN}', "NaN is not JSON"),
        ('{"schema":"tlbench.leaderboard/1","schema":"x"}', "field 'schema' is given twice"),
        ("[" * 100_000, "not a JSON record"),
        ("[]", "not a leaderboard record"),
        ("", "not a JSON record"),
    ],
)
def test_a_file_that_is_no_record_is_refused_by_name(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, "utf-8")
    with pytest.raises(TlbenchError, match=said) as caught:
        read_submission(path, CARDS)
    assert str(caught.value).startswith(str(path))


def test_a_number_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(to_text(PAPER).replace("31.36", "1e999"), "utf-8")
    with pytest.raises(TlbenchError, match="a number that is not finite"):
        read_submission(path, CARDS)


def test_a_huge_record_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BOARD_RECORD", FileKind("leaderboard record", 10**6))
    path = tmp_path / "x.json"
    path.write_bytes(b" " * (10**6 + 1))
    with pytest.raises(TlbenchError, match="a leaderboard record of at most 1 MB is read"):
        read_submission(path, CARDS)


def incomplete() -> Result:
    return with_clip(filed_result(), 3, failures={"syncnet": Failure("no-audio", "silent")})


RESULTS: list[tuple[Result, str]] = [
    (incomplete(), "incomplete: no-audio; 1 of 20 clips (s1/c03)"),
    (replace(filed_result(), expected=21), "incomplete: 1 of 21 clips not observed"),
    (with_info(filed_result(), 0, generated_sha256=None), "generated_sha256 None is not a SHA-256"),
    (with_info(filed_result(), 0, reference_sha256="x" * 64), "is not a SHA-256"),
    (with_clip(filed_result(), 0, tallies={"ssim/sound": MeanTally(1, 75)}), "states the interval"),
    (filed_result(dataset="lrs2"), "lrs2:test has 1,243 clips, the result has 20"),
    (filed_result(dataset="folder"), "is not public; leaderboards are for public data sets"),
    (filed_result(dataset="../up"), "is not public; leaderboards are for public data sets"),
    (filed_result("x" * 81), "81 characters"),
    (filed_result("a\nb"), "control characters"),
    (filed_result("a\u202eb"), "control characters"),
    (filed_result("   "), "1 to 80"),
    (filed_result("唇"), "no letter a-z and no digit"),
]


@pytest.mark.parametrize(("result", "said"), RESULTS, ids=[said for _, said in RESULTS])
def test_a_result_that_may_not_be_filed_is_refused_in_one_line(result: Result, said: str) -> None:
    with pytest.raises(TlbenchError) as caught:
        submit(result, CARDS, trained_with=["none"])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_system_has_to_say_what_it_was_trained_with() -> None:
    with pytest.raises(TlbenchError, match="say which observers' checkpoints"):
        submit(filed_result(), CARDS)
    with pytest.raises(TlbenchError, match="did you mean 'syncnet'"):
        submit(filed_result(), CARDS, trained_with=["syncnt"])
    with pytest.raises(TlbenchError, match="has none and also syncnet"):
        submit(filed_result(), CARDS, trained_with=["none", "syncnet"])
    assert submit(filed_result(), CARDS, trained_with=["other:ours"]).overlaps == {}


def test_a_control_was_trained_with_nothing() -> None:
    assert submit(filed_result(role="control"), CARDS).overlaps == {}


def test_an_observer_the_system_was_trained_with_is_marked() -> None:
    made = submit(filed_result(), CARDS, trained_with=["syncnet"])
    ssim, lse_c = (made.result.protocols[metric.key] for metric in made.result.metrics)
    assert list(made.overlaps or {}) == ["syncnet"]
    assert (comes_from_relative(made, ssim), comes_from_relative(made, lse_c)) == (False, True)


def test_an_overlap_can_not_be_left_out_of_a_record() -> None:
    made = submit(filed_result(), CARDS, trained_with=["syncnet"])
    data = copy.deepcopy(json.loads(to_text(made)))
    data["overlaps"] = {}
    data["digest"] = digest(data)
    with pytest.raises(TlbenchError, match="states the overlaps"):
        parse_submission(data, CARDS)
