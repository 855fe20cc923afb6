"""The kinds of fault that ``python -m benchmarks.findings`` shows, and when tlbench is right about each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks import faulty_inputs as made
from benchmarks.faulty_inputs import HEAR, READ, WATCH, Command, Desk


@dataclass(frozen=True)
class Kind:
    """A kind of fault, and when tlbench is right about it.

    Attributes
    ----------
    name : str
        What the user has.
    make : callable
        Writes the input; returns the commands.
    codes : tuple of str
        It is told if the table has findings of one of these codes.
    clips : int
        So many of them: one a clip, or one for the folder.
    words : str
        Or if this pattern is in a message.
    right : (label, lowest, highest), optional
        Or if no number is told, and this one of the last command is between these.
    same : (label, tolerance), optional
        Or if this number of the last command is the first command's, within the tolerance.
    """

    name: str
    make: Callable[[Desk], list[Command]]
    codes: tuple[str, ...] = ()
    clips: int = 3
    words: str = ""
    right: tuple[str, float, float] | None = None
    same: tuple[str, float] | None = None


HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Quota exceeded</body></html>\n" * 20
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 48213\n"

# What stands first is no fault: numbers as they should be.
KINDS = (
    Kind("none: what a generator should write", made.whole_good, right=("PSNR", 30, 60)),
    Kind("stops after 8 frames", made.few_frames, ("few-frames",)),
    Kind("stops 3 frames early", made.of_pictures(made.frames(lambda n: range(n - 3)), *WATCH), ("frame-count",)),
    Kind(
        "goes on for 10 frames too long",
        made.of_pictures(made.frames(lambda n: [*range(n), *range(n - 2, n - 12, -1)]), *WATCH),
        ("frame-count",),
    ),
    Kind("one frame", made.of_pictures(made.frames(lambda n: range(1)), *WATCH), ("single-frame", "few-frames")),
    Kind(
        "half the size (80x80)", made.of_pictures(made.resized(80, 80), *WATCH), ("rescaled",), right=("PSNR", 25, 60)
    ),
    Kind("another aspect (160x120)", made.of_pictures(made.resized(160, 120), *WATCH), ("frame-size",)),
    Kind("a square crop of a square source", made.cropped, ("framing",)),
    Kind("a square crop of a face that fills the frame", made.cropped_close, ("framing",)),
    Kind("512x512 before a view of 160x160", made.fixed_window, ("view-frame",)),
    Kind(
        "the face is covered for a third of the clip",
        made.face_covered,
        ("reference-no-face", "faces-filled"),
        clips=2,
        same=("PSNR", 1),
    ),
    Kind("the generated video shows no face for a third", made.no_face_generated, ("faces-missing",), clips=2),
    Kind("two people", made.several_people, ("several-faces",), clips=1),
    Kind(
        "pictures 3 frames late",
        made.of_pictures(made.frames(lambda n: [0, 0, 0, *range(n - 3)]), *WATCH),
        ("pictures-late",),
    ),
    Kind(
        "sound before pictures (-itsoffset 0.2)",
        made.sound_first,
        ("audio-start", "audio-lag"),
        right=("|offset|", 4.5, 5.5),
    ),
    Kind("speech in the second sound track, the default", made.default_track, same=("LSE-C", 0.2)),
    Kind("mirrored by the display matrix", made.mirrored_matrix, same=("PSNR", 0.5)),
    Kind("silent sound", made.of_sound(np.zeros_like, *HEAR), ("silent-audio",)),
    Kind(
        "sound of codec noise",
        made.of_sound(lambda s: np.random.default_rng(0).integers(-3, 4, len(s)).astype(np.int16), *HEAR),
        ("silent-audio",),
    ),
    Kind("no sound", made.no_sound, ("no-audio",)),
    Kind("a photograph: in sync?", made.still, right=("in sync", 0, 20)),
    Kind("JPEG of `paper`: 4:4:4", made.jpeg_444, words="yuv444p in the JPEG of paper is full"),
    Kind("ground truth as a system", made.truth_as_system, ("ground-truth-as-system",), clips=1),
    Kind("--trained-with avhubert-synthetc", made.misspelt_checkpoint, words="did you mean"),
    Kind("a reader outside its training", made.other_reader, ("other-dataset", "cannot-read"), clips=1),
    Kind("LRS2's `paper` column by a network of tlbench's own", made.lrs2_column, ("other-dataset",), clips=1),
    Kind("--metrics all, without published checkpoints", made.all_metrics, right=("PSNR", 30, 60)),
    Kind(
        "soft hyphens and zero-width spaces in words",
        made.of_text(lambda text: text.replace("E", "\u00adE").replace("T", "\u200bT"), *READ),
        same=("WER1", 0.01),
    ),
    Kind(
        "a curly apostrophe (WER2)",
        made.of_text(
            lambda text: text.replace("'", "\u2019"), "--metrics", "wer2/sound", "--weights", "conformer-synthetic"
        ),
        same=("WER2", 0.01),
    ),
    Kind("a transcript of no words: [music]", made.of_text(lambda text: "[music]", *READ), ("empty-transcript",)),
    Kind("numbers in digits", made.of_text(lambda text: text + " 10", *READ), ("digits",)),
    Kind("no transcripts at all", made.no_transcripts, ("no-transcripts",), clips=1),
    Kind("GRID: word times of another clip", made.wrong_alignment, ("alignment-contradicts-id",), clips=2),
    Kind("gif files", made.gif, ("audio-format", "frame-rate", "no-audio"), right=("PSNR", 15, 60)),
    Kind("a web page saved as mp4", made.no_video_at_all(HTML), words="(?i)html|web page"),
    Kind("a Git LFS pointer", made.no_video_at_all(LFS), words="(?i)git.lfs"),
    Kind("a damaged real video", made.broken_real, ("reference-broken",), clips=1),
    Kind("Python: metrics='psnr/sound'", made.lone_string, words=r"psnr/sound \d"),
)

# With real faces: what a confidence floor and the same windows of speech decide.
GRID_KINDS = (
    Kind("GRID, the mouth painted grey: in sync?", made.of_grid("greyed-mouth"), right=("in sync", 0, 20)),
    Kind("GRID, a still picture: in sync?", made.of_grid("static"), right=("in sync", 0, 20)),
)
