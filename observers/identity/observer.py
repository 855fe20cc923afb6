"""Whether the generated face is the same person: likeness of its embedding to the real face's or a source picture's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.crops import FACE_256, WHOLE_FRAME
from tlbench.media.dlib_models import lacking_dlib
from tlbench.media.picture import read_picture
from tlbench.media.views import View
from tlbench.observing.cropping import CropStream, crop_needs, faces_shown, first_frames
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer

from .likeness import cosine
from .real_faces import RealFaces

if TYPE_CHECKING:
    from .embedding import FaceEmbedding


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
        self._real_faces: RealFaces | None = None
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
            self._compare(pictures[shown], [self._source] * int(shown.sum()))

    def real_faces(self) -> RealFaces:
        """The embeddings of the real video: those that a run of another system has found, and this clip's."""
        if self._real_faces is None:
            self._real_faces = RealFaces(self._embed, self.of_reference)
        return self._real_faces

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
        compared = np.flatnonzero(shown[: min(len(seen), len(real))])
        wanted = self.real_faces().of_frames(reference.start + compared, real[compared])
        with_face = [number for number, face in zip(compared, wanted, strict=True) if face is not None]
        self._compare(seen[with_face], [face for face in wanted if face is not None])

    def _compare(self, pictures: np.ndarray, wanted: Sequence[np.ndarray]) -> None:
        self.reference_seen += len(wanted)
        found, embeddings = self._embed(pictures)
        of_found = [face for face, there in zip(wanted, found, strict=True) if there]
        self.cosines += [cosine(own, face) for own, face in zip(embeddings, of_found, strict=True)]


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
    version: ClassVar[int] = 2  # 2: dlib's network by torch, which moves the last digits of an embedding
    needs: ClassVar[Needs] = Needs(reference=True, boxes=True, framing=True)
    views: ClassVar[dict[str, str]] = {name: view.picture.id for name, view in VIEWS.items()}
    default_view: ClassVar[str] = "face-256"
    shares_reference: ClassVar[bool] = True

    def __init__(self, view: IdentityView, embed: FaceEmbedding, embed_source: FaceEmbedding) -> None:
        self._view = view
        self._embed, self._embed_source = embed, embed_source

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """The boxes of the crop, and the real video or the source picture."""
        view = VIEWS[views[0]]
        needs = replace(cls.needs, reference=not view.with_source, source=view.with_source)
        return crop_needs(needs, view.picture)

    @classmethod
    def usual_view(cls, clips: Sequence[Clip]) -> str:
        """``source`` if no clip has a real video and some have a source picture."""
        pairs = any(clip.reference is not None for clip in clips)
        return "source" if not pairs and any(clip.source is not None for clip in clips) else cls.default_view

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
        from .embedding import FaceEmbedding

        view = VIEWS[views[0]]
        of_crop, of_frame = (FaceEmbedding(device, of_crop=crop) for crop in (view.picture.frames_face, False))
        return cls(view, of_crop, of_frame)

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
        picture = read_picture(clip.source, clip.id, "source picture")
        found, embeddings = self._embed_source(picture[None])
        if not found[0]:
            raise ClipError("no-face", f"clip {clip.id}: no face is found in the source picture {clip.source.name}")
        return np.asarray(embeddings[0])

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, _IdentityClipState)]

    def _compute(self, state: _IdentityClipState) -> Evidence | ClipError:
        if not state.frames:
            return ClipError("no-frames", "the videos have no frame in common; check the files")
        if not self._view.with_source:
            state.of_reference = state.real_faces().evidence(self.name)
        cosines = np.array(state.cosines, dtype=np.float64)
        return Evidence(self.name, {"frames": state.frames, "reference_seen": state.reference_seen, "cosine": cosines})
