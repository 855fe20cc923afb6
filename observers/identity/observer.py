"""Whether the generated face is the same person: likeness of its embedding to the real face's or a source picture's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.crops import FACE_256, WHOLE_FRAME
from tlbench.media.dlib_models import lacking_dlib
from tlbench.media.views import View
from tlbench.observing.cropping import CropStream, crop_needs, faces_shown, first_frames
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer

from .embedding import FaceEmbedding, cosine


@dataclass(frozen=True)
class IdentityView:
    """In which picture the face is searched, and whether it is compared with the source picture."""

    picture: View
    with_source: bool = False


VIEWS = {
    "face-256": IdentityView(View("face-256-dlib5", 1, FACE_256.steps)),
    "whole-frame": IdentityView(View("whole-frame-dlib5", 1, WHOLE_FRAME.steps)),
    "source": IdentityView(View("face-256-dlib5-source", 1, FACE_256.steps), with_source=True),
}


class _IdentityClipState(ClipState):
    """The likeness in the frames of one clip so far. ``source`` is the source picture's embedding, if it is used."""

    def __init__(self, view: IdentityView, embed: FaceEmbedding, source: np.ndarray | None) -> None:
        self._embed = embed
        self._source = source
        self._seen, self._real = CropStream(view.picture), CropStream(view.picture)
        self.frames = 0
        self.reference_seen = 0
        self.cosines: list[float] = []

    def update(self, chunk: ClipChunk) -> None:
        if self._source is None:
            self._compare_frames(chunk)
        elif chunk.generated is not None:
            self.frames += len(chunk.generated)
            pictures = self._seen.pictures(chunk.generated, chunk.boxes)
            shown = faces_shown(chunk.generated, self.clip_boxes)[: len(pictures)]
            for picture in pictures[shown]:
                self._compare(picture, self._source)

    def _compare_frames(self, chunk: ClipChunk) -> None:
        if chunk.generated is None or chunk.reference is None:
            return  # as many frames are compared as both videos have
        count = min(len(chunk.generated), len(chunk.reference))
        self.frames += count
        generated, reference = first_frames(chunk.generated, count), first_frames(chunk.reference, count)
        seen = self._seen.pictures(generated, chunk.boxes)
        real = self._real.pictures(reference, chunk.boxes_in_reference)
        shown = np.ones(count, dtype=bool)
        if self._seen.by_box:
            shown = faces_shown(reference, self.clip_boxes, self.clip_reference_boxes or self.clip_boxes)
        for number in np.flatnonzero(shown[: min(len(seen), len(real))]):
            wanted = self._embed(real[number])
            if wanted is not None:
                self._compare(seen[number], wanted)

    def _compare(self, picture: np.ndarray, wanted: np.ndarray) -> None:
        self.reference_seen += 1
        found = self._embed(picture)
        if found is not None:
            self.cosines.append(cosine(found, wanted))


class Identity(Observer):
    """The likeness of the generated face to the real one in each frame in which both are found.

    Evidence
    --------
    frames : int
        As many frames as both videos have, or, with the source picture, as the generated one has.
    reference_seen : int
        The frames in which a face to compare with is found: in the real frame, or in the source picture.
    cosine : (seen,) float64
        Cosine similarity of both embeddings, of those frames in which a face is found in the generated video as well.
    """

    name: ClassVar[str] = "identity"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(reference=True, boxes=True, framing=True)
    views: ClassVar[dict[str, str]] = {name: view.picture.id for name, view in VIEWS.items()}
    default_view: ClassVar[str] = "face-256"

    def __init__(self, view: IdentityView) -> None:
        self._view = view
        self._embed = FaceEmbedding(of_crop=view.picture.frames_face)

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """The boxes of the crop, and the real video or the source picture."""
        view = VIEWS[views[0]]
        needs = replace(cls.needs, reference=not view.with_source, source=view.with_source)
        return crop_needs(needs, view.picture)

    @classmethod
    def lacking(cls, views: Sequence[str]) -> str:
        """The extra ``landmarks``."""
        return lacking_dlib()

    @classmethod
    def load(
        cls,
        weights: Path | None,
        views: Sequence[str],
        device: str,
        modes: Sequence[str] = (),
        *,
        half: bool = False,
        packed: bool = False,
    ) -> Identity:
        """Build it. Raises TlbenchError without the extra ``landmarks``."""
        return cls(VIEWS[views[0]])

    @classmethod
    def recipe(cls, view: str) -> View:
        """The steps of the picture that the face is searched in."""
        return VIEWS[view].picture

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        source = self._of_source(clip) if self._view.with_source else None
        return _IdentityClipState(self._view, self._embed, source)

    def _of_source(self, clip: Clip) -> np.ndarray:
        """The embedding of a clip's source picture. Raises ClipError if there is none, or no face in it."""
        if clip.source is None:
            raise ClipError("missing", f"clip {clip.id}: there is no source picture; name it in the manifest")
        picture = cv2.imread(str(clip.source), cv2.IMREAD_COLOR_RGB)
        if picture is None:
            raise ClipError("unreadable", f"clip {clip.id}: the source picture {clip.source.name} can't be read")
        found = FaceEmbedding(of_crop=False)(picture)
        if found is None:
            raise ClipError("no-face", f"clip {clip.id}: no face is found in the source picture {clip.source.name}")
        return found

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, _IdentityClipState)]

    def _compute(self, state: _IdentityClipState) -> Evidence | ClipError:
        if not state.frames:
            return ClipError("no-frames", "the videos have no frame in common; check the files")
        cosines = np.array(state.cosines, dtype=np.float64)
        return Evidence(self.name, {"frames": state.frames, "reference_seen": state.reference_seen, "cosine": cosines})
