"""Whether the generated face is the same person, by dlib's face embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tlbench.media.crops import FACE_256, WHOLE_FRAME
from tlbench.media.dlib_models import lacking_dlib
from tlbench.media.views import View
from tlbench.observing.observer import Needs

from .likeness_observer import LikenessObserver, LikenessView

VIEWS = {
    "face-256": LikenessView(View("face-256-dlib5", 1, FACE_256.steps)),
    "whole-frame": LikenessView(View("whole-frame-dlib5", 1, WHOLE_FRAME.steps)),
    "source": LikenessView(View("face-256-dlib5-source", 1, FACE_256.steps), with_source=True),
}


class Identity(LikenessObserver):
    """The likeness by dlib's network. dlib finds the face in the picture, so boxes only cut the picture.

    Its evidence is that of :class:`.likeness_observer.LikenessObserver`.
    """

    name: ClassVar[str] = "identity"
    version: ClassVar[int] = 4  # 2: dlib's network by torch; 3, 4: other sums and passes (last digits of an embedding)
    needs: ClassVar[Needs] = Needs(reference=True, boxes=True, framing=True)
    ways: ClassVar[dict[str, LikenessView]] = VIEWS
    views: ClassVar[dict[str, str]] = {name: view.picture.id for name, view in VIEWS.items()}
    default_view: ClassVar[str] = "face-256"
    has_packed: ClassVar[bool] = True

    @classmethod
    def needs_for(cls, views: Sequence[str], modes: Sequence[str]) -> Needs:
        """Boxes only for a view that cuts the face."""
        own = super().needs_for(views, modes)
        return replace(own, boxes=own.framing)

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
        from .embedding import DlibEmbedding

        view = VIEWS[views[0]]
        return cls(view, DlibEmbedding(device, of_crop=view.picture.frames_face, packed=packed))
