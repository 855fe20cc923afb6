"""Contact sheets: what each observer saw of each clip, or in plain words why there is nothing to see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.factories.media_factory import write_clip
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.video_reader import VideoReader
from tlbench.observing.contact_sheet import (
    GAP_PX,
    LABEL_PX,
    PAPER,
    TILE_PX,
    TILES,
    TITLE_PX,
    ContactPanel,
    Strip,
    contact_sheet,
    draw_contact_sheet,
)
from tlbench.observing.face_boxes import GuideSource


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Sixteen frames of 120x100, the reference a little shorter."""
    folder = tmp_path_factory.mktemp("clips")
    generated = write_clip(folder / "generated.mp4", frames=16, width=120, height=100)
    return Clip("s1/one", write_clip(folder / "real.mp4", frames=12, width=120, height=100), generated)


def boxes(clip: Clip, role: GuideSource) -> np.ndarray:
    return np.tile([20, 10, 80, 90], (12, 1))


def centred(clip: Clip, role: GuideSource, alignment: str) -> np.ndarray:
    return np.tile([[1.0, 0, -12], [0, 1, -2]], (12, 1, 1))


def nothing(clip: Clip, role: GuideSource, alignment: str = "") -> np.ndarray:
    raise AssertionError("no view needs this")


def drawn(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def strips(sheet: np.ndarray, heights: list[int]) -> Iterator[np.ndarray]:
    """The strips of a sheet of one panel: (8, height, 112, 3) each."""
    top = TITLE_PX
    for height in heights:
        lefts = [LABEL_PX + number * (TILE_PX + GAP_PX) for number in range(TILES)]
        yield np.stack([sheet[top : top + height, left : left + TILE_PX] for left in lefts])
        top += height + GAP_PX


def thumbnail(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(image)
    small.thumbnail((TILE_PX, TILE_PX))
    return np.asarray(small)


def test_evenly_spaced_frames_of_both_videos_in_their_own_colours(clip: Clip, tmp_path: Path) -> None:
    """The pixel observer's whole frames, which are RGB, and SyncNet's, which are BGR inside."""
    path = tmp_path / "sheet.png"
    draw_contact_sheet({"made": [clip]}, [("pixels", "frame"), ("syncnet", "sound")], nothing, nothing, path)
    seen, real, bgr, _ = strips(drawn(path), [93, 93, TILE_PX, TILE_PX])
    assert clip.generated is not None
    assert clip.reference is not None
    for tiles, video, chosen in ((seen, clip.generated, (0, 9, 15)), (real, clip.reference, (0, 6, 11))):
        rgb = np.concatenate([run.rgb for run in VideoReader(video).frames()])
        for tile, index in zip((0, 4, 7), chosen, strict=True):
            np.testing.assert_array_equal(tiles[tile], thumbnail(rgb[index]))
    whole = np.asarray(Image.fromarray(seen[0]).resize((TILE_PX, TILE_PX)), dtype=float)
    assert np.abs(bgr[0] - whole).mean() < 6  # red and blue exchanged would be 30 and more


def test_what_the_network_gets_is_shown_as_grey_levels_again(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    draw_contact_sheet(
        {"made": [clip]}, [("avhubert", "lrs2-center"), ("avhubert", "mouth-aligned")], nothing, centred, path
    )
    middle, _, aligned, _ = strips(drawn(path), [88] * 4)
    assert clip.generated is not None
    rgb = next(VideoReader(clip.generated).frames()).rgb[0].astype(float)
    grey = rgb @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(middle[0, :, :88, 0], grey[6:94, 16:104], atol=0.6)
    np.testing.assert_allclose(aligned[0, :, :88, 0], grey[6:94, 16:104], atol=1.6)  # the same place, truncated


def test_boxes_go_with_the_frames_and_the_last_is_held(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    draw_contact_sheet({"made": [clip]}, [("pixels", "face"), ("avhubert", "face-framed")], boxes, nothing, path)
    face, _, framed, _ = strips(drawn(path), [96, 96, 88, 88])
    assert (face[:, :, :96] != PAPER).any(axis=-1).mean() > 0.9  # all eight, though boxes end after twelve frames
    assert (framed[:, :, :88] != PAPER).any(axis=-1).mean() > 0.9


def test_a_frame_of_the_jpeg_dump_is_the_one_of_the_whole_video(clip: Clip, tmp_path: Path) -> None:
    draw_contact_sheet(
        {"made": [clip]}, [("syncnet", "paper"), ("syncnet", "sound")], nothing, nothing, tmp_path / "sheet.png"
    )
    dumped, _, plain, _ = strips(drawn(tmp_path / "sheet.png"), [TILE_PX] * 4)
    difference = np.abs(dumped.astype(float) - plain).mean(axis=(1, 2, 3))
    assert (difference > 0).all()
    assert (difference < 12).all()  # of the same frame, that is; its neighbour's bars would be far off


def test_what_can_not_be_seen_is_said(clip: Clip, tmp_path: Path) -> None:
    def no_face(clip: Clip, role: GuideSource, alignment: str) -> np.ndarray:
        raise ClipError("no-face", "no frame shows a face")

    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    looks = [("avhubert", "mouth-aligned"), ("syncnet", "face-track"), ("pixels", "frame")]
    clips = [
        clip,
        Clip("s1/two", None, clip.generated),
        Clip("s1/three", clip.reference, None),
        Clip("s1/ü", None, broken),
    ]
    draw_contact_sheet({"made": clips}, looks, nothing, no_face, tmp_path / "sheet.png")
    sheet = drawn(tmp_path / "sheet.png")
    assert sheet.shape[1] == LABEL_PX + TILES * (TILE_PX + GAP_PX) + GAP_PX
    tops = [TITLE_PX + index * (TILE_PX // 2 + GAP_PX) for index in range(3)]
    for top in tops:  # of the first panel: no face for both videos, and a view that is no crop
        note = sheet[top : top + 12, LABEL_PX:]
        assert (note != PAPER).any()
        assert (sheet[top + 30 : top + 50, LABEL_PX:] == PAPER).all()  # words, no picture


def test_a_video_too_small_for_one_view_is_still_shown_by_the_others(tmp_path: Path) -> None:
    clip = Clip("small", None, write_clip(tmp_path / "small.mp4", frames=3, width=64, height=48))
    path = tmp_path / "sheet.png"
    draw_contact_sheet({"made": [clip]}, [("avhubert", "lrs2-center"), ("pixels", "frame")], nothing, nothing, path)
    note, frame = strips(drawn(path), [TILE_PX // 2, TILE_PX // 2])
    assert (note[:, 30:] == PAPER).all()
    assert (frame[:3, :48, :64] != PAPER).any(axis=-1).mean() > 0.9
    assert (frame[3:] == PAPER).all()  # three frames are three tiles


def test_only_the_first_clips_are_drawn(clip: Clip, tmp_path: Path) -> None:
    heights = []
    for shown in (1, 2):
        draw_contact_sheet({"made": [clip] * 3}, [("pixels", "frame")], nothing, nothing, tmp_path / "sheet.png", shown)
        heights.append(len(drawn(tmp_path / "sheet.png")))
    assert heights[1] == 2 * heights[0]


def test_clips_of_several_systems_are_drawn_clip_by_clip_and_named(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_panels: list[ContactPanel] = []
    monkeypatch.setattr(
        "tlbench.observing.contact_sheet.contact_sheet", lambda panels, path: drawn_panels.extend(panels)
    )
    other = replace(clip, id="other")
    systems = {"ours": [clip, other], "theirs": [clip, other]}
    draw_contact_sheet(systems, [("pixels", "frame")], nothing, nothing, tmp_path / "sheet.png")
    assert [panel.title for panel in drawn_panels] == [
        f"{name}: {system}" for name in (clip.id, "other") for system in ("ours", "theirs")
    ]


def test_only_a_png_is_written_and_never_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panels = [ContactPanel("one", [Strip(("a",), [np.zeros((20, 30), np.uint8)])])]
    with pytest.raises(TlbenchError, match=r"'sheet.jpg' is none, name it sheet.png"):
        contact_sheet(panels, tmp_path / "sheet.jpg")

    def full(self: Image.Image, path: Path, format: str) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(TlbenchError, match="the disk is full"):
        contact_sheet(panels, tmp_path / "sheet.png")
    assert list(tmp_path.iterdir()) == []
