"""A tiny LRS2-framed data set of made-up pictures and tones: enough for whatever trains on files."""

from __future__ import annotations

from pathlib import Path

from tests.factories.media_factory import tone, write_clip

SENTENCES = {
    "train": {"a/00001": "BLUE BOATS", "a/00002": "RED CARS", "b/00001": "BLUE CARS", "b/00002": "RED BOATS AGAIN"},
    "val": {"c/00001": "BLUE BOATS", "c/00002": "RED CARS"},
}


def make_training_set(root: Path) -> Path:
    """``root`` in LRS2's layout: four clips to learn from, two to judge by, 10 to 13 frames each."""
    for split, clips in SENTENCES.items():
        for number, (clip_id, text) in enumerate(clips.items()):
            video = root / "main" / f"{clip_id}.mp4"
            video.parent.mkdir(parents=True, exist_ok=True)
            frames = 10 + number
            write_clip(video, frames=frames, width=160, height=160, samples=tone(frames / 25), audio_codec="aac")
            video.with_suffix(".txt").write_text(f"Text:  {text}\n")
        (root / f"{split}.txt").write_text("".join(f"{clip_id}\n" for clip_id in clips))
    return root
