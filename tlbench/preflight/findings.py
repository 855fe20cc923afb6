"""Every kind of finding: its code, how bad it is, and the way out. ``docs/check.md`` says why each matters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = ("error", "warning", "info")  # worst first


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing, about a clip or the whole folder.

    Attributes
    ----------
    level : ``error``, ``warning`` or ``info``
        Errors: the clip can't be scored, or its numbers would be worthless. Warnings: it is scored, but the numbers
        may not mean what they seem to. Info: what is done to it on the way.
    clip : str or None
        The clip's id; None for the folder as a whole.
    code : str
        Stable name for programs, in kebab case; all are on ``docs/check.md``.
    message : str
        What was found, with the offending values, in one line.
    fix : str
        The way out, in one line.
    """

    level: Level
    clip: str | None
    code: str
    message: str
    fix: str

    def to_json(self) -> dict[str, str | None]:
        return asdict(self)


@dataclass(frozen=True)
class Kind:
    """A row of the catalogue: what all findings of one code share."""

    code: str
    level: Level
    fix: str


_KINDS = (
    # The folder as a whole
    Kind("no-videos", "error", "give the folder that holds the generated videos (mp4, avi, mpg, mov, mkv, webm)"),
    Kind(
        "wrong-folder", "error", "name each file after its clip: give the folder above or below, or another --dataset"
    ),
    Kind("missing", "error", "generate them; their score is otherwise `n of N`, which can't enter a leaderboard"),
    Kind("extra", "warning", "remove or rename them; they belong to no clip and are not scored"),
    Kind("duplicate", "error", "generate again; files of different clips must differ"),
    Kind("duplicate-pictures", "error", "generate again; the videos of different clips must differ"),
    Kind("long-video", "warning", "cut them to their clips; one long file can weigh more than all others"),
    Kind(
        "split-size",
        "info",
        "nothing, if you know it; numbers of another choice of clips can't be compared with published ones",
    ),
    Kind("dataset-note", "info", "nothing; this is how the data set was read"),
    # The generated file
    Kind("unreadable", "error", "write the file again; check its permissions, and that no link leads to itself"),
    Kind("empty-file", "error", "generate again; a disk that was full or a failed ffmpeg leaves 0 bytes"),
    Kind("no-video", "error", "write a file with a video stream"),
    Kind("no-frames", "error", "generate again; the stream holds no picture that decodes"),
    Kind("truncated", "error", "copy or generate again; the file ends before the length it declares"),
    Kind("size-changes", "error", "write all frames in one size"),
    Kind("too-large", "error", "scale the video down to the real video's size"),
    Kind("timestamps", "error", "re-encode it at a constant 25 frames a second"),
    Kind("damaged", "error", "copy or generate again; some of its pictures do not decode"),
    Kind("same-file", "error", "give the generator's own output; this is the real video itself"),
    Kind("identical", "error", "give the generator's own output; this is a copy of the real video"),
    Kind("identical-pictures", "error", "give the generator's own output; its pictures are the real video's, re-muxed"),
    # Frames
    Kind("single-frame", "warning", "generate the whole clip; lip readers and SyncNet need several frames"),
    Kind("frame-count", "warning", "generate as many frames as the real video has; surplus frames are left out"),
    Kind("frame-count-near", "info", "nothing, unless your generator should not lose a frame"),
    Kind("frame-rate", "warning", "write 25 frames a second; otherwise frames are dropped or repeated to get there"),
    Kind("variable-frame-rate", "warning", "write a constant 25 frames a second (ffmpeg: -fps_mode cfr -r 25)"),
    Kind("frame-size", "warning", "write frames of the real video's size; face boxes are taken from that"),
    Kind("rotated", "info", "nothing; the turn in the header is applied before scoring, as players do"),
    Kind("large-frame", "info", "nothing; decoding takes long"),
    # Sound
    Kind("no-audio", "warning", "mux the speech in; LSE and offset need it"),
    Kind("unreadable-audio", "error", "write the sound again; LSE and offset need it"),
    Kind("silent-audio", "error", "mux the speech in; silence fits any mouth, so LSE and offset leave the clip out"),
    Kind("audio-format", "info", "nothing; it is converted to 16 kHz mono"),
    Kind("audio-start", "warning", "let sound and pictures start together; the gap is filled with silence"),
    Kind("audio-video-length", "warning", "make sound and video equally long; what has no partner is left out of LSE"),
    Kind("audio-length", "warning", "use the clip's own sound, uncut"),
    Kind("leading-silence", "warning", "remove the padding before the speech"),
    Kind("audio-lag", "warning", "remove the delay; LSE hides a constant lag, the offset column shows it"),
    Kind("other-audio", "warning", "use the clip's own sound, unless other speech is what you test"),
    # What is said
    Kind("no-transcript", "warning", "add the transcript; word error rates leave these clips out"),
    Kind("no-transcripts", "info", "give a --manifest with transcripts if you want word error rates"),
    Kind("empty-transcript", "warning", "write what is said; word error rates leave these clips out"),
    Kind("characters", "warning", "spell it with letters, digits, space and apostrophe; the observer has no others"),
    Kind("unknown-word", "warning", "spell the label as LRW does; word accuracy leaves these clips out"),
    Kind("word-window", "warning", "score it with --view mvm=face-framed, which finds the face first"),
    Kind("word-length", "warning", "cut out the 29 frames around the word; word accuracy leaves longer clips out"),
    # Face boxes
    Kind("bad-boxes", "error", "write (frames, 4) whole numbers x1 y1 x2 y2 as .npy: run `tlbench boxes`"),
    Kind("boxes-too-short", "error", "one row a frame of the real video: run `tlbench boxes` again"),
    Kind("boxes-too-many", "warning", "one row a frame of the real video; check that they belong to it"),
    Kind("boxes-outside", "warning", "boxes must touch the picture: run `tlbench boxes` again"),
    # The data set's side
    Kind("no-reference", "info", "nothing; PSNR and SSIM need the real video and leave these clips out"),
    Kind("reference-missing", "error", "complete the data set, or check --data-root"),
    Kind("reference-broken", "error", "copy the file from the data set again"),
    Kind(
        "reference-rate", "info", "nothing, if you know it; the real video is converted to 25 frames a second as well"
    ),
    Kind(
        "reference-dataset",
        "warning",
        "check --dataset and --data-root; the real videos are not as this data set ships them",
    ),
)

CATALOGUE = {kind.code: kind for kind in _KINDS}


def finding(code: str, clip: str | None, message: str) -> Finding:
    """A finding of a kind in the catalogue. Line breaks and control characters in the message are made visible."""
    kind = CATALOGUE[code]
    return Finding(kind.level, clip, code, one_line(message), kind.fix)


def one_line(text: str) -> str:
    """``text`` with everything unprintable escaped, so that a file's name can't draw on the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
