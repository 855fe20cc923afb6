"""Whether the generated face is the same person, by ArcFace's embedding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tlbench.checkpoints.catalogue import given_checkpoint
from tlbench.media.crops import FACE_256, WHOLE_FRAME
from tlbench.media.views import View
from tlbench.observing.observer import Needs

from ..likeness_observer import LikenessObserver, LikenessView

VIEWS = {
    "whole-frame": LikenessView(View("whole-frame-mesh5", 1, WHOLE_FRAME.steps)),
    "face-256": LikenessView(View("face-256-mesh5", 1, FACE_256.steps)),
    "source": LikenessView(View("whole-frame-mesh5-source", 1, WHOLE_FRAME.steps), with_source=True),
}


class ArcFace(LikenessObserver):
    """The likeness by ArcFace. The face is aligned by the mesh in its box, from the frame's own pixels.

    Its evidence is that of :class:`tlbench.observers.identity.likeness_observer.LikenessObserver`.
    """

    name: ClassVar[str] = "arcface"
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = Needs(reference=True, boxes=True, weights=True)
    ways: ClassVar[dict[str, LikenessView]] = VIEWS
    views: ClassVar[dict[str, str]] = {name: view.picture.id for name, view in VIEWS.items()}
    default_view: ClassVar[str] = "whole-frame"
    read_published: ClassVar[str] = "tlbench.observers.identity.arcface.checkpoint:FORMAT.read_published"

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
    ) -> ArcFace:
        """Load the network from insightface's file or a package. Raises TlbenchError if there is none, or it is other.

        One view at a time, as for the other embedding.
        """
        path = given_checkpoint(cls.name, weights)
        from .checkpoint import FORMAT
        from .embedding import ArcFaceEmbedding

        return cls(VIEWS[views[0]], ArcFaceEmbedding(FORMAT.load(path), device))
