"""The common part of the observers of likeness: what is compared with what, by whatever face embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.picture import read_picture
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import View
from tlbench.observing.cropping import CropStream, boxes_in, faces_shown, first_frames
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk, ClipState, Needs, Observer
from tlbench.observing.real_frames import RealFrames

from .face_embedding import FaceEmbedding
from .likeness import cosine


@dataclass(frozen=True)
class LikenessView:
    """In which picture the face is searched, and whether it is compared with the source picture."""

    picture: View
    with_source: bool = False


class LikenessClipState(ClipState):
    """The likeness in the frames of one clip so far. ``source`` is the source picture's embedding, if it is used."""

    def __init__(self, view: LikenessView, embed: FaceEmbedding, source: np.ndarray | None) -> None:
        self._picture = view.picture
        self._embed = embed
        self._source = source
        self._seen, self._real = CropStream(view.picture), CropStream(view.picture)
        self._real_faces: RealFrames | None = None
        self.frames = 0
        self.reference_seen = 0
        self.cosines: list[float] = []

    def update(self, chunk: ClipChunk) -> None:
        if self._source is None:
            self._compare_frames(chunk)
        elif chunk.generated is not None:
            self.frames += len(chunk.generated)
            pictures, boxes = self._cut(self._seen, chunk.generated, chunk.boxes)
            shown = faces_shown(chunk.generated, self.clip_boxes)[: len(pictures)]
            self._compare(pictures[shown], boxes[shown], [self._source] * int(shown.sum()))

    def real_faces(self) -> RealFrames:
        """The embeddings of the real video: those that a run of another system has found, and this clip's."""
        if self._real_faces is None:
            self._real_faces = RealFrames(self._embed, "embedding", self._embed.empty(), self.of_reference)
        return self._real_faces

    def _compare_frames(self, chunk: ClipChunk) -> None:
        if chunk.generated is None or chunk.reference is None:
            return  # as many frames are compared as both videos have
        count = min(len(chunk.generated), len(chunk.reference))
        self.frames += count
        generated, reference = first_frames(chunk.generated, count), first_frames(chunk.reference, count)
        seen, boxes = self._cut(self._seen, generated, chunk.boxes)
        real, real_boxes = self._cut(self._real, reference, chunk.boxes_in_reference)
        shown = faces_shown(reference, self.clip_boxes, self.clip_reference_boxes or self.clip_boxes)
        compared = np.flatnonzero(shown[: min(len(seen), len(real))])
        wanted = self.real_faces().of_frames(reference.start + compared, real[compared], real_boxes[compared])
        with_face = [number for number, face in zip(compared, wanted, strict=True) if face is not None]
        self._compare(seen[with_face], boxes[with_face], [face for face in wanted if face is not None])

    def _cut(self, stream: CropStream, frames: FrameChunk, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The pictures of the next frames and the boxes in them, as many as there are of both."""
        pictures = stream.pictures(frames, rows)
        boxes = boxes_in(pictures, frames, rows, self._picture)
        count = min(len(pictures), len(boxes))
        return pictures[:count], boxes[:count]

    def _compare(self, pictures: np.ndarray, boxes: np.ndarray, wanted: Sequence[np.ndarray]) -> None:
        self.reference_seen += len(wanted)
        found, embeddings = self._embed(pictures, boxes)
        of_found = [face for face, there in zip(wanted, found, strict=True) if there]
        self.cosines += [cosine(own, face) for own, face in zip(embeddings, of_found, strict=True)]


class LikenessObserver(Observer):
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

    shares_reference: ClassVar[bool] = True
    ways: ClassVar[dict[str, LikenessView]]

    def __init__(self, view: LikenessView, embed: FaceEmbedding) -> None:
        self._view = view
        self._embed = embed

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """The real video or the source picture, and smoothed boxes for a view that cuts the face."""
        view = cls.ways[views[0]]
        own = replace(cls.needs, reference=not view.with_source, source=view.with_source)
        return replace(own, framing=view.picture.frames_face)

    @classmethod
    def usual_view(cls, clips: Sequence[Clip]) -> str:
        """``source`` if no clip has a real video and some have a source picture."""
        pairs = any(clip.reference is not None for clip in clips)
        return "source" if not pairs and any(clip.source is not None for clip in clips) else cls.default_view

    @classmethod
    def recipe(cls, view: str) -> View | None:
        """The steps of the picture that the face is searched in."""
        return cls.ways[view].picture

    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        source = self._of_source(clip) if self._view.with_source else None
        return LikenessClipState(self._view, self._embed, source)

    def _of_source(self, clip: Clip) -> np.ndarray:
        """The embedding of a clip's source picture. Raises ClipError if there is none, or no face in it."""
        if clip.source is None:
            raise ClipError("missing", f"clip {clip.id}: there is no source picture; name it in the manifest")
        picture = read_picture(clip.source, clip.id, "source picture")
        found = self._embed.of_whole_picture(picture)
        if found is None:
            raise ClipError("no-face", f"clip {clip.id}: no face is found in the source picture {clip.source.name}")
        return found

    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        return [self._compute(state) for state in states if isinstance(state, LikenessClipState)]

    def _compute(self, state: LikenessClipState) -> Evidence | ClipError:
        if not state.frames:
            return ClipError("no-frames", "the videos have no frame in common; check the files")
        if not self._view.with_source:
            state.of_reference = state.real_faces().evidence(self.name)
        cosines = np.array(state.cosines, dtype=np.float64)
        return Evidence(self.name, {"frames": state.frames, "reference_seen": state.reference_seen, "cosine": cosines})
