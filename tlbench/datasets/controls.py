"""Control rows: the reference clips with one known fault put in, or none.

A table of generated videos says little without its ceiling and its floor. Everything here but ``ground-truth`` goes
through one and the same encoder, so that two rows differ by the named fault and nothing else; ``reencoded`` is what
that encoder alone costs.
"""

from __future__ import annotations

import json
import os
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import cv2
import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.datasets.neighbours import Gallery, mouth_halves
from tlbench.errors import ClipError, TlbenchError
from tlbench.media.audio import read_audio
from tlbench.media.patches import softness
from tlbench.media.video import read_video, write_video

CODEC = "libx264"
CRF = 23  # x264's own default, so the quality most published clips were written with
FRAMES_PER_SECOND = 25
SAMPLE_RATE = 16_000
GIVEN_BOXES = "given_boxes"  # in control.json: by clip id the SHA-256 of the file its boxes were given in
SAMPLES_PER_FRAME = SAMPLE_RATE // FRAMES_PER_SECOND  # 640


@dataclass(frozen=True)
class Double:
    """The pictures of another clip, brought to a scene's length: frame t is shown when the scene shows its frame t.

    Attributes
    ----------
    frames : (T, height, width, 3) uint8 RGB
        May be of another size than the scene's.
    boxes : (T, 4) int64 x1 y1 x2 y2
    """

    frames: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True)
class Scene:
    """A reference clip as a control receives it and gives it back.

    Attributes
    ----------
    frames : (T, height, width, 3) uint8 RGB
    samples : (N,) int16 at 16 kHz, or None without audio
    boxes : (T, 4) int64 x1 y1 x2 y2, or None unless the control needs them
    donor : (M,) int16, or None unless the control needs it
        The speech of another clip.
    double : Double, or None unless the control needs it
        Another clip's face.
    mouths : T pictures (h, w, 3) uint8 RGB of any size, or None unless the control needs them
        What others' mouths look like when the same is heard.
    """

    frames: np.ndarray
    samples: np.ndarray | None = None
    boxes: np.ndarray | None = None
    donor: np.ndarray | None = None
    double: Double | None = None
    mouths: tuple[np.ndarray, ...] | None = None


def middle(count: int, share: float) -> slice:
    """The middle ``share`` of ``count`` frames or samples; all of them for 1."""
    inside = round(share * count)
    start = (count - inside) // 2
    return slice(start, start + inside)


# A detector may not find a face that was painted over, blurred or coded to pieces, or finds it elsewhere.
SPOILT_FACE = frozenset({"no-face", "faces-missing", "framing"})


class Control(ABC):
    """One fault. ``name`` states its parameter where it is not the default, and :func:`control` reads it back."""

    base: ClassVar[str]
    description: ClassVar[str]
    needs_boxes: ClassVar[bool] = False
    needs_donor: ClassVar[bool] = False
    needs_mouths: ClassVar[bool] = False
    needs_double: ClassVar[Literal["", "same speaker", "another speaker"]] = ""
    written: ClassVar[bool] = True  # False: the reference file itself is the control
    excused: ClassVar[frozenset[str]] = SPOILT_FACE  # codes of findings that the fault itself causes: they are not told

    @property
    def name(self) -> str:
        return self.base

    @property
    def crf(self) -> int:
        """What the result is encoded with."""
        return CRF

    @abstractmethod
    def apply(self, scene: Scene) -> Scene:
        """The scene with the fault. The input is not changed."""


@dataclass(frozen=True)
class GroundTruth(Control):
    base = "ground-truth"
    description = "the reference file itself, byte for byte"
    written = False
    excused = frozenset({"same-file", "identical", "identical-pictures", "ground-truth-as-system"})

    def apply(self, scene: Scene) -> Scene:
        return scene


@dataclass(frozen=True)
class Reencoded(Control):
    base = "reencoded"
    description = f"the reference, written again as H.264 (CRF {CRF}) with AAC sound"

    def apply(self, scene: Scene) -> Scene:
        return scene


@dataclass(frozen=True)
class FrozenMouth(Control):
    """``share`` of the clip, in its middle, shows the mouth of the first frame of that stretch."""

    base = "frozen-mouth"
    description = "the lower half of the face box keeps the first frame's pixels, the rest moves"
    needs_boxes = True
    share: float = 1.0

    @property
    def name(self) -> str:
        return _with_share(self.base, self.share)

    def apply(self, scene: Scene) -> Scene:
        frames = scene.frames.copy()
        halves = _mouth_halves(scene)
        frozen = middle(len(frames), self.share)
        if frozen.start == frozen.stop:
            return scene
        first = scene.frames[frozen.start][halves[frozen.start]]
        if first.size == 0:
            raise ClipError(
                "empty-crop", "the first frame's face box has no lower half inside the frame; mend the boxes"
            )
        for frame, half in zip(frames[frozen], halves[frozen], strict=True):
            height, width = frame[half].shape[:2]
            if height and width:
                frame[half] = cv2.resize(first, (width, height), interpolation=cv2.INTER_LINEAR)
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class GreyedMouth(Control):
    base = "greyed-mouth"
    description = "the lower half of the face box is plain grey (128)"
    needs_boxes = True

    def apply(self, scene: Scene) -> Scene:
        frames = scene.frames.copy()
        for frame, half in zip(frames, _mouth_halves(scene), strict=True):
            frame[half] = 128
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class NearestMouth(Control):
    base = "nearest-mouth"
    description = (
        "the lower half of the face box of the most alike sounding frame of other clips, frame by frame; soft edges"
    )
    needs_boxes = True
    needs_mouths = True

    def apply(self, scene: Scene) -> Scene:
        assert scene.mouths is not None  # needs_mouths
        frames = scene.frames.copy()
        for frame, half, mouth in zip(frames, _mouth_halves(scene), scene.mouths, strict=True):
            if mouth.size == 0:
                raise ClipError("empty-crop", "a mouth that was chosen lies outside its frame; mend the boxes")
            rows, columns = half
            height, width = frame[half].shape[:2]
            if height and width:
                own = frame[half].astype(np.float32)
                other = cv2.resize(mouth, (width, height), interpolation=cv2.INTER_LINEAR)
                soft = softness((columns.start, rows.start, columns.stop, rows.stop), rows, columns)
                frame[half] = np.rint(own + soft * (other - own))
        return replace(scene, frames=frames)


@dataclass(frozen=True)
class Static(Control):
    base = "static"
    description = "the first frame, repeated"

    def apply(self, scene: Scene) -> Scene:
        return replace(scene, frames=np.repeat(scene.frames[:1], len(scene.frames), axis=0))


@dataclass(frozen=True)
class SwappedAudio(Control):
    """``share`` of the clip, in its middle, has the sound that the other clip has at that time."""

    base = "swapped-audio"
    description = "the speech of another clip, cut or padded with silence to this clip's length"
    needs_donor = True
    excused = SPOILT_FACE | {"other-audio", "audio-length", "audio-lag", "leading-silence"}
    share: float = 1.0

    @property
    def name(self) -> str:
        return _with_share(self.base, self.share)

    def apply(self, scene: Scene) -> Scene:
        assert scene.donor is not None  # needs_donor
        own = scene.samples
        samples = np.zeros(len(scene.frames) * SAMPLES_PER_FRAME if own is None else len(own), np.int16)
        kept = scene.donor[: len(samples)]
        samples[: len(kept)] = kept
        if own is not None:
            swapped = middle(len(own), self.share)
            samples[: swapped.start], samples[swapped.stop :] = own[: swapped.start], own[swapped.stop :]
        return replace(scene, samples=samples)


@dataclass(frozen=True)
class Blurred(Control):
    """``sigma_px`` is the Gaussian's standard deviation in pixels of the whole frame."""

    base = "blurred"
    description = "every frame blurred by a Gaussian"
    sigma_px: float = 2.0

    @property
    def name(self) -> str:
        return self.base if self.sigma_px == Blurred.sigma_px else f"{self.base}-{self.sigma_px:g}"

    def apply(self, scene: Scene) -> Scene:
        blurred = [cv2.GaussianBlur(frame, (0, 0), self.sigma_px) for frame in scene.frames]
        return replace(scene, frames=np.stack(blurred))


@dataclass(frozen=True)
class Shifted(Control):
    """Positive ``frames``: the picture comes later than the sound, the first frame is repeated and the last ones go.

    Negative: the picture comes earlier, and the last frame is repeated. Length and sound stay as they are.
    """

    base = "shifted"
    description = "the picture delayed against the sound by some frames of 1/25 s"
    excused = SPOILT_FACE | {"pictures-late"}
    frames: int = 5

    @property
    def name(self) -> str:
        return self.base if self.frames == Shifted.frames else f"{self.base}{self.frames:+d}"

    def apply(self, scene: Scene) -> Scene:
        count = len(scene.frames)
        if abs(self.frames) >= count:
            raise ClipError(
                "too-short", f"{count} frames can't be shifted by {self.frames}; nothing of the clip is left"
            )
        source = np.clip(np.arange(count) - self.frames, 0, count - 1)
        return replace(scene, frames=scene.frames[source])


CONTROLS: tuple[Control, ...] = (
    GroundTruth(),
    Reencoded(),
    Blurred(),
    Shifted(),
    FrozenMouth(),
    GreyedMouth(),
    NearestMouth(),
    Static(),
    SwappedAudio(),
)


def control(name: str) -> Control:
    """The control of a name: ``static``, ``blurred`` (2 px), ``blurred-3.5``, ``shifted`` (+5 frames), ``shifted-3``.

    The graded forms of ``frozen-mouth`` and ``swapped-audio`` are no control rows; see :mod:`tlbench.datasets.faults`.

    Raises TlbenchError for an unknown name or a parameter of no effect.
    """
    for known in CONTROLS:
        if known.name == name:
            return known
    if (shift := re.fullmatch(r"shifted([+-][0-9]{1,4})", name)) and int(shift[1]) != 0:
        return Shifted(int(shift[1]))
    if (blur := re.fullmatch(r"blurred-([0-9]{1,3}(?:\.[0-9]{1,3})?)", name)) and float(blur[1]) > 0:
        return Blurred(float(blur[1]))
    there = ", ".join(known.name for known in CONTROLS)
    raise TlbenchError(f"no control {name!r}; there are {there}, and shifted+N, shifted-N, blurred-SIGMA")


def donors(ids: Sequence[str], seed: int = 0) -> dict[str, str]:
    """For each clip another one, each used once: a random cyclic order of all clips (Sattolo's algorithm).

    Depends on the set of ids and the seed only, not on their order. Raises TlbenchError for fewer than two clips.
    """
    if len(ids) < 2:
        raise TlbenchError(f"swapped-audio: {len(ids)} clip has no other one to take speech from; select at least two")
    ordered = sorted(ids)
    cycle = list(ordered)
    # Only Random.random() is promised to give the same numbers in every version of Python.
    generator = random.Random(seed)
    for last in range(len(cycle) - 1, 0, -1):
        chosen = int(generator.random() * last)
        cycle[last], cycle[chosen] = cycle[chosen], cycle[last]
    return dict(zip(ordered, cycle, strict=True))


def control_clips(clips: Sequence[Clip], kind: str, folder: Path | None) -> list[Clip]:
    """The clips with this control as their generated video.

    Parameters
    ----------
    folder : Path or None
        What :func:`make_controls` returned for the kind; None for ``ground-truth``. A video that is not there gives
        ``generated=None``.
    """
    if not control(kind).written:
        return [replace(clip, generated=clip.reference, audio=None) for clip in clips]
    if folder is None:
        raise ValueError(f"control {kind} is written to a folder; make_controls returns it")
    there = ((clip, folder / f"{clip.id}.mp4") for clip in clips)
    return [replace(clip, generated=path if path.is_file() else None, audio=None) for clip, path in there]


def make_controls(
    clips: Sequence[Clip],
    out: Path,
    kinds: Sequence[str],
    *,
    boxes_of: Callable[[Clip], np.ndarray],
    boxes_by: str = "",
    given_boxes: Mapping[str, str] = MappingProxyType({}),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    on_failure: Callable[[Clip, str, ClipError], None] | None = None,
) -> dict[str, Path]:
    """Write ``<out>/<kind>/<id>.mp4`` for each clip and kind that is not there yet.

    A reference is decoded once for all kinds; a whole clip is held in memory. Beside the videos, ``control.json`` says
    how they were made, so that a folder made in another way is not continued.

    Parameters
    ----------
    kinds : sequence of str
        Names for :func:`control`. ``ground-truth`` is accepted and writes nothing.
    boxes_of : Clip -> (T, 4) int
        Face boxes of a clip's reference; called only where a kind needs them.
    boxes_by : str
        What decides these boxes: stands in ``control.json`` of the kinds that need them.
    given_boxes : mapping of clip id to str
        SHA-256 of the file in which a clip's boxes were given: stands there as well.
    seed : int
        Decides whose speech ``swapped-audio`` takes.
    progress : (done, total) -> None, optional
        Called after each clip.
    on_failure : (clip, kind, error) -> None, optional
        Told of each control that can't be made, and the work goes on; without it the first error is raised.

    Returns
    -------
    dict of kind to folder, without ``ground-truth``

    Raises
    ------
    TlbenchError
        Unknown kind; a folder that was made with other parameters, seed or clips; a folder that can't be written.
    """
    chosen = [found for found in map(control, dict.fromkeys(kinds)) if found.written]
    folders = {kind.name: out / kind.name for kind in chosen}
    other = donors([clip.id for clip in clips], seed) if any(kind.needs_donor for kind in chosen) else {}
    gallery = Gallery(clips, boxes_of) if any(kind.needs_mouths for kind in chosen) else None
    for kind in chosen:
        recipe: dict[str, Any] = {"control": kind.name, "codec": CODEC, "crf": CRF}
        if kind.needs_donor:
            recipe |= {"seed": seed, "donors": other}
        if kind.needs_mouths and gallery is not None:
            recipe |= {"gallery": gallery.ids}
        if kind.needs_boxes and boxes_by:
            recipe["boxes"] = boxes_by
        _open_folder(folders[kind.name], recipe, given_boxes if kind.needs_boxes else {})
    by_id = {clip.id: clip for clip in clips}
    for done, clip in enumerate(clips, start=1):
        donor = by_id[other[clip.id]] if other else None
        missing = [kind for kind in chosen if not (folders[kind.name] / f"{clip.id}.mp4").is_file()]
        for kind, error in _make(clip, donor, missing, folders, boxes_of, gallery):
            if on_failure is None:
                raise error
            on_failure(clip, kind.name, error)
        if progress is not None:
            progress(done, len(clips))
    return folders


def _make(
    clip: Clip,
    donor: Clip | None,
    kinds: Sequence[Control],
    folders: dict[str, Path],
    boxes_of: Callable[[Clip], np.ndarray],
    gallery: Gallery | None,
) -> list[tuple[Control, ClipError]]:
    """Write one clip's controls; what could not be made is returned."""
    if not kinds:
        return []
    try:
        scene = read_scene(clip)
    except ClipError as error:
        return [(kind, error) for kind in kinds]
    boxes: np.ndarray | None = None
    failures = []
    for kind in kinds:
        try:
            if kind.needs_boxes and boxes is None:
                boxes = checked_boxes(clip, boxes_of(clip), len(scene.frames))
            heard = read_speech(donor) if kind.needs_donor and donor is not None else None
            mouths = _mouths(clip, scene, gallery) if kind.needs_mouths and gallery is not None else None
            made = kind.apply(replace(scene, boxes=boxes, donor=heard, mouths=mouths))
        except ClipError as error:
            failures.append((kind, error))
            continue
        write_scene(folders[kind.name] / f"{clip.id}.mp4", made, kind.crf)
    return failures


def write_scene(path: Path, scene: Scene, crf: int) -> None:
    """Encode a scene as all controls are encoded. Raises TlbenchError if it can't be written."""
    _make_folder(path.parent)
    write_video(path, scene.frames, FRAMES_PER_SECOND, scene.samples, SAMPLE_RATE, CODEC, crf)


def read_scene(clip: Clip) -> Scene:
    """The reference's frames, and its sound if it has any. Raises ClipError if it can't be read."""
    if clip.reference is None:
        raise ClipError("missing", f"clip {clip.id}: controls are made from the reference, and there is none")
    try:
        samples = read_audio(clip.reference, SAMPLE_RATE)
    except ClipError as error:
        if error.code != "no-audio":
            raise
        samples = None
    return Scene(read_video(clip.reference), samples)


def read_speech(donor: Clip) -> np.ndarray:
    """(N,) int16 of a clip's reference. Raises ClipError if there is none."""
    if donor.reference is None:
        raise ClipError("missing", f"clip {donor.id}: its speech was drawn for another clip, and it has no reference")
    return read_audio(donor.reference, SAMPLE_RATE)


def _mouths(clip: Clip, scene: Scene, gallery: Gallery) -> tuple[np.ndarray, ...]:
    if scene.samples is None:
        raise ClipError("no-audio", f"clip {clip.id}: the reference has no sound to find mouths by")
    return gallery.mouths(clip, scene.samples, len(scene.frames))


def checked_boxes(clip: Clip, boxes: np.ndarray, count: int) -> np.ndarray:
    """The boxes, if there is one a frame. Raises ClipError otherwise."""
    if boxes.shape != (count, 4):
        raise ClipError("bad-boxes", f"clip {clip.id}: boxes of shape {boxes.shape} for {count} frames; make them anew")
    return boxes


def _mouth_halves(scene: Scene) -> list[tuple[slice, slice]]:
    assert scene.boxes is not None  # needs_boxes
    return mouth_halves(scene.boxes, *scene.frames.shape[1:3])


def _with_share(base: str, share: float) -> str:
    return base if share == 1 else f"{base}-{share:g}"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TlbenchError(
            f"controls can't be written to {folder} ({error.strerror}); choose another folder"
        ) from error


def _open_folder(folder: Path, recipe: Mapping[str, Any], given_boxes: Mapping[str, str]) -> None:
    """Make a folder of controls, or see that it was made in the same way.

    Of boxes that are given with clips, those of a clip must be the same: other clips may be added.
    """
    note = folder / "control.json"
    _make_folder(folder)
    try:
        before = _read_note(note) if note.is_file() else None
        kept = {} if before is None else before.pop(GIVEN_BOXES, {})
        if before is not None:
            others = any(kept.get(clip_id, sha256) != sha256 for clip_id, sha256 in given_boxes.items())
            if before != json.loads(json.dumps(recipe)) or others or bool(kept) != bool(given_boxes):
                raise TlbenchError(
                    f"{folder} holds controls made in another way (see control.json); choose another folder"
                )
            if kept.keys() >= given_boxes.keys():
                return
        whole = {**recipe, GIVEN_BOXES: {**kept, **given_boxes}} if given_boxes else recipe
        temporary = note.with_name(f".{note.name}.{os.getpid()}")
        temporary.write_text(json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
        temporary.replace(note)
    except OSError as error:
        raise TlbenchError(
            f"controls can't be written to {folder} ({error.strerror}); choose another folder"
        ) from error


def _read_note(note: Path) -> dict[str, Any]:
    """What ``control.json`` says; nothing if it is malformed, which is another way than any."""
    try:
        said = json.loads(note.read_bytes())
    except ValueError:
        return {}
    return said if isinstance(said, dict) and isinstance(said.get(GIVEN_BOXES, {}), dict) else {}
