"""The contract of an observer: anything that takes a clip's frames and returns evidence.

The runner decodes a clip once. :meth:`Observer.start_clip` makes one :class:`ClipState` for each observer.
:meth:`ClipState.update` gets the frames chunk by chunk and keeps only what its observer needs (a small crop, a running
sum, an embedding), so that memory does not grow with the video. After the clips of a batch, :meth:`Observer.compute`
turns their states into evidence. The evidence of a clip must not depend on the other clips in the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.alignments import AVHUBERT_OWN
from tlbench.media.faces import Boxes
from tlbench.media.video_reader import FrameChunk
from tlbench.media.views import View
from tlbench.observing.evidence import Evidence

HALF_NAME = "bfloat16"  # the number type of half precision, as written in protocol ids and cache keys
PACKED_NAME = "onednn"  # the matrix product with packed weights, as written in provenance
PACKED_KEY = f"{PACKED_NAME}.2"  # in cache keys; the number rises when its roundings change


@dataclass(frozen=True)
class Needs:
    """What an observer needs of a clip. The runner reads only what some observer needs.

    ``placements`` was a bool before there were several ways: True is AV-HuBERT's with a mean face of our own.
    """

    reference: bool = False  # the frames of the real video
    boxes: bool = False  # face boxes of the real video
    framing: bool = False  # these boxes smoothed over time
    placements: str = ""  # position of the mouth in each frame of the real video: a way of tlbench.media.alignments
    audio: bool = False  # 16 kHz mono samples
    transcript: bool = False
    word: bool = False
    word_times: bool = False  # of the words of the transcript
    weights: bool = False  # a checkpoint
    source: bool = False  # the picture that the video was generated from

    def __post_init__(self) -> None:
        given: object = self.placements
        if isinstance(given, bool):
            object.__setattr__(self, "placements", AVHUBERT_OWN if given else "")


@dataclass(frozen=True)
class ClipChunk:
    """The next frames of a clip's videos, and where the face is in them.

    Attributes
    ----------
    generated, reference : FrameChunk or None
        The next frames of each video, from the same frame index on; None once that video has ended or if the observer
        did not ask for it. The chunk in which one video ends has fewer frames of it than of the other.
    boxes : (n, 4) int64 or None
        Face boxes x1 y1 x2 y2 of these frames in pixels of the generated video, fewer rows once the boxes end; None if
        the observer did not ask for boxes. For observers that need ``framing``: smoothed over the clip, and the last
        box is repeated once they end.
    placements : (n, 2, 3) or (n, 2, 4) float64 or None
        Where a frame's 96x96 mouth patch is, in the way of :mod:`tlbench.media.alignments` that the observer asked for;
        None if it did not.
    reference_boxes, reference_placements : ndarray or None
        The same in pixels of the real video, which may have another size, for observers that need the real video as
        well. None if they are those of the generated video.
    """

    generated: FrameChunk | None = None
    reference: FrameChunk | None = None
    boxes: np.ndarray | None = None
    placements: np.ndarray | None = None
    reference_boxes: np.ndarray | None = None
    reference_placements: np.ndarray | None = None

    @property
    def boxes_in_reference(self) -> np.ndarray | None:
        """Face boxes in pixels of the real video."""
        return self.boxes if self.reference_boxes is None else self.reference_boxes

    @property
    def placements_in_reference(self) -> np.ndarray | None:
        """Mouth placements in pixels of the real video."""
        return self.placements if self.reference_placements is None else self.reference_placements


class ClipState(ABC):
    """What one observer keeps of one clip while the frames pass.

    Attributes
    ----------
    clip_boxes : Boxes or None
        The boxes of the whole generated video, set before the first update if the observer needs boxes. They also say
        which frames show a face.
    clip_reference_boxes : Boxes or None
        The boxes of the real video, if the observer needs its frames.
    of_reference : Evidence or None
        Of an observer that shares what it sees in the real video (:attr:`Observer.shares_reference`). Set before the
        first update to what is known of that video; :meth:`Observer.compute` sets it to what is known now.
    """

    clip_boxes: Boxes | None = None
    clip_reference_boxes: Boxes | None = None
    of_reference: Evidence | None = None

    @abstractmethod
    def update(self, chunk: ClipChunk) -> None:
        """Take the next frames; called in order until both videos have ended.

        Raises
        ------
        ClipError
            If the observer can't go on with this clip. The runner gives it no more frames.
        """

    def end(self) -> None:  # noqa: B027 most observers have nothing left to do
        """Called once after the last update, in the process that decodes: the place to read a file again.

        Raises
        ------
        ClipError
            If the observer can't go on with this clip.
        """


StartClip: TypeAlias = "Callable[[Clip, np.ndarray | None], ClipState]"  # as Observer.start_clip


class Observer(ABC):
    """Takes clips and returns evidence. Built once per process by :meth:`load`.

    Five class attributes name what else a package offers about this observer's network. Each is a string,
    ``"package.module:name"``, so that reading the class imports no network; "" where the observer has none.
    :func:`tlbench.observing.registry.capability` imports them.

    Attributes
    ----------
    read_published : str
        A function, ``Path -> Package``: reads the published checkpoint file without running code. It raises
        TlbenchError if the file is damaged, of another model, or holds code.
    trainable : str
        The subclass of :class:`tlbench.training.trainable.Trainable` that trains the network.
    expert : str
        A function, ``(Package, Path) -> Expert``: the network as the lip-reading expert that a generator is trained
        with (:mod:`tlbench.training.expert`). The path is for messages. It raises TlbenchError if no generator can
        learn from this checkpoint.
    audio_encoder : str
        A function, ``(tensors, sizes, name) -> AudioEncoder``: builds the frozen audio encoder that the tensors belong
        to. ``sizes`` is what ``AudioEncoder.sizes`` returned, or None for a published file, which states none; ``name``
        names the weights in messages. It raises TlbenchError if the tensors do not fit.
    original : str
        A function, ``(weights, view, code) -> Observer``: the same observer whose network is the original package's
        (:mod:`tlbench.observing.originals`), or that of the folder ``code`` if it is not None. It raises TlbenchError
        if the package is missing.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # raise it when the evidence changes for the same input
    needs: ClassVar[Needs]
    views: ClassVar[Mapping[str, str]]  # name, as metrics use it, to id, as written in protocol ids and cache keys
    default_view: ClassVar[str] = ""  # for metrics without a view of their own; "" if there are none
    modes: ClassVar[tuple[str, ...]] = ()  # further evidence with a cost, computed only if a metric needs it
    has_half: ClassVar[bool] = False  # whether its network can compute in half precision
    has_packed: ClassVar[bool] = False  # whether its network can multiply with packed weights
    has_cropper: ClassVar[bool] = False  # whether :meth:`cropper` gives one
    clips_per_batch: ClassVar[int] = 1  # the number of clips that ``compute`` works best with
    shares_reference: ClassVar[bool] = False  # whether what it sees in the real video alone is cached for other systems
    of_sets: ClassVar[bool] = False  # its evidence is ``features`` (n, d) float32 of a set: cached, and in no record

    read_published: ClassVar[str] = ""
    trainable: ClassVar[str] = ""
    expert: ClassVar[str] = ""
    audio_encoder: ClassVar[str] = ""
    original: ClassVar[str] = ""

    @classmethod
    @abstractmethod
    def load(
        cls,
        weights: Path | None,
        views: Sequence[str],
        device: str,
        modes: Sequence[str] = (),
        *,
        half: bool = False,
        packed: bool = False,
    ) -> Observer:
        """Build the observer for some of its views and modes. Raises TlbenchError if the weights do not fit.

        ``half``: compute in half precision (:mod:`tlbench.observing.precision`), only if :attr:`has_half`.
        ``packed``: multiply with packed weights (:mod:`tlbench.observing.packed_linear`), only if :attr:`has_packed`.
        """

    @classmethod
    def identity(
        cls,
        views: Sequence[str],
        weights_sha256: str | None,
        modes: Sequence[str] = (),
        *,
        half: bool = False,
        packed: bool = False,
    ) -> str:
        """Everything besides the clip that decides the evidence: name, version, views, modes, weights, arithmetic.

        Part of the cache key.
        """
        seen = ",".join(cls.views[view] for view in sorted(views))
        extra = "+" + ",".join(sorted(modes)) if modes else ""
        numbers = "".join(f"~{name}~" for name, used in ((HALF_NAME, half), (PACKED_KEY, packed)) if used)
        return f"{cls.name}@{cls.version}[{seen}]{extra}{numbers}{weights_sha256 or ''}"

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """The needs for these views and modes; :attr:`needs` unless some of them need more."""
        return cls.needs

    @classmethod
    def usual_view(cls, clips: Sequence[Clip]) -> str:
        """The view of a run over these clips that names none."""
        return cls.default_view

    @classmethod
    def lacking(cls, views: Sequence[str]) -> str:
        """What these views need that is not installed, and how to install it: one line; "" if nothing is lacking."""
        return ""

    @classmethod
    def fits(cls, view: str, trained: str) -> bool:
        """Whether a network that was trained with the view of id ``trained`` can be used with ``view``.

        Called for views that a metric names: a network may need pictures of another size.
        """
        return True

    @classmethod
    def recipe(cls, view: str) -> View | None:
        """The crop recipe of one of its views, for contact sheets; None for a view without one."""
        return None

    @classmethod
    def cropper(cls, weights: Path | None, views: Sequence[str], modes: Sequence[str]) -> StartClip | None:
        """Starts clips in a process that does not keep the network; None if the states of this observer need it.

        After :meth:`ClipState.end` its states can be pickled, and :meth:`compute` in another process gives the same
        evidence for them as for states of :meth:`start_clip`: processors decode and crop, and a GPU computes. Raises
        TlbenchError if the weights, which may say what to crop, do not fit.
        """
        return None

    @abstractmethod
    def start_clip(self, clip: Clip, samples: np.ndarray | None) -> ClipState:
        """The state for a new clip. ``samples`` is (N,) int16 at 16 kHz, or None if the observer needs no audio."""

    @abstractmethod
    def compute(self, states: Sequence[ClipState]) -> list[Evidence | ClipError]:
        """Evidence, or the error that says why there is none, for each state, in order."""
