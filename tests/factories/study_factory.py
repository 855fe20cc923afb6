"""A tiny study of videos made by a formula: two methods, sentences or words."""

from __future__ import annotations

from pathlib import Path

from tests.factories.media_factory import write_clip
from tlbench.study.new_study import NewStudy, new_study

METHODS = ("<b>Zorro</b>&", "Quixote")  # names that must not reach a browser, and would be HTML there
SENTENCES = (
    "set white by k one now",
    "bin blue at f two now",
    "lay green with a nine please",
    "place red in m six soon",
)
WORDS = ("about", "bottle", "butter", "captain", "doctor", "garden", "house", "never", "purple", "water")
CLIPS = 10
FRAMES = 8


def make_videos(root: Path) -> Path:
    """``real`` and a folder for each method (``method0``, ``method1``), and two manifests of them.

    Returns ``clips.csv``, in which sentences are said; in ``words.csv`` beside it the same videos are single words.
    """
    sentences, words = ["id,reference,transcript"], ["id,reference,word"]
    for number in range(CLIPS):
        name = f"speaker/secretclip{number:02d}"
        for folder, crf in (("real", 1), ("method0", 10), ("method1", 40)):
            path = root / folder / f"{name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_clip(path, frames=FRAMES, codec_options={"crf": str(crf)}, audio_codec="aac")
        sentences.append(f"{name},real/{name}.mp4,{SENTENCES[number % 4]}")
        words.append(f"{name},real/{name}.mp4,{WORDS[number].upper()}")
    (root / "words.csv").write_text("\n".join(words) + "\n")
    manifest = root / "clips.csv"
    manifest.write_text("\n".join(sentences) + "\n")
    return manifest


def make_study(
    folder: Path, manifest: Path, *, participants: int = 3, clips: int = 3, checks: int = 1, reading: int | None = None
) -> NewStudy:
    methods = {name: manifest.parent / f"method{i}" for i, name in enumerate(METHODS)}
    return new_study(
        folder,
        methods,
        "folder",
        clips=clips,
        participants=participants,
        checks=checks,
        reading_clips=reading,
        seed=3,
        manifest=manifest,
    )
