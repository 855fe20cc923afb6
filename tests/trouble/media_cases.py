"""Folders of damaged videos, scored as a user would, and what became of each of them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.factories.media_factory import tone, write_clip
from tests.trouble.children import run
from tests.trouble.damage import DAMAGES

FRAMES = 50
SECONDS = FRAMES / 25
# container, codec of the pictures, codec of the sound, its rate
CONTAINERS = (
    ("mp4", "libx264", "aac", 16000),
    ("mov", "libx264", "aac", 16000),
    ("mkv", "libx264", "aac", 16000),
    ("webm", "libvpx", "libopus", 48000),
    ("avi", "mpeg4", "mp3", 16000),
    ("ts", "libx264", "aac", 16000),
)


@dataclass(frozen=True)
class Verdict:
    """One case of trouble.

    Attributes
    ----------
    kind, name : str
        What was tried, and on what.
    end : str
        ``right``, ``finding``, ``one line``, or ``fell short``.
    why : str
        Of one that fell short.
    """

    kind: str
    name: str
    end: str
    why: str = ""


def damaged_media(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Score ``cases`` damaged videos against whole ones by PSNR; ``folder`` is empty and gets all files.

    A damaged video ends right if its number is the one of the whole video, or if FFmpeg decodes as many pictures as the
    whole video has and notices nothing: VP8 has no checksums, so some changed bytes are just another picture. Any
    other number needs a finding.
    """
    whole = {suffix: _whole(folder / f"whole.{suffix}", *rest) for suffix, *rest in CONTAINERS}
    real, generated, intact = folder / "real", folder / "generated", folder / "intact"
    for place in (real, generated, intact):
        place.mkdir()
    names: dict[str, tuple[str, str]] = {}
    for number in range(cases):
        rng = random.Random(f"{seed}/{number}")  # a case is the same however many come before it
        suffix, damage = rng.choice(list(whole)), rng.choice(DAMAGES)
        name = f"{number:04d}"
        names[name] = (suffix, damage.__name__)
        (real / f"{name}.mp4").write_bytes(whole["mp4"])
        ending = suffix if rng.random() < 0.8 else "mp4"  # people rename files
        (generated / f"{name}.{ending}").write_bytes(damage(whole[suffix], rng))
    for suffix, content in whole.items():
        (real / f"whole-{suffix}.mp4").write_bytes(whole["mp4"])
        (intact / f"whole-{suffix}.{suffix}").write_bytes(content)
    right = {row["id"]: row for row in _score(folder, intact, real, "intact", 120)}
    scored = list(_score(folder, generated, real, "generated", 60 + 10 * cases))
    if len(scored) == 1 and "ended" in scored[0]:
        yield Verdict("media", "the whole folder", "fell short", scored[0]["ended"])
        return
    found = {row["id"]: row for row in scored}
    for name, (suffix, damage) in names.items():
        path = next(generated.glob(f"{name}.*"))
        yield _judge(f"media: {damage}", f"{name} {suffix}", found.get(name), right[f"whole-{suffix}"], path)


def _whole(path: Path, codec: str, audio_codec: str, sample_rate: int) -> bytes:
    sound = tone(SECONDS, sample_rate)
    write_clip(
        path,
        frames=FRAMES,
        width=160,
        height=160,
        codec=codec,
        audio_codec=audio_codec,
        sample_rate=sample_rate,
        samples=sound,
    )
    return path.read_bytes()


def _score(folder: Path, generated: Path, real: Path, name: str, seconds: float) -> Iterator[dict[str, object]]:
    """The records of a run, or one row that says how it ended without any."""
    out = folder / f"results-{name}"
    words = ["score", generated, "--dataset", "folder", "--data-root", real, "--metrics", "psnr", "--out", out]
    outcome = run([*words, "--format", "json"], folder, seconds=seconds)
    if outcome.fell_short:
        yield {"id": "", "ended": outcome.fell_short}
        return
    for line in next(iter(out.rglob("records.jsonl"))).read_text("utf-8").splitlines():
        yield json.loads(line)


def _judge(kind: str, name: str, row: dict[str, object] | None, whole: dict[str, object], path: Path) -> Verdict:
    if row is None:
        return Verdict(kind, name, "fell short", "no record")
    if row["failures"] or _codes(row) - _codes(whole):
        return Verdict(kind, name, "finding")
    if row["evidence"] == whole["evidence"] or _decodes_quietly(path):
        return Verdict(kind, name, "right")
    return Verdict(kind, name, "fell short", "another number without a word")


def _decodes_quietly(path: Path) -> bool:
    """Whether FFmpeg, asked directly, decodes all pictures and the decoder of pictures logs no error.

    What it says of the container (a damaged index, say) and of the sound does not matter if all pictures are there.
    """
    code = (
        "import av, logging, sys\n"
        "logging.basicConfig(stream=sys.stdout); av.logging.set_level(av.logging.ERROR)\n"
        "with av.open(sys.argv[1]) as file:\n"
        "    print('decoder', file.streams.video[0].codec_context.codec.name)\n"
        "    file.streams.video[0].thread_count = 1\n"
        "    print('pictures', sum(1 for _ in file.decode(video=0)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    decoder = next((line.removeprefix("decoder ") for line in lines if line.startswith("decoder ")), "")
    logged = any(line.startswith(f"ERROR:libav.{decoder}:") for line in lines)
    return done.returncode == 0 and not logged and f"pictures {FRAMES}" in lines


def _codes(row: dict[str, object]) -> set[str]:
    findings = row["findings"]
    assert isinstance(findings, list)
    return {finding["code"] for finding in findings}
