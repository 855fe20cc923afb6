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
    from tlbench.datasets.clip import Clip as Clip
    from tlbench.media.audio import read_audio as read_audio
    from tlbench.media.video_reader import read_video as read_video
    from tlbench.media.video_writer import write_video as write_video
    from tlbench.metrics.of_frames import lse as lse
    from tlbench.metrics.of_frames import psnr as psnr
    from tlbench.metrics.of_frames import ssim as ssim
    from tlbench.metrics.of_texts import wer as wer
    from tlbench.observing.one_clip import observe as observe
    from tlbench.reporting.report import report as report
    from tlbench.scoring.aggregate_folder import aggregate as aggregate
    from tlbench.scoring.result_file import load_result as load_result
    from tlbench.scoring.score import score as score
    from tlbench.scoring.score import score_all as score_all

_HOME = {
    "Clip": "tlbench.datasets.clip",
    "aggregate": "tlbench.scoring.aggregate_folder",
    "check": "tlbench.checking",
    "compare": "tlbench.comparison.compare",
    "load_result": "tlbench.scoring.result_file",
    "lse": "tlbench.metrics.of_frames",
    "observe": "tlbench.observing.one_clip",
    "psnr": "tlbench.metrics.of_frames",
    "read_audio": "tlbench.media.audio",
    "read_video": "tlbench.media.video_reader",
    "report": "tlbench.reporting.report",
    "score": "tlbench.scoring.score",
    "score_all": "tlbench.scoring.score",
    "ssim": "tlbench.metrics.of_frames",
    "wer": "tlbench.metrics.of_texts",
    "write_video": "tlbench.media.video_writer",
}

__all__ = [
    "Clip",
    "__version__",
    "aggregate",
    "check",
    "compare",
    "load_result",
    "lse",
    "observe",
    "psnr",
    "read_audio",
    "read_video",
    "report",
    "score",
    "score_all",
    "ssim",
    "wer",
    "write_video",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'tlbench' has no attribute {name!r}; public names are {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
