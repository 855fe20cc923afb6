"""What made the videos goes with their numbers: scoring a folder that ``tlbench generate`` filled."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.factories.media_factory import write_clip
from tlbench.checkpoints.catalogue import observer_cards
from tlbench.checkpoints.weights import Weights
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.plan import Plan
from tlbench.scoring.result_file import load_result
from tlbench.scoring.score import Setup, prepare, score, score_all, with_origin

READER = next(card for card in observer_cards("avhubert") if card.name == "avhubert")


def note(**trained: Any) -> dict[str, Any]:
    return {
        "form": 2,
        "checkpoint": {"sha256": "c" * 64, "config": {"generator": {}, "trained": trained}},
        "checkpoint_file": "best.pth",
        "identity": "first",
        "trim": "both-ends",
        "boxes": "given",
        "made_with": {"tlbench": "0.1.0", "torch": "2"},
        "clips": {"a": {"reference": "0" * 64}},
    }


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name in ("refs", "gen", "other"):
        (tmp_path / name).mkdir()
        write_clip(tmp_path / name / "a.mp4", frames=4)
    return tmp_path


def write(folder: Path, content: object) -> None:
    (folder / "generation.json").write_text(json.dumps(content))


def setup(trained_with: tuple[str, ...] = ()) -> Setup:
    used = Weights(READER, Path("reader"), "e" * 64)
    return Setup((), Plan((), BoxRule("haar"), Path(), "cpu"), (used,), (), trained_with=trained_with)


def test_the_result_says_what_made_the_videos(folders: Path) -> None:
    expert = {"name": "avhubert-grid", "sha256": "d" * 64}
    write(folders / "gen", note(recipe={"variant": "g+c"}, trained_with=["avhubert-grid"], expert=expert))
    results = score_all(["gen", "other"], "folder", "refs", metrics=["psnr"], controls=["reencoded"], out=Path("out"))
    stored = [load_result(Path("out") / place / "result.json") for place in ("gen", "other", "controls/reencoded")]
    assert stored[0].provenance["generation"] == {
        "checkpoint": {"file": "best.pth", "sha256": "c" * 64},
        "tlbench": "0.1.0",
        "identity": "first",
        "trim": "both-ends",
        "boxes": "given",
        "variant": "g+c",
        "expert": expert,
        "trained_with": ["avhubert-grid"],
    }
    assert [result.trained_with for result in results] == [("avhubert-grid",), (), ()]
    assert ["generation" in result.provenance for result in stored] == [True, False, False]


@pytest.mark.parametrize(
    ("trained", "said", "names"),
    [
        ({"expert": {"name": "avhubert", "sha256": "f" * 64}}, "'avhubert', which also scores it", ("avhubert",)),
        ({"expert": {"name": "mine", "sha256": "e" * 64}}, "'avhubert', which also scores it", ("avhubert",)),
        ({"trained_with": ["talklip-expert"]}, "a relative of observer 'avhubert'", ("talklip-expert",)),
        ({"expert": {"name": "mine", "sha256": "f" * 64}}, "", ("other:mine",)),
        ({"trained_with": []}, "", ()),
    ],
)
def test_the_generators_expert_is_no_fair_judge_of_its_videos(
    tmp_path: Path, trained: dict[str, Any], said: str, names: tuple[str, ...]
) -> None:
    write(tmp_path, note(**trained))
    own = with_origin(setup(), tmp_path)
    assert own.trained_with == names
    assert len(own.overlaps) == bool(said)
    assert said in "".join(own.overlaps)


def test_what_is_declared_stays_and_none_gives_way_to_what_the_note_names(tmp_path: Path) -> None:
    write(tmp_path, note(expert={"name": "avhubert", "sha256": "f" * 64}))
    assert with_origin(setup(("syncnet",)), tmp_path).trained_with == ("syncnet", "avhubert")
    assert with_origin(setup(("none",)), tmp_path).trained_with == ("avhubert",)
    write(tmp_path, note())
    assert with_origin(setup(("none",)), tmp_path).trained_with == ("none",)


def test_the_overlap_is_warned_of_and_recorded(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folders / "gen", note(expert={"name": "avhubert", "sha256": "e" * 64}))
    monkeypatch.setattr("tlbench.scoring.score.prepare", _with_reader)
    with pytest.warns(UserWarning, match="observer overlap: the system was trained with 'avhubert'"):
        result = score("gen", "folder", "refs", metrics=["psnr"], out=Path("out"))
    assert result.trained_with == ("avhubert",)
    assert [line for line in result.remarks if line.startswith("observer overlap")]


def _with_reader(*words: Any, **options: Any) -> Setup:
    return replace(prepare(*words, **options), weights=setup().weights)


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"\xff\xfe", b'{"checkpoint": 3, "made_with": [], "clips": "x"}', b"[" * 100_000],
    ids=["broken", "list", "no text", "other types", "deep"],
)
def test_a_note_that_says_nothing_stops_no_scoring(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "generation.json").write_bytes(content)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        own = with_origin(setup(("none",)), tmp_path)
    assert (own.trained_with, own.overlaps) == (("none",), ())
    assert all("generation.json" in str(warning.message) for warning in told)
    assert len(told) == (content[:2] != b'{"')


def test_nothing_long_strange_or_leading_elsewhere_is_handed_on(tmp_path: Path) -> None:
    strange = note(trained_with=["x" * 5000, "a\nb", 3, "fine"], expert={"name": {"deep": 1}, "sha256": None})
    write(tmp_path, strange | {"checkpoint_file": "/home/me/best.pth"})
    origin = with_origin(setup(), tmp_path).origin
    assert origin is not None
    assert origin["trained_with"] == ["fine"]
    assert "expert" not in origin
    assert origin["checkpoint"]["file"] == "best.pth"
