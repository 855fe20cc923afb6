"""A name that is nearly right is answered with the name that was meant, by one function everywhere."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.draw_house import ROOT, sources
from tests.factories.dataset_factory import make_folder
from tlbench.checkpoints.catalogue import find_card, observer_target
from tlbench.datasets.dataset import dataset_class
from tlbench.datasets.fetch_grid import check_speakers
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError, did_you_mean, listed
from tlbench.generation.controls import control
from tlbench.generation.faults import find_faults
from tlbench.metrics.catalogue import all_columns, find_metric, find_metrics, nearest_column
from tlbench.scoring.view_choice import check_views

OWN_WORDS = {
    "errors.py",
    "texts.py",
    "words.py",
    "lrw.py",
    "grouped_help.py",
    "config_file.py",
}  # other ways out, or words


@given(st.text(max_size=30), st.lists(st.text(max_size=12), max_size=5))
def test_only_a_known_name_is_suggested(word: str, known: list[str]) -> None:
    hint = did_you_mean(word, known)
    assert hint == "" or any(hint == f"; did you mean {name!r}?" for name in known)
    assert all(name in listed(word, known) for name in known)


def test_an_endless_name_is_answered_at_once() -> None:
    assert did_you_mean("psnr" * 10**6, ["psnr"]) == ""


def raise_of(hint: str) -> None:
    raise TlbenchError(f"no such column{hint} (there are others)")


ASKED: dict[str, tuple[Callable[[str], object], str]] = {
    "metric": (lambda name: find_metrics([name]), "psnr"),
    "column": (lambda name: raise_of(nearest_column(name, all_columns())), "psnr"),
    "metric's key": (find_metric, "psnr/paper"),
    "control": (control, "frozen-mouth"),
    "fault": (lambda name: find_faults([name]), "blur"),
    "checkpoint": (find_card, "syncnet"),
    "observer": (observer_target, "syncnet"),
    "data set": (dataset_class, "folder"),
    "speaker": (lambda name: check_speakers([name]), "s12"),
}


@pytest.mark.parametrize("kind", ASKED)
def test_the_nearest_name_is_said(kind: str) -> None:
    ask, name = ASKED[kind]
    with pytest.raises(TlbenchError, match=f"did you mean '{name}'"):
        ask(name + "x")
    with pytest.raises(TlbenchError, match="there are") as far:
        ask("\x1b" * 5000)
    assert "did you mean" not in str(far.value)


@pytest.mark.parametrize(
    ("kind", "spelt", "name"),
    [
        ("metric", "LSE-C", "lse_c"),
        ("metric", "LSE-D at 0", "lse_d_zero"),
        ("metric", "PSNR/frame", "psnr_frame_mean"),
        ("metric", "lse-c/sound", "lse_c/sound"),
        ("metric", "SyncNet", "syncnet"),
        ("metric", "sonud", "sound"),
        ("column", "WER1", "wer1"),
        ("column", "LES-C", "lse_c"),
        ("column", "wre3", "wer3"),
        ("column", "FVD", "fvd"),
        ("control", "Frozen Mouth", "frozen-mouth"),
        ("fault", "Other words", "other-words"),
        ("observer", "AV-HuBERT", "avhubert"),
        ("checkpoint", "SyncNet", "syncnet"),
        ("data set", "LRS2", "lrs2"),
    ],
)
def test_a_name_as_tables_and_papers_spell_it_is_recognised(kind: str, spelt: str, name: str) -> None:
    with pytest.raises(TlbenchError, match=f"did you mean '{name}'"):
        ASKED[kind][0](spelt)


def test_the_nearest_split_and_view_are_said(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"no split 'al'; did you mean 'all'\? \(there are all\)"):
        load_dataset("folder", make_folder(tmp_path), split="al")
    with pytest.raises(TlbenchError, match=r"no such view; did you mean 'small-whole'\? \(there are auto, "):
        check_views({"syncnet": "small-whol"}, ["syncnet"])
    with pytest.raises(TlbenchError, match=r"of observer 'syncent'; did you mean 'syncnet'\?"):
        check_views({"syncent": "auto"}, ["pixels", "syncnet"])


def test_one_function_looks_for_the_nearest_name() -> None:
    found = set()
    for path in [*sources(ROOT / "tlbench"), *sources(ROOT / "observers")]:
        names = {node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)}
        if "get_close_matches" in names:
            found.add(path.name)
    assert found <= OWN_WORDS
