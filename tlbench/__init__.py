"""tlbench tells how readable generated talking faces are.

The names below are the whole public interface; each is imported when first used, so that ``import tlbench`` stays
light. The commands of the same names are thin calls of these functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tlbench.version import VERSION

__version__ = VERSION

if TYPE_CHECKING:
    from tlbench.checking import check as check
    from tlbench.comparison.compare import compare as compare
    from tlbench.media.audio import read_audio as read_audio
    from tlbench.media.video_reader import read_video as read_video
    from tlbench.media.video_writer import write_video as write_video
    from tlbench.reporting.report import report as report
    from tlbench.scoring.result_file import load_result as load_result
    from tlbench.scoring.score import aggregate as aggregate
    from tlbench.scoring.score import score as score
    from tlbench.scoring.score import score_all as score_all

_HOME = {
    "aggregate": "tlbench.scoring.score",
    "check": "tlbench.checking",
    "compare": "tlbench.comparison.compare",
    "load_result": "tlbench.scoring.result_file",
    "read_audio": "tlbench.media.audio",
    "read_video": "tlbench.media.video_reader",
    "report": "tlbench.reporting.report",
    "score": "tlbench.scoring.score",
    "score_all": "tlbench.scoring.score",
    "write_video": "tlbench.media.video_writer",
}

__all__ = [
    "__version__",
    "aggregate",
    "check",
    "compare",
    "load_result",
    "read_audio",
    "read_video",
    "report",
    "score",
    "score_all",
    "write_video",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'tlbench' has no attribute {name!r}; public names are {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
