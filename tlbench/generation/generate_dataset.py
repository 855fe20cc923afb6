"""Generates a video for each reference video of a data set, by any generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.drive import KINDS, DriveOptions, driven_clips
from tlbench.generation.encoding import CODEC
from tlbench.generation.generation_log import GenerationLog, made_with, make_folder
from tlbench.generation.generator import (
    GenerateOptions,
    Generator,
    GeneratorNeeds,
    Identity,
    Precision,
    SourceClip,
    Stopped,
    Trim,
)
from tlbench.generation.other_clips import OtherClips
from tlbench.generation.registry import load_generator_of
from tlbench.generation.sound_features import sound_features
from tlbench.generation.write_generated import GeneratedDataset, WrittenClip, provenance_of, write_generated
from tlbench.litter import remove_litter
from tlbench.media.audio import read_whole_audio, sound_form
from tlbench.media.faces import Boxes
from tlbench.media.rates import FRAMES_PER_SECOND, SAMPLE_RATE
from tlbench.media.video_reader import DECODING, VideoReader
from tlbench.media.video_writer import write_video
from tlbench.observing.cache import Cache, default_cache
from tlbench.observing.evidence import NOT_FINITE
from tlbench.observing.face_boxes import BoxFinder, choose_rule
from tlbench.owner import owned

VIDEO_BYTES = 256 * 2**20  # frames of a video up to this size are kept in memory, so that it is decoded once


def generate_dataset(
    generator: Path | str,
    out: Path,
    dataset: str,
    data_root: Path | None = None,
    *,
    split: str | None = None,
    subset: Path | None = None,
    limit: int | None = None,
    manifest: Path | None = None,
    boxes: Path | None = None,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    identity: Identity = "first",
    trim: Trim = "both-ends",
    device: str = "auto",
    precision: Precision = "fp32",
    workers: int | None = None,
    cache: Path | None = None,
    take_over: bool = False,
    progress: CountCallback | None = None,
) -> GeneratedDataset:
    """Write ``<out>/<id>.mp4`` for each reference video of a data set: its frames with generated faces, and its audio.

    The protocol is that of TalkLip's ``inf_test.py``: a face is generated from its upper half and the clip's first
    face, and pasted into the face box. ``<out>/generation.json`` says how the videos were generated, and from which
    files, by their hashes. A video that exists is kept, unless its reference or audio file has changed. A folder of
    videos that were generated in another way, or with other face boxes, is refused.

    Parameters
    ----------
    generator : Path or str
        The name of a generator or of a checkpoint, such as ``talklip-gc-synthetic``, or a file or package: see
        :func:`tlbench.generation.registry.load_generator_of`.
    identity : "first" or "same"
        The face that the generator is given besides the upper half: the clip's first one, or that of the same frame,
        which shows it the real lips.
    trim : "both-ends" or "end"
        See :meth:`tlbench.talklip.inference.TalkLipInference.encode_audio`.
    precision : "fp32" or "bf16"
        ``bf16`` takes half the time on processors and GPUs with bfloat16 instructions, and more on others. The frames
        differ, so the generation log says which it was.
    workers : int, optional
        Clips generated at the same time: by default one on a CPU, four on a GPU.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.
    progress : (done, total) -> None, optional

    The other arguments are those of :func:`tlbench.score`.

    Raises
    ------
    TlbenchError
        If nothing can be generated. What is wrong with a single clip is in ``failures``.
    """
    selection = load_dataset(
        dataset, data_root, split=split, subset=subset, limit=limit, manifest=manifest, boxes=boxes
    )
    if all(clip.reference is None for clip in selection.clips):
        raise TlbenchError(f"{dataset}: has no reference videos to generate from")
    options = GenerateOptions(identity, trim, device, precision)
    maker = load_generator_of(generator, options)
    finder = _box_finder(maker, selection, detector, smooth, weights, face, cache)
    writer = ClipWriter(maker, options, finder)
    entry = writer.log_entry() | {"dataset": dataset} | _boxes_entry(maker, boxes)
    with owned(out, take_over=take_over):
        return writer.write_folder(selection.clips, out, entry, workers, progress)


def generate_drive(
    generator: Path | str,
    out: Path,
    drive: DriveOptions,
    *,
    weights: Mapping[str, Path] | None = None,
    detector: str = "auto",
    smooth: int = 0,
    face: str = "largest",
    identity: Identity = "first",
    trim: Trim = "both-ends",
    device: str = "auto",
    precision: Precision = "fp32",
    workers: int | None = None,
    cache: Path | None = None,
    take_over: bool = False,
    progress: CountCallback | None = None,
) -> dict[str, GeneratedDataset]:
    """Write ``<out>/<kind>/<id>.mp4`` for each item of a drive, in the way of :func:`generate_dataset`.

    Parameters
    ----------
    progress : (done, total) -> None, optional
        Counts the items of all kinds.

    The other arguments are those of :func:`generate_dataset`.

    Returns
    -------
    dict of kind to GeneratedDataset

    Raises
    ------
    TlbenchError
        If nothing can be generated, or the drive or its source videos are not as it says.
    """
    read, selection = drive.load()
    options = GenerateOptions(identity, trim, device, precision)
    maker = load_generator_of(generator, options)
    finder = _box_finder(maker, selection, detector, smooth, weights, face, cache)
    writer = ClipWriter(maker, options, finder)
    entry = writer.log_entry() | {"dataset": read.dataset} | _boxes_entry(maker, drive.boxes)
    done: dict[str, GeneratedDataset] = {}
    clips = len(selection.clips)
    with owned(*(out / kind for kind in KINDS), take_over=take_over):
        for number, kind in enumerate(KINDS):

            def tell(count: int, _: int, before: int = number * clips) -> None:
                if progress is not None:
                    progress(before + count, len(KINDS) * clips)

            driven = driven_clips(read, selection.clips, kind)
            own = entry | {"drive": read.sha256, "kind": kind}
            done[kind] = writer.write_folder(driven, out / kind, own, workers, tell)
    return done


def _box_finder(
    maker: Generator,
    selection: Selection,
    detector: str,
    smooth: int,
    weights: Mapping[str, Path] | None,
    face: str,
    cache: Path | None,
) -> BoxFinder | None:
    if not maker.needs.boxes:
        return None
    rule, _ = choose_rule(selection.fixed_box, detector, smooth, dict(weights or {}), face=face)
    return BoxFinder(rule, Cache((cache or default_cache()) / "boxes"))


def _boxes_entry(maker: Generator, boxes: Path | None) -> dict[str, bool]:
    return {"boxes_folder": boxes is not None} if maker.needs.boxes else {}


class ClipWriter:
    """Generates clips and writes their videos.

    Parameters
    ----------
    generator : Generator
    options : GenerateOptions
        Those that it was loaded with.
    finder : BoxFinder or None
        None if it needs no boxes.
    """

    def __init__(self, generator: Generator, options: GenerateOptions, finder: BoxFinder | None) -> None:
        self._generator, self._options, self._finder = generator, options, finder
        self._stop = Event()
        self._others = OtherClips(GeneratorNeeds(), [], None)

    def log_entry(self) -> dict[str, Any]:
        """What decides the frames of all clips, as JSON for the generation log."""
        return writing_entry(self._generator, self._crf)

    @property
    def _crf(self) -> int:
        own = self._generator.crf
        return self._options.crf if own is None else own

    def write_folder(
        self,
        clips: list[Clip],
        out: Path,
        entry: Mapping[str, Any],
        workers: int | None = None,
        progress: CountCallback | None = None,
    ) -> GeneratedDataset:
        """Generate the clips of one folder, which is owned by the caller; ``entry`` is that of its log."""
        self._others = OtherClips(self._generator.needs, clips, self._finder)
        remove_litter(out, deep=True)
        log = GenerationLog(out, {**entry, **self._others.log_entry()}, log_extra(self._generator))
        rule = None if self._finder is None else self._finder.rule
        self._stop = Event()
        done = write_generated(
            clips,
            out,
            log,
            rule,
            self._write,
            workers=workers or self._generator.clips_at_once,
            stop=self._stop,
            progress=progress,
        )
        if done.failures.keys() == {clip.id for clip in clips} and _codes(done) == {NOT_FINITE}:
            raise TlbenchError(
                f"generator {self._generator.checkpoint or self._generator.name}: gives faces whose pixels are not "
                f"finite numbers for each of {len(clips):,} clips; it is damaged, take another (--generator)"
            )
        return done

    def _write(self, clip: Clip, path: Path) -> WrittenClip:
        """Generate one clip. Raises ClipError, or Stopped."""
        if self._stop.is_set():
            raise Stopped
        rule = None if self._finder is None else self._finder.rule
        provenance = provenance_of(clip, rule)
        assert clip.reference is not None  # provenance_of refuses a clip without one
        speech = clip.audio or clip.reference
        needs = self._generator.needs
        samples = _speech(speech, needed=needs.sound != "none")
        video = VideoReader(clip.reference, VIDEO_BYTES)
        boxes = None if self._finder is None else _checked_boxes(clip, self._finder, video, provenance.reference)
        counted = boxes is not None and clip.boxes is None
        frames = len(boxes) if boxes is not None and counted else sum(len(chunk) for chunk in video.frames())
        if boxes is not None and frames > len(boxes):
            raise ClipError(
                "boxes-too-short", f"clip {clip.id}: {len(boxes)} face boxes for {frames} frames; find the boxes again"
            )
        source = SourceClip(
            clip,
            ((chunk.start + row, frame) for chunk in video.frames() for row, frame in enumerate(chunk.rgb)),
            frames,
            None if boxes is None else self._shown(boxes),
            samples,
            sound_features(needs, samples, frames),
            self._options.identity,
            self._others.donor(clip),
            self._others.mouths(clip, samples, frames),
            self._stop,
        )
        made = self._generator.generate(source)
        make_folder(path.parent)
        write_video(path, made.frames, FRAMES_PER_SECOND, made.samples, SAMPLE_RATE, CODEC, self._crf)
        faceless = 0 if boxes is None else boxes.missing
        written = replace(provenance, frames=frames, faceless_frames=faceless)
        return WrittenClip(written, "; ".join([*video.conversions, *_sound_conversion(speech, samples)]))

    def _shown(self, boxes: Boxes) -> list[np.ndarray]:
        """The box of each frame: for faces as published, for whole frames that of the followed face."""
        return list(boxes.of_person if self._generator.returns == "faces" else boxes.face.xyxy)


def writing_entry(generator: Generator, crf: int) -> dict[str, Any]:
    """What decides the frames of a generator's videos, as JSON for a generation log."""
    return {
        **generator.log_entry(),
        "frames_per_second": FRAMES_PER_SECOND,
        "decoding": DECODING,
        "encoder": {"pictures": CODEC, "crf": crf, "sound": "aac"},
    }


def log_extra(generator: Generator) -> dict[str, Any]:
    """Further fields for a generation log, which may change when a run is continued."""
    named = {} if generator.checkpoint is None else {"checkpoint_file": generator.checkpoint.name}
    return named | made_with({**generator.libraries(), "av": av.__version__})


def audio_form(rate: int, channels: int) -> str:
    """A sample rate and a number of channels as text: ``44100 Hz in 2 channels``."""
    return f"{rate} Hz in {channels} channels" if channels > 1 else f"{rate} Hz"


def _checked_boxes(clip: Clip, finder: BoxFinder, video: VideoReader, sha256: str) -> Boxes:
    boxes = finder.boxes(clip, video, sha256)
    if boxes.missing == len(boxes) or (boxes.face.several and not boxes.face.there.any()):
        raise ClipError(
            "no-face",
            f"clip {clip.id}: no face was found in any frame; give boxes (--boxes), or leave the clip out",
        )
    return boxes


def _speech(path: Path, *, needed: bool) -> np.ndarray | None:
    """(N,) int16 at 16 kHz; None without sound. Raises ClipError ``no-audio`` if it is needed."""
    try:
        return read_whole_audio(path)
    except ClipError as error:
        if needed or error.code != "no-audio":
            raise
        return None


def _sound_conversion(speech: Path, samples: np.ndarray | None) -> list[str]:
    if samples is None:
        return []
    rate, channels = sound_form(speech)
    if (rate, channels) == (SAMPLE_RATE, 1):
        return []
    return [f"sound of {audio_form(rate, channels)} to 16000 Hz in one channel"]


def _codes(done: GeneratedDataset) -> set[str]:
    return {error.code for error in done.failures.values()}
