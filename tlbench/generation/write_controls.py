"""Writing control videos: one folder for each kind of control, one video for each clip."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.datasets.options import DataOptions
from tlbench.errors import ClipError, TlbenchError
from tlbench.files import JSON, read_outside, write_text_atomically
from tlbench.generation.controls import CONTROLS, Control, ControlScene, control
from tlbench.generation.encoding import CODEC, CRF
from tlbench.generation.nearest_mouth import MouthIndex
from tlbench.generation.other_clips import donors, read_speech
from tlbench.json_input import parse_json
from tlbench.litter import remove_litter
from tlbench.media.audio import read_whole_audio
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video
from tlbench.observing.face_options import DEFAULT_FACES, FaceOptions
from tlbench.observing.make_boxes import box_finder, select_references
from tlbench.owner import owned

GIVEN_BOXES = "given_boxes"  # in control.json: by clip id the SHA-256 of the file its boxes were given in


def write_controls(
    out: Path,
    data: DataOptions,
    faces: FaceOptions = DEFAULT_FACES,
    *,
    kinds: Sequence[str] = ("all",),
    seed: int = 0,
    weights: Mapping[str, Path] | None = None,
    cache: Path | None = None,
    take_over: bool = False,
    progress: CountCallback | None = None,
) -> tuple[dict[str, Path], list[tuple[str, str, ClipError]]]:
    """Write controls of a data set's real videos; see :func:`make_controls`.

    Each kind's folder is owned, and ``take_over`` is that of :func:`tlbench.owner.owned`.

    Returns
    -------
    folders : dict of kind to Path
    failures : list of (kind, clip id, ClipError)
    """
    chosen = [known.name for known in CONTROLS] if tuple(kinds) == ("all",) else list(kinds)
    selection = select_references(data)
    finder = box_finder(selection, faces, weights, cache)
    failures: list[tuple[str, str, ClipError]] = []

    def remember(clip: Clip, kind: str, error: ClipError) -> None:
        failures.append((kind, clip.id, error))

    written = [kind for kind in chosen if control(kind).written]
    with owned(*(out / kind for kind in written), take_over=take_over):
        folders = make_controls(
            selection.clips,
            out,
            chosen,
            boxes_of=lambda clip: finder.of_clip(clip).face.xyxy,
            boxes_by=finder.decided_by(selection.clips),
            given_boxes=finder.given_sha256(selection.clips),
            seed=seed,
            progress=progress,
            on_failure=remember,
        )
    return folders, failures


def control_clips(clips: Sequence[Clip], kind: str, folder: Path | None) -> list[Clip]:
    """The clips with this control as their generated video.

    Parameters
    ----------
    folder : Path or None
        The folder that :func:`make_controls` returned for the kind; None for ``ground-truth``. A clip without a video
        there gets ``generated=None``.
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
    only: Container[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    on_failure: Callable[[Clip, str, ClipError], None] | None = None,
) -> dict[str, Path]:
    """Write ``<out>/<kind>/<id>.mp4`` for each clip and kind that does not exist yet.

    A real video is decoded once for all kinds and held in memory. ``control.json`` in the folder records how its videos
    were made; a folder made with other settings is refused.

    Parameters
    ----------
    kinds : sequence of str
        Names for :func:`control`. ``ground-truth`` is accepted and writes nothing.
    boxes_of : Clip -> (T, 4) int
        Face boxes of a clip's real video; called only if a kind needs them.
    boxes_by : str
        What decides these boxes, written to ``control.json`` of the kinds that need them.
    given_boxes : mapping of clip id to str
        SHA-256 of the file in which a clip's boxes were given, written there as well.
    seed : int
        Decides which clip's speech ``swapped-audio`` takes.
    only : container of str, optional
        Ids of the clips to write, such as those of a shard; other clips only give speech and mouths.
    progress : (done, total) -> None, optional
        Called after each clip.
    on_failure : (clip, kind, error) -> None, optional
        Called for each control that can't be made. Without it the first error is raised.

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
    mouth_index = MouthIndex(clips, boxes_of) if any(kind.needs_mouths for kind in chosen) else None
    for kind in chosen:
        recipe: dict[str, Any] = {"control": kind.name, "codec": CODEC, "crf": CRF}
        if kind.needs_donor:
            recipe |= {"seed": seed, "donors": other}
        if kind.needs_mouths and mouth_index is not None:
            recipe |= {"gallery": mouth_index.ids}
        if kind.needs_boxes and boxes_by:
            recipe["boxes"] = boxes_by
        _open_folder(folders[kind.name], recipe, given_boxes if kind.needs_boxes else {})
    by_id = {clip.id: clip for clip in clips}
    own = [clip for clip in clips if only is None or clip.id in only]
    for done, clip in enumerate(own, start=1):
        donor = by_id[other[clip.id]] if other else None
        missing = [kind for kind in chosen if not (folders[kind.name] / f"{clip.id}.mp4").is_file()]
        for kind, error in _make(clip, donor, missing, folders, boxes_of, mouth_index):
            if on_failure is None:
                raise error
            on_failure(clip, kind.name, error)
        if progress is not None:
            progress(done, len(own))
    return folders


def _make(
    clip: Clip,
    donor: Clip | None,
    kinds: Sequence[Control],
    folders: dict[str, Path],
    boxes_of: Callable[[Clip], np.ndarray],
    mouth_index: MouthIndex | None,
) -> list[tuple[Control, ClipError]]:
    """Write one clip's controls. Returns those that could not be made, with the error."""
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
            speech = read_speech(donor) if kind.needs_donor and donor is not None else None
            mouths = _mouths(clip, scene, mouth_index) if kind.needs_mouths and mouth_index is not None else None
            made = kind.apply(replace(scene, boxes=boxes, donor=speech, mouths=mouths))
        except ClipError as error:
            failures.append((kind, error))
            continue
        write_scene(folders[kind.name] / f"{clip.id}.mp4", made, kind.crf)
    return failures


def write_scene(path: Path, scene: ControlScene, crf: int) -> None:
    """Encode a scene with the settings of all controls. Raises TlbenchError if it can't be written."""
    _make_folder(path.parent)
    write_video(path, scene.frames, FRAMES_PER_SECOND, scene.samples, SAMPLE_RATE, CODEC, crf)


def read_scene(clip: Clip) -> ControlScene:
    """The frames of the real video, and its sound if it has any. Raises ClipError if it can't be read."""
    if clip.reference is None:
        raise ClipError("missing", f"clip {clip.id}: controls are made from the reference, and there is none")
    try:
        samples = read_whole_audio(clip.reference, SAMPLE_RATE)
    except ClipError as error:
        if error.code != "no-audio":
            raise
        samples = None
    return ControlScene(read_video(clip.reference), samples)


def _mouths(clip: Clip, scene: ControlScene, mouth_index: MouthIndex) -> tuple[np.ndarray, ...]:
    if scene.samples is None:
        raise ClipError("no-audio", f"clip {clip.id}: the reference has no sound to find mouths by")
    return mouth_index.mouths(clip, scene.samples, len(scene.frames))


def checked_boxes(clip: Clip, boxes: np.ndarray, count: int) -> np.ndarray:
    """The boxes, (count, 4). Raises ClipError if they have another shape."""
    if boxes.shape != (count, 4):
        raise ClipError("bad-boxes", f"clip {clip.id}: boxes of shape {boxes.shape} for {count} frames; make them anew")
    return boxes


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TlbenchError(
            f"controls can't be written to {folder} ({error.strerror}); choose another folder"
        ) from error


def _open_folder(folder: Path, recipe: Mapping[str, Any], given_boxes: Mapping[str, str]) -> None:
    """Make a folder of controls, or check that it was made with the same settings.

    Given boxes of a clip must be the same; other clips may be added.
    """
    note = folder / "control.json"
    _make_folder(folder)
    remove_litter(folder, deep=True)
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
        write_text_atomically(note, json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    except OSError as error:
        raise TlbenchError(
            f"controls can't be written to {folder} ({error.strerror}); choose another folder"
        ) from error


def _read_note(note: Path) -> dict[str, Any]:
    """The content of ``control.json``; empty, and so different from any other, if it is malformed."""
    try:
        content = parse_json(read_outside(note, JSON))
    except ValueError:
        return {}
    return content if isinstance(content, dict) and isinstance(content.get(GIVEN_BOXES, {}), dict) else {}
