"""The process that runs espeak-ng and forks for each sentence. Started as a program by speech.py.

espeak-ng's output depends on earlier sentences (counters for flutter and breath noise that live as long as the library
is loaded), and on the second of its start (``espeak_ng_Initialize`` seeds with ``time``). So each sentence is spoken by
a fresh fork of a process in which espeak-ng has not spoken yet, with a seed of its own: the same request always gives
the same samples. The process imports very little, so that a fork takes a few milliseconds.

It reads one JSON object per line: ``text, voice, words_per_minute, pitch, pitch_range, seed``. It answers with the
length of a JSON object (four bytes, little endian), the object, and the samples, whose number is in the object.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
from typing import Any

SAMPLE_RATE = 22050
# espeak-ng 1.52, src/include/espeak-ng/speak_lib.h
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples to a callback and no thread, which would not survive a fork
_PHONEME_EVENTS, _DONT_EXIT = 0x1, 0x8000
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_END_OF_LIST, _WORD, _PHONEME = 0, 1, 7


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def speak(library: ctypes.CDLL, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Speak one sentence. Call it once per process."""
    sound = bytearray()
    phonemes: list[tuple[int, str]] = []
    words: list[tuple[int, int]] = []

    def take(samples: Any, count: int, events: Any) -> int:
        if samples and count:
            sound.extend(ctypes.string_at(samples, 2 * count))
        index = 0
        while events[index].type != _END_OF_LIST:
            event = events[index]
            if event.type == _PHONEME:
                phonemes.append((event.audio_position, event.id.string.decode("utf-8", "replace")))
            elif event.type == _WORD:
                words.append((event.audio_position, event.text_position - 1))
            index += 1
        return 0

    callback = _Callback(take)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        return {"problem": "voice", "samples": 0}, b""
    for parameter, name in ((_RATE, "words_per_minute"), (_PITCH, "pitch"), (_RANGE, "pitch_range")):
        library.espeak_SetParameter(parameter, request[name], 0)
    library.espeak_ng_SetRandSeed(ctypes.c_long(request["seed"]))
    text = request["text"].encode()
    library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8, None, None)
    return {"samples": len(sound) // 2, "phonemes": phonemes, "words": words}, bytes(sound)


def answer(note: dict[str, Any], sound: bytes = b"") -> None:
    """Write an answer to stdout."""
    head = json.dumps(note).encode()
    os.write(1, struct.pack("<I", len(head)))
    rest = memoryview(head + sound)
    while rest:
        rest = rest[os.write(1, rest) :]


def main(library_path: str, data_path: str) -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, and that ends the input
    library = ctypes.CDLL(library_path)
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data_path.encode(), _PHONEME_EVENTS | _DONT_EXIT)
    answer({"rate": rate, "samples": 0})
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            answer(*speak(library, json.loads(line)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            return  # the parent notices that the answer is incomplete


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
