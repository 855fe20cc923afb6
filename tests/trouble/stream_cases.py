"""Videos and sounds that lose a part of themselves, checked and scored, and what became of each of them.

The truth is known: what was taken away, and what is read of the whole file.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import av.logging
import numpy as np

from tests.factories.media_factory import tone, write_clip, write_sound
from tests.trouble.children import run
from tests.trouble.damage import DAMAGES, Damage, behead, cut, flip_head, flip_many, flip_some, hole, lie
from tests.trouble.media_cases import Verdict
from tests.trouble.stream_damage import (
    CONTAINERS,
    FRAMES,
    PLACES,
    SECONDS,
    SHARES,
    TRACKS,
    Loss,
    overwritten,
    removed,
    write_whole,
)
from tlbench.checkpoints.package import own_package, write_package
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import read_video
from tlbench.observers.syncnet.observer import SyncNet
from tlbench.observers.syncnet.train import TrainableSyncNet
from tlbench.preflight.clip import check_clip
from tlbench.preflight.frames import ROUNDING_FRAMES, SLACK_FRAMES
from tlbench.preflight.headers import Expected
from tlbench.training.trainable import LabelInventory

# name, codec, rate of files of sound alone
SOUNDS = (
    ("a.mp3", "mp3", 16000),
    ("a.aac", "aac", 16000),
    ("a.ac3", "ac3", 48000),
    ("a.wav", "pcm_s16le", 16000),
    ("a.opus", "libopus", 48000),
    ("b.ogg", "flac", 16000),
    ("a.flac", "flac", 16000),
    ("a.aiff", "pcm_s16be", 16000),
    ("a.m4a", "aac", 16000),
)
RATES = {row[0]: row[4] for row in CONTAINERS}
# A file may begin or end its sound so much earlier or later without a word, as good files do (docs/check.md).
SLACK_SECONDS = (ROUNDING_FRAMES + SLACK_FRAMES) / 25


@dataclass(frozen=True)
class Case:
    """One file that lost something.

    Attributes
    ----------
    kind, name : str
        How it lost it, and what it is.
    whole, path : Path
        The file before, and after.
    rate : int
        Samples a second.
    loss : Loss or None
        Which packets are lost; None if bytes are.
    """

    kind: str
    name: str
    whole: Path
    path: Path
    rate: int
    loss: Loss | None = None


def lost_streams(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Check and score ``cases`` videos that lost packets or bytes, and as many sounds given as files of their own.

    ``folder`` is empty and gets all files. What ``check`` says of the sound as an error, ``score`` has to say too.
    """
    real = write_whole(folder, "mp4").rename(folder / "real.mp4")
    wholes = {row[0]: write_whole(folder, row[0]) for row in CONTAINERS}
    made = folder / "made"
    made.mkdir()
    tried = [lost_packets(wholes, made, number, seed) for number in range(cases)]
    said: dict[str, set[tuple[str, str]]] = {}
    for case in tried:
        found = codes(Clip(case.path.stem, generated=case.path, reference=real))
        usual = codes(Clip("whole", generated=case.whole, reference=real))
        said[case.path.stem] = found - usual
        yield verdict(case, found - usual)
    yield from _scored(folder, made, real, tried, said)
    yield from lost_sounds(folder, cases, seed)


def lost_packets(wholes: dict[str, Path], folder: Path, number: int, seed: int) -> Case:
    """Case ``number`` of a seed, the same however many come before it."""
    rng = random.Random(f"{seed}/{number}/streams")
    name = rng.choice(list(wholes))
    loss = Loss(rng.choice(PLACES), rng.choice(TRACKS), rng.choice(SHARES))
    path = folder / f"{number:04d}{wholes[name].suffix}"
    what = f"{path.name} {name}, {loss.share:.0%} of {loss.tracks}, {loss.place}"
    way = rng.choice(["removed", "overwritten", "bytes"])
    if way == "bytes":
        damage = rng.choice(DAMAGES)
        path = path.with_suffix(path.suffix if rng.random() < 0.8 else ".mp4")  # people rename files
        path.write_bytes(damage(wholes[name].read_bytes(), rng))
        return Case(f"streams: {damage.__name__}", f"{path.name} {name}", wholes[name], path, RATES[name])
    if way == "removed":
        removed(wholes[name], path, loss)
        return Case("streams: removed", what, wholes[name], path, RATES[name], loss)
    overwritten(wholes[name], path, loss, rng)
    return Case("streams: overwritten", what, wholes[name], path, RATES[name], loss)


def lost_sounds(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Damage sounds that are given as files of their own with a whole video, and check them."""
    video = write_clip(folder / "video.mp4", frames=FRAMES, width=160, height=160)
    wholes = [write_sound(folder / name, tone(SECONDS, rate), rate, codec) for name, codec, rate in SOUNDS]
    rates = {path: rate for path, (_, _, rate) in zip(wholes, SOUNDS, strict=True)}
    usual = {path: codes(Clip("whole", generated=video, audio=path)) for path in wholes}
    for number in range(cases):
        rng = random.Random(f"{seed}/{number}/sounds")
        whole, damage = rng.choice(wholes), rng.choice(SOUND_DAMAGES)
        path = folder / f"sound-{number:04d}{whole.suffix}"
        path.write_bytes(damage(whole.read_bytes(), rng))
        found = codes(Clip("sound", generated=video, audio=path)) - usual[whole]
        case = Case(f"sound file: {damage.__name__}", path.name, whole, path, rates[whole])
        yield verdict(case, found)


def without_middle(data: bytes, rng: random.Random) -> bytes:
    """The middle is missing, and the end follows."""
    share = rng.choice([0.1, 0.5, 0.9])
    return data[: int(len(data) * (1 - share) / 2)] + data[int(len(data) * (1 + share) / 2) :]


def blank_head(data: bytes, rng: random.Random) -> bytes:
    """The beginning is zeros or noise."""
    length = int(len(data) * rng.choice([0.02, 0.1, 0.5]))
    return (bytes(length) if rng.random() < 0.5 else rng.randbytes(length)) + data[length:]


def blank_middle(data: bytes, rng: random.Random) -> bytes:
    """All but the beginning and the end is zeros or noise."""
    start, end = len(data) // 20 + 200, len(data) * rng.choice([6, 10, 19]) // 20
    return data[:start] + (bytes(end - start) if rng.random() < 0.5 else rng.randbytes(end - start)) + data[end:]


SOUND_DAMAGES: tuple[Damage, ...] = (
    *(flip_some, flip_many, flip_head, cut, behead, hole, lie, without_middle, blank_head, blank_middle),
)
assert set(SOUND_DAMAGES) & set(DAMAGES)


def codes(clip: Clip) -> set[tuple[str, str]]:
    """Level and code of what ``check`` finds in a clip."""
    return {(found.level, found.code) for found in check_clip(clip, Expected()).findings}


def verdict(case: Case, found: set[tuple[str, str]]) -> Verdict:
    """Right if what is read is what the whole file gives, or if something is said of it."""
    if found:
        return Verdict(case.kind, case.name, "finding")
    same = sounds_the_same(case.path, case.whole) and (_is_sound(case) or pictures_the_same(case.path, case.whole))
    if same or (_is_another_content(case) if case.loss is None else _at_an_end(case, case.loss)):
        return Verdict(case.kind, case.name, "right")
    if case.kind.endswith("overwritten") and _is_another_content(case, slack_seconds=0.0):
        return Verdict(case.kind, case.name, "right")
    return Verdict(case.kind, case.name, "fell short", "other sound or pictures without a word")


def _at_an_end(case: Case, loss: Loss) -> bool:
    """Whether sound just begins or ends a little later or earlier than the pictures, and the file says nothing else."""
    if loss.tracks != "sound" or loss.place not in ("head", "tail") or loss.share * SECONDS > SLACK_SECONDS:
        return False
    return case.kind.endswith("removed") or _is_another_content(case)


def sounds_the_same(path: Path, whole: Path) -> bool:
    try:
        return np.array_equal(read_audio(path), read_audio(whole))
    except ClipError:
        return False


def _is_another_content(case: Case, slack_seconds: float = SLACK_SECONDS) -> bool:
    """Whether FFmpeg decodes all pictures and about as many samples as of the whole file, and no decoder logs an error.

    PCM, Opus and VP8 have no checksums: changed bytes are just another sound or picture. MP3 has none by default, and
    FFmpeg's decoder hides damage to a frame's side information and gives silence, which it says in its log alone.
    """
    (pictures, samples, errors), (whole_pictures, whole_samples, _) = _decoded(case.path), _decoded(case.whole)
    enough = pictures == whole_pictures and abs(samples - whole_samples) <= slack_seconds * case.rate
    return enough and not [error for error in errors if not error.startswith("invalid new backstep")]


def _decoded(path: Path) -> tuple[int, int, list[str]]:
    """How many pictures and samples FFmpeg decodes, and what its decoders log as errors."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    counts = {"video": 0, "audio": 0}
    try:
        with av.logging.Capture() as logs, av.open(str(path)) as file:
            demuxer = file.format.name
            streams = [*file.streams.video[:1], *file.streams.audio[:1]]
            for stream in streams:
                stream.thread_count = 1  # with more, VP8 refuses what it conceals with one
            for packet in file.demux(*streams):
                with suppress(av.error.FFmpegError):
                    counts[packet.stream.type] += sum(getattr(frame, "samples", 1) for frame in packet.decode())
    except (av.error.FFmpegError, IndexError) as error:
        return 0, 0, [str(error)]
    finally:
        av.logging.set_level(before)
    said = [text for level, name, text in logs if level <= av.logging.ERROR and name != demuxer]
    return counts["video"], counts["audio"], said


def _is_sound(case: Case) -> bool:
    return case.kind.startswith("sound file")


def pictures_the_same(path: Path, whole: Path) -> bool:
    try:
        return np.array_equal(read_video(path), read_video(whole))
    except ClipError:
        return False


def tiny_syncnet(folder: Path) -> Path:
    """A package of a network with random weights, for runs that need sound."""
    package = TrainableSyncNet.from_scratch("tiny", LabelInventory((), (), ()), 0).package()
    write_package(own_package(package, SyncNet.views["small-whole"], {}, half=True), folder)
    return folder


def _scored(
    folder: Path, made: Path, real: Path, tried: list[Case], said: dict[str, set[tuple[str, str]]]
) -> Iterator[Verdict]:
    """Score all cases in one run: each has a record, and what is an error of its sound is one there."""
    references, out = folder / "references", folder / "results"
    references.mkdir()
    for case in tried:
        (references / f"{case.path.stem}.mp4").symlink_to(real)
    weights = tiny_syncnet(folder / "weights")
    words = ["score", made, "--dataset", "folder", "--data-root", references, "--metrics", "psnr,lse_c", "--no-probe"]
    outcome = run([*words, "--weights", f"syncnet={weights}", "--out", out], folder, seconds=120 + 10 * len(tried))
    if outcome.fell_short:
        yield Verdict("streams: scored", "the whole folder", "fell short", outcome.fell_short)
        return
    lines = next(iter(out.rglob("records.jsonl"))).read_text("utf-8").splitlines()
    records = {row["id"]: row for row in map(json.loads, lines)}
    for case in tried:
        row = records.get(case.path.stem)
        if row is None:
            yield Verdict("streams: scored", case.name, "fell short", "no record")
            continue
        spoken = {finding["code"] for finding in row["findings"]} | {code for code, _ in row["failures"].values()}
        silent = {code for _, code in said[case.path.stem]} & {
            "sound-lost",
            "sound-missing",
            "pictures-missing",
        } - spoken
        if silent and not row["failures"]:
            yield Verdict("streams: scored", case.name, "fell short", f"{', '.join(silent)} in check only")
        else:
            yield Verdict("streams: scored", case.name, "finding" if spoken else "right")
