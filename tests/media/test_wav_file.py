"""Wav files are whole, or there is one error of the system."""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from tlbench.media.wav_file import write_wav

SAMPLES = np.arange(-500, 500, dtype=np.int16)


def test_what_is_written_is_a_mono_wav_at_16_khz(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", SAMPLES)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 16000, len(SAMPLES))
        assert file.readframes(len(SAMPLES)) == SAMPLES.astype("<i2").tobytes()


@pytest.mark.parametrize("where", ["missing/a.wav", "/dev/full"])
def test_what_can_not_be_written_is_one_error_and_nothing_is_said_later(
    tmp_path: Path, where: str, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)  # where errors of destructors go
    with pytest.raises(OSError, match=r"No such file|No space left"):
        write_wav(tmp_path / where, SAMPLES)
    assert unraisable == []
    assert not recwarn.list
