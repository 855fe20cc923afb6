"""The checks of one clip's faces for ``tlbench check --faces``, equal to those of a run with observers that need boxes.

Boxes are cached in the same place as in a run, so a run with the same detector does not search again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.container import MediaError
from tlbench.media.faces import Boxes, FaceDetector
from tlbench.media.scaling import Size, same_aspect
from tlbench.media.video_reader import VideoReader
from tlbench.observing.cache import Cache, content_sha256
from tlbench.observing.face_boxes import BoxFinder, BoxRule, embedded_detector
from tlbench.observing.face_checks import FaceLooks, check_framing
from tlbench.preflight.faces import check_faces
from tlbench.preflight.findings import CATALOGUE, Finding, finding
from tlbench.preflight.frames import frames_at_25
from tlbench.preflight.headers import Expected, frames_to_expect


@dataclass
class FaceChecker:
    """Finds and checks the faces of clips. Detectors are loaded when first needed.

    Attributes
    ----------
    rule : BoxRule
        The rule for face boxes.
    cache : Path
        Folder of the cache.
    expected : Expected
        Of every clip of the data set.
    """

    rule: BoxRule
    cache: Path
    expected: Expected
    _finder: BoxFinder = field(init=False)
    _embedded: FaceDetector | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._finder = BoxFinder(self.rule, Cache(self.cache / "boxes"))

    def check(self, clip: Clip) -> list[Finding]:
        """Findings about the faces of a clip with a readable generated video.

        Without a real video, only a box file or boxes found in the generated video can be checked.
        """
        try:
            boxes = self._boxes(clip)
        except ClipError as error:
            return [self._of_error(clip, error)]
        if self._is_real(clip):  # missing faces are the data set's, and reported once
            return list(check_faces(clip.id, boxes, "reference")) if boxes.source != "given" else []
        found = [] if boxes.source == "given" else list(check_faces(clip.id, boxes, self.rule.source))
        if clip.reference is None:
            return found
        if self.rule.source == "reference":
            found += self._framing(clip, boxes)
        elif clip.boxes is None:  # the real video has its own boxes
            try:
                sha256 = content_sha256(clip.reference, clip.id, "reference video")
                real = self._finder.boxes(clip, VideoReader(clip.reference, 0), sha256, "reference")
            except ClipError as error:
                return [*found, finding("reference-broken", clip.id, _said(clip, error))]
            found += check_faces(clip.id, real, "reference")
        return found

    @staticmethod
    def _is_real(clip: Clip) -> bool:
        """Whether the generated video is the real one, byte for byte."""
        try:
            generated = content_sha256(clip.generated, clip.id, "generated video")
            return generated == content_sha256(clip.reference, clip.id, "reference video")
        except ClipError:  # one of them is missing or can't be read
            return False

    def _boxes(self, clip: Clip) -> Boxes:
        role = self.rule.source
        path = clip.generated if role == "generated" else clip.reference
        video = None if path is None else VideoReader(path, 0)
        if role == "reference" and clip.boxes is not None:
            return self._finder.boxes(clip, video, None)
        return self._finder.boxes(clip, video, content_sha256(path, clip.id, f"{role} video"), role)

    def _of_error(self, clip: Clip, error: ClipError) -> Finding:
        """A finding about the file that caused the error of finding boxes."""
        if self.rule.source == "generated":
            return _generated_error(clip, error)
        what = _said(clip, error)
        if clip.boxes is not None and not isinstance(error, MediaError):
            return finding("bad-boxes", clip.id, what)
        return finding("reference-missing" if error.code == "missing" else "reference-broken", clip.id, what)

    def _framing(self, clip: Clip, boxes: Boxes) -> Iterator[Finding]:
        """Findings about the framing, if the real video's boxes can be used for the generated one."""
        assert clip.generated is not None  # only such clips are checked
        assert clip.reference is not None
        generated, reference = VideoReader(clip.generated, 0), VideoReader(clip.reference, 0)
        try:
            looks = self._look(clip, boxes, generated, reference)
        except ClipError as error:
            yield _generated_error(clip, error)
            return
        if looks is None:
            return
        size, real_size = _size(generated), _size(reference)
        try:
            yield from check_framing(clip.id, looks, size, reference, real_size)
        except ClipError as error:
            yield finding("reference-broken", clip.id, _said(clip, error))

    def _look(self, clip: Clip, boxes: Boxes, generated: VideoReader, reference: VideoReader) -> FaceLooks | None:
        """The faces in a few frames of the generated video; None if the real video's boxes can't be used for it.

        Raises ClipError if it can't be decoded.
        """
        size = _size(generated)
        try:
            real, real_size = reference.info, _size(reference)
        except ClipError:  # the clip has a box file; the checks of files report the real video
            return None
        if not same_aspect(size, real_size):  # reported as `frame-size`
            return None
        counts = (frames_at_25(generated.info), frames_to_expect(clip, generated.info, real, self.expected))
        limit = min(count for count in counts if count is not None)
        if self._embedded is None:
            self._embedded = embedded_detector()
        looks = FaceLooks(self._embedded, boxes.scaled(real_size, size).face.xyxy, limit)
        for chunk in generated.frames():
            seen = chunk.before(limit)
            if seen is None:
                break
            looks.take(seen)
        return looks


def _size(video: VideoReader) -> Size:
    return video.info.width, video.info.height


def _generated_error(clip: Clip, error: ClipError) -> Finding:
    return finding(error.code if error.code in CATALOGUE else "unreadable", clip.id, _said(clip, error))


def _said(clip: Clip, error: ClipError) -> str:
    """The error in one line, without folders and without what to do about it."""
    what = error.message.partition("; ")[0]
    for path in filter(None, (clip.generated, clip.reference, clip.boxes)):
        what = what.replace(str(path), path.name)
    return what
