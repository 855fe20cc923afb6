"""Tiny training data: a data set of files framed as LRS2's, and training samples of made-up pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.factories.media_factory import tone, write_clip
from tlbench.datasets.clip import Clip, Span
from tlbench.training.trainable import LabelInventory, TrainingSample

SENTENCES = {
    "train": {"a/00001": "BLUE BOATS", "a/00002": "RED CARS", "b/00001": "BLUE CARS", "b/00002": "RED BOATS AGAIN"},
    "val": {"c/00001": "BLUE BOATS", "c/00002": "RED CARS"},
}
INVENTORY = LabelInventory(("BIN BLUE", "SET RED"), ("BIN", "BLUE", "GREEN", "RED", "SET"), ("a", "b", "c"))
WORD_BEGINS = (0.1, 0.5)  # seconds, of the two words of a training sample
SIDES = {"syncnet": 56}  # pixels of the tiny network's pictures; 48 for the others


def make_training_set(root: Path) -> Path:
    """``root`` in LRS2's layout: four training clips and two validation clips of 10 to 13 frames."""
    for split, clips in SENTENCES.items():
        for number, (clip_id, text) in enumerate(clips.items()):
            video = root / "main" / f"{clip_id}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            frames = 10 + number
            write_clip(video, frames=frames, width=160, height=160, samples=tone(frames / 25), audio_codec="aac")
            video.with_suffix(".txt").write_text(f"Text:  {text}\n")
        (root / f"{split}.txt").write_text("".join(f"{clip_id}\n" for clip_id in clips))
    return root


def training_samples(observer: str, frames: int = 26) -> list[TrainingSample]:
    """Two samples of noise for an observer's tiny network; the second has one frame more."""
    side = SIDES.get(observer, 48)
    samples = []
    for number, text in enumerate(INVENTORY.transcripts):
        rng = np.random.default_rng(number)
        pictures = rng.integers(0, 256, (frames + number, side, side), dtype=np.uint8)
        audio = rng.integers(-9000, 9000, 640 * (frames + number), dtype=np.int16)
        labels = rng.integers(0, len(INVENTORY.labels), frames + number)
        said = zip(text.split(), WORD_BEGINS, strict=True)
        times = tuple(Span(begin, begin + 0.3, word) for word, begin in said)
        clip = Clip(f"s/{number}", transcript=text, word=INVENTORY.words[number], word_times=times)
        samples.append(TrainingSample(clip, pictures, audio, labels))
    return samples
