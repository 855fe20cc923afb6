"""The report's page: what it holds, that it is safe to open, and what is said where something is not there."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from tests.factories.report_factory import NASTY, NASTY_TEXTS, add_blind_rows, make_records, make_run
from tlbench.errors import TlbenchError
from tlbench.files import file_sha256
from tlbench.media.video_reader import VideoReader
from tlbench.media.video_writer import write_video
from tlbench.metrics.blind import BlindReading
from tlbench.metrics.tally import ErrorTally
from tlbench.observing.evidence import Evidence
from tlbench.reporting.contents import notable_clips, opening_clips, reading_metric
from tlbench.reporting.details import GAP, LEVELS, details_of, encode_curve, steps_of
from tlbench.reporting.films import ENDED, HEIGHT_PX
from tlbench.reporting.numbers import shown_number
from tlbench.reporting.page import script_json
from tlbench.reporting.report import read_findings, report
from tlbench.scoring.blind_rows import with_blind
from tlbench.scoring.record import ClipRecord
from tlbench.scoring.result_file import load_result


def data_of(page: Path) -> dict:  # type: ignore[type-arg]
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert len(found) == 1
    return dict(json.loads(found[0]))


def decoded(curve: list[float | str]) -> np.ndarray:
    low, high, packed = float(curve[0]), float(curve[1]), str(curve[2])
    levels = np.frombuffer(base64.b64decode(packed), np.uint8)
    return np.where(levels == GAP, np.nan, low + ((high - low) or 1.0) * levels / LEVELS)


def make_video(path: Path, *, shade: int = 90, frames: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [np.full((64, 64, 3), shade + i, np.uint8) for i in range(frames)])


# What is kept of a clip


def test_words_stand_side_by_side_and_only_differences_take_two() -> None:
    assert steps_of("bin BLUE at", "bin red at") == ["bin", ["blue", "red"], "at"]
    assert steps_of("at f now", "at now") == ["at", ["f", 0], "now"]
    assert steps_of("now", "now please") == ["now", [0, "please"]]
    assert steps_of("", "") == []


def test_a_curve_keeps_its_ends_and_is_off_by_less_than_a_pixel() -> None:
    values = np.array([3.0, np.nan, 11.0, 7.123, np.inf])
    back = decoded(encode_curve(values) or [])
    assert back[[0, 2]].tolist() == [3.0, 11.0]
    assert np.isnan(back[[1, 4]]).all()
    assert abs(back[3] - 7.123) <= 8.0 / LEVELS / 2
    assert encode_curve([np.nan, np.inf]) is None
    assert decoded(encode_curve([2.5, 2.5]) or []).tolist() == [2.5, 2.5]
    with pytest.raises(ValueError, match="shape"):
        encode_curve(np.zeros((2, 2)))


def test_the_sync_curve_runs_from_the_least_offset_to_the_greatest(tmp_path: Path) -> None:
    records = make_records(1)
    values = records[0].evidence["syncnet"].values
    result = make_run(tmp_path, records)
    curve = decoded(details_of(records, result)[records[0].id].curves["common_mean_distance"])
    assert int(np.argmin(curve)) - 15 == values["common_offset_frames"]


def test_identical_frames_are_drawn_at_100_decibels(tmp_path: Path) -> None:
    (record,) = make_records(1)
    pixels = record.evidence["pixels"]
    same = Evidence("pixels", {**pixels.values, "face_mse": np.zeros(29)})
    record = replace(record, evidence={**record.evidence, "pixels": same})
    curve = details_of([record], make_run(tmp_path, [record]))[record.id].curves["face_psnr"]
    assert decoded(curve).tolist() == [100.0] * 29


def test_sync_confidence_stands_at_the_windows_that_were_compared(tmp_path: Path) -> None:
    records = make_records(1)
    result = make_run(tmp_path, records)
    compared = records[0].evidence["syncnet"].array("common_window_confidence")
    curve = decoded(details_of(records, result)[records[0].id].curves["common_window_confidence"])
    assert len(curve) == len(compared) + 2 * 15
    assert np.isnan(curve[:15]).all()
    assert np.isnan(curve[-15:]).all()
    assert curve[15:-15] == pytest.approx(compared, abs=0.02)


def test_letters_of_teacher_forcing_are_learnt_from_the_transcripts_of_the_run(tmp_path: Path) -> None:
    base = make_records(2)
    ids = {letter: place + 1 for place, letter in enumerate(" abdegin")}

    def forced(said: str, wrote: str) -> Evidence:
        numbers = [np.array([ids[letter] for letter in text]) for text in (said, wrote)]
        return Evidence(
            "conformer",
            {"reference": said.upper(), "reference_ids": numbers[0], "forced_ids": np.append(numbers[1], 39)},
        )

    texts = (("bin", "bed"), ("a bad egg", "a bad bag"))
    records = [
        replace(record, evidence={**record.evidence, "conformer": forced(*text)}, failures={})
        for record, text in zip(base, texts, strict=True)
    ]
    details = details_of(records, make_run(tmp_path, records))
    steps = [[r.steps for r in details[record.id].readings if r.observer == "conformer"] for record in records]
    assert steps == [[[["bin", "bed"]]], [["a", "bad", ["egg", "bag"]]]]  # the first needs the second's letters


def test_a_word_reader_shows_what_it_took_the_word_for(tmp_path: Path) -> None:
    (record,) = make_records(1)
    mvm = Evidence("mvm", {"word": "ABOUT", "predicted": "ABUSE", "top5": ["ABUSE", "ABOUT", "AMONG"]})
    record = replace(record, evidence={**record.evidence, "mvm": mvm})
    reading = details_of([record], make_run(tmp_path, [record]))[record.id].readings[-1]
    assert (reading.observer, reading.way, reading.steps) == ("mvm", "then ABOUT, AMONG", [["ABOUT", "ABUSE"]])


def test_a_reader_of_timed_words_shows_what_it_took_each_for(tmp_path: Path) -> None:
    (record,) = make_records(1)
    seen = Evidence("mvm-aligned", {"words": ["BIN", "BLUE"], "predicted": ["BIN", "GREEN"], "ranks": np.array([0, 3])})
    record = replace(record, evidence={**record.evidence, "mvm-aligned": seen})
    reading = details_of([record], make_run(tmp_path, [record]))[record.id].readings[-1]
    assert (reading.observer, reading.steps) == ("mvm-aligned", ["BIN", ["BLUE", "GREEN"]])


# Which clips


def test_notable_clips_are_the_worst_and_the_best_by_each_metric_in_turn(tmp_path: Path) -> None:
    result = make_run(tmp_path, make_records(30))
    values = {clip.id: clip.tallies["wer1/paper"].value for clip in result.clips if "wer1/paper" in clip.tallies}
    first, second = notable_clips(result, None, 2)
    assert values[first] == max(v for v in values.values() if v is not None)
    assert values[second] == min(v for v in values.values() if v is not None)
    assert len(notable_clips(result, None, 12)) == len(set(notable_clips(result, None, 12))) == 12
    assert sorted(notable_clips(result, None, 1000)) == sorted(clip.id for clip in result.clips)


def test_beside_another_run_the_clips_that_changed_most_come_first(tmp_path: Path) -> None:
    records = make_records(10)
    worse = replace(records[4].evidence["avhubert"])
    worse = Evidence("avhubert", {**worse.values, "hypothesis": "x " * 40})
    changed = [*records]
    changed[4] = replace(records[4], evidence={**records[4].evidence, "avhubert": worse})
    a, b = make_run(tmp_path / "a", records), make_run(tmp_path / "b", changed)
    assert notable_clips(a, b, 1) == [records[4].id]


# The page


def test_the_page_is_written_beside_the_run_with_every_clip_on_it(tmp_path: Path) -> None:
    result = make_run(tmp_path, make_records(7), remarks=["half precision: <everything>"])
    page = report(tmp_path)
    assert page == tmp_path / "report.html"
    (side,) = data_of(page)["sides"]
    assert side["ids"] == [clip.id for clip in result.clips]
    assert len(side["readings"]) == 6  # one failed
    assert side["failures"]["6"] == [["avhubert", "no-face", "clip.mp4: no face <i>anywhere</i>"]]
    assert {metric["key"] for metric in side["metrics"]} == {metric.key for metric in result.metrics}
    text = page.read_text("utf-8")
    row = result.row("wer1/paper")
    assert f'<td class="value">{row.value:.2f}</td><td>[{row.low:.2f}, {row.high:.2f}]' in text
    assert "half precision: &lt;everything&gt;" in text
    assert "1 clip failed" in text
    assert "6 of 7" in text


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(5))
    one, two = (report(tmp_path, out=tmp_path / f"{name}.html").read_bytes() for name in "ab")
    assert one == two


def test_the_page_loads_nothing_and_lets_nothing_but_itself_run(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(3))
    text = report(tmp_path).read_text("utf-8")
    assert not re.findall(r'(?:src|href|url\()\s*=?\s*["\']?(?:https?:)?//', text)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in unescape(policy)
    assert not re.findall(r"<[^>]+\sstyle=", text)  # the policy would refuse them


@pytest.mark.parametrize("said", NASTY_TEXTS)
def test_names_and_texts_can_not_leave_their_place(tmp_path: Path, said: str) -> None:
    name = said if said in NASTY else "s1/a"
    records = make_records(4, names=[name], texts=[said])
    make_run(tmp_path, records, name=name.replace("/", "_"), remarks=[said])
    page = report(tmp_path)
    text = page.read_text("utf-8")
    assert data_of(page)["sides"][0]["ids"][0] == name  # still itself, where it is data
    assert len(re.findall(r"<script\b", text)) == 2
    assert "<img" not in text
    assert "<i>anywhere" not in text
    assert "\u2028" not in text.partition('id="data">')[2]


def test_script_json_holds_nothing_that_ends_a_script() -> None:
    value = {"a": "</script><!-- & \u2028 \u2029"}
    text = script_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="JSON compliant"):
        script_json({"a": float("nan")})


def test_numbers_are_written_as_people_read_them() -> None:
    assert [shown_number(value, 2) for value in (None, float("inf"), -0.001, 3.14159)] == ["-", "∞", "0.00", "3.14"]
    assert [shown_number(value, 1, sign=True) for value in (2.0, -2.0, 0.01)] == ["+2.0", "-2.0", "0.0"]


def test_two_runs_are_compared_on_one_page(tmp_path: Path) -> None:
    records = make_records(12)
    make_run(tmp_path / "a", records, name="mine")
    make_run(tmp_path / "b", make_records(12, seed=5), name="theirs")
    page = report(tmp_path / "a", tmp_path / "b", out=tmp_path / "both.html")
    data = data_of(page)
    assert [side["name"] for side in data["sides"]] == ["mine", "theirs"]
    text = page.read_text("utf-8")
    assert "corrected for" in text
    differences = text[text.index('id="h-differences"') : text.index('id="h-warnings"')]
    sound, _, paper = differences.partition("<details")
    assert re.findall(r'<small class="line">([a-z0-9_]+)/(\w+)</small>', sound) == [
        *(("wer1", "sound"), ("lse_c", "sound"), ("lse_d", "sound")),
        *(("psnr", "sound"), ("ssim", "sound")),
    ]
    assert {kind for _, kind in re.findall(r'<small class="line">([a-z0-9_]+)/(\w+)</small>', paper)} == {"paper"}


def test_a_limit_leaves_the_most_notable_clips_and_the_numbers_of_all(tmp_path: Path) -> None:
    result = make_run(tmp_path, make_records(40))
    page = report(tmp_path, limit=6)
    assert len(data_of(page)["sides"][0]["ids"]) == 6
    text = page.read_text("utf-8")
    assert "Shows 6 of 40 clips" in text
    assert f'<td class="value">{result.row("psnr/sound").value:.2f}</td>' in text


def test_without_records_the_page_has_the_numbers_and_says_what_is_missing(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(3))
    (tmp_path / "records.jsonl").unlink()
    page = report(tmp_path / "result.json")
    assert data_of(page)["sides"][0]["readings"] == {}
    assert "No texts and no curves: there is no records.jsonl" in page.read_text("utf-8")


def test_findings_of_the_preflight_check_are_shown(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(3))
    found = {"level": "warning", "clip": "s0/<b>", "code": "no-audio", "message": "no sound", "fix": "add it"}
    check = tmp_path / "check.json"
    check.write_text(json.dumps({"schema": "tlbench.check/1", "findings": [found, {**found, "clip": None}]}))
    text = report(tmp_path, check=check).read_text("utf-8")
    assert "no sound: s0/&lt;b&gt;" in text
    assert "add it" in text


def test_readers_that_do_not_look_stand_beside_the_run(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(12))
    own = add_blind_rows(tmp_path, "most frequent sentence", "12 transcripts of toy:train", unreadable=False)
    assert own.blind is not None
    verdict, digits = own.blind.verdicts["wer1/sound"], own.metric("wer1/sound").digits
    value = shown_number(verdict.value, digits)
    assert value == shown_number(verdict.blind_value, digits)
    text = unescape(report(tmp_path).read_text("utf-8"))
    table = text[text.index('id="blind"') : text.index('id="h-made"')]
    assert [*re.findall("<bdi>(.*?)</bdi></th>", table)] == ["mine", "most frequent sentence", "sentence by chance"]
    assert f'<td class="value">{value}<small' in table  # the best of them
    assert f"<td>{shown_number(100.0, digits)}<small" in table
    assert "† not read" in table
    assert "blind: the score of guessing without looking, from 12 transcripts of toy:train." in table
    summary = text[: text.index('id="blind"')]
    assert re.search(rf'<td class="value">{value}<span class="bad" title="† not read: [^"]+">†</span>', summary)
    assert "banner" not in text[text.index("</style>") :]


def test_a_run_that_is_read_is_not_marked_and_one_without_blind_rows_says_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "plain", make_records(12))
    assert "do not look" not in report(tmp_path / "plain").read_text("utf-8").partition("</style>")[2]
    make_run(tmp_path / "read", make_records(12))
    own = load_result(tmp_path / "read")
    every = {clip.id: ErrorTally(5, 0, 0, 5) for clip in own.clips if "wer1/sound" in clip.tallies}
    told = with_blind(own, [BlindReading("sentence by chance", {"wer1/sound": every})], [])
    told.write(tmp_path / "read" / "result.json")
    assert told.blind is not None
    assert told.blind.verdicts["wer1/sound"].read
    text = report(tmp_path / "read").read_text("utf-8").partition("</style>")[2]
    assert '<small class="line good">read</small>' in text
    assert "not read</small>" not in text
    assert '<span class="bad"' not in text


@pytest.mark.parametrize("sides", [1, 2])
def test_an_observer_that_can_not_read_these_faces_is_said_first(tmp_path: Path, sides: int) -> None:
    for name in "ab"[:sides]:
        make_run(tmp_path / name, make_records(12), name=name)
        add_blind_rows(tmp_path / name, "most frequent sentence", "a test", unreadable=True)
    page = report(*(tmp_path / name for name in "ab"[:sides]), out=tmp_path / "page.html")
    text = unescape(page.read_text("utf-8")).partition("</style>")[2]
    assert text.count('class="banner"') == 1  # both say the same
    assert text.index("observer 'avhubert' can't read these faces: on real clips") < text.index('id="h-summary"')
    assert text.count("† not read</small>") == sides
    if sides == 2:
        assert len(re.findall(r"<td>\d+\.\d+†</td>", text)) == 2


@pytest.mark.parametrize("name", NASTY)
def test_names_of_blind_readers_and_sources_can_not_leave_their_place(tmp_path: Path, name: str) -> None:
    make_run(tmp_path, make_records(4))
    add_blind_rows(tmp_path, name, name, unreadable=True)
    text = report(tmp_path).read_text("utf-8")
    if "<" in name:
        assert name not in text.partition('<script type="application/json"')[0]


# What the page opens with


def test_the_first_table_has_ceilings_floors_and_blind_readers_and_paper_is_folded(tmp_path: Path) -> None:
    make_run(tmp_path / "mine", make_records(12))
    add_blind_rows(tmp_path / "mine", "most frequent sentence", "a test", unreadable=False)
    for name, seed, wrong in (("ground-truth", 0, False), ("static", 3, True)):
        records = make_records(12, seed=seed)
        for record in records[:-1]:  # the last one failed
            values = record.evidence["avhubert"].values
            said = str(values["reference"])
            values["hypothesis"] = " ".join("x" for _ in said.split()) if wrong else said  # type: ignore[index]
        make_run(tmp_path / "controls" / name, records, name=name, role="control")
    text = report(tmp_path / "mine").read_text("utf-8")
    summary = text[text.index('id="h-summary"') : text.index('id="h-warnings"')]
    sound = summary[: summary.index("<details")]
    names = re.findall(r'<th scope="row" class="name"><bdi>(.*?)</bdi>', sound)
    assert names == ["mine", "ground-truth", "static", "most frequent sentence", "sentence by chance"]
    assert re.findall(r'<th scope="rowgroup"[^>]*>(.*?)</th>', sound) == ["ceilings and floors", "blind readers"]
    assert summary.index("<details") < summary.index("Paper: the published arithmetic")
    lead = re.search('<p class="lead">(.*?)</p>', text)
    assert lead is not None
    assert "real videos get 0.00 %; the best blind reader gets" in lead[1]
    assert "not shown to be better than guessing" in lead[1]


def test_a_control_that_was_scored_in_another_way_has_no_number_there(tmp_path: Path) -> None:
    make_run(tmp_path / "mine", make_records(6))
    control = make_run(tmp_path / "controls" / "static", make_records(6), name="static", role="control")
    other = {
        key: replace(protocol, decoding="other@1") if key == "psnr/sound" else protocol
        for key, protocol in control.protocols.items()
    }
    replace(control, protocols=other).write(tmp_path / "controls" / "static" / "result.json")
    text = report(tmp_path / "mine").read_text("utf-8")
    (row,) = re.findall(r'class="name"><bdi>static</bdi></th>(.*?)</tr>', text[: text.index("<details")])
    cells = re.findall("<td>(.*?)</td>", row)
    assert [cell.startswith("<span title=") for cell in cells] == [False, False, False, True, False]
    assert "* scored in another way" in text


def test_the_first_sentence_of_a_comparison_has_both_numbers(tmp_path: Path) -> None:
    one = make_run(tmp_path / "a", make_records(6), name="mine")
    other = make_run(tmp_path / "b", make_records(6, seed=50), name="theirs")
    leads = re.findall('<p class="lead">(.*?)</p>', report(tmp_path / "a", tmp_path / "b").read_text("utf-8"))
    values = [f"{result.row('wer1/sound').value:.2f} %" for result in (one, other)]
    assert len(leads) == 1
    assert f"<bdi>mine</bdi>: WER1 is {values[0]}" in leads[0]
    assert f"<bdi>theirs</bdi> gets {values[1]} [" in leads[0]
    assert "</bdi> gets" not in report(tmp_path / "a").read_text("utf-8")


def test_a_damaged_control_is_left_out_and_said(tmp_path: Path) -> None:
    make_run(tmp_path / "mine", make_records(3))
    make_run(tmp_path / "controls" / "static", make_records(3), name="static", role="control")
    (tmp_path / "controls" / "static" / "result.json").write_text("{", "utf-8")
    text = report(tmp_path / "mine").read_text("utf-8")
    assert "A control is left out: " in text
    assert "static/result.json" in text


def test_best_median_and_worst_are_chosen_by_reading_and_equal_clips_by_name(tmp_path: Path) -> None:
    result = make_run(tmp_path, make_records(40))
    metric = reading_metric(result)
    assert metric is not None
    assert metric.key == "wer1/sound"
    chosen = opening_clips(result, metric, result.by_id)
    values = {i: metric.value(c.tallies[metric.key]) for i, c in result.by_id.items() if metric.key in c.tallies}
    ranked = sorted(float(value) for value in values.values() if value is not None)
    assert [values[chosen[kind]] for kind in ("best", "median", "worst")] == [ranked[0], ranked[19], ranked[-1]]
    worst = [i for i, value in values.items() if value == ranked[-1] and i != chosen["median"]]
    assert chosen["worst"] == min(worst)
    two = opening_clips(result, metric, list(values)[:2])
    assert set(two) == {"best", "worst"}
    assert opening_clips(result, metric, list(values)[:1]) == {"only": next(iter(values))}
    assert opening_clips(result, metric, ["s4/clip00039"]) == {}  # it failed


def test_the_page_is_about_the_system_also_if_a_control_is_named_first(tmp_path: Path) -> None:
    make_run(tmp_path / "truth", make_records(12), name="ground-truth", role="control")
    worse = make_records(12)
    for record in worse[:-1]:  # the last one failed
        record.evidence["avhubert"].values["hypothesis"] = "x"  # type: ignore[index]
    make_run(tmp_path / "mine", worse)
    page = report(tmp_path / "truth", tmp_path / "mine")
    assert page == tmp_path / "truth" / "report.html"
    assert [side["name"] for side in data_of(page)["sides"]] == ["mine", "ground-truth"]
    text = page.read_text("utf-8")
    assert '<td class="text bad"><bdi>ground-truth better</bdi></td>' in text
    assert '<td class="text good">' not in text
    assert "is worse for <b><bdi>mine</bdi></b>" in text


def test_findings_come_before_what_is_fine(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(4))
    add_blind_rows(tmp_path, "guess", "a test", unreadable=True)
    text = report(tmp_path).read_text("utf-8")
    section = text[text.index('id="h-warnings"') :]
    assert section.index('class="finding') < section.index('<ul class="warnings">')


# Videos


def filmed(folder: Path, count: int = 3) -> list[ClipRecord]:
    """Records of videos that are there."""
    records = []
    for place, record in enumerate(make_records(count)):
        path = folder / f"{record.id}.mp4"
        make_video(path, shade=60 + 40 * place)
        records.append(replace(record, info=replace(record.info, generated_sha256=file_sha256(path))))
    return records


def test_strips_come_from_the_videos_that_were_scored(tmp_path: Path) -> None:
    make_run(tmp_path / "run", filmed(tmp_path / "with space"))
    data = data_of(report(tmp_path / "run", videos=[tmp_path / "with space"], embed=True))
    pictures = data["sides"][0]["pictures"]
    assert len(pictures) == 3
    for picture in pictures.values():
        assert picture["strip"].startswith("data:image/jpeg;base64,")
        assert picture["caption"] == "whole frames, no face was found"
        assert picture["preview"].startswith("data:video/mp4;base64,")
        assert picture["link"].startswith("./../with%20space/")


def test_a_video_of_other_bytes_is_not_shown_as_what_was_scored(tmp_path: Path) -> None:
    records = filmed(tmp_path / "videos")
    make_run(tmp_path / "run", records)
    make_video(tmp_path / "videos" / f"{records[0].id}.mp4", shade=200)
    (tmp_path / "videos" / f"{records[1].id}.mp4").unlink()
    page = report(tmp_path / "run", videos=[tmp_path / "videos"])
    captions = {place: found["caption"] for place, found in data_of(page)["sides"][0]["pictures"].items()}
    assert "is not the video that was scored" in captions["0"]
    assert captions["1"] == "the video is not here"
    assert "No pictures of 2 of the 3 clips" in page.read_text("utf-8")


def test_films_show_the_real_video_beside_the_generated_one(tmp_path: Path) -> None:
    records = filmed(tmp_path / "videos", 5)
    for place, record in enumerate(records):
        real = tmp_path / "real" / f"{record.id}.mp4"
        make_video(real, shade=30 + place, frames=9)
        records[place] = replace(record, info=replace(record.info, reference_sha256=file_sha256(real)))
    result = make_run(tmp_path / "run", records)
    page = report(tmp_path / "run", videos=[tmp_path / "videos", tmp_path / "real"])
    opening = data_of(page)["opening"]
    assert [one["kind"] for one in opening] == ["best", "median", "worst"]
    for one in opening:
        assert one["columns"] == [["real video", 0.5], ["mine", 0.5]]
        path = tmp_path / "film.mp4"
        path.write_bytes(base64.b64decode(one["video"].removeprefix("data:video/mp4;base64,")))
        frames = np.concatenate([chunk.rgb for chunk in VideoReader(path).frames()])
        assert frames.shape == (12, HEIGHT_PX, 2 * HEIGHT_PX, 3)
        real, made = frames[:, :, : HEIGHT_PX - 8].mean((1, 2, 3)), frames[:, :, HEIGHT_PX + 8 :].mean((1, 2, 3))
        assert made[-1] - made[0] == pytest.approx(11, abs=3)  # each frame is one level lighter
        assert made[0] == pytest.approx(60 + 40 * result.clips.index(result.by_id[one["id"]]), abs=4)
        assert real[9:] == pytest.approx([ENDED] * 3, abs=2)  # the real video is over
    assert "No real videos" not in page.read_text("utf-8")


def test_without_real_videos_the_generated_one_plays_alone_and_the_page_says_so(tmp_path: Path) -> None:
    make_run(tmp_path / "run", filmed(tmp_path / "videos"))
    page = report(tmp_path / "run", videos=[tmp_path / "videos"])
    assert all(one["columns"] == [["mine", 1.0]] for one in data_of(page)["opening"])
    assert "No real videos beside the generated ones" in page.read_text("utf-8")
    page = report(tmp_path / "run")
    assert {one["why"] for one in data_of(page)["opening"]} == {"the video is not here"}


def test_a_data_root_that_is_given_must_have_the_data_set(tmp_path: Path) -> None:
    make_run(tmp_path, filmed(tmp_path))
    with pytest.raises(TlbenchError, match="toy"):
        report(tmp_path, data_root=tmp_path / "nowhere")


def test_a_control_finds_its_videos_beside_its_result(tmp_path: Path) -> None:
    make_run(tmp_path, filmed(tmp_path))
    assert all("strip" in found for found in data_of(report(tmp_path))["sides"][0]["pictures"].values())


def test_no_pictures_are_drawn_if_none_are_wanted(tmp_path: Path) -> None:
    make_run(tmp_path, filmed(tmp_path))
    assert data_of(report(tmp_path, pictures=0))["sides"][0]["pictures"] == {}


# Bad input


def test_records_of_another_run_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(3))
    make_run(tmp_path / "other", make_records(3, seed=9))
    (tmp_path / "other" / "records.jsonl").replace(tmp_path / "records.jsonl")
    with pytest.raises(TlbenchError, match=r"records\.jsonl: clip s0/clip00000: .* `tlbench aggregate`"):
        report(tmp_path)


@pytest.mark.parametrize("keep", [2, 4])
def test_records_and_result_must_have_the_same_clips(tmp_path: Path, keep: int) -> None:
    make_run(tmp_path, make_records(3))
    make_run(tmp_path / "other", make_records(4)[:keep] if keep < 4 else make_records(4))
    (tmp_path / "other" / "records.jsonl").replace(tmp_path / "records.jsonl")
    with pytest.raises(TlbenchError, match="clip s"):
        report(tmp_path)


def test_a_text_that_was_changed_is_noticed(tmp_path: Path) -> None:
    records = make_records(3)
    make_run(tmp_path, records)
    lines = (tmp_path / "records.jsonl").read_text("utf-8")
    said = str(records[0].evidence["avhubert"].values["hypothesis"])
    (tmp_path / "records.jsonl").write_text(lines.replace(f'"hypothesis":"{said}"', '"hypothesis":"lies"', 1), "utf-8")
    with pytest.raises(TlbenchError, match="record and result differ in wer1/paper"):
        report(tmp_path)


def test_a_number_that_was_changed_is_noticed(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(3))
    data = json.loads((tmp_path / "result.json").read_text("utf-8"))
    data["metrics"]["wer1/paper"]["value"] = 1.5
    (tmp_path / "result.json").write_text(json.dumps(data), "utf-8")
    with pytest.raises(TlbenchError, match="changed after it was written"):
        report(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("tlbench.result/1", "tlbench.result/99"), "newer tlbench"),
        (lambda text: re.sub(r'"low":[-0-9.e]+', '"low":NaN', text, count=1), "NaN is not JSON"),
        (lambda text: text[: len(text) // 2], "not a JSON file"),
    ],
)
def test_a_result_that_is_none_is_one_clear_line(tmp_path: Path, change, says: str) -> None:  # type: ignore[no-untyped-def]
    make_run(tmp_path, make_records(3))
    path = tmp_path / "result.json"
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    with pytest.raises(TlbenchError, match=says) as caught:
        report(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_nan_in_the_evidence_is_one_clear_line(tmp_path: Path) -> None:
    records = make_records(3)
    make_run(tmp_path, records)
    broken = Evidence("syncnet", {**records[0].evidence["syncnet"].values, "common_lse_c": float("nan")})
    changed = replace(records[0], evidence={**records[0].evidence, "syncnet": broken})
    lines = (tmp_path / "records.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "records.jsonl").write_text(changed.to_line() + "\n" + "".join(lines[1:]), "utf-8")
    with pytest.raises(TlbenchError, match="evidence for lse_c/sound is damaged"):
        report(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "tlbench.check/9"}', '{"schema": "tlbench.check/1"}'])
def test_a_check_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "check.json"
    path.write_text(text)
    with pytest.raises(TlbenchError, match="tlbench check --json"):
        read_findings(path)


def test_the_page_never_replaces_the_result(tmp_path: Path) -> None:
    make_run(tmp_path, make_records(3))
    with pytest.raises(TlbenchError, match="is a web page"):
        report(tmp_path, out=tmp_path / "result.json")
    with pytest.raises(TlbenchError, match="is a folder"):
        report(tmp_path, out=tmp_path)
    assert load_result(tmp_path).name == "mine"
