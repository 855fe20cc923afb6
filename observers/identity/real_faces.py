"""The embeddings of a real video, found once for all systems that are compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlbench.observing.evidence import Evidence

from .likeness import DIMENSIONS

if TYPE_CHECKING:
    from .embedding import FaceEmbedding

_NOT_LOOKED, _NO_FACE, _FACE = -1, 0, 1


class RealFaces:
    """The face in each frame of a real video, looked for when it is first asked for.

    Parameters
    ----------
    embed : FaceEmbedding
    before : Evidence or None
        What :meth:`evidence` gave for the same video before.
    """

    def __init__(self, embed: FaceEmbedding, before: Evidence | None) -> None:
        self._embed = embed
        self._before = before
        self._faces: dict[int, np.ndarray | None] = {}
        self._new = False
        if before is not None:
            looked, embeddings = before.array("looked"), iter(before.array("embedding"))
            self._faces = {
                int(frame): next(embeddings) if looked[frame] == _FACE else None
                for frame in np.flatnonzero(looked != _NOT_LOOKED)
            }

    def of_frames(self, frames: np.ndarray, pictures: np.ndarray) -> list[np.ndarray | None]:
        """The embedding (128,) float32 of each frame, None where no face is found.

        Parameters
        ----------
        frames : (n,) int
            Their numbers in the video.
        pictures : (n, H, W, 3) uint8 RGB
        """
        new = [place for place, frame in enumerate(frames) if int(frame) not in self._faces]
        if new:
            self._new = True
            found, embeddings = self._embed(pictures[new])
            self._faces |= {int(frames[place]): None for place in new}
            self._faces |= dict(zip(frames[new][found].tolist(), embeddings, strict=True))
        return [self._faces[int(frame)] for frame in frames]

    def evidence(self, observer: str) -> Evidence | None:
        """All that is known of the video; the evidence from before if nothing is new.

        ``looked`` (frames,) int8 is -1 for a frame that was not looked at, 0 for one without a face and 1 for one with
        a face; ``embedding`` (faces, 128) float32 are those of the latter, in order.
        """
        if not self._new:
            return self._before
        looked = np.full(max(self._faces) + 1, _NOT_LOOKED, np.int8)
        known = sorted(self._faces.items())
        for frame, face in known:
            looked[frame] = _NO_FACE if face is None else _FACE
        faces = [face for _, face in known if face is not None]
        return Evidence(observer, {"looked": looked, "embedding": np.array(faces, np.float32).reshape(-1, DIMENSIONS)})
