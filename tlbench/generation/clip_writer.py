"""Generates clips by one generator and writes their videos, those of controls too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from typing import Any

import av
import numpy as np

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.encoding import CODEC
from tlbench.generation.generation_log import GenerationLog, made_with
from tlbench.generation.generator import GenerateOptions, Generator, SourceClip, Stopped
from tlbench.generation.other_clips import OtherClips
from tlbench.generation.read_clip import ReadClip
from tlbench.generation.sound_features import sound_features
from tlbench.generation.write_generated import (
    GeneratedDataset,
    GeneratedFolder,
    WrittenClip,
    write_generated,
    write_made,
)
from tlbench.litter import remove_litter
from tlbench.media.faces import Boxes
from tlbench.media.rates import FRAMES_PER_SECOND
from tlbench.media.video_reader import DECODING
from tlbench.observing.evidence import NOT_FINITE
from tlbench.observing.face_boxes import BoxFinder


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
        self._finding = Lock()

    def log_entry(self) -> dict[str, Any]:
        """What decides the frames of all clips, as JSON for the generation log."""
        return writing_entry(self._generator, self._crf)

    @property
    def _crf(self) -> int:
        own = self._generator.crf
        return self._options.crf if own is None else own

    def folder(
        self,
        path: Path,
        entry: Mapping[str, Any],
        others: Sequence[Clip],
        *,
        stop: Event,
        part: str = "",
    ) -> GeneratedFolder:
        """Open a folder to be written, which is owned by the caller.

        Parameters
        ----------
        entry : mapping
            JSON for the log: what decides the videos besides the generator.
        others : sequence of Clip
            The clips that speech, mouths and faces may be taken from.
        stop : Event
            Is set when the run is to stop.
        part : str
            A name for the log of a run that writes some clips of the folder while other runs write others.

        Raises
        ------
        TlbenchError
            If the folder can't be written, or has videos that were generated otherwise.
        """
        others_of = OtherClips(self._generator.needs, others, self._finder, self._options.seed)
        remove_litter(path, deep=True)
        log = GenerationLog(
            path, {**self.log_entry(), **entry, **others_of.log_entry()}, log_extra(self._generator), part
        )
        rule = None if self._finder is None else self._finder.rule
        return GeneratedFolder(path, log, rule, lambda read, place: self._write(read, place, others_of, stop))

    def write_folder(
        self,
        clips: Sequence[Clip],
        path: Path,
        entry: Mapping[str, Any],
        workers: int | None = None,
        progress: CountCallback | None = None,
    ) -> GeneratedDataset:
        """Generate the clips of one folder; as :meth:`folder`.

        Raises TlbenchError also if no video could be made of any clip because the generator is damaged.
        """
        stop = Event()
        (done,) = write_generated(
            clips,
            [self.folder(path, entry, clips, stop=stop)],
            workers=workers or self._generator.clips_at_once,
            stop=stop,
            progress=progress,
        )
        if done.failures.keys() == {clip.id for clip in clips} and _codes(done) == {NOT_FINITE}:
            raise TlbenchError(
                f"generator {self._generator.checkpoint or self._generator.name}: gives faces whose pixels are not "
                f"finite numbers for each of {len(clips):,} clips; it is damaged, take another (--generator)"
            )
        return done

    def _write(self, read: ReadClip, path: Path, others: OtherClips, stop: Event) -> WrittenClip:
        """Generate one clip. Raises ClipError, or Stopped."""
        if stop.is_set():
            raise Stopped
        clip, needs = read.clip, self._generator.needs
        provenance = read.provenance(None if self._finder is None else self._finder.rule)
        samples = read.samples(needed=needs.sound != "none")
        boxes = None if self._finder is None else self._find_boxes(read, provenance.reference)
        counted = boxes is not None and clip.boxes is None
        frames = len(boxes) if boxes is not None and counted else read.frames
        if boxes is not None and frames > len(boxes):
            raise ClipError(
                "boxes-too-short", f"clip {clip.id}: {len(boxes)} face boxes for {frames} frames; find the boxes again"
            )
        source = SourceClip(
            clip,
            ((chunk.start + row, frame) for chunk in read.video.frames() for row, frame in enumerate(chunk.rgb)),
            frames,
            None if boxes is None else self._shown(boxes),
            samples,
            sound_features(needs, samples, frames),
            self._options.identity,
            others.donor(clip),
            others.mouths(clip, samples, frames),
            others.stand_in(clip, frames),
            stop,
        )
        write_made(path, self._generator.generate(source), self._crf)
        written = replace(provenance, frames=frames, faceless_frames=0 if boxes is None else boxes.missing)
        return WrittenClip(written, "; ".join([*read.video.conversions, *read.sound_conversion()]))

    def _find_boxes(self, read: ReadClip, sha256: str) -> Boxes:
        """The face boxes of a clip. Raises ClipError if no frame has a face that another could take the place of."""
        assert self._finder is not None
        with self._finding:  # a detector serves one thread at a time
            boxes = self._finder.boxes(read.clip, read.video, sha256)
        if self._generator.returns == "faces" and (
            boxes.missing == len(boxes) or (boxes.face.several and not boxes.face.there.any())
        ):
            raise ClipError(
                "no-face",
                f"clip {read.clip.id}: no face was found in any frame; give boxes (--boxes), or leave the clip out",
            )
        return boxes

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


def _codes(done: GeneratedDataset) -> set[str]:
    return {error.code for error in done.failures.values()}
