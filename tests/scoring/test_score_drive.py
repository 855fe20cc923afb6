"""Scoring a drive: a copy of the source's mouth leaks wholly, a closed one not at all, and what stops a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from skimage import data as pictures

import tlbench
from tests.factories.media_factory import tone
from tlbench.cli.main import group
from tlbench.datasets.options import DataOptions
from tlbench.errors import TlbenchError
from tlbench.generation.drive import DriveOptions, read_drive
from tlbench.generation.generate_dataset import WriteOptions, generate_drive
from tlbench.generation.generator import GenerateOptions
from tlbench.generation.make_drive import make_drive
from tlbench.media.audio import read_audio
from tlbench.media.video_writer import write_video
from tlbench.scoring.aggregate_folder import aggregate
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.record import read_records
from tlbench.scoring.result import Result
from tlbench.scoring.score import score
from tlbench.scoring.score_drive import score_drive

FRAMES = 4
ONLY_OPEN = MetricOptions(("leak_open",))


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No checkpoints but the bundled ones, and results in the test's own folder."""
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.chdir(tmp_path)


def faces(number: int) -> Iterator[np.ndarray]:
    """(256, 256, 3): Eileen Collins by NASA, in the public domain; she smiles and shows her teeth."""
    picture = pictures.astronaut()[:256, 96:352]
    for frame in range(FRAMES):
        yield np.roll(picture, 2 * number + frame, axis=1)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources, their drive, and three kinds of generated videos that are the sources, encoded again."""
    root = tmp_path_factory.mktemp("desk")
    for number, name in enumerate("ab"):
        (root / "real").mkdir(exist_ok=True)
        sound = tone(FRAMES / 25 + 0.1, hertz=300 + 200 * number)[:, 0]
        write_video(root / "real" / f"{name}.mp4", faces(number), samples=sound)
        (root / "real" / f"{name}.txt").write_text(f"said by {name}\n")
        for kind in ("silent", "mismatched", "matched"):
            (root / "copy" / kind).mkdir(parents=True, exist_ok=True)
            write_video(root / "copy" / kind / f"{name}.mp4", faces(number), crf=20)
    make_drive(root / "D", DataOptions("folder", root / "real"))
    return root


def scored(desk: Path, folder: Path, tmp_path: Path, measured: MetricOptions = ONLY_OPEN) -> Result:
    options = RunOptions(cache=desk / "cache")
    (result,) = score_drive(
        [folder], DriveOptions(desk / "D", desk / "real"), measured, options=options, out=tmp_path / "out"
    )
    return result


def test_a_copy_of_the_sources_mouth_leaks_wholly(desk: Path, tmp_path: Path) -> None:
    result = scored(desk, desk / "copy", tmp_path)
    row = result.row("leak_open/sound")
    assert (row.value, row.scored, row.expected) == (100.0, 2, 2)
    assert result.selection is not None
    assert row.protocol.selection == result.selection
    assert result.selection.startswith("drive=")
    assert row.protocol.id.startswith("leak_open[folder:")
    assert "r:gap=0.0696" in row.protocol.id
    (record, _) = read_records(tmp_path / "out" / "copy" / "records.jsonl")
    assert list(record.evidence) == ["mouth@silent"]
    assert aggregate(tmp_path / "out" / "copy").row("leak_open/sound") == row


def test_a_missing_video_is_that_clips_failure_and_without_its_kind_nothing_is_measured(
    desk: Path, tmp_path: Path
) -> None:
    shutil.copytree(desk / "copy", tmp_path / "part")
    (tmp_path / "part" / "silent" / "b.mp4").unlink()
    result = scored(desk, tmp_path / "part", tmp_path)
    assert result.by_id["b"].failures["mouth@silent"].code == "missing"
    assert result.row("leak_open/sound").scored == 1
    assert not result.complete
    shutil.rmtree(tmp_path / "part" / "silent")
    with pytest.raises(TlbenchError, match=r"nothing can be measured: open in silence left out: .* no folder silent"):
        scored(desk, tmp_path / "part", tmp_path)


def test_a_folder_of_no_kind_and_names_of_no_clip_are_refused(desk: Path, tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match="has none of the folders silent, mismatched, matched"):
        scored(desk, desk / "real", tmp_path)
    (tmp_path / "other" / "silent").mkdir(parents=True)
    shutil.copy(desk / "copy" / "silent" / "a.mp4", tmp_path / "other" / "silent" / "z.mp4")
    with pytest.raises(TlbenchError, match="none of its files is named after a clip of the drive, such as"):
        scored(desk, tmp_path / "other", tmp_path)


@pytest.mark.slow
def test_a_generator_is_driven_by_each_kind_and_its_videos_are_scored(desk: Path, tmp_path: Path) -> None:
    drive = DriveOptions(desk / "D" / "drive.json", desk / "real")
    made = tmp_path / "made"
    for written, kept in ((2, 0), (0, 2)):  # the second run goes on where the first ended
        done = generate_drive(
            "talklip-gc-synthetic",
            made,
            drive,
            options=GenerateOptions(device="cpu"),
            writing=WriteOptions(cache=desk / "cache"),
        )
        assert list(done) == ["silent", "mismatched", "matched"]
        assert all((one.written, one.kept, one.failures) == (written, kept, {}) for one in done.values())
    videos = {kind: (made / kind / "a.mp4").read_bytes() for kind in done}
    assert len(set(videos.values())) == 3
    assert np.abs(read_audio(made / "silent" / "a.mp4")).max() == 0
    assert scored(desk, made, tmp_path).row("leak_open/sound").scored == 2


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ({"drive": "00" * 32, "kind": "silent"}, "were generated for another drive, says generation.json; score them"),
        ({"kind": "matched"}, "were generated for the sounds of kind 'matched', says generation.json"),
        ({"kind": "silent"}, None),
    ],
)
def test_videos_of_another_drive_or_kind_are_refused(
    desk: Path, tmp_path: Path, said: dict[str, str], refused: str | None
) -> None:
    made = tmp_path / "made"
    shutil.copytree(desk / "copy", made)
    own = read_drive(desk / "D").sha256
    (made / "silent" / "generation.json").write_text(json.dumps({"drive": own, **said}))
    if refused is None:
        assert scored(desk, made, tmp_path).row("leak_open/sound").scored == 2
        return
    with pytest.raises(TlbenchError, match=rf"made/silent: its videos {refused}"):
        scored(desk, made, tmp_path)


def test_the_log_of_every_kind_is_read(desk: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    shutil.copytree(desk / "copy", made)
    log = made / "mismatched" / "generation.json"
    log.write_text(json.dumps({"drive": read_drive(desk / "D").sha256, "kind": "silent"}))
    with pytest.raises(
        TlbenchError, match=r"made/mismatched: its videos were generated for the sounds of kind 'silent'"
    ):
        scored(desk, made, tmp_path)
    log.write_text("{")
    with pytest.warns(UserWarning, match=r"mismatched/generation\.json.*: not checked for which sounds its videos"):
        scored(desk, made, tmp_path)


def test_metrics_of_a_drive_and_others_do_not_mix(desk: Path, tmp_path: Path) -> None:
    with pytest.raises(
        TlbenchError, match="leak_open/sound is measured on a drive; make one with `tlbench data drive`"
    ):
        score(desk / "copy" / "silent", "folder", desk / "real", metrics=["leak_open"])
    with pytest.raises(TlbenchError, match="psnr/paper is not measured on a drive"):
        scored(desk, desk / "copy", tmp_path, MetricOptions(("psnr",)))


def test_controls_show_one_video_for_every_kind_and_the_source_itself_leaks_wholly(desk: Path, tmp_path: Path) -> None:
    measured = MetricOptions(("leak_open",), controls=("ground-truth", "static"))
    options = RunOptions(cache=desk / "cache")
    results = score_drive(
        [desk / "copy"], DriveOptions(desk / "D", desk / "real"), measured, options=options, out=tmp_path / "out"
    )
    assert [(one.name, one.role) for one in results] == [
        ("copy", "system"),
        ("ground-truth", "control"),
        ("static", "control"),
    ]
    system, source, still = (one.row("leak_open/sound") for one in results)
    assert (source.value, source.scored) == (100.0, 2)
    assert still.scored == 2
    assert {row.protocol.id for row in (system, source, still)} == {system.protocol.id}
    assert not results[1].all_findings  # the source is the same file as its reference, which is its point
    (record, _) = read_records(tmp_path / "out" / "controls" / "ground-truth" / "records.jsonl")
    assert record.info.reference_sha256 is not None
    assert aggregate(tmp_path / "out" / "controls" / "static").row("leak_open/sound") == still


def test_a_control_of_the_clips_own_sound_is_none_of_a_drive(desk: Path, tmp_path: Path) -> None:
    for kind in ("swapped-audio", "nearest-mouth"):
        with pytest.raises(TlbenchError, match=f"control '{kind}' depends on the clip's own sound"):
            scored(desk, desk / "copy", tmp_path, MetricOptions(("leak_open",), controls=(kind,)))
    with pytest.raises(TlbenchError, match="no control 'statc'"):
        scored(desk, desk / "copy", tmp_path, MetricOptions(("leak_open",), controls=("statc",)))


def test_python_has_it_too(desk: Path, tmp_path: Path) -> None:
    words = {"metrics": ["leak_open"], "cache": desk / "cache", "out": tmp_path / "out"}
    result = tlbench.score(desk / "copy", drive=desk / "D" / "drive.json", data_root=desk / "real", **words)
    assert result.row("leak_open/sound").value == 100.0
    for given in ({"dataset": "folder"}, {"limit": 3}, {"landmarks": tmp_path}):
        with pytest.raises(TlbenchError, match=f"--{next(iter(given))} does not go with --drive"):
            tlbench.score(desk / "copy", drive=desk / "D", **given)
    with pytest.raises(TlbenchError, match="give --dataset, or --drive"):
        tlbench.score(desk / "copy")
    with pytest.raises(TlbenchError, match="--contact-sheet does not go with --drive"):
        tlbench.score_all(desk / "copy", drive=desk / "D", contact_sheet=tmp_path / "sheet.png")


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(group, [str(word) for word in words])
    return done.exit_code, done.output


def test_the_commands_make_and_score_a_drive(desk: Path, tmp_path: Path) -> None:
    code, said = run("data", "drive", "--dataset", "folder", "--data-root", desk / "real", "--out", tmp_path / "D")
    assert (code, "6 sounds for 2 clips" in said) == (0, True), said
    drive = ("--drive", tmp_path / "D" / "drive.json")
    words = ("score", desk / "copy", *drive, "--data-root", desk / "real", "--metrics", "leak_open")
    code, said = run(*words, "--cache", desk / "cache", "--out", tmp_path / "out")
    assert code == 0, said
    assert "open in silence" in said
    assert "100.0" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("score", "x"), "it is not said which data set the videos are of; give --dataset, or --drive"),
        (("score", "x", "--drive", "D", "--dataset", "grid"), "--dataset does not go with --drive"),
        (("score", "x", "--drive", "D", "--limit", "3"), "--limit does not go with --drive"),
        (
            ("generate", "--generator", "c", "--out", "o", "--drive", "D", "--split", "test"),
            "--split does not go with --drive",
        ),
        (("generate", "--generator", "c", "--out", "o", "--drive", "nowhere"), "there is no such file; make one with"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(group, list(words))
    assert isinstance(done.exception, TlbenchError), done.output
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


@pytest.mark.slow
def test_the_synthetic_talker_with_closed_lips_does_not_leak_and_as_it_is_leaks_wholly(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    from tlbench.datasets.synthetic.articulation import articulate
    from tlbench.datasets.synthetic.clips import ClipKey, make_take
    from tlbench.datasets.synthetic.corpus import Sizes, render_corpus
    from tlbench.datasets.synthetic.speech import SpeechSynthesizer

    render_corpus(tmp_path / "S", seed=0, sizes=Sizes(0, 0, 2, 0, 0, 0), parts=("sentences",), workers=1)
    make_drive(tmp_path / "D", DataOptions("synthetic", tmp_path / "S"))
    with SpeechSynthesizer() as speaker:
        takes = {number: make_take(ClipKey(0, "sentences", "test", number), speaker) for number in range(2)}
    for number, take in takes.items():
        closed = articulate([(0.0, len(take.boxes) / 25, "M")], len(take.boxes))
        name = ClipKey(0, "sentences", "test", number).name.removeprefix("main/")
        for folder, shapes in (("closed", closed), ("open", take._shapes)):
            path = tmp_path / folder / "silent" / f"{name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, replace(take, _shapes=shapes).frames())
    folders = [tmp_path / "closed", tmp_path / "open"]
    drive = DriveOptions(tmp_path / "D", tmp_path / "S")
    results = score_drive(folders, drive, ONLY_OPEN, options=RunOptions(cache=tmp_path / "cache"), out=tmp_path / "o")
    closed_row, open_row = (result.row("leak_open/sound") for result in results)
    assert closed_row.value == 0.0
    assert open_row.value is not None
    assert open_row.value > 90
