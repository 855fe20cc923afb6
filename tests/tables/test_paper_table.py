"""The table of a paper: best bold and second underlined only where tests show it, protocol ids and n in the caption."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.factories.results_factory import levels, mean_of, metric, result
from tlbench.errors import TlbenchError
from tlbench.metrics.presets import Preset
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.sets import set_metric
from tlbench.scoring.result import Result, Role
from tlbench.scoring.set_scores import SetScore
from tlbench.tables.paper_table import absent_note, paper_table
from tlbench.tables.result_table import render

LEVEL = mean_of("level")
PSNR = metric("psnr", tally=LEVEL, label="PSNR", unit="dB")
PAPER_PSNR = metric("psnr", "paper", tally=LEVEL, label="PSNR", unit="dB")
LMD = metric("lmd", "paper", tally=LEVEL, label="LMD", unit="px", better="lower", digits=1)
TURN = metric("turn", tally=LEVEL, label="turn_x", better="none")
PRESET = Preset("paper-avatar", "", ("fid/sound", "lmd/paper", "psnr", "turn"))
NOISE = np.random.default_rng(0).normal(0, 1, 30)


def system(
    name: str, level: float, *, apart: float = 0.0, role: Role = "system", boxes: str | None = None, n: int = 30
) -> Result:
    numbers = level + NOISE[:n] + apart * np.random.default_rng(len(name)).normal(0, 1, n)
    return result(levels(numbers.tolist()), [PSNR, LMD, TURN], name=name, role=role, boxes=boxes)


def cells(drawn: str, name: str) -> list[str]:
    (line,) = [line for line in drawn.splitlines() if line.startswith(name)]
    return [cell.strip() for cell in line.removesuffix(r"\\").split("&")][1:]


A, B, C = system("alpha", 30.0), system("beta", 25.0), system("gamma", 20.0)


def test_the_best_is_bold_and_the_second_underlined_by_the_direction_of_each_column() -> None:
    drawn = paper_table([B, A, C], PRESET)
    assert [re.sub(r"[0-9.]+", "x", cell) for cell in cells(drawn, "alpha")] == ["x", r"\textbf{x}", "x"]
    assert [re.sub(r"[0-9.]+", "x", cell) for cell in cells(drawn, "beta")] == [r"\underline{x}", r"\underline{x}", "x"]
    assert [re.sub(r"[0-9.]+", "x", cell) for cell in cells(drawn, "gamma")] == [r"\textbf{x}", "x", "x"]


def test_values_and_heads_are_those_of_the_results() -> None:
    drawn = paper_table([A, B], PRESET)
    assert cells(drawn, "alpha")[0] == rf"\underline{{{A.row('lmd/paper').value:.1f}}}"
    assert r"& LMD (px) $\downarrow$ & PSNR (dB) $\uparrow$ & turn\_x \\" in drawn


def test_what_no_test_shows_is_a_tie_and_both_are_bold() -> None:
    near = system("delta", 30.02, apart=1.0)
    drawn = paper_table([A, near, C], PRESET)
    assert cells(drawn, "alpha")[1].startswith(r"\textbf")
    assert cells(drawn, "delta")[1].startswith(r"\textbf")
    assert "underline" not in cells(drawn, "gamma")[1]  # two are better


def test_a_column_in_which_no_test_shows_a_difference_has_no_marks() -> None:
    drawn = paper_table([A, system("delta", 30.02, apart=1.0)], PRESET)
    assert not re.search("textbf|underline", "".join((*cells(drawn, "alpha"), *cells(drawn, "delta"))))
    assert "A ranked column with neither shows no difference." in drawn


def test_one_system_alone_is_not_the_best_of_anything() -> None:
    drawn = paper_table([A], PRESET)
    assert "textbf" not in drawn
    assert "underline" not in drawn


def test_controls_are_below_a_rule_and_never_marked() -> None:
    drawn = paper_table([system("reencoded", 99.0, role="control"), A, B], PRESET)
    assert drawn.index("alpha") < drawn.index(r"\midrule", drawn.index("alpha")) < drawn.index("reencoded")
    assert not any("text" in cell for cell in cells(drawn, "reencoded"))
    assert cells(drawn, "alpha")[1].startswith(r"\textbf")


def test_other_protocols_are_not_ranked_and_the_caption_says_which() -> None:
    drawn = paper_table([A, system("beta", 25.0, boxes="haar")], PRESET)
    assert cells(drawn, "alpha")[1].endswith(r"\textsuperscript{a}")
    assert cells(drawn, "beta")[1].endswith(r"\textsuperscript{b}")
    assert "textbf{" not in "".join(cells(drawn, "alpha"))
    assert drawn.count(r"\textsuperscript{b}\texttt{psnr") == 1


def test_systems_of_other_real_videos_are_not_ranked_and_the_caption_says_so() -> None:
    """In a private data set ``001`` may be any clip: their numbers are no pair."""
    other = replace(
        C, clips=tuple(replace(clip, info=replace(clip.info, reference_sha256="other")) for clip in C.clips)
    )
    known = [
        replace(one, clips=tuple(replace(clip, info=replace(clip.info, reference_sha256="one")) for clip in one.clips))
        for one in (A, B)
    ]
    drawn = paper_table([*known, other], PRESET)
    assert not re.search("textbf|underline", drawn)
    first = min(clip.id for clip in A.clips)
    assert f"Nothing is ranked: alpha and gamma are of different real videos (clip {first})." in drawn
    assert "textbf" in paper_table(known, PRESET)


def test_the_caption_has_the_protocol_id_of_every_column_and_n() -> None:
    drawn = paper_table([A, B], PRESET)
    caption = next(line for line in drawn.splitlines() if line.startswith(r"\caption"))
    plain = caption.replace(r"\allowbreak{}", "").replace("{[}", "[").replace("{]}", "]")
    for key in ("psnr/sound", "lmd/paper", "turn/sound"):
        assert A.protocols[key].id in plain
    assert "toy:test, $n = 30$ clips." in plain


def test_fewer_clips_are_marked() -> None:
    few = result(levels(NOISE[:20].tolist()), [PSNR], name="few", expected=30)
    drawn = paper_table([A, few], PRESET)
    assert cells(drawn, "few")[1].endswith(r"\textsuperscript{*}")
    assert "*: fewer clips were scored." in drawn
    assert cells(drawn, "few")[0] == "--"


def test_a_name_wanted_in_both_arithmetics_has_one_column_as_published() -> None:
    both = result(levels([1.0, 2.0, 3.0]), [PSNR, PAPER_PSNR], name="both")
    drawn = paper_table([both], Preset("x", "", ("psnr",)))
    assert drawn.count("PSNR (dB)") == 1
    assert "/paper]" in drawn.replace(r"\allowbreak{}", "").replace("{]}", "]")


def test_what_is_wanted_and_not_there_is_said() -> None:
    assert absent_note([A], PRESET) == "not in these results, of preset paper-avatar: fid/sound"
    assert absent_note([A], Preset("x", "", ("psnr",))) == ""
    with pytest.raises(TlbenchError, match="none of the numbers of preset x; score with --metrics x"):
        paper_table([A], Preset("x", "", ("fid",)))


def test_no_name_can_act() -> None:
    drawn = paper_table([replace(A, name="a_b & \\input{x}%\n[y]"), B], PRESET)
    assert r"a\_b \& \textbackslash{}input\{x\}\% {[}y{]} &" in drawn


def test_every_row_has_as_many_cells_as_columns() -> None:
    drawn = paper_table([A, B, C, system("static", 3, role="control")], PRESET)
    rows = [line for line in drawn.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {3}


def test_presets_are_columns_of_the_other_formats_too() -> None:
    drawn = render([A, B], width=200, columns=["paper-avatar"])
    assert "LMD" in drawn
    assert "PSNR" in drawn
    assert "turn" not in drawn


def test_a_number_by_a_network_that_the_system_was_trained_with_is_marked() -> None:
    def with_lpips(of: Result, *names: str) -> Result:
        protocol = replace(of.protocols["lmd/paper"], weights="7be5be791159")
        weights = {"alexnet": {"sha256": "7be5be791159472b"}, "syncnet": {"sha256": "961e8696f888fce4"}}
        protocols = {**of.protocols, "lmd/paper": protocol}
        return replace(of, protocols=protocols, provenance={"weights": weights}, trained_with=names)

    drawn = paper_table([with_lpips(A, "alexnet"), with_lpips(B, "syncnet"), with_lpips(C, "none")], PRESET)
    assert cells(drawn, "alpha")[0].endswith(r"\textsuperscript{\ddag{}}")
    assert drawn.count(r"\textsuperscript{\ddag{}}") == 1
    assert r"\ddag{}: the network is, or is a relative of, what the system was trained with" in drawn
    assert r"\ddag" not in paper_table([with_lpips(B, "syncnet"), C], PRESET)


def test_numbers_of_a_whole_set_are_ranked_by_their_paired_jackknife() -> None:
    fid = set_metric("fid")
    protocol = Protocol.of(fid, dataset="toy", split="test", view="frames@1", decoding="pyav-25fps@1")

    def with_fid(of: Result, value: float, wobble: float) -> Result:
        without = tuple(value + wobble * x for x in (-1.0, 1.0, -0.5, 0.5, -0.2, 0.2))
        score = SetScore(fid, protocol, value, value - 1, value + 1, 30, 2100, 2100, "clips", without, (350,) * 6, "g")
        return replace(of, sets=(score,))

    preset = Preset("x", "", ("fid",))
    drawn = paper_table([with_fid(A, 20.0, 0.01), with_fid(B, 20.5, 0.012), with_fid(C, 60.0, 0.01)], preset)
    assert [cells(drawn, name)[0] for name in ("alpha", "beta", "gamma")] == [
        r"\textbf{20.00}",
        r"\underline{20.50}",
        "60.00",
    ]
    assert "fid" in drawn
    assert absent_note([with_fid(A, 20.0, 0.01)], preset) == ""


@pytest.mark.slow
def test_it_compiles(tmp_path: Path) -> None:
    engine = next((found for name in ("tectonic", "pdflatex") if (found := shutil.which(name))), None)
    if engine is None:
        pytest.skip("there is no LaTeX here (tectonic or pdflatex)")
    systems: Sequence[Result] = [A, B, C, replace(A, name="x_1 50% [b] \\y"), system("static", 3, role="control")]
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs}\begin{document}"
        + paper_table(systems, PRESET)
        + r"\end{document}"
    )
    quiet = [] if engine.endswith("tectonic") else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([engine, *quiet, "paper.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 5000
