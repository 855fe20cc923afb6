"""Tables say the same in every format, fit the terminal, and let nothing in a name act."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from tests.factories.results_factory import ACC, LEVEL, PSNR, QUICK, WER, levels, metric, record, result
from tlbench.document import Document, interval_cell, number_text
from tlbench.errors import TlbenchError
from tlbench.observing.clip_info import ClipInfo
from tlbench.scoring.record import ClipRecord, Failure
from tlbench.scoring.result import Result, Role
from tlbench.tables.formats import Format
from tlbench.tables.markup import draw_latex, markdown_line, markdown_text
from tlbench.tables.result_table import print_results, render

WIDE = [WER, ACC, *(metric(f"paper{i}", "paper", tally=LEVEL.tally, label=f"LSE-{i}") for i in range(4)), LEVEL, PSNR]
FORMATS: tuple[Format, ...] = ("terminal", "markdown", "csv", "json", "latex")


def system(name: str = "wav2lip", role: Role = "system", *, mse: float = 40.0, n: int = 12, **_: object) -> Result:
    rng = np.random.default_rng(len(name))
    records = []
    for i in range(n):
        values = {
            "level": 6.5 + rng.normal(),
            "mse": mse,
            "edits": np.array([2, 0, int(rng.integers(2, 5)), 3]),
            "hit": int(i % 3 > 0),
        }
        records.append(record(f"{i}", values))
    return result(records, WIDE, name=name, role=role)


SIX = [system(name) for name in ("wav2lip", "talklip", "diff2lip", "a-rather-long-name-of-a-method", "x", "sixth")]
CONTROLS = [system("reencoded", "control"), system("ground-truth", "control", mse=0.0)]
WIDTHS = (60, 80, 100, 120, 200)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal_and_a_system_has_one_line_a_block(width: int) -> None:
    drawn = render([*SIX, *CONTROLS], width=width)
    lines = drawn.splitlines()
    assert max(cell_len(line) for line in lines) <= width
    blocks = sum(line.startswith("system ") for line in lines)
    for of in [*SIX, *CONTROLS]:
        own = [line for line in lines if line.startswith(f"{of.name} ")]
        assert len(own) == blocks
        for row in of.rows():
            value = number_text(row.value, row.metric.digits)
            full = interval_cell(value, row.low, row.high, row.metric.digits)
            forms = (f"{value} {full.detail}".split(), f"{value} {full.short_detail}".split())
            assert any(_holds(line.split(), form) for line in own for form in forms)
        assert any("12 of 12" in line for line in own)
    assert ("half the width" in drawn) == ("±" in drawn)


def _holds(words: list[str], part: list[str]) -> bool:
    return any(words[i : i + len(part)] == part for i in range(len(words)))


def test_wide_terminals_show_intervals_and_narrow_ones_half_widths() -> None:
    low, high = SIX[0].row(LEVEL.key).low, SIX[0].row(LEVEL.key).high
    assert low is not None
    assert high is not None
    assert f"[{low:.2f}, {high:.2f}]" in render(SIX, width=200)
    assert "±" not in render(SIX, width=200)
    assert f"±{(high - low) / 2:.2f}" in render(SIX, width=60)


def test_columns_are_chosen_and_ordered_and_unknown_ones_named() -> None:
    drawn = render(SIX, width=200, columns=["wer/paper", "acc"])
    head = next(line for line in drawn.splitlines() if "WER1" in line)
    assert head.index("WER1") < head.index("ACC")
    assert "PSNR" not in drawn
    assert "LSE" not in drawn
    assert "12 of 12" in drawn
    with pytest.raises(TlbenchError, match=r"no column 'wers'; did you mean 'wer'\?; the results have wer/paper"):
        render(SIX, columns=["wers"])
    with pytest.raises(TlbenchError, match=r"no column 'zzz'; the results have wer/paper, acc/paper, .*--columns"):
        render(SIX, columns=["zzz"])


def test_columns_take_the_words_of_metrics() -> None:
    """An observer and an arithmetic are checked before a run, so the table after it has to know them."""
    of_observer = {metric.label for metric in SIX[0].metrics if metric.observer == SIX[0].metrics[0].observer}
    assert all(label in render(SIX, width=200, columns=[SIX[0].metrics[0].observer]) for label in of_observer)
    assert render(SIX, width=200, columns=["paper"]) == render(
        SIX, width=200, columns=[m.key for m in SIX[0].metrics if m.arithmetic == "paper" and m.headline]
    )


def test_frames_have_a_column_where_they_are_known() -> None:
    known = SIX[0]
    infos = [replace(clip.info, frames=72, frames_expected=75) for clip in known.clips]
    clips = tuple(replace(clip, info=info) for clip, info in zip(known.clips, infos, strict=True))
    drawn = render([replace(known, clips=clips)], width=200)
    (line, *_) = [line for line in drawn.splitlines() if line.startswith("wav2lip")]
    assert line.endswith("12 of 12  864 of 900")
    assert "frames" not in render([known], width=200)


def test_paper_and_sound_are_two_tables_with_their_meaning() -> None:
    drawn = render(SIX, width=200)
    paper, sound = drawn.split("sound: what it should have been")
    assert "paper: the published arithmetic" in paper
    assert "WER1" in paper
    assert "WER1" not in sound
    assert "PSNR" in sound
    assert "PSNR" not in paper


def test_a_wide_table_is_split_and_says_so() -> None:
    drawn = render(SIX, width=80)
    assert "(1 of 2)" in drawn
    assert "(1 of" not in render(SIX, width=200)


def test_controls_stand_below_a_rule_with_the_ceiling_first() -> None:
    lines = render([*CONTROLS, *SIX], width=200).splitlines()
    first = [line.split()[0] if line.split() else "" for line in lines]
    assert first.index("sixth") < first.index("controls") < first.index("ground-truth") < first.index("reencoded")
    assert set(lines[first.index("controls") - 1]) == {"─"}


def test_a_rate_over_100_an_infinite_and_a_missing_value_are_shown() -> None:
    short = result(levels([1.0, 2.0]), [LEVEL], name="short")
    drawn = render([CONTROLS[1], short], width=200)
    wer = CONTROLS[1].row(WER.key).value
    assert wer is not None
    assert wer > 100
    assert f"{wer:.1f}" in drawn
    assert "∞" in drawn
    (line,) = [line for line in drawn.splitlines() if line.startswith("short") and "1.50" in line]
    assert line.split() == ["short", "1.50", "[1.00,", "2.00]", "-", "2", "of", "2"]


def test_minus_zero_is_zero() -> None:
    assert "-0.00" not in render([result(levels([-0.001, -0.002]))])


def test_a_run_that_is_not_complete_is_marked_with_the_reasons() -> None:
    failed = ClipRecord(ClipInfo("f"), failures={"eye": Failure("no-audio", "x")})
    part = result([*levels([1.0, 2.0, 3.0]), failed], [LEVEL], expected=6, name="part")
    drawn = render([part])
    assert "3 of 6" in drawn
    assert "part: incomplete: 1 clip of 6 with an error." in drawn
    assert "part: error, 1 clip not scored: no-audio 1." in drawn
    assert "part: incomplete, 2 clips of 6 not observed at all." in drawn


def test_a_metric_that_scored_fewer_clips_than_others_is_starred() -> None:
    half = metric("half", tally=lambda e: LEVEL.tally(e) if e.number("level") > 2 else type(LEVEL.tally(e))())
    drawn = render([result(levels([1.0, 2.0, 3.0]), [LEVEL, half])])
    assert "3.00*" in drawn
    assert "2.00*" not in drawn
    assert "* fewer than 3 clips scored: half/sound 1." in drawn


def test_rows_made_differently_are_lettered_and_told_apart() -> None:
    drawn = render([result(levels([1.0, 2.0])), result(levels([1.0, 2.0]), boxes="haar", name="other")])
    assert "1.50 (a)" in drawn
    assert "1.50 (b)" in drawn
    assert "level/sound: rows of different letters can't be ranked" in drawn
    assert "(a) boxes none; (b) boxes haar" in drawn
    assert "(a)" not in render([result(levels([1.0, 2.0]))])


def test_what_was_resampled_is_told_and_too_few_speakers_are_admitted() -> None:
    assert "95 % interval, bootstrap over 12 clips." in render(SIX)
    speakers = [f"s{i % 3}" for i in range(12)]
    few = result(levels(list(range(12)), speakers), settings=replace(QUICK, cluster="speaker"))
    assert "Too few speakers to resample" in render([few])


def test_intervals_and_other_metrics_can_be_left_out_and_asked_for() -> None:
    side = metric("side", headline=False, label="SIDE", tally=LEVEL.tally)
    both = result(levels([1.0, 2.0]), [LEVEL, side])
    assert "[" not in render([both], intervals=False)
    assert "SIDE" not in render([both])
    assert "SIDE" in render([both], all_metrics=True)
    assert "side/sound" not in render([both], "csv")


def test_csv_and_json_hold_all_digits_and_agree() -> None:
    rows = list(csv.DictReader(io.StringIO(render([*SIX, *CONTROLS], "csv"))))
    data = json.loads(render([*SIX, *CONTROLS], "json"))
    assert data["schema"] == "tlbench.table/1"
    assert len(rows) == 8 * len(WIDE)
    flat = [row for item in data["results"] for row in item["rows"]]
    for left, right in zip(rows, flat, strict=True):
        assert left["metric"] == right["metric"]
        assert float(left["value"]) == float(right["value"])
    assert float(rows[0]["value"]) == SIX[0].row(rows[0]["metric"]).value
    assert {row["value"] for row in flat if row["metric"] == PSNR.key} >= {"inf"}


EVIL = '=cmd|\x1b[31m & 100% of_$x \\{}~^ [b]bold[/b] <i>`*\u202e\n# "quoted"'


@pytest.mark.parametrize("format", FORMATS)
def test_control_characters_never_get_through(format: Format) -> None:
    drawn = render([replace(SIX[0], name=EVIL)], format, width=300)
    assert not set(drawn) & set("\x1b\u202e\r\t")


def test_a_name_can_not_act_in_a_terminal_table() -> None:
    drawn = render([replace(SIX[0], name="[bold]x[/bold] :smile:")], width=200)
    assert "[bold]x[/bold] :smile:" in drawn


def test_a_name_can_not_act_in_markdown() -> None:
    drawn = render([replace(SIX[0], name=EVIL + " [a](http://b)")], "markdown")
    lines = [line for line in drawn.splitlines() if line.startswith("| =cmd")]
    assert lines
    cells = {
        line.replace("\\|", "").count("|") for line in drawn.splitlines() if line.startswith(("| =cmd", "| system"))
    }
    assert len(cells) == 2  # one for each table, head and rows alike
    assert "\\<i>" in drawn or "\\<i\\>" in drawn
    assert "](" not in drawn.replace("]\\(", "")


def test_a_name_can_not_act_in_latex() -> None:
    drawn = render([replace(SIX[0], name=EVIL)], "latex")
    (line, *_) = [line for line in drawn.splitlines() if line.startswith("=cmd")]
    assert r"\& 100\% of\_\$x \textbackslash{}\{\}\textasciitilde{}\textasciicircum{} {[}b{]}bold" in line
    starts = render([replace(SIX[0], name="[x]")], "latex")
    assert "\n[x]" not in starts  # would be an option of the line break above it


def test_a_name_can_not_act_in_a_spreadsheet() -> None:
    for name in ("=1+1", "+1", "-1", "@x", "\t=1", "\r@x", "\uff1d1+1"):
        rows = list(csv.DictReader(io.StringIO(render([replace(SIX[0], name=name)], "csv"))))
        assert rows[0]["system"].startswith("'")
    (row,) = csv.DictReader(io.StringIO(render([result(levels([-1.5, -1.5]))], "csv")))
    assert float(row["value"]) == -1.5  # numbers stay numbers


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("see https://example.org", r"see https\://example.org"),  # GitHub makes links of addresses
        ("www.example.org", r"www\.example.org"),
        ("me@example.org", r"me\@example.org"),
        ("psnr[a/view@1]@1", "psnr[a/view@1]@1"),
        ("![x](y)", r"![x]\(y)"),
        ("[x][y]", r"[x]\[y]"),
        ("$x$ a\nb", r"\$x\$ a b"),
        ("<b>&lt;", r"\<b\>&amp;lt;"),
    ],
)
def test_a_text_in_markdown_stays_a_text(text: str, escaped: str) -> None:
    assert markdown_text(text) == escaped


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("- a", r"\- a"),
        ("+ a", r"\+ a"),
        ("1. a", r"1\. a"),
        ("23) a", r"23\) a"),
        ("[x]: https://example.org", r"\[x]: https\://example.org"),
        ("[low, high]: 95 % bootstrap interval", "[low, high]: 95 % bootstrap interval"),
        ("1.5 dB", "1.5 dB"),
        ("---", r"\---"),
        ("-0.5 is low", "-0.5 is low"),
    ],
)
def test_a_text_at_the_start_of_a_line_of_markdown_begins_nothing(text: str, escaped: str) -> None:
    assert markdown_line(text) == escaped


def test_a_line_break_ends_no_comment_in_latex() -> None:
    drawn = draw_latex(Document("a\n\\input{x}", (), ("b\r\n\\input{y}",)))
    assert all(line.startswith("%") for line in drawn.splitlines() if line)


def test_latex_has_as_many_cells_in_each_row_as_columns() -> None:
    drawn = render([*SIX, *CONTROLS], "latex")
    head = [line for line in drawn.splitlines() if line.startswith("system &")]
    rows = [line for line in drawn.splitlines() if line.startswith("wav2lip &")]
    assert [line.count("&") for line in head] == [line.count("&") for line in rows] == [7, 3]


class Stream(io.TextIOWrapper):
    def __init__(self, encoding: str, tty: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_stream_without_arrows_gets_ascii_and_no_error(encoding: str) -> None:
    stream = Stream(encoding, tty=False)
    print_results([replace(SIX[0], name="naïve-日本"), CONTROLS[1]], stream)
    drawn = stream.text()
    assert "WER1 v" in drawn
    assert "inf" in drawn
    assert "\\u65e5" in drawn


def test_colour_only_where_it_is_welcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def drawn(tty: bool) -> str:
        stream = Stream("utf-8", tty)
        print_results(SIX, stream)
        return stream.text()

    assert "\x1b[" in drawn(tty=True)
    assert "\x1b" not in drawn(tty=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in drawn(tty=True)


def test_the_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    stream = Stream("utf-8", tty=False)
    print_results(SIX, stream)
    assert max(cell_len(line) for line in stream.text().splitlines()) <= 70


def test_unknown_formats_and_no_results_are_refused() -> None:
    with pytest.raises(TlbenchError, match="no format 'xlsx'; there are terminal, markdown, csv, json, latex"):
        render(SIX, "xlsx")  # type: ignore[arg-type]
    with pytest.raises(TlbenchError, match="no result to show"):
        render([])
