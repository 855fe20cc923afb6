"""The whole job on tiny videos whose truth is known."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.factories.boxes_finder_factory import fixed_finder
from tests.factories.media_factory import picture
from tests.factories.observer_weights import formula_weights
from tlbench.calibration.calibrate import calibrate
from tlbench.calibration.verdicts import Calibration
from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.generation.controls import Blurred, FrozenMouth, Reencoded, Shifted, SwappedAudio
from tlbench.generation.fault_kinds import Noisy, OtherWords, ScaledMotion
from tlbench.generation.faults import Fault
from tlbench.generation.write_controls import make_controls
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video
from tlbench.observing.cache import content_key
from tlbench.scoring.record import read_records
from tlbench.scoring.result_file import load_result
from tlbench.scoring.run import run as score_selection

FRAMES, HEIGHT, WIDTH = 8, 64, 64
BOX = (8, 8, 56, 56)
CLIPS = ("a", "b", "c")

BLUR = Fault("blur", "blur", "px", 0, (0, 1, 4), Blurred, "a Gaussian")
SOUND = Fault("other-sound", "other sound", "of the clip", 0, (0, 1), SwappedAudio, "another clip's sound")
FROZEN = Fault("frozen-mouth", "frozen", "of the clip", 0, (0, 1), FrozenMouth, "still")
SHIFT = Fault(
    "shift",
    "shift",
    "frames",
    0,
    (-2, 0, 2),
    lambda size: Shifted(int(size)),
    "late",
    below="early",
    above="late",
)


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of a flickering mouth, each loud at its own time, with boxes and transcripts."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "boxes").mkdir()
    (folder / "refs").mkdir()
    for number, name in enumerate(CLIPS):
        rng = np.random.default_rng(number)
        frames = np.stack([picture(10 * number + n, WIDTH, HEIGHT) for n in range(FRAMES)])
        frames[:, 38:52, 22:42] = rng.integers(90, 160, (FRAMES, 1, 1, 3), dtype=np.uint8)
        loud = np.repeat(np.roll([1, 1, 9, 9, 9, 1, 1, 1], number), 640)
        samples = (loud * 500 * np.sin(np.arange(FRAMES * 640) * (0.2 + 0.05 * number))).astype(np.int16)
        write_video(folder / "refs" / f"{name}.mp4", frames, 25, samples, crf=12)
        (folder / "refs" / f"{name}.txt").write_text(f"word {name}\n")
        np.save(folder / "boxes" / f"{name}.npy", np.tile(BOX, (FRAMES, 1)))
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run(faults: Sequence[Fault | str], **options: Any) -> Calibration:
    given = {"metrics": ["psnr", "ssim"], "boxes": Path("boxes"), "out": Path("out"), **options}
    return calibrate("folder", "refs", faults=faults, **given)


def point_frames(fault: str, size: float, name: str) -> np.ndarray:
    """The video that a size's result was made of, found by its content."""
    from tlbench.files import file_sha256

    wanted = load_result(Path("out/points") / fault / f"{size:g}").by_id[name].info.generated_sha256
    (path,) = (path for path in Path("out/work").rglob("*.mp4") if file_sha256(path) == wanted)
    return read_video(path)


def test_no_fault_is_the_control_reencoded_byte_for_byte_and_made_once(desk: Path) -> None:
    found = run([BLUR, SHIFT])
    clips = [Clip(name, reference=desk / "refs" / f"{name}.mp4") for name in CLIPS]
    folder = make_controls(clips, desk / "controls", ["reencoded"])["reencoded"]
    plain = {(folder / f"{name}.mp4").read_bytes() for name in CLIPS}
    assert plain <= {path.read_bytes() for path in Path("out/work").rglob("*.mp4")}
    assert len(list(Path("out/work").rglob("*.mp4"))) == 3 * (1 + 2 + 2)
    values = {
        curve.points[[p.mark for p in curve.points].index("none")].value
        for curve in found.curves
        if curve.metric.key == "psnr/sound"
    }
    assert len(values) == 1  # every curve of a metric goes through one zero point


def test_pixels_see_blur_and_are_blind_to_other_sound(desk: Path) -> None:
    found = run([BLUR, SOUND])
    for key in ("psnr/sound", "psnr/paper", "ssim/sound"):
        (blurred,) = found.curve("blur", key).sides
        assert (blurred.verdict, blurred.correlation) == ("sees", 1.0)
        curve = found.curve("other-sound", key)
        assert curve.sides[0].verdict == "blind"
        assert curve.points[0].value == curve.points[1].value  # the pictures are the same to the bit
        assert curve.points[1].delta == 0


def test_the_published_psnr_takes_strong_damage_for_little(desk: Path) -> None:
    noise = Fault("noise", "noise", "levels", 0, (0, 4, 64), Noisy, "noise")
    found = run([noise])
    weak, strong = ({key: found.curve("noise", key).points[i].value for key in PSNR} for i in (1, 2))
    assert strong["psnr/sound"] < 20  # type: ignore[operator]
    assert strong["psnr/paper"] > 27  # type: ignore[operator]  # modulo 256 the largest errors are gone
    assert weak["psnr/paper"] - weak["psnr/sound"] < 3  # type: ignore[operator]


PSNR = ("psnr/paper", "psnr/sound")


def test_a_mouth_frozen_throughout_is_the_control_of_that_name(desk: Path) -> None:
    run([FROZEN])
    clips = [Clip(name, reference=desk / "refs" / f"{name}.mp4") for name in CLIPS]
    folder = make_controls(clips, desk / "controls", ["frozen-mouth"], fixed_finder(BOX))["frozen-mouth"]
    for name in CLIPS:
        np.testing.assert_array_equal(read_video(folder / f"{name}.mp4"), point_frames("frozen-mouth", 1, name))


@pytest.mark.parametrize(("detector", "mark"), [("haar", "+followed"), ("blazeface", "")])
def test_kept_videos_say_that_faces_are_followed_where_they_once_were_not(
    desk: Path, monkeypatch: pytest.MonkeyPatch, detector: str, mark: str
) -> None:
    keys: list[Any] = []

    def noted(what: Any) -> str:
        keys.append(what)
        return content_key(what)

    for module in ("faulty_videos", "fault_results"):
        monkeypatch.setattr(f"tlbench.calibration.{module}.content_key", noted)
    run([FROZEN], boxes=None, detector=detector)
    made_by = {key["boxes"] for key in keys if "control" in key and "boxes" in key}
    assert len(made_by) == len(CLIPS)
    assert all(name.startswith(f"{detector}@") and name.endswith(mark) for name in made_by)
    assert any(key.get("rule") == f"{detector}{mark}" for key in keys)
    keys.clear()
    run([FROZEN], detector=detector, out=Path("other"))  # given boxes are nobody's to follow
    assert all(key["boxes"].startswith("given:") for key in keys if "control" in key and "boxes" in key)


def test_less_motion_is_seen_by_ssim_of_the_mouth(desk: Path) -> None:
    motion = Fault("motion", "motion", "times", 1, (0, 0.5, 1), ScaledMotion, "damped", below="damped")
    found = run([motion], metrics=["psnr_mouth"])
    values = [point.value for point in found.curve("motion", "psnr_mouth/sound").points]
    assert values == sorted(values)  # type: ignore[type-var]
    assert found.curve("motion", "psnr_mouth/sound").sides[0].verdict == "sees"


def test_files_are_written_and_records_are_where_the_file_says(desk: Path) -> None:
    run([BLUR, SHIFT])
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "calibration.json",
        "calibration.md",
        "curves.pdf",
        "curves.png",
        "curves.svg",
        "points",
        "work",
    ]
    data = json.loads(Path("out/calibration.json").read_text())
    for by_size in data["records"].values():
        for place in by_size.values():
            assert [record.id for record in read_records(Path("out") / place)] == list(CLIPS)
    assert set(data["records"]) == {"none", "blur", "shift"}
    assert Path("out/calibration.md").read_text().startswith("# What each metric sees: folder, 3 clips")


@pytest.mark.slow
def test_what_is_done_is_not_done_again_even_without_its_videos(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run([BLUR, SHIFT])
    shutil.rmtree("out/work")
    shutil.rmtree("cache")

    def refuse(*_: object) -> None:
        raise AssertionError("nothing is to be made or observed")

    with monkeypatch.context() as patch:
        patch.setattr("tlbench.calibration.faulty_videos.write_made", refuse)
        patch.setattr("tlbench.calibration.fault_results.run", refuse)
        again = run([BLUR, SHIFT])
    assert again.curves == first.curves
    more = run([BLUR, SHIFT, FROZEN])  # and a further fault is made alone
    assert len(list(Path("out/work").rglob("*.mp4"))) == 3
    assert more.curves[: len(first.curves)] == first.curves


def test_an_interrupted_run_goes_on_where_it_was(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[str] = []

    def dies(selection: Any, setup: Any, name: str, options: Any, **rest: Any) -> Any:
        if name == "blur 4" and "blur 4" not in scored:
            scored.append(name)
            raise KeyboardInterrupt
        scored.append(name)
        return score_selection(selection, setup, name, options, **rest)

    monkeypatch.setattr("tlbench.calibration.fault_results.run", dies)
    with pytest.raises(KeyboardInterrupt):
        run([BLUR])
    assert not Path("out/calibration.json").exists()
    videos = {path: path.stat().st_mtime_ns for path in Path("out/work").rglob("*.mp4")}
    assert run([BLUR]).complete
    assert scored == ["no fault", "blur 1", "blur 4", "blur 4"]
    assert {path: path.stat().st_mtime_ns for path in Path("out/work").rglob("*.mp4")} == videos


def test_a_changed_clip_is_made_and_scored_anew(desk: Path) -> None:
    before = run([BLUR])
    shutil.copy(desk / "refs" / "b.mp4", desk / "refs" / "a.mp4")
    after = run([BLUR])
    assert after.curve("blur", "psnr/sound") != before.curve("blur", "psnr/sound")


def test_other_metrics_are_scored_anew_from_the_same_videos(desk: Path) -> None:
    run([BLUR], metrics=["psnr"])
    videos = {path: path.stat().st_mtime_ns for path in Path("out/work").rglob("*.mp4")}
    found = run([BLUR], metrics=["ssim_mouth"])
    assert {metric.name for metric in found.metrics} == {"ssim_mouth"}
    assert {path: path.stat().st_mtime_ns for path in Path("out/work").rglob("*.mp4")} == videos


@pytest.mark.slow
def test_threads_make_the_same_files(desk: Path) -> None:
    run([BLUR, FROZEN], workers=1)
    one = {path.relative_to("out"): path.read_bytes() for path in Path("out/work").rglob("*.mp4")}
    shutil.rmtree("out")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run([FROZEN, BLUR], workers=2, limit=3, out=Path("two"), cache=Path("cache2"))
    two = {path.relative_to("two"): path.read_bytes() for path in Path("two/work").rglob("*.mp4")}
    assert two == one


def test_a_clip_the_fault_can_not_be_put_into_is_said_once_and_counted(desk: Path) -> None:
    far = Fault("shift", "shift", "frames", 0, (0, 2, 8, 9), lambda size: Shifted(int(size)), "late")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = run([far])
    told = [str(warning.message) for warning in said]
    assert [line.split(";")[0] for line in told] == [f"shift, clip {n}: 8 frames can't be shifted by 8" for n in CLIPS]
    assert not found.complete
    assert found.failures == {"shift": {"8": {"missing": 3}, "9": {"missing": 3}}}
    assert found.curve("shift", "psnr/sound").sides[0].verdict == "unknown"


def test_a_broken_reference_does_not_stop_the_others(desk: Path) -> None:
    (desk / "refs" / "b.mp4").write_text("no video")
    with pytest.warns(UserWarning, match="blur, clip b"):
        found = run([BLUR])
    assert [point.clips for point in found.curve("blur", "ssim/sound").points] == [2, 2, 2]


def test_faults_that_need_a_speaker_are_left_out_aloud_where_none_is_named(desk: Path) -> None:
    with pytest.warns(UserWarning, match="'other-words' left out.*the data set names no speakers"):
        found = run([BLUR, "other-words"])
    assert [fault.name for fault in found.faults] == ["blur"]
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(TlbenchError, match="none of the faults can be put into these clips"),
    ):
        run(["other-words"])
    with (
        pytest.warns(UserWarning, match="there is only one clip"),
        pytest.raises(TlbenchError, match="none of the faults"),
    ):
        run([SOUND], limit=1)


def with_speakers(desk: Path, *speakers: str) -> Path:
    lines = [f"{name},refs/{name}.mp4,word {name},{speaker}" for name, speaker in zip(CLIPS, speakers, strict=True)]
    (desk / "list.csv").write_text("\n".join(["id,reference,transcript,speaker", *lines]) + "\n")
    return desk / "list.csv"


def test_the_mouth_of_another_utterance_comes_from_the_same_speaker(desk: Path) -> None:
    words = Fault("other-words", "other words", "of the clip", 0, (0, 1), OtherWords, "in sync")
    manifest = with_speakers(desk, "s1", "s1", "s2")
    with pytest.warns(UserWarning, match="clip c: no clip of same speaker"):
        found = run([words], manifest=manifest)
    assert {own: other for own, (other, _) in found.stand_ins["same speaker"].items()} == {"a": "b", "b": "a"}
    assert found.failures == {"other-words": {"1": {"missing": 1}}}
    assert found.curve("other-words", "psnr/sound").points[1].mark == "worse"


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (["blurr"], "did you mean 'blur'"),
        ([BLUR, "blur"], "given twice"),
        ([], "no fault was asked for"),
        ([Fault("a/b", "x", "px", 0, (0, 1), Blurred, "")], "can't name a folder"),
    ],
)
def test_faults_need_names_of_their_own(desk: Path, faults: list[Fault | str], said: str) -> None:
    with pytest.raises(TlbenchError, match=said):
        run(faults)


def test_everything_the_observers_can_tell_is_the_default(desk: Path) -> None:
    with pytest.warns(UserWarning, match="left out: no checkpoint"):
        found = run([BLUR], metrics=None)
    assert {metric.observer for metric in found.metrics} == {"pixels"}
    assert {"psnr_mouth", "ssim_frame", "psnr"} <= {metric.name for metric in found.metrics}
    assert any("no checkpoint" in line for line in found.left_out)


@pytest.mark.slow
def test_a_number_of_a_whole_set_is_calibrated_and_kept(desk: Path, tmp_path: Path) -> None:
    weights = {"inception": formula_weights("inception", tmp_path)}
    found = run([BLUR], metrics=["kid"], weights=weights)
    assert [metric.key for metric in found.metrics] == ["kid/sound"]
    values = [point.value for point in found.curve("blur", "kid/sound").points]
    assert all(value is not None for value in values)
    assert len(set(values)) == 3
    shutil.rmtree("out/work")  # what is done is read again
    assert run([BLUR], metrics=["kid"], weights=weights).curves == found.curves
    with pytest.raises(TlbenchError, match="tlbench checkpoints fetch inception"):
        run([BLUR], metrics=["kid"])


def test_progress_hears_of_making_and_of_scoring(desk: Path) -> None:
    calls: list[tuple[str, bool, int, int]] = []
    run([BLUR], limit=2, progress=lambda name, seen, done, total: calls.append((name, seen is not None, done, total)))
    assert [(name, seen) for name, seen, done, total in calls if done == total] == [
        ("blur", False),
        ("no fault", True),
        ("blur", False),
        ("blur 1", True),
        ("blur 4", True),
    ]


def test_reencoded_is_what_no_fault_is_called() -> None:
    assert BLUR.control(0) == Reencoded()


@pytest.mark.slow
def test_readers_and_syncnet_with_any_weights_give_curves_of_all_they_tell(desk: Path, tmp_path: Path) -> None:
    from tests.factories.observer_weights import formula_weights

    weights = {
        "syncnet": formula_weights("syncnet", tmp_path),
        "avhubert": formula_weights("avhubert", tmp_path),
    }
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = run([SOUND, BLUR], metrics=None, weights=weights, limit=2, views={"avhubert": "face-framed"})
    told = [str(warning.message) for warning in said]
    assert len(set(told)) == len(told)  # though observers are looked for twice, nothing is said twice
    assert any("conformer" in line and "left out" in line for line in told)
    assert {metric.observer for metric in found.metrics} == {"avhubert", "pixels", "syncnet"}
    assert {"avs_u", "cer1", "lse_d_zero"} <= {metric.name for metric in found.metrics}
    # A lip reader hears nothing; SyncNet and the likeness of lips and speech do.
    assert found.curve("other-sound", "wer1/sound").points[1].delta == 0
    assert found.curve("other-sound", "lse_d_zero/sound").points[1].delta != 0
    assert found.curve("other-sound", "avs_u/sound").points[1].delta != 0
    assert found.complete
