"""Twelve clips of GRID, to see real lips read without a large download: every eighth test clip of speaker s1."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Source, Span
from tlbench.datasets.grid import Grid
from tlbench.datasets.locations import find_root
from tlbench.errors import TlbenchError

# Clips 1, 9, 17, ... of the 98 test clips that the bundled readers of GRID were never trained on (docs/observers).
SAMPLE = (
    *("s1/bbaf2n", "s1/bgah1s", "s1/brbt1s", "s1/bwim4n", "s1/lbwr4p", "s1/lgwm9a"),
    *("s1/lriy1s", "s1/lwbz7a", "s1/pgbr3a", "s1/prwk1a", "s1/sbbuzn", "s1/sgbp5s"),
)
FETCH = "tlbench data fetch grid FOLDER --clips sample"


class GridSample(Grid):
    """The clips of :data:`SAMPLE` that a folder of GRID has."""

    name = "grid-sample"
    title = "GRID, twelve test clips of one speaker"
    layout = "GRID's s1/*.mpg (or .mp4)"
    needs_root = False  # the folder of GRID will do, and a distribution may bundle the clips
    origin = "grid"

    def splits(self, source: Source) -> tuple[str, ...]:
        _rooted(source)
        return ("test",)

    def clips(self, source: Source, split: str) -> list[Clip]:
        found = _rooted(source)
        clips = [clip for clip in super().clips(found, "all") if clip.id in SAMPLE]
        if not clips:
            raise TlbenchError(f"grid-sample: {found.root} has none of its clips; fetch them with `{FETCH}`")
        return clips

    def spans(self, source: Source, clip: Clip) -> tuple[Span, ...]:
        return super().spans(_rooted(source), clip)

    def contradictions(self, source: Source, clip: Clip) -> tuple[tuple[str, str], ...]:
        return super().contradictions(_rooted(source), clip)


def sample_root() -> Path | None:
    """The folder of the sample's clips: bundled, or GRID's where that is known; None if neither is there."""
    bundled = Path(str(files("tlbench.datasets"))) / "bundled"
    if (bundled / "s1").is_dir():
        return bundled
    known = find_root(Grid.name)
    return None if known is None or not (known.folder / "s1").is_dir() else known.folder


def _rooted(source: Source) -> Source:
    root = source.root or sample_root()
    if root is None:
        raise TlbenchError(
            f"grid-sample: its clips are not here; fetch them with `{FETCH}` and pass --data-root FOLDER"
        )
    return Source(root, source.manifest, source.generated)
