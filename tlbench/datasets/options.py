"""Which clips a command or function works on, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tlbench.datasets.selection import Selection, load_dataset


@dataclass(frozen=True)
class DataOptions:
    """The options that choose clips; :func:`tlbench.datasets.selection.load_dataset` says what each means.

    Attributes
    ----------
    dataset : str
        Name of the data set, such as ``lrs2``.
    data_root : Path or None
        The data set's folder; None for the one that :func:`tlbench.datasets.locations.find_root` finds.
    split, subset, limit, manifest : optional
        Which of its clips.
    boxes, landmarks : Path or None
        Folders of ``<id>.npy`` files, one for each clip.
    """

    dataset: str
    data_root: Path | None = None
    split: str | None = None
    subset: Path | None = None
    limit: int | None = None
    manifest: Path | None = None
    boxes: Path | None = None
    landmarks: Path | None = None

    def load(self, generated: Path | None = None) -> Selection:
        """The clips, with the generated videos in this folder. Raises TlbenchError as ``load_dataset``."""
        return load_dataset(
            self.dataset,
            self.data_root,
            generated=generated,
            split=self.split,
            subset=self.subset,
            limit=self.limit,
            boxes=self.boxes,
            landmarks=self.landmarks,
            manifest=self.manifest,
        )
