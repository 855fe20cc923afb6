"""Recipes: those of the package can be read and state where they are from, and wrong ones are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.generation.recipe import RecipeCrop, find_recipe, parse_recipe, recipe_names
from tlbench.generation.recipe_inputs import Square, aligned, cut, face_square, key_of, put_back
from tlbench.media.faces import Boxes

HEAD = 'title = "T"\nrepository = "r"\nsource = "s"\n'
REST = 'command = ["{python}", "run.py"]\n[output]\npath = "{work}/x.mp4"\n'
CROP = "[crop]\nscale = 2\nside = 64\n"
LISTED = """command = ["{python}", "run.py", "{list}"]
[list]
path = "{work}/l.txt"
line = "{key} 1"
[output]
path = "{work}/{key}.mp4"
"""


def test_a_recipe_for_a_list_is_read_with_and_without_a_byte_order_mark() -> None:
    assert parse_recipe(HEAD + LISTED, "mine").list is not None
    assert parse_recipe("\ufeff" + HEAD + LISTED, "mine").command[-1] == "{list}"


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_of_the_package_states_its_source_and_that_it_never_ran(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.repository.startswith("https://github.com/")
    assert " at " in recipe.source  # a commit
    assert len(recipe.notes) > 40
    assert not recipe.ran
    assert recipe.command[0] == "{python}"
    assert recipe.inputs


def test_there_is_a_recipe_for_each_system_that_the_paper_ran_and_for_today_s() -> None:
    assert recipe_names() == ["atvgnet", "latentsync", "musetalk", "pc-avs", "sadtalker", "wav2lip"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "recipe mine: is not TOML"),
        (REST, "title is missing"),
        (HEAD + "colour = 3\n" + REST, "colour is not known"),
        (HEAD + 'command = "run.py"\n', "command is 'run.py', not a list of texts"),
        (HEAD + 'command = ["{python}"]\n', "output.path is missing"),
        (HEAD + REST + "first_frame = 99\n", "output.first_frame must be between 0 and 25"),
        (
            HEAD + REST.replace("run.py", "{vidoe}") + '[inputs]\nvideo = { kind = "video" }\n',
            r"\{vidoe\}; did you mean",
        ),
        (HEAD + REST + '[inputs]\nvideo = { kind = "film" }\n', "inputs.video.kind 'film'; there are video, sound"),
        (HEAD + REST + '[inputs]\nvideo = { kind = "frames", crop = true }\n', r"cropped if and only if .*\[crop\]"),
        (HEAD + REST + '[list]\npath = "{key}"\nline = "x"\n', r"list.path has \{key\}"),
        (HEAD + REST + '[settings]\nGPU = "0"\n', "settings must have names of small letters"),
        (HEAD + "ran = 1\n" + REST, "ran is 1, not true or false"),
        ("a = " + "[" * 100_000, "recipe mine: is nested too deeply"),
        (HEAD + REST.replace("run.py", "{Video}"), r"command has \{Video\}"),
        (HEAD + REST.replace("run.py", "{video-2}"), r"command has \{video-2\}"),
        (HEAD + REST.replace("run.py", "a\\u0000"), "command has a null character"),
        (HEAD + REST.replace("{python}", ""), "command begins with an empty word"),
        (HEAD + REST.replace("{work}/x.mp4", ""), "output.path is empty"),
        (HEAD + REST + "first_frame = 2.5\n", "output.first_frame is 2.5, not a whole number"),
        (HEAD + REST + "first_frame = inf\n", "output.first_frame is inf, not a whole number"),
        (HEAD + REST + CROP.replace("64", "nan"), "crop.side is nan, not a whole number"),
        (HEAD + REST + CROP.replace("2", f"1{'0' * 400}"), "crop.scale and the others are out of range"),
        (
            HEAD + REST + '[inputs]\nvideo = { kind = "video", crop = true }\n',
            "crop is for pictures, and this is a v",
        ),
        (
            HEAD + REST + '[inputs]\na = { kind = "image", first_only = true }\n',
            "first_only is for frames, and this",
        ),
        (HEAD + REST + '[inputs]\nkey = { kind = "video" }\n', r"inputs.key is also what \{key\} stands for"),
        (HEAD + REST + '[settings]\nwork = "/"\n', r"settings.work is also what \{work\} stands for"),
        (HEAD + REST + '[settings]\na = "/"\n[inputs]\na = { kind = "video" }\n', "settings.a is also an input"),
        (HEAD + 'folder = "../x"\n' + REST, "folder '../x' is not below the repository"),
        (HEAD + 'folder = "/etc"\n' + REST, "folder '/etc' is not below the repository"),
        (HEAD + LISTED.replace("{work}/l", "l"), r"list.path 'l.txt' must begin with \{work\}/"),
        (HEAD + LISTED.replace("{work}/l", "{work}/../l"), "list.path '{work}/../l.txt' must begin"),
        (HEAD + LISTED.replace('"{list}"', '"a"'), r"command has no \{list\}"),
        (HEAD + LISTED.replace("{key} 1", "1"), "list.line '1' is the same for all clips of a list"),
        (
            HEAD + LISTED.replace("{key}.mp4", "*.mp4"),
            r"output.path '\{work\}/\*.mp4' is the same for all clips of a list",
        ),
    ],
)
def test_a_wrong_recipe_is_named_with_its_field(text: str, message: str) -> None:
    with pytest.raises(TlbenchError, match=message) as error:
        parse_recipe(text, "mine")
    assert "\n" not in str(error.value)


def test_keys_are_plain_and_different() -> None:
    keys = {key_of(clip_id) for clip_id in ("s1/a b", "s1/a_b", "s1-a-b", "é" * 300, "é" * 299)}
    assert len(keys) == 5
    assert all(len(key) < 60 and key.replace("-", "").isalnum() and key.isascii() for key in keys)


def test_a_square_that_is_cut_and_put_back_is_where_it_was() -> None:
    rows, columns = np.mgrid[0:90, 0:120]
    frame = np.stack([rows, columns, rows + columns], -1).astype(np.uint8)
    square = Square(70, -10, 60)  # beyond the upper and the right edge
    before = frame.copy()
    put_back(frame, square, (0, 0, 1, 1), cut(frame, square, 240))
    assert np.abs(frame.astype(int) - before).max() <= 2
    put_back(frame, square, (0.5, 0.5, 1, 1), np.zeros((4, 4, 3), np.uint8))
    assert (frame[20:50, 100:] == 0).all()
    assert (frame[:, :100] == before[:, :100]).all() or np.abs(frame[:, :100].astype(int) - before[:, :100]).max() <= 2


def test_the_square_is_around_the_median_box() -> None:
    boxes = Boxes(np.array([[40, 20, 80, 80], [42, 22, 82, 82], [300, 0, 310, 10]]), 0, "given")
    clip = Clip("a", Path("a.mp4"))
    assert face_square(RecipeCrop(2.0, 0.1, 64), clip, boxes) == Square(2, -22, 120)
    with pytest.raises(TlbenchError, match="no face was found in any frame"):
        face_square(RecipeCrop(2.0, 0.1, 64), clip, Boxes(boxes.xyxy, 3, "haar"))


def test_frames_before_the_first_are_filled_with_it() -> None:
    frames = [np.full((1, 1, 3), level, np.uint8) for level in (5, 6, 7)]
    assert [int(frame[0, 0, 0]) for frame in aligned(iter(frames), 2)] == [5, 5, 5, 6, 7]
    assert [int(frame[0, 0, 0]) for frame in aligned(iter(frames), 0)] == [5, 6, 7]
