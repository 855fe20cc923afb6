"""Speech from espeak-ng: samples, and the exact times of phonemes and words.

espeak-ng (GPL-3) comes with the wheel of ``espeakng-loader``. It is an optional dependency, runs in a separate process
(``espeak_child``), and is needed only to render speech.
"""

from __future__ import annotations

import itertools
import json
import struct
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tlbench.datasets.synthetic import espeak_child
from tlbench.datasets.synthetic.espeak_child import SAMPLE_RATE as SAMPLE_RATE
from tlbench.datasets.synthetic.phonemes import SILENCE, sounds_of
from tlbench.datasets.synthetic.timings import Times
from tlbench.errors import TlbenchError, quoted


@dataclass(frozen=True)
class Voice:
    """How a sentence is spoken.

    Attributes
    ----------
    name : str
        One of espeak-ng's voices and a variant: ``en-us+f2``.
        Names that begin with ``en-us`` are American, all others count as British.
    words_per_minute : int
    pitch, pitch_range : int
        0 to 100, 50 is normal; a range of 0 is monotonous.
    """

    name: str
    words_per_minute: int = 160
    pitch: int = 50
    pitch_range: int = 50

    @property
    def accent(self) -> str:
        return "american" if self.name.startswith("en-us") else "british"


@dataclass(frozen=True)
class Speech:
    """A spoken sentence.

    Attributes
    ----------
    samples : (N,) int16 at 22,050 Hz
        From the first sound to the end of the last, without espeak-ng's pauses around them.
    phonemes, words : Times
        Begin, end (seconds from the first sample) and name of each, without gaps from 0 to the end.
    """

    samples: np.ndarray
    phonemes: Times
    words: Times

    @property
    def duration_seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


class SpeechSynthesizer:
    """Speaks sentences. The same sentence, voice and seed always give the same samples.

    Raises
    ------
    TlbenchError
        If the extra ``demo`` is not installed, or espeak-ng does not start.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise TlbenchError('speech needs espeak-ng; run pip install "tlbench[demo]"') from error
        program = [sys.executable, "-I", "-S", espeak_child.__file__]
        places = [espeakng_loader.get_library_path(), espeakng_loader.get_data_path()]
        self._child = subprocess.Popen([*program, *map(str, places)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            rate = self._answer()[0].get("rate")
        except TlbenchError:
            self.close()
            raise
        if rate != SAMPLE_RATE:
            self.close()
            raise TlbenchError(
                f"espeak-ng gives sound at {rate} Hz instead of {SAMPLE_RATE}; run pip install -U espeakng-loader"
            )

    def __enter__(self) -> SpeechSynthesizer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the speech process."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()
        self._child.wait()

    def say(self, text: str, voice: Voice, seed: int = 1) -> Speech:
        """Speak a sentence of lower-case words with one space between two.

        Raises
        ------
        TlbenchError
            If the voice is unknown, espeak-ng stops, or it says something else than these words one by one.
        """
        assert self._child.stdin is not None  # PIPE
        voiced = asdict(voice)
        request = {"text": text, "voice": voiced.pop("name"), "seed": seed, **voiced}
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise _broken(text) from None
        header, sound = self._answer(text)
        if header.get("problem") == "voice":
            raise TlbenchError(
                f"voice {quoted(voice.name)} is not known to espeak-ng; take en-us or en, and a variant such as "
                "en-us+f2"
            )
        return _with_times(text, voice, header, np.frombuffer(sound, np.int16))

    def _answer(self, text: str = "") -> tuple[dict[str, Any], bytes]:
        """The next answer of ``espeak_child``: its JSON object, and int16 samples as bytes. ``text`` is for errors."""
        assert self._child.stdout is not None  # PIPE
        length = self._child.stdout.read(4)
        if len(length) < 4:
            raise _broken(text)
        header: dict[str, Any] = json.loads(self._child.stdout.read(struct.unpack("<I", length)[0]))
        return header, self._child.stdout.read(2 * header["samples"])


def _broken(text: str) -> TlbenchError:
    doing = f" at {quoted(text)}" if text else ""
    return TlbenchError(f"espeak-ng broke down{doing}; run pip install -U espeakng-loader and try again")


def _with_times(text: str, voice: Voice, header: dict[str, Any], samples: np.ndarray) -> Speech:
    """Samples and times without the pauses at both ends.

    espeak-ng's events give the begin of each phoneme in milliseconds; it ends where the next begins. Events of words
    are less exact, so a word begins with the sound that begins nearest to its event.
    """
    end_seconds = len(samples) / SAMPLE_RATE
    begins = [begin / 1000 for begin, _ in header["phonemes"]]
    sounds: Times = []
    for (_, mnemonic), begin, end in zip(header["phonemes"], begins, [*begins[1:], end_seconds], strict=True):
        parts = sounds_of(mnemonic, voice.accent)
        step = (end - begin) / len(parts)
        sounds += [(begin + i * step, begin + (i + 1) * step, part) for i, part in enumerate(parts) if step > 0]
    while sounds and sounds[0][2] == SILENCE:
        sounds.pop(0)
    while sounds and sounds[-1][2] == SILENCE:
        sounds.pop()
    if not sounds:
        raise _broken(text)
    first, last = sounds[0][0], min(sounds[-1][1], end_seconds)
    sound_begins = [begin for begin, _, _ in sounds]
    rough_begins = _word_begins(text, header["words"], last)
    word_begins = [min(sound_begins, key=lambda begin: abs(begin - about)) for about in rough_begins]
    words = [
        (begin - first, end - first, word)
        for word, begin, end in zip(text.split(), word_begins, [*word_begins[1:], last], strict=True)
    ]
    return Speech(
        samples[round(first * SAMPLE_RATE) : round(last * SAMPLE_RATE)],
        [(begin - first, min(end, last) - first, sound) for begin, end, sound in sounds],
        words,
    )


def _word_begins(text: str, events: list[list[int]], last: float) -> list[float]:
    """About when each word begins, in seconds; ``last`` is the end of the last sound.

    An event is the time in milliseconds and the place of the word's first letter in ``text``. espeak-ng gives one event
    for some pairs (``in the``, ``on the``): their time is divided in proportion to the letters. Raises TlbenchError if
    an event is not at the begin of a word.
    """
    event_seconds = {position: ms / 1000 for ms, position in events}
    starts = [0, *(place + 1 for place, letter in enumerate(text) if letter == " ")]
    if starts[0] not in event_seconds or not set(event_seconds) <= set(starts):
        raise TlbenchError(f"espeak-ng does not say {quoted(text)} word by word; run pip install -U espeakng-loader")
    begins = []
    bounds = [*sorted(event_seconds.items()), (len(text), last)]
    for (position, begin), (next_position, end) in itertools.pairwise(bounds):
        inside = [start for start in starts if position <= start < next_position]
        begins += [begin + (end - begin) * (start - position) / (next_position - position) for start in inside]
    return begins
