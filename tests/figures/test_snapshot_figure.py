"""Figures of one clip: the right frames under the right labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.factories.media_factory import number_of, write_clip
from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Span
from tlbench.datasets.word_times import word_times
from tlbench.errors import TlbenchError
from tlbench.figures import snapshot_figure
from tlbench.figures.figure_files import Width
from tlbench.figures.snapshot_figure import plot_snapshots
from tlbench.figures.snapshots import Moment, SnapshotRow


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A clip of 20 frames by three systems: whole, short, and broken."""
    for place, frames in (("refs", 20), ("whole", 20), ("short", 12)):
        (tmp_path / place).mkdir()
        write_clip(tmp_path / place / "a.mp4", frames=frames)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.mp4").write_bytes(b"nothing")
    (tmp_path / "refs" / "a.txt").write_text(
        "Text:  HELLO THERE\nConf:  10\n\nWORD START END ASDSCORE\nHELLO 0.1 0.4 9\nTHERE 0.4 0.75 9\n"
    )
    return tmp_path


class Drawn:
    """What would have been drawn."""

    def __call__(
        self, title: str, moments: list[Moment], rows: list[SnapshotRow], path: Path, width: str | None
    ) -> None:
        self.title, self.moments, self.rows = title, moments, rows


def test_each_column_shows_the_frame_of_its_moment_in_every_row(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn()
    monkeypatch.setattr(snapshot_figure, "draw_snapshots", drawn)
    folders = [desk / name for name in ("whole", "short", "broken")]
    missing = plot_snapshots(folders, "folder", desk / "refs", "a", desk / "out.png", count=4)
    assert [moment.seconds for moment in drawn.moments] == pytest.approx([0.1, 0.3, 0.5, 0.7])
    shown = [[None if frame is None else number_of(frame) for frame in row.frames] for row in drawn.rows]
    assert shown == [[2, 7, 12, 17], [2, 7, 12, 17], [2, 7, None, None], []]
    assert [row.name for row in drawn.rows] == ["Ground truth", "whole", "short", "broken"]
    assert len(missing) == 1
    assert missing[0].startswith("broken: ")
    assert [moment.word for moment in drawn.moments] == ["HELLO", "HELLO", "THERE", "THERE"]
    assert drawn.title == "a   HELLO THERE"


def test_moments_may_be_named_and_labels_left_out(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = Drawn()
    monkeypatch.setattr(snapshot_figure, "draw_snapshots", drawn)
    words: dict[str, Any] = {"labels": False, "names": ["Ours"]}
    plot_snapshots([desk / "whole"], "folder", desk / "refs", "a", desk / "o.png", at_seconds=[0.6, 0.04], **words)
    assert [number_of(frame) for frame in drawn.rows[1].frames if frame is not None] == [15, 1]
    assert drawn.rows[1].name == "Ours"
    assert [moment.word for moment in drawn.moments] == ["", ""]


def test_a_strip_is_a_picture_with_the_frames_in_it(desk: Path) -> None:
    out = desk / "new" / "strip.png"
    plot_snapshots([desk / "whole", desk / "short"], "folder", desk / "refs", "a", out, count=3)
    picture = np.asarray(Image.open(out).convert("RGB")).astype(int)
    assert picture.shape[1] > picture.shape[0] > 400
    assert picture.std(axis=(0, 1)).min() > 20
    assert [path.name for path in out.parent.iterdir()] == ["strip.png"]


@pytest.mark.parametrize(("width", "inches"), [("column", 3.3), ("page", 6.875)])
def test_figures_for_papers_have_the_width_of_a_column_or_page_and_their_fonts_inside(
    desk: Path, width: Width, inches: float
) -> None:
    files = {kind: desk / f"strip.{kind}" for kind in ("pdf", "svg", "png")}
    for path in files.values():
        plot_snapshots([desk / "whole"], "folder", desk / "refs", "a", path, count=4, width=width)
    pdf = files["pdf"].read_bytes()
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([0-9.]+) ([0-9.]+) \]", pdf)
    assert float(box[0]) == pytest.approx(72 * inches, abs=0.01)
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    svg = files["svg"].read_text("utf-8")
    assert f'width="{72 * inches:g}pt"' in svg
    assert "<text" not in svg  # letters are outlines
    with Image.open(files["png"]) as picture:
        assert picture.size[0] == pytest.approx(200 * inches, abs=1)
    again = desk / "again.pdf"
    plot_snapshots([desk / "whole"], "folder", desk / "refs", "a", again, count=4, width=width)
    assert again.read_bytes() == pdf  # no date


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clip": "b"}, "b is not one of its clips"),
        ({"out": Path("strip.jpg")}, r"ends in \.png, \.pdf or \.svg"),
        ({"count": 12, "width": "column"}, "--frames 12: a column of 3.3 in has room for 8"),
        ({"at_seconds": [0.2, 9.0]}, "9 s is outside its 0.8 s"),
        ({"begin_seconds": 0.5, "end_seconds": 0.2}, "0.5 to 0.2 s is no part of its 0.8 s"),
        ({"names": ["a", "b"]}, "2 names for 1 folders"),
    ],
)
def test_strips_that_can_not_be_drawn(desk: Path, changes: dict[str, Any], said: str) -> None:
    words = {"clip": "a", "out": desk / "out.png", **changes}
    with pytest.raises(TlbenchError, match=said):
        plot_snapshots([desk / "whole"], "folder", desk / "refs", words.pop("clip"), words.pop("out"), **words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Text:  A B\n\nWORD START END ASDSCORE\nA 0.10 0.20 1\nB 0.5 oops 1\nC 0.9 0.3 1\n", [Span(0.1, 0.2, "A")]),
        ("Disk reference: 1\nDuration: 0.53 seconds\n", [Span(0.315, 0.845, "A")]),
        ("Duration: 99 seconds\n", [Span(0.0, 1.16, "A")]),
        ("Duration: ... seconds\n", []),
        ("Text:  A B\n", []),
    ],
)
def test_words_are_where_the_text_file_says(tmp_path: Path, text: str, expected: list[Span]) -> None:
    (tmp_path / "a.txt").write_text(text)
    found = word_times(Clip("a", tmp_path / "a.mp4", word="A"), [])
    assert [span.label for span in found] == [span.label for span in expected]
    for span, wanted in zip(found, expected, strict=True):
        assert (span.begin_seconds, span.end_seconds) == pytest.approx((wanted.begin_seconds, wanted.end_seconds))


def test_words_that_the_data_set_times_are_taken_and_silences_are_not(tmp_path: Path) -> None:
    spans = [Span(0, 0.1, "sil"), Span(0.1, 0.3, "bin"), Span(0.3, 0.5, "blue"), Span(0.5, 0.6, "sil")]
    found = word_times(Clip("a", tmp_path / "a.mp4", transcript="bin blue"), spans)
    assert [span.label for span in found] == ["bin", "blue"]
    assert word_times(Clip("a", None, transcript="bin"), []) == ()
