"""``tlbench check`` as a person or a script meets it: what is printed where, and the exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.factories.media_factory import write_clip
from tests.factories.warm_commands import run_command

ROOT = Path(__file__).parents[2]


def tlbench(*arguments: object, columns: int = 80) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as in a terminal of 80 columns that is not one."""
    environment = {**os.environ, "COLUMNS": str(columns), "PYTHONWARNINGS": "error"}
    return run_command([str(word) for word in arguments], ROOT, environment, 60)


def noise(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (4000 * np.repeat(random.random(20), 1600) * random.standard_normal(32000)).astype(np.int16)[:, None]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(("müde 東京 [bold]", "b")):
        for side, quality in (("real", 18), ("made", 28)):
            (folder / side).mkdir(exist_ok=True)
            write_clip(
                folder / side / f"{name}.mp4",
                frames=50,
                codec_options={"crf": str(quality + number)},
                audio_codec="aac",
                samples=noise(number),
            )
        (folder / "real" / f"{name}.txt").write_text("WHAT IS SAID")
    return folder


@pytest.fixture
def made(clips: Path, tmp_path: Path) -> Path:
    shutil.copytree(clips / "made", tmp_path / "made")
    return tmp_path / "made"


def check(made: Path, clips: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return tlbench("check", made, "--dataset", "folder", "--data-root", clips / "real", *more)


def test_a_healthy_folder_is_one_friendly_line_and_exit_code_0(made: Path, clips: Path) -> None:
    done = check(made, clips)
    assert (done.returncode, done.stderr) == (0, "")
    line = " ".join(done.stdout.split())
    assert line.startswith("all well: 2 of 2 clips of folder all found in ")
    assert "; 2 checked in " in line


def test_faces_are_looked_for_only_if_asked_and_else_listed_as_not_checked(
    made: Path, clips: Path, tmp_path: Path
) -> None:
    """Clips of a sliding slope show no face at all."""
    plain = check(made, clips)
    assert "not checked: pictures of the real videos, faces (--faces looks at these)" in " ".join(plain.stdout.split())
    asked = ("--faces", "--detector", "haar", "--cache", tmp_path / "cache")
    done = check(made, clips, *asked)
    assert done.returncode == 1
    assert "warning: reference-no-face (2 clips)" in done.stdout
    assert "50 of 50 frames of the real video show no face" in " ".join(done.stdout.split())
    assert "not checked: pictures of the real videos" in " ".join(done.stdout.split())
    assert "--faces looks" not in done.stdout
    own = check(made, clips, *asked, "--boxes-from", "generated", "--json")
    data = json.loads(own.stdout)
    assert (own.returncode, data["counts"]["error"], data["not_checked"]) == (2, 2, ["pictures of the real videos"])
    assert {found["code"] for found in data["findings"] if found["level"] == "error"} == {"no-face"}


@pytest.mark.parametrize("option", [("--detector", "haar"), ("--face", "central"), ("--cache", "here")])
def test_how_to_look_for_faces_without_looking_is_refused(made: Path, clips: Path, option: tuple[str, str]) -> None:
    done = check(made, clips, *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{option[0]} {option[1]} is an option of the face checks; add --faces" in done.stderr


def test_warnings_alone_are_exit_code_1(made: Path, clips: Path) -> None:
    shutil.copy(made / "b.mp4", made / "preview.mp4")
    done = check(made, clips)
    assert done.returncode == 1
    assert "warning: extra" in done.stdout
    assert "0 errors, 1 warning: " in done.stdout


def test_an_error_is_exit_code_2_with_clip_message_and_fix(made: Path, clips: Path) -> None:
    (made / "b.mp4").write_bytes(b"")
    done = check(made, clips)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.splitlines()[:3] == [
        "error: empty-file (1 clip)",
        "  b  0 bytes",
        "  fix: generate it again; a full disk or a failed ffmpeg leaves 0 bytes",
    ]


def test_many_findings_of_one_kind_are_counted_and_three_are_named(made: Path, clips: Path) -> None:
    for number in range(5):
        shutil.copy(made / "b.mp4", made / f"preview{number}.mp4")
    out = check(made, clips).stdout
    assert "warning: extra (5 files)" in out
    assert [f"preview{number}.mp4" in out for number in range(5)] == [True] * 3 + [False] * 2
    assert "and 2 more (--json lists all)" in out


def test_no_line_is_wider_than_the_terminal(made: Path, clips: Path) -> None:
    (made / "b.mp4").rename(made / ("long" * 40 + ".mp4"))
    done = check(made, clips)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "long" * 40 + ".mp4" in "".join(line.strip() for line in done.stdout.splitlines())


def test_names_are_printed_as_they_are_and_never_as_markup(made: Path, clips: Path) -> None:
    (made / "müde 東京 [bold].mp4").write_bytes(b"")
    shutil.copy(made / "b.mp4", made / "[red]x.mp4")
    shutil.copy(made / "b.mp4", made / "[]].mp4")
    out = check(made, clips).stdout
    for name in ("müde 東京 [bold]", "[red]x.mp4", "[]].mp4"):
        assert name in out


def test_control_characters_in_names_do_not_reach_the_terminal(made: Path, clips: Path) -> None:
    shutil.copy(made / "b.mp4", made / "a\nb\x1b[31mc.mp4")
    done = check(made, clips)
    assert "\x1b" not in done.stdout
    assert r"a\nb\x1b[31mc.mp4 belongs to no clip" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_name_that_is_not_utf8_is_shown_escaped(made: Path, clips: Path) -> None:
    shutil.copy(made / "b.mp4", os.fsencode(made) + b"/caf\xe9.mp4")
    done = check(made, clips)
    assert (done.returncode, done.stderr) == (1, "")
    assert r"caf\udce9.mp4" in done.stdout


def test_json_is_all_there_is_on_stdout(made: Path, clips: Path) -> None:
    for number in range(5):
        shutil.copy(made / "b.mp4", made / f"preview{number}.mp4")
    done = check(made, clips, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert report["schema"] == "tlbench.check/1"
    assert report["exit_code"] == 1
    assert report["clips"] == {"expected": 2, "found": 2, "checked": 2}
    assert [set(found) for found in report["findings"]] == [{"level", "clip", "code", "message", "fix"}] * 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--dataset", "folder"], "nowhere does not exist"),
        ([".", "--dataset", "lsr2"], "did you mean 'lrs2'?"),
        ([".", "--dataset", "lrs2", "--data-root", "."], "holds no folder main"),
        ([".", "--dataset", "folder", "--limit", "0"], "--limit"),
        (["."], "--dataset"),
    ],
)
def test_what_the_user_can_mend_is_on_stderr_with_exit_code_2(
    arguments: list[str], message: str, made: Path, clips: Path
) -> None:
    done = tlbench("check", *(str(made) if argument == "." else argument for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_not_one_name_that_fits_is_one_line_with_both_names(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(clips / "made" / "b.mp4", tmp_path / "other" / "result_1.mp4")
    done = check(tmp_path / "other", clips)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "result_1" in done.stderr
    assert "b.mp4" in done.stderr


def test_neither_the_command_nor_its_work_imports_torch(made: Path, clips: Path) -> None:
    code = (
        "import sys, tlbench\n"
        f"report = tlbench.check({str(made)!r}, 'folder', {str(clips / 'real')!r}, workers=1)\n"
        "assert report.checked == 2\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


def test_the_options_have_the_names_of_the_functions_parameters() -> None:
    import inspect

    from tlbench.checking import check as function
    from tlbench.cli.check import command

    options = {parameter.name for parameter in command.params} - {"as_json", "large_pictures"}
    assert options == set(inspect.signature(function).parameters) - {"alphabet", "progress"}
