"""``check`` with faces: it says the same of the faces as a run with observers that need boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

import tlbench.checking as checking
from tests.factories.media_factory import tone
from tests.observing.test_face_checks import FACE, FRAMES, Bright, picture, zoomed
from tlbench import check
from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video
from tlbench.observing.face_boxes import BoxRule, GuideSource
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.runner import ObserverRunner
from tlbench.preflight.check import CheckReport
from tlbench.preflight.faces import FACE_CODES
from tlbench.preflight.headers import Expected

OF_FACES = {*FACE_CODES, "framing"}
Pictures = list[np.ndarray]


@pytest.fixture(autouse=True)
def bright(monkeypatch: pytest.MonkeyPatch) -> Bright:
    detector = Bright()
    monkeypatch.setattr("tlbench.observing.clip_checker.embedded_detector", Bright)
    monkeypatch.setattr("tlbench.observing.clip_faces.embedded_detector", Bright)
    monkeypatch.setattr("tlbench.observing.face_boxes.load_detector", lambda rule: detector)
    return detector


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def faceless(count: int, at: int = 5) -> Pictures:
    """A whole clip whose face is away for ``count`` frames."""
    return [picture(face=None if at <= i < at + count else FACE) for i in range(FRAMES)]


def write(folder: Path, made: Pictures, real: Pictures | None, boxes: Sequence[int] | None = None) -> Clip:
    """One clip ``c``: the generated video in ``made/``, the real one in ``real/``, boxes in ``boxes/``."""
    for name, frames, quality in (("made", made, 12), ("real", real, 4)):
        (folder / name).mkdir(exist_ok=True)
        if frames is not None:
            write_video(folder / name / "c.mp4", frames, crf=quality, samples=tone(len(frames) / 25)[:, 0])
    if boxes is not None:
        (folder / "boxes").mkdir(exist_ok=True)
        np.save(folder / "boxes" / "c.npy", np.tile(boxes, (FRAMES, 1)))
    return Clip(
        "c",
        reference=folder / "real" / "c.mp4" if real is not None else None,
        generated=folder / "made" / "c.mp4",
        boxes=folder / "boxes" / "c.npy" if boxes is not None else None,
    )


def checked(folder: Path, boxes_from: GuideSource = "reference", face: str | None = None) -> CheckReport:
    boxes = folder / "boxes" if (folder / "boxes").is_dir() else None
    return check(
        folder / "made",
        "folder",
        folder / "real",
        boxes=boxes,
        faces=True,
        boxes_from=boxes_from,
        detector="haar",
        face=face,
        workers=1,
    )


def of_faces(findings: Sequence[object]) -> list[tuple[str, str]]:
    return sorted((f.code, f.message) for f in findings if f.code in OF_FACES)  # type: ignore[attr-defined]


CASES: dict[str, tuple[Callable[[], Pictures], Callable[[], Pictures], Sequence[int] | None, GuideSource, set[str]]] = {
    "all well": (lambda: [picture()] * FRAMES, lambda: [picture()] * FRAMES, None, "reference", set()),
    "other size": (lambda: [picture((80, 80))] * FRAMES, lambda: [picture()] * FRAMES, None, "reference", set()),
    "a crop": (lambda: [zoomed(1.6)] * FRAMES, lambda: [picture()] * FRAMES, None, "reference", {"framing"}),
    "a larger crop": (
        lambda: [zoomed(1.6, (320, 320))] * FRAMES,
        lambda: [picture()] * FRAMES,
        None,
        "reference",
        {"framing"},
    ),
    "a crop, boxes given": (
        lambda: [zoomed(1.6)] * FRAMES,
        lambda: [picture()] * FRAMES,
        FACE,
        "reference",
        {"framing", "boxes-unmarked"},
    ),
    "a crop, boxes of each": (lambda: [zoomed(1.6)] * FRAMES, lambda: [picture()] * FRAMES, None, "generated", set()),
    "the real face away": (
        lambda: [picture()] * FRAMES,
        lambda: faceless(12),
        None,
        "reference",
        {"reference-no-face"},
    ),
    "away for a moment": (lambda: [picture()] * FRAMES, lambda: faceless(3), None, "reference", {"faces-filled"}),
    "the generated face away": (
        lambda: faceless(12),
        lambda: [picture()] * FRAMES,
        None,
        "reference",
        {"faces-missing"},
    ),
    "away, boxes of each": (lambda: faceless(12), lambda: [picture()] * FRAMES, None, "generated", {"faces-missing"}),
    "mostly away": (lambda: faceless(30), lambda: [picture()] * FRAMES, None, "generated", {"no-face"}),
    "longer than the real": (
        lambda: [*[picture()] * FRAMES, *[zoomed(1.8)] * 30][: FRAMES + 30],
        lambda: [picture()] * FRAMES,
        None,
        "reference",
        set(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_says_what_a_run_says(tmp_path: Path, case: str) -> None:
    made, real, boxes, source, codes = CASES[case]
    clip = write(tmp_path, made(), real(), boxes)
    report = checked(tmp_path, source)
    assert {code for code, _ in of_faces(report.findings)} == codes
    assert report.not_checked == ("pictures of the real videos",)
    rule = BoxRule("haar", source=source)
    expected = Expected(boxes_of_each=source == "generated")
    plan = Plan((ObserverPlan("pixels", ("face",)),), rule, tmp_path / "other", expected=expected)
    (run,) = ObserverRunner(plan).observe([clip])
    assert of_faces(report.findings) == of_faces(run.findings)


@pytest.mark.parametrize("source", ["reference", "generated"])
def test_faces_that_the_real_video_itself_lacks_are_told_once(tmp_path: Path, source: GuideSource) -> None:
    clip = write(tmp_path, faceless(30), faceless(30))
    assert clip.reference is not None
    assert clip.generated is not None
    clip.generated.write_bytes(clip.reference.read_bytes())
    report = checked(tmp_path, source)
    assert [code for code, _ in of_faces(report.findings)] == ["reference-no-face"]
    plan = Plan(
        (ObserverPlan("pixels", ("face",)),),
        BoxRule("haar", source=source),
        tmp_path / "other",
        expected=Expected(boxes_of_each=source == "generated"),
    )
    assert of_faces(report.findings) == of_faces(ObserverRunner(plan).observe([clip])[0].findings)


def test_a_run_after_it_does_not_search_again(tmp_path: Path, cache: Path, bright: Bright) -> None:
    clip = write(tmp_path, [picture()] * FRAMES, [picture()] * FRAMES)
    checked(tmp_path)
    assert bright.searches > 0
    bright.searches = 0
    ObserverRunner(Plan((ObserverPlan("pixels", ("face",)),), BoxRule("haar"), cache)).observe([clip])
    assert bright.searches == 0


def test_without_faces_no_detector_is_asked_and_it_is_said(tmp_path: Path, bright: Bright) -> None:
    write(tmp_path, [zoomed(1.6)] * FRAMES, [picture()] * FRAMES)
    report = check(tmp_path / "made", "folder", tmp_path / "real", workers=1)
    assert of_faces(report.findings) == []
    assert report.not_checked == ("pictures of the real videos", "faces")
    assert report.to_json()["not_checked"] == ["pictures of the real videos", "faces"]
    assert bright.searches == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b""), "faces of 1 clip that are missing or have an error"),
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "faces of 1 clip that are missing or have an error"),
    ],
)
def test_clips_that_can_not_be_looked_at_are_counted(
    tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    clip = write(tmp_path, [picture()] * FRAMES, [picture()] * FRAMES)
    assert clip.generated is not None
    spoil(clip.generated)
    report = checked(tmp_path)
    assert report.exit_code == 2
    assert said in report.not_checked


def test_a_real_video_that_is_broken_is_said_once_and_of_itself(tmp_path: Path) -> None:
    clip = write(tmp_path, [picture()] * FRAMES, [picture()] * FRAMES)
    assert clip.reference is not None
    clip.reference.write_bytes(b"<html>not found</html>" * 40)
    report = checked(tmp_path)
    assert [found.code for found in report.findings if "broken" in found.code] == ["reference-broken"]
    assert "no-face" not in {found.code for found in report.findings}


def test_what_a_file_of_boxes_says_does_not_hide_what_the_generated_video_shows(tmp_path: Path) -> None:
    """Both have frames without a face that the other has: the same code of two videos."""
    write(tmp_path, faceless(4), [picture()] * FRAMES, FACE)
    rows = np.tile(np.array(FACE, dtype=np.float64), (FRAMES, 1))
    rows[20:22] = np.nan
    np.save(tmp_path / "boxes" / "c.npy", rows)
    filled = [found.message for found in checked(tmp_path, "generated").findings if found.code == "faces-filled"]
    assert len(filled) == 2
    assert "the real video" in filled[0]
    assert "the generated video" in filled[1]


def test_frames_of_any_size_are_welcome_where_each_video_has_its_own_boxes(tmp_path: Path) -> None:
    wide = [picture((160, 120))] * FRAMES
    write(tmp_path, wide, [picture()] * FRAMES)
    codes = {
        source: {
            found.code for found in check(tmp_path / "made", "folder", tmp_path / "real", boxes_from=source).findings
        }
        for source in ("reference", "generated")
    }
    assert "frame-size" in codes["reference"]
    assert "frame-size" not in codes["generated"]


@pytest.mark.parametrize(
    "option", [{"detector": "haar"}, {"face": "central"}, {"weights": {"s3fd": "x.pth"}}, {"cache": "here"}]
)
def test_an_option_of_faces_without_faces_is_refused(tmp_path: Path, option: dict[str, object]) -> None:
    (name,) = option
    with pytest.raises(TlbenchError, match=rf"--{name} .*add --faces"):
        check(tmp_path, "folder", tmp_path, **option)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"detector": "harr"}, "no detector 'harr'"),
        ({"face": "biggest"}, "face 'biggest' is none of"),
        ({"weights": {"s3df": "x.pth"}}, "did you mean 's3fd'"),
    ],
)
def test_a_wrong_choice_is_told_before_any_file_is_looked_at(
    tmp_path: Path, option: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, [picture()] * 2, [picture()] * 2)
    monkeypatch.setattr(checking, "check_selection", lambda *_, **__: pytest.fail("looked"))
    with pytest.raises(TlbenchError, match=message):
        check(tmp_path / "made", "folder", tmp_path / "real", faces=True, **option)  # type: ignore[arg-type]


def test_real_faces_in_worker_processes(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The beginning of two GRID clips as reference, the clip and a crop of it as generated; the embedded detector."""
    monkeypatch.undo()
    monkeypatch.setattr(checking, "FEW_CLIPS", 0)
    for folder in ("made", "real"):
        (tmp_path / folder).mkdir()
    for name, path in zip("ab", sorted((shared / "data" / "grid-original" / "s4").glob("*.mpg")), strict=False):
        frames = read_video(path)[:16]
        height, width = frames.shape[1:3]
        top, left = (height // 7, width // 7) if name == "b" else (0, 0)
        cut = frames[:, top : height - top, left : width - left]
        write_video(tmp_path / "real" / f"{name}.mp4", frames, crf=12)
        write_video(tmp_path / "made" / f"{name}.mp4", [cv2.resize(f, (width, height)) for f in cut], crf=20)
    report = check(
        tmp_path / "made",
        "folder",
        tmp_path / "real",
        faces=True,
        detector="haar",
        cache=tmp_path / "cache",
        workers=2,
    )
    assert {found.clip for found in report.findings if found.code == "framing"} == {"b"}
