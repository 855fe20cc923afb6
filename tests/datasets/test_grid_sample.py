"""The sample of GRID: twelve test clips, found in a folder of GRID or where GRID is known to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.factories.dataset_factory import make_grid_sample, touch
from tlbench.checkpoints.catalogue import find_card
from tlbench.checkpoints.weights import find_weights
from tlbench.datasets import grid_sample
from tlbench.datasets.grid import transcript_of_id
from tlbench.datasets.grid_sample import SAMPLE, sample_root
from tlbench.datasets.selection import load_dataset
from tlbench.errors import TlbenchError

SHARED = Path(os.environ.get("TLBENCH_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLBENCH_CONFIG", str(tmp_path / "config"))
    for name in ("TLBENCH_GRID", "TLBENCH_GRID_SAMPLE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "installed").mkdir()
    monkeypatch.setattr(grid_sample, "files", lambda package: tmp_path / "installed")


def test_its_clips_are_those_of_the_sample_that_are_there(tmp_path: Path) -> None:
    clips = load_dataset("grid-sample", make_grid_sample(tmp_path / "grid")).clips
    assert [clip.id for clip in clips] == ["s1/bbaf2n", "s1/bgah1s", "s1/sgbp5s"]
    assert clips[0].transcript == "bin blue at f two now"
    assert clips[0].speaker == "s1"


def test_it_is_found_bundled_or_where_grid_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sample_root() is None
    with pytest.raises(TlbenchError, match="its clips are not here; fetch them with `tlbench data fetch grid FOLDER"):
        load_dataset("grid-sample", None)
    monkeypatch.setenv("TLBENCH_GRID", str(make_grid_sample(tmp_path / "grid")))
    assert sample_root() == tmp_path / "grid"
    assert len(load_dataset("grid-sample", None).clips) == 3
    touch(tmp_path / "installed" / "bundled", "s1/bbaf2n.mp4")
    assert sample_root() == tmp_path / "installed" / "bundled"
    assert len(load_dataset("grid-sample", None).clips) == 1
    touch(tmp_path / "other", "s1/lwbs8p.mpg")
    with pytest.raises(TlbenchError, match="has none of its clips"):
        load_dataset("grid-sample", tmp_path / "other")


@pytest.mark.parametrize("observer", ["avhubert", "autoavsr", "syncnet"])
def test_the_bundled_observers_of_grid_are_those_of_its_sample(observer: str) -> None:
    card = find_card(f"{observer}-grid")
    found = find_weights([card], {}, "grid-sample")
    assert found is not None
    assert found.path == card.package


def test_the_sample_is_twelve_sentences_all_different() -> None:
    said = [transcript_of_id(clip.partition("/")[2]) for clip in SAMPLE]
    assert None not in said
    assert len(set(said)) == 12


def test_the_sample_is_every_eighth_test_clip() -> None:
    listing = SHARED / "data" / "grid" / "split_test.txt"
    if not listing.is_file():
        pytest.skip("needs the split of GRID")
    assert tuple(listing.read_text().split()[::8][:12]) == SAMPLE
