"""Recipes: how the script of another repository is called for the clips of a data set, as TOML.

A recipe says which inputs the script reads, how it is called, for one clip or for a list of them, and where its videos
are then. ``{NAME}`` in it stands for a value: ``{repo}``, the repository; ``{work}``, a folder for the files of the
run; ``{key}``, a short name of the clip; ``{frames}``, the number of its frames; and the names of the recipe's own
inputs and settings. docs/recipes.md has the whole form.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

from tlbench.errors import TlbenchError, listed, quoted
from tlbench.files import TEXT, read_outside
from tlbench.toml_input import parse_toml

InputKind: TypeAlias = Literal["video", "sound", "image", "frames"]
INPUT_KINDS: tuple[InputKind, ...] = ("video", "sound", "image", "frames")
PYTHON = "{python}"  # a word of a command: the words of --python
OF_CLIP = ("key", "frames")  # values of one clip; in a list's command they have no meaning
SUFFIX = ".toml"
_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
_RESERVED = ("repo", "work", "list", "python", *OF_CLIP)  # what no input and no setting may be called
_TEXTS = ("title", "repository", "source", "licence", "environment", "notes")


@dataclass(frozen=True)
class RecipeInput:
    """A file or folder that is prepared for each clip.

    Attributes
    ----------
    kind : str
        ``video``: the real video at 25 frames a second with its sound, mp4. ``sound``: the speech, 16 kHz mono, wav.
        ``image``: the first frame. ``frames``: a folder of all frames.
    crop : bool
        Images and frames: cropped as the recipe's ``crop`` says, else whole.
    form : "jpg" or "png"
        Of images and frames. Frames are named ``000000.jpg`` and so on.
    first_only : bool
        Frames: only the first one, for scripts that read a person from a folder.
    """

    kind: InputKind
    crop: bool = False
    form: str = "jpg"
    first_only: bool = False


@dataclass(frozen=True)
class RecipeCrop:
    """The square that frames are cropped to: the same for a whole clip.

    Attributes
    ----------
    scale : float
        Its side over that of the median face box (the longer of its two).
    up : float
        How far it is moved up, in parts of its side.
    side : int
        Pixels that it is resized to.
    """

    scale: float
    up: float
    side: int


@dataclass(frozen=True)
class RecipeList:
    """A list file, for scripts that are called once for many clips.

    Attributes
    ----------
    path, line : str
        The file, and what is written for each clip.
    clips : int
        The most clips of a call. A stopped run repeats one call at most.
    """

    path: str
    line: str
    clips: int = 50


@dataclass(frozen=True)
class RecipeOutput:
    """Where the script's video is, and how its frames belong to the clip's.

    Attributes
    ----------
    path : str
        May have ``*`` for one part that can't be known.
    first_frame : int
        The clip's frame that its first one belongs to. The frames before are filled with it.
    place : "frame" or "crop"
        ``crop``: its frames show the recipe's square, and are put back into the real frames.
    region : (x1, y1, x2, y2)
        With ``crop``: the part of the square that they show, from 0 to 1.
    """

    path: str
    first_frame: int = 0
    place: Literal["frame", "crop"] = "frame"
    region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Recipe:
    """A recipe that was read and checked.

    Attributes
    ----------
    name, sha256 : str
        Its file's name without suffix, and the hash of its text.
    title, repository, source, licence, environment, notes : str
        For people; ``source`` says what was read to write it, and ``notes`` what is not the authors'.
    ran : bool
        Whether tlbench's authors ran it with the real repository.
    command : tuple of str
        Words; no shell reads them.
    folder : str
        The working folder, below the repository.
    plain_paths : bool
        Whether the script fails for paths with spaces.
    settings : mapping of str to str
        Values that the user may change.
    inputs : mapping of str to RecipeInput
    crop : RecipeCrop or None
    list : RecipeList or None
        None: the command is run for each clip.
    output : RecipeOutput
    """

    name: str
    sha256: str
    title: str
    repository: str
    source: str
    licence: str
    environment: str
    notes: str
    ran: bool
    command: tuple[str, ...]
    folder: str
    plain_paths: bool
    settings: Mapping[str, str]
    inputs: Mapping[str, RecipeInput]
    crop: RecipeCrop | None
    list: RecipeList | None
    output: RecipeOutput

    @property
    def needs_boxes(self) -> bool:
        """Whether something of it is cropped."""
        return self.crop is not None


def recipe_names() -> list[str]:
    """The recipes of this package, sorted."""
    folder = files("tlbench.generation") / "recipes"
    return sorted(file.name.removesuffix(SUFFIX) for file in folder.iterdir() if file.name.endswith(SUFFIX))


def find_recipe(given: str) -> Recipe:
    """A recipe by its name, or by the path of its file.

    Raises TlbenchError if there is none, or if it is not in the form of docs/recipes.md.
    """
    if given in recipe_names():
        text = (files("tlbench.generation") / "recipes" / f"{given}{SUFFIX}").read_text("utf-8")
        return parse_recipe(text, given)
    path = Path(given)
    if not path.is_file():
        raise TlbenchError(f"--recipe {given}: there is no such file or recipe{listed(given, recipe_names())}")
    try:
        return parse_recipe(read_outside(path, TEXT).decode(), path.stem)
    except OSError as error:
        raise TlbenchError(f"--recipe {given}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise TlbenchError(f"--recipe {given}: is not UTF-8 ({error})") from error


def parse_recipe(text: str, name: str) -> Recipe:
    """A recipe from its text. Raises TlbenchError, naming the field, if it is not in the form."""
    try:
        data = parse_toml(text)
    except ValueError as error:
        raise TlbenchError(f"recipe {name}: {error}; see docs/recipes.md") from error
    table = _Fields(name, "", data)
    crop, of_list = table.table("crop"), table.table("list")
    recipe = Recipe(
        name=name,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        **{field: table.text(field, "" if field in ("licence", "environment", "notes") else None) for field in _TEXTS},
        ran=table.flag("ran"),
        command=table.words("command"),
        folder=table.text("folder", "."),
        plain_paths=table.flag("plain_paths"),
        settings=table.texts("settings"),
        inputs={key: _input(fields) for key, fields in table.tables("inputs").items()},
        crop=None if crop is None else _crop(crop),
        list=None if of_list is None else _list(of_list),
        output=_output(table.table("output") or _Fields(name, "output", {})),
    )
    table.finish()
    _check(recipe)
    return recipe


def fill(text: str, values: Mapping[str, str]) -> str:
    """``text`` with each ``{NAME}`` replaced by its value; other braces stay as they are."""
    return _NAME.sub(lambda match: values.get(match[1], match[0]), text)


def _input(fields: _Fields) -> RecipeInput:
    kind = fields.text("kind")
    form = fields.text("form", "jpg")
    if kind not in INPUT_KINDS:
        raise fields.error("kind", f"{quoted(kind)}{listed(kind, INPUT_KINDS)}")
    if form not in ("jpg", "png"):
        raise fields.error("form", f"{quoted(form)}; there are jpg, png")
    made = RecipeInput(kind, fields.flag("crop"), form, fields.flag("first_only"))
    if made.crop and kind not in ("image", "frames"):
        raise fields.error("crop", f"is for pictures, and this is a {kind}")
    if made.first_only and kind != "frames":
        raise fields.error("first_only", f"is for frames, and this is a {kind}")
    fields.finish()
    return made


def _crop(fields: _Fields) -> RecipeCrop:
    made = RecipeCrop(fields.number("scale"), fields.number("up", 0.0), fields.whole("side"))
    if not (0.5 <= made.scale <= 10 and abs(made.up) <= 1 and 16 <= made.side <= 4096):
        raise fields.error("scale", "and the others are out of range: scale 0.5 to 10, up -1 to 1, side 16 to 4096")
    fields.finish()
    return made


def _list(fields: _Fields) -> RecipeList:
    made = RecipeList(fields.text("path"), fields.text("line"), fields.whole("clips", 50))
    if made.clips < 1:
        raise fields.error("clips", "must be at least 1")
    fields.finish()
    return made


def _output(fields: _Fields) -> RecipeOutput:
    place, region = fields.text("place", "frame"), fields.numbers("region", (0.0, 0.0, 1.0, 1.0))
    if place not in ("frame", "crop"):
        raise fields.error("place", f"{quoted(place)}; there are frame, crop")
    if len(region) != 4 or not (0 <= region[0] < region[2] <= 1 and 0 <= region[1] < region[3] <= 1):
        raise fields.error("region", "must be x1, y1, x2, y2 between 0 and 1")
    first_frame = fields.whole("first_frame", 0)
    if not 0 <= first_frame <= 25:
        raise fields.error("first_frame", "must be between 0 and 25")
    made = RecipeOutput(
        fields.text("path"),
        first_frame,
        "crop" if place == "crop" else "frame",
        (region[0], region[1], region[2], region[3]),
    )
    fields.finish()
    return made


def _check(recipe: Recipe) -> None:
    """Raises TlbenchError for names that mean nothing where they are."""

    def check(where: str, texts: Iterable[str], known: Iterable[str]) -> None:
        names = set(known)
        for text in texts:
            for name in _NAME.findall(text):
                if name not in names:
                    raise TlbenchError(f"recipe {recipe.name}: {where} has {{{name}}}{listed(name, sorted(names))}")

    everywhere = ("repo", "work", *recipe.settings)
    of_clip = (*everywhere, *OF_CLIP, *recipe.inputs)
    words = recipe.command[recipe.command[:1] == (PYTHON,) :]
    check("command", words, of_clip if recipe.list is None else (*everywhere, "list"))
    check("output.path", [recipe.output.path], of_clip)
    if recipe.list is not None:
        check("list.path", [recipe.list.path], everywhere)
        check("list.line", [recipe.list.line], of_clip)
    _check_names(recipe)
    _check_paths(recipe)
    crops = recipe.output.place == "crop" or any(made.crop for made in recipe.inputs.values())
    if crops != (recipe.crop is not None):
        raise TlbenchError(f"recipe {recipe.name}: something is cropped if and only if it has a table [crop]")


def _check_names(recipe: Recipe) -> None:
    """Raises TlbenchError for a name with two meanings."""
    for table, names in (("inputs", recipe.inputs), ("settings", recipe.settings)):
        for name in names:
            if name in _RESERVED or (table == "settings" and name in recipe.inputs):
                meant = "an input" if name in recipe.inputs and name not in _RESERVED else f"what {{{name}}} stands for"
                raise TlbenchError(f"recipe {recipe.name}: {table}.{name} is also {meant}; choose another name")


def _check_paths(recipe: Recipe) -> None:
    """Raises TlbenchError for a path out of its folder, and for a list whose clips would all be the same."""
    if not recipe.command[0]:
        raise TlbenchError(f"recipe {recipe.name}: command begins with an empty word")
    if not recipe.output.path:
        raise TlbenchError(f"recipe {recipe.name}: output.path is empty; say where the script's video is")
    folder = PurePosixPath(recipe.folder)
    if folder.is_absolute() or ".." in folder.parts:
        raise TlbenchError(f"recipe {recipe.name}: folder {quoted(recipe.folder)} is not below the repository")
    if recipe.list is None:
        return
    path = recipe.list.path
    if not path.startswith("{work}/") or ".." in PurePosixPath(path).parts:
        raise TlbenchError(f"recipe {recipe.name}: list.path {quoted(path)} must begin with {{work}}/, and stay in it")
    if not any("list" in _NAME.findall(word) for word in recipe.command):
        raise TlbenchError(f"recipe {recipe.name}: command has no {{list}}, so the script would not get the list")
    of_clip = {"key", *recipe.inputs}
    for where, text in (("list.line", recipe.list.line), ("output.path", recipe.output.path)):
        if not of_clip & set(_NAME.findall(text)):
            raise TlbenchError(
                f"recipe {recipe.name}: {where} {quoted(text)} is the same for all clips of a list; use {{key}} or an "
                "input"
            )


def _finite(value: int | float) -> float:
    """A number as float; what is too large for one is infinite, and so out of every range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


class _Fields:
    """The fields of a table; whatever is not asked for is an error."""

    def __init__(self, recipe: str, table: str, data: Mapping[str, Any]) -> None:
        self._recipe, self._table, self._data = recipe, table, dict(data)

    def error(self, field: str, why: str) -> TlbenchError:
        """The error for a field."""
        where = f"{self._table}.{field}" if self._table else field
        return TlbenchError(f"recipe {self._recipe}: {where} {why} (see docs/recipes.md)")

    def _take(self, field: str, kind: type | tuple[type, ...], what: str, default: Any) -> Any:
        value = self._data.pop(field, default)
        if value is None:
            raise self.error(field, "is missing")
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(field, f"is {quoted(value)}, not {what}")
        return value

    def text(self, field: str, default: str | None = None) -> str:
        found: str = self._take(field, str, "a text", default)
        self._check_text(field, found)
        return found

    def flag(self, field: str) -> bool:
        found: bool = self._take(field, bool, "true or false", False)
        return found

    def number(self, field: str, default: float | None = None) -> float:
        return _finite(self._take(field, (int, float), "a number", default))

    def whole(self, field: str, default: int | None = None) -> int:
        found: int = self._take(field, int, "a whole number", default)
        return found

    def numbers(self, field: str, default: tuple[float, ...]) -> tuple[float, ...]:
        found = self._take(field, (list, tuple), "a list of numbers", default)
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
            raise self.error(field, f"is {quoted(found)}, not a list of numbers")
        return tuple(map(_finite, found))

    def words(self, field: str) -> tuple[str, ...]:
        found = self._take(field, list, "a list of texts", None)
        if not found or not all(isinstance(word, str) for word in found):
            raise self.error(field, f"is {quoted(found)}, not a list of texts")
        self._check_text(field, *found)
        return tuple(found)

    def texts(self, field: str) -> dict[str, str]:
        found = self._take(field, dict, "a table", {})
        if not all(isinstance(value, str) and re.fullmatch("[a-z_]+", key) for key, value in found.items()):
            raise self.error(field, "must have names of small letters, and texts")
        self._check_text(field, *found.values())
        return dict(found)

    def _check_text(self, field: str, *texts: str) -> None:
        if any("\0" in text for text in texts):
            raise self.error(field, "has a null character, which no command and no path can have")

    def table(self, field: str) -> _Fields | None:
        if field not in self._data:
            return None
        return _Fields(self._recipe, field, self._take(field, dict, "a table", None))

    def tables(self, field: str) -> dict[str, _Fields]:
        found = self._take(field, dict, "a table", {})
        for key, value in found.items():
            if not isinstance(value, dict) or not re.fullmatch("[a-z_]+", key):
                raise self.error(f"{field}.{key}", "is not a table with a name of small letters")
        return {key: _Fields(self._recipe, f"{field}.{key}", value) for key, value in found.items()}

    def finish(self) -> None:
        """Raises TlbenchError if a field is left."""
        for field in self._data:
            raise self.error(field, "is not known")
