"""What the checks of ``tlbench score`` cost: the same run with and without them, in one process.

    python -m benchmarks.checks_cost [--folder CLIPS] [--copies N] [--metrics NAMES] [--repeats N]

Each clip of the folder is scored against its own re-encoding, which has its sound. A run with checks and one without
take turns, which goes first alternates, and the medians are compared: once with nothing kept, then with everything
kept. Time is the processor's, of all threads together, which other work on the machine hardly changes. LSE is computed
on random weights of SyncNet, because the time does not depend on their values. "Without" is what the program would do
had it no checks: headers are read, frames decoded and shown, nothing is looked at besides.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from tlbench import read_audio, read_video, score, write_video
from tlbench.datasets.matching import COMMON_SUFFIXES
from tlbench.errors import ClipError
from tlbench.media.faces import Boxes
from tlbench.media.video_reader import FrameChunk, VideoReader
from tlbench.observers.syncnet.model import SyncNetModel
from tlbench.observing.clip_checks import ClipChecks
from tlbench.preflight.faces import VideoRole
from tlbench.preflight.frames import frames_at_25
from tlbench.preflight.sound import Sound

CLIPS = Path(__file__).parents[1] / "tests" / "golden" / "clips"
METRICS = "psnr,ssim,lse_c/sound"


class Unchecked(ClipChecks):
    """Notes what a run must know of a clip, and checks nothing."""

    def check_headers(self, generated: VideoReader, reference: VideoReader | None, *, same_bytes: bool) -> None:
        video, real = generated.info, None if reference is None else reference.info
        self.size = (video.width, video.height)
        self.reference_size = None if real is None else (real.width, real.height)
        self.frames = frames_at_25(video)
        self.frames_expected = None if real is None else frames_at_25(real)
        self.done.add("headers")

    def note_origins(self, generated: VideoReader, reference: VideoReader | None) -> None:
        pass

    def check_generated(self, generated: VideoReader) -> None:
        pass

    def check_real(self, reference: VideoReader) -> None:
        pass

    def update_motion(self, seen: FrameChunk | None, real: FrameChunk | None) -> None:
        pass

    def add_faces(self, boxes: Boxes, role: VideoRole) -> None:
        self.done.add("faces")

    def check_sound(self, sound: Sound | None, generated: VideoReader, reference: VideoReader | None) -> None:
        pass


@contextmanager
def unchecked() -> Iterator[None]:
    with (
        patch("tlbench.observing.runner.ClipChecks", Unchecked),
        patch("tlbench.observing.clip_checker.wanted_parts", lambda needs, *, laid, whole_frame: ("headers",)),
        patch("tlbench.observing.clip_checker.check_view_frames", lambda *facts: None),
        patch("tlbench.scoring.score._told_beforehand", lambda *facts: ([], {})),
    ):
        yield


@contextmanager
def checked() -> Iterator[None]:
    yield


def write_folders(clips: list[Path], copies: int, folder: Path) -> tuple[Path, Path]:
    """Real videos and their re-encodings, all named alike. Each copy is encoded a little coarser, so none is equal."""
    real, made = folder / "real", folder / "made"
    real.mkdir()
    made.mkdir()
    for clip in clips:
        frames = read_video(clip)
        try:
            samples = read_audio(clip)
        except ClipError:
            samples = None
        for copy in range(copies):
            for place, crf in ((real, 18), (made, 26)):
                write_video(place / f"{clip.stem}-{copy}.mp4", frames, samples=samples, crf=crf + copy % 8)
    return real, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=CLIPS)
    parser.add_argument("--copies", type=int, default=1, help="of each clip")
    parser.add_argument("--metrics", default=METRICS)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    clips = sorted(path for path in arguments.folder.iterdir() if path.suffix in COMMON_SUFFIXES)
    took: dict[str, list[float]] = {}
    scored = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        real, made = write_folders(clips, arguments.copies, folder)
        count = len(list(real.iterdir()))
        weights = folder / "syncnet.model"
        torch.manual_seed(0)
        torch.save(SyncNetModel().state_dict(), weights)
        arms = {"with checks": checked, "without": unchecked}
        for repeat in range(arguments.repeats + 1):  # the first warms up
            for name in list(arms) if repeat % 2 else reversed(arms):
                for kept in ("nothing kept", "all kept"):
                    begin = time.process_time()
                    with arms[name]():
                        result = score(
                            made,
                            "folder",
                            real,
                            metrics=arguments.metrics.split(","),
                            weights={"syncnet": weights} if "lse" in arguments.metrics else None,
                            cache=folder / f"{name}-{repeat}",
                        )
                    if repeat:
                        took.setdefault(f"{kept}, {name}", []).append(time.process_time() - begin)
                    scored = sum(not clip.failures for clip in result.clips)
    print(f"{count} clips, {arguments.metrics}, median of {arguments.repeats}, {scored} scored")
    for kept in ("nothing kept", "all kept"):
        on, off = (statistics.median(took[f"{kept}, {name}"]) for name in arms)
        pairs = zip(*(took[f"{kept}, {name}"] for name in arms), strict=True)
        ratios = sorted(with_checks / without for with_checks, without in pairs)
        print(
            f"{kept}: {on / count * 1e3:.1f} ms of processor time a clip with checks, {off / count * 1e3:.1f} without: "
            f"{statistics.median(ratios):.3f} times (of single pairs {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
