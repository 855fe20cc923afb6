"""What a run checks of sound and motion on the way: the findings of ``check``, once, from what it decodes anyway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.factories.media_factory import write_clip, write_sound
from tests.factories.observer_factory import use_observers
from tests.media.test_timeline import write_shifted
from tests.observing.test_runner import Counter, Listener, codes, look
from tests.preflight.test_motion import head, moved
from tests.preflight.test_preflight import speech
from tlbench.datasets.clip import Clip
from tlbench.media.audio import read_audio
from tlbench.media.timeline import CHANGED
from tlbench.media.video_writer import write_video
from tlbench.observing.cache import Cache
from tlbench.observing.clip_checks import ClipChecks, wanted_parts
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.observer import Needs
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.runner import ObserverRunner
from tlbench.preflight.clip import check_clip
from tlbench.preflight.headers import Expected
from tlbench.scoring.score import _not_checked

OF_SOUND = {
    "audio-format",
    "audio-start",
    "audio-video-length",
    "audio-length",
    "leading-silence",
    "audio-lag",
    "other-audio",
}


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    known = {"counter": Counter, "listener": Listener}
    use_observers(monkeypatch, known.__getitem__)
    monkeypatch.setattr("tlbench.scoring.score.observer_class", known.__getitem__)
    return Plan((ObserverPlan("counter", ("all",)), ObserverPlan("listener", ("all",))), BoxRule(), tmp_path / "cache")


def write(path: Path, samples: np.ndarray, **changes: object) -> Path:
    return write_clip(path, frames=50, audio_codec="aac", samples=samples, **changes)  # type: ignore[arg-type]


def late(samples: np.ndarray, frames: float) -> np.ndarray:
    noise = (np.random.default_rng(5).standard_normal((round(frames * 640), 1)) * 1500).astype(np.int16)
    return np.concatenate([noise, samples])[: len(samples)]


# What is heard of a generated video whose real one has ``speech(1)``, and what must be said of it.
SOUNDS = {
    "same": ({"samples": speech(1)}, set()),
    "late": ({"samples": late(speech(1), 3)}, {"audio-lag"}),
    "early": ({"samples": np.concatenate([speech(1)[4000:], speech(2)[:4000]])}, {"audio-lag"}),
    "padded": ({"samples": np.concatenate([np.zeros((8000, 1), np.int16), speech(1)])[:32000]}, {"leading-silence"}),
    "starts late": ({"samples": speech(1), "audio_start_seconds": 0.2}, {"audio-start"}),
    "other": ({"samples": speech(7)}, {"other-audio"}),
    "cut": ({"samples": speech(1)[:24000]}, {"audio-length", "audio-video-length"}),
    "48 kHz": ({"samples": speech(1, rate=48000), "sample_rate": 48000}, {"audio-format"}),
}


@pytest.mark.parametrize("what", SOUNDS)
def test_a_run_says_of_the_sound_what_check_says(plan: Plan, tmp_path: Path, what: str) -> None:
    changes, expected = SOUNDS[what]
    clip = Clip("c", write(tmp_path / "r.mp4", speech(1)), write(tmp_path / "g.mp4", **changes))  # type: ignore[arg-type]
    told = [found for found in check_clip(clip, Expected()).findings if found.code in OF_SOUND]
    first, again = look(plan, clip), look(plan, clip)
    assert {found.code for found in told} == expected
    assert [found for found in first.findings if found.code in OF_SOUND] == told
    assert again.findings == first.findings
    assert again.cached == 2


def later_pictures(source: Path, target: Path, seconds: float) -> Path:
    """As ``ffmpeg -i SOURCE -itsoffset SECONDS -i SOURCE -map 1:v -map 0:a -c copy TARGET``."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None and packet.pts is not None and packet.size:
                late = round(seconds / packet.time_base) if packet.stream.type == "video" else 0
                packet.pts, packet.dts = packet.pts + late, packet.dts + late
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_sound_that_begins_before_the_pictures_is_found(plan: Plan, tmp_path: Path, suffix: str) -> None:
    real = write(tmp_path / "r.mp4", speech(1))
    made = later_pictures(
        write(tmp_path / "whole.mp4", speech(1), codec_options={"crf": "30"}), tmp_path / f"g{suffix}", 0.2
    )
    clip = Clip("c", real, made)
    said = [found.message for found in look(plan, clip).findings if found.code == "audio-start"]
    assert said == ["sound starts 0.20 s before the pictures, other than in the real video"]
    assert said == [found.message for found in check_clip(clip, Expected()).findings if found.code == "audio-start"]
    alone = look(plan, replace(clip, reference=None))
    assert [found.message for found in alone.findings if found.code == "audio-start"] == [
        "sound starts 0.20 s before the pictures"
    ]


def test_sound_given_separately_is_what_is_checked(plan: Plan, tmp_path: Path) -> None:
    given = write_sound(tmp_path / "given.wav", speech(1)[:16000])
    clip = Clip("c", write(tmp_path / "r.mp4", speech(1)), write(tmp_path / "g.mp4", speech(1)))
    assert "audio-video-length" not in codes(look(plan, clip))
    assert "audio-video-length" in codes(look(plan, replace(clip, audio=given)))
    write_sound(given, speech(1))
    assert "audio-video-length" not in codes(look(plan, replace(clip, audio=given)))


def test_silence_fails_nobody_but_who_minds_it(plan: Plan, tmp_path: Path) -> None:
    silence = np.zeros((32000, 1), np.int16)
    clip = Clip("c", write(tmp_path / "r.mp4", speech(1)), write(tmp_path / "g.mp4", silence))
    assert "silent-audio" in {found.code for found in check_clip(clip, Expected()).findings}
    assert look(plan, clip).failures == {}


def test_sound_that_nobody_hears_is_not_checked(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = replace(plan, observers=plan.observers[:1])
    clip = Clip("c", write(tmp_path / "r.mp4", speech(1)), write(tmp_path / "g.mp4", speech(7)))
    with monkeypatch.context() as deaf:
        deaf.delattr("tlbench.observing.clip_checker.read_audio")
        assert not codes(look(quiet, clip)) & OF_SOUND
    assert "sound" in _not_checked(quiet)
    assert "sound" not in _not_checked(plan)
    assert "other-audio" in codes(look(plan, clip))
    assert "sound" in wanted_parts([Needs(audio=True)])


def test_sound_is_decoded_once_and_not_again_for_what_is_kept(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Clip("c", write(tmp_path / "r.mp4", speech(1)), write(tmp_path / "g.mp4", speech(7)))
    opened: list[str] = []
    begin = ClipChecks.check_sound

    def counted(self: ClipChecks, *given: object) -> None:
        opened.append(self.clip.id)
        begin(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(ClipChecks, "check_sound", counted)
    decoded: list[Path] = []

    def decode(path: Path, **given: Any) -> np.ndarray:
        decoded.append(path)
        return read_audio(path, **given)

    monkeypatch.setattr("tlbench.observing.clip_checker.read_audio", decode)
    first = look(plan, clip)
    assert decoded == [clip.generated]  # once for the observer and for the check
    look(plan, clip)
    assert decoded == [clip.generated]
    assert opened == ["c"]
    for kept in (tmp_path / "cache" / "checks").rglob("*.json"):
        kept.unlink()
    again = look(plan, clip)
    assert opened == ["c", "c"]
    assert (again.cached, again.findings) == (2, first.findings)


def test_without_sound_nothing_is_said_twice(plan: Plan, tmp_path: Path) -> None:
    clip = Clip("c", write(tmp_path / "r.mp4", speech(1)), write_clip(tmp_path / "g.mp4", frames=50))
    first, again = look(plan, clip), look(plan, clip)
    assert first.failures["listener"].code == again.failures["listener"].code == "no-audio"
    assert not codes(first) & OF_SOUND
    assert first.findings == again.findings


def films(folder: Path, lag: int) -> Clip:
    write_video(folder / "r.mp4", head(1))
    write_video(folder / "g.mp4", moved(head(1, noise=2.0), lag))
    return Clip("c", folder / "r.mp4", folder / "g.mp4")


@pytest.mark.parametrize("lag", [-4, 0, 3])
def test_late_pictures_are_told_by_a_run_and_by_check(plan: Plan, tmp_path: Path, lag: int) -> None:
    watched, clip = replace(plan, observers=plan.observers[:1]), films(tmp_path, lag)
    runs: list[Observation] = [look(watched, clip), look(watched, clip)]
    for kept in (tmp_path / "cache" / "checks").rglob("*.json"):
        kept.unlink()
    runs.append(look(watched, clip))  # all is kept but the findings
    told = [found.message for found in check_clip(clip, Expected()).findings if found.code == "pictures-late"]
    assert len(told) == bool(lag)
    for run in runs:
        assert [found.message for found in run.findings if found.code == "pictures-late"] == told
    assert runs[2].findings == runs[0].findings


def keys_of(plan: Plan, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """By observer, what stands for the decoding in the key of its evidence."""
    written: dict[str, str] = {}
    put = Cache.write

    def noted(self: Cache, key: dict[str, str], payload: object) -> None:
        if "observer" in key:
            written[key["observer"].partition("@")[0]] = key["decoding"]
        put(self, key, payload)  # type: ignore[arg-type]

    with monkeypatch.context() as watched:
        watched.setattr(Cache, "write", noted)
        ObserverRunner(plan).observe([clip])
    return written


def test_only_evidence_of_files_that_are_read_otherwise_has_another_key(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = write_shifted(tmp_path / "plain.mp4", "mp4", 0, 0, 16_000)  # type: ignore[arg-type]
    odd = write_shifted(tmp_path / "odd.mp4", "mp4", 0.2, 0, 16_000)  # type: ignore[arg-type]

    def anew(reference: Path, generated: Path) -> set[str]:
        alone = replace(plan, cache=tmp_path / f"{reference.stem}-{generated.stem}")
        found = keys_of(alone, Clip("c", reference, generated), monkeypatch)
        assert set(found) == {"counter", "listener"}
        return {name for name, decoding in found.items() if decoding.endswith(CHANGED)}

    assert anew(plain, plain) == set()
    assert anew(odd, plain) == {"counter"}  # the listener looks at the generated video alone
    assert anew(plain, odd) == {"counter", "listener"}
