"""Public functions take plain strings for paths and names: a lone string is a list of one, never of its letters."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tlbench
from tests.factories.media_factory import write_clip
from tlbench.arguments import as_names, as_path, as_paths, as_weights
from tlbench.checkpoints.catalogue import observer_names
from tlbench.errors import TlbenchError
from tlbench.observing.registry import observer_class

words = st.text(st.characters(blacklist_characters=",\0", blacklist_categories=["Cs"]), min_size=1).filter(
    lambda text: text == text.strip()
)
FUNCTIONS = {name: getattr(tlbench, name) for name in tlbench.__all__ if callable(getattr(tlbench, name))}


@given(st.lists(words, min_size=1))
def test_names_are_the_same_in_one_string_and_in_several(names: list[str]) -> None:
    assert as_names(", ".join(names)) == as_names(",".join(names)) == as_names(names) == tuple(names)


@given(st.text(st.characters(blacklist_characters="\0"), min_size=1))
def test_a_path_is_one_path_whatever_is_in_it(path: str) -> None:
    assert as_paths(path) == as_paths([path]) == as_paths(Path(path)) == (as_path(path),)
    assert as_weights({"syncnet": path}) == {"syncnet": Path(path)}


@pytest.mark.parametrize("names", ["", ",", " , ", [""], ["", " "]])
def test_a_list_that_names_nothing_is_refused(names: str | list[str]) -> None:
    with pytest.raises(TlbenchError, match="names nothing; give names, separated by commas, or leave it out"):
        as_names(names)
    assert as_names(()) == ()


def test_nothing_given_stays_nothing() -> None:
    assert as_path(None) is None
    assert as_names(None) is None
    assert as_weights(None) == {}
    assert as_paths([]) == as_names([]) == ()


def parameters() -> list[tuple[str, str, Any]]:
    return [
        (function, name, hint)
        for function, call in FUNCTIONS.items()
        for name, hint in typing.get_type_hints(call).items()
        if name != "return" and inspect.isfunction(call)
    ]


def alternatives(hint: Any) -> set[Any]:
    """The types of a union, those of unions within it too."""
    inner = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, type(int | str)) else ()
    return set().union(*map(alternatives, inner)) if inner else {hint}


def test_whatever_takes_a_path_or_a_list_takes_a_string() -> None:
    found = list(parameters())
    assert len(found) > 10
    for function, name, hint in found:
        check_hint(function, name, hint)


def check_hint(function: str, name: str, hint: Any) -> None:
    kinds = alternatives(hint)
    listed = {kind for kind in kinds if typing.get_origin(kind) is Sequence}
    mapped = {kind for kind in kinds if typing.get_origin(kind) is Mapping}
    if Path in kinds or listed:
        assert str in kinds, f"{function}({name}=...) takes no plain string: {hint}"
    for kind in (*listed, *mapped):
        held = alternatives(typing.get_args(kind)[-1])
        assert Path not in held or str in held, f"{function}({name}=...) holds no plain strings: {hint}"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("real", "made"):
        (tmp_path / folder).mkdir()
        write_clip(tmp_path / folder / "a.mp4", frames=6, codec_options={"crf": "20" if folder == "real" else "35"})
    return tmp_path


def test_a_run_with_strings_is_the_run_with_paths_and_lists(folders: Path) -> None:
    with_strings = tlbench.score(
        "made", "folder", "real", metrics="psnr_frame, ssim_frame", trained_with="none", cache="cache", out="one"
    )
    with_objects = tlbench.score(
        Path("made"),
        "folder",
        Path("real"),
        metrics=["psnr_frame", "ssim_frame"],
        trained_with=["none"],
        cache=Path("cache"),
        out=Path("two"),
    )
    assert with_strings.rows() == with_objects.rows()
    assert with_strings.trained_with == with_objects.trained_with == ("none",)
    assert (folders / "cache").is_dir()
    assert not (folders / "c").exists()
    compared = tlbench.compare("one/made", "two/made", metrics="psnr_frame/sound,ssim_frame/sound")
    assert len(compared.rows) == 2
    assert tlbench.aggregate("one/made", "ssim_frame").metrics == tlbench.aggregate("two/made", ["ssim_frame"]).metrics
    assert tlbench.report("one/made", videos="made", out="page.html") == Path("page.html")


def test_several_folders_and_all_controls(folders: Path) -> None:
    made = tlbench.score_all("made", "folder", "real", metrics="psnr_frame", controls="ground-truth", cache="cache")
    assert [result.name for result in made] == ["made", "ground-truth"]
    again = tlbench.score_all(
        ["made"], "folder", "real", metrics="psnr_frame", controls=["ground-truth"], cache="cache"
    )
    assert [result.rows() for result in made] == [result.rows() for result in again]


def test_a_misspelt_checkpoint_is_named_before_anything_is_scored(folders: Path) -> None:
    with pytest.raises(TlbenchError, match="did you mean 'avhubert-synthetic'"):
        tlbench.score("made", "folder", "real", metrics="psnr_frame", trained_with="avhubert-synthetc", cache="cache")
    assert not (folders / "tlbench-results").exists()


def test_all_leaves_out_what_has_no_checkpoint_and_a_name_does_not(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(folders / "none"))
    with pytest.warns(UserWarning, match="left out: (no checkpoint of observer|.* not installed)") as told:
        found = tlbench.score("made", "folder", "real", metrics="all", cache="cache")
    observers = {metric.observer for metric in found.metrics}
    assert observers - {"identity"} == {"landmarks", "pixels", "sharpness"}  # identity needs an extra
    with_weights = [name for name in observer_names() if observer_class(name).needs.weights]
    assert sum("left out: no checkpoint" in str(warning.message) for warning in told) == len(with_weights)
    with pytest.raises(TlbenchError, match="the checkpoint of observer 'syncnet' is not here"):
        tlbench.score("made", "folder", "real", metrics="all,lse_c", cache="cache")
