"""The catalogue of findings: code, level and fix of each kind. ``docs/check.md`` says why each matters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from tlbench.errors import ClipError, one_line

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = ("error", "warning", "info")  # worst first
# Which observers do not score the clip after an error: all of them; those that need sound; those that use the real
# video, for its pictures or for face boxes; those that need boxes; "framing": those that need boxes or compare both
# videos, which then have to show the same part of the scene. "none": no observer is concerned, but the run is
# incomplete.
Concern = Literal["all", "sound", "reference", "boxes", "framing", "none"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing, about a clip or the whole folder.

    Attributes
    ----------
    level : ``error``, ``warning`` or ``info``
        Error: the clip can't be scored, or its numbers would be meaningless. Warning: it is scored, but the numbers may
        mislead. Info: how the clip was converted or read.
    clip : str or None
        The clip's id; None for the folder as a whole.
    code : str
        Stable name for programs, in kebab case; all are listed in ``docs/check.md``.
    message : str
        What was found, with the offending values, in one line.
    fix : str
        What to do about it, in one line.
    observers : tuple of str
        The observers concerned in the run that made the finding. After an error they did not score the clip; after a
        finding about the data set their ``sound`` numbers leave the clip out. Empty if no number is concerned.
    """

    level: Level
    clip: str | None
    code: str
    message: str
    fix: str
    observers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object; ``observers`` is left out if there are none."""
        data: dict[str, Any] = {
            "level": self.level,
            "clip": self.clip,
            "code": self.code,
            "message": self.message,
            "fix": self.fix,
        }
        return data | ({"observers": list(self.observers)} if self.observers else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """The inverse of :meth:`to_json`; unknown codes are kept. Raises ValueError or KeyError for other data."""
        level, clip, observers = data["level"], data["clip"], data.get("observers", [])
        texts = [data["code"], data["message"], data["fix"], *observers, *([] if clip is None else [clip])]
        if level not in LEVELS or not isinstance(observers, list) or not all(isinstance(t, str) for t in texts):
            raise ValueError(f"not a finding: {data!r:.80}")
        code, message, fix = (one_line(text) for text in texts[:3])
        return cls(cast(Level, level), clip, code, message, fix, tuple(observers))


@dataclass(frozen=True)
class Kind:
    """A row of the catalogue: what all findings of one code have in common.

    Attributes
    ----------
    code, level, fix
        As on :class:`Finding`.
    concerns : Concern
        Which observers it concerns in a run, by their needs.
    of_dataset : bool
        Whether the data set's own files cause it, so that it is the same for every system: the clip is left out of the
        ``sound`` numbers concerned, and the run still counts as complete.
    """

    code: str
    level: Level
    fix: str
    concerns: Concern = "all"
    of_dataset: bool = False


_KINDS = (
    # The folder as a whole
    Kind("no-videos", "error", "give the folder that holds the generated videos (mp4, avi, mpg, mov, mkv, webm, gif)"),
    Kind(
        "wrong-folder", "error", "name each file after its clip: give the folder above or below, or another --dataset"
    ),
    Kind("missing", "error", "generate them; their score is otherwise `n of N`, which can't enter a leaderboard"),
    Kind("extra", "warning", "remove or rename them; they belong to no clip and are not scored"),
    Kind("duplicate", "error", "generate again; files of different clips must differ", "none"),
    Kind("duplicate-pictures", "error", "generate again; the videos of different clips must differ", "none"),
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
    Kind("same-file", "error", "give the generator's own output; this is the real video itself", "none"),
    Kind("identical", "error", "give the generator's own output; this is a copy of the real video", "none"),
    Kind(
        "identical-pictures",
        "error",
        "give the generator's own output; these are the real video's pictures",
        "none",
    ),
    Kind(
        "ground-truth-as-system",
        "warning",
        "for the ceiling of a table, pass --controls ground-truth; no leaderboard takes this as a system",
    ),
    # Frames
    Kind("single-frame", "error", "generate the whole clip; one frame is no video"),
    Kind(
        "few-frames",
        "error",
        "generate the whole clip, or pass --allow-short, whose numbers no leaderboard takes",
    ),
    Kind("frame-count", "warning", "generate as many frames as the real video has; only frames that both have count"),
    Kind("frame-rate", "warning", "write 25 frames a second; otherwise frames are dropped or repeated to get there"),
    Kind("variable-frame-rate", "warning", "write a constant 25 frames a second (ffmpeg: -fps_mode cfr -r 25)"),
    # Size and framing
    Kind(
        "frame-size",
        "error",
        "render it with the real video's aspect ratio, or pass --boxes-from generated: each video then has its own",
        "framing",
    ),
    Kind(
        "framing",
        "error",
        "pass --boxes-from generated: each video then has its own; or render the part of the scene that the real shows",
        "framing",
    ),
    Kind(
        "view-frame",
        "error",
        "pass the --view that is named, which finds the face first, or write frames of that size",
        "none",
    ),
    Kind(
        "face-framing",
        "warning",
        "crop the face as LRS2 does (a square 1.4 times as wide, from its top down); or pass a --view that finds it",
        "none",
    ),
    Kind("rescaled", "info", "nothing; boxes and landmarks of the real video are scaled to the generated one's size"),
    Kind("rotated", "info", "nothing; the turn in the header is applied before scoring, as players do"),
    Kind("large-frame", "info", "nothing; decoding takes long"),
    # Sound
    Kind("no-audio", "warning", "mux the speech in; LSE and offset need it", "sound"),
    Kind("unreadable-audio", "error", "write the sound again; LSE and offset need it", "sound"),
    Kind("silent-audio", "error", "mux the speech in; silence fits any mouth, LSE leaves the clip out", "sound"),
    Kind(
        "short-clip",
        "warning",
        "nothing; LSE and offset in `sound` leave it out for every system",
        "none",
        of_dataset=True,
    ),
    Kind("too-short", "error", "generate the whole clip; LSE and offset need 21 frames with speech", "sound"),
    Kind("audio-format", "info", "nothing; it is converted to 16 kHz mono"),
    Kind("audio-start", "warning", "let sound and pictures start together; the gap is filled with silence"),
    Kind("audio-video-length", "warning", "make sound and video equally long; what has no partner is left out of LSE"),
    Kind("audio-length", "warning", "use the clip's own sound, uncut"),
    Kind("leading-silence", "warning", "remove the padding before the speech"),
    Kind("audio-lag", "warning", "remove the delay; LSE hides a constant lag, the offset column shows it"),
    Kind("other-audio", "warning", "use the clip's own sound, unless other speech is what you test"),
    # Motion
    Kind("pictures-late", "warning", "let picture k show what the real video's picture k shows", "reference"),
    # What is said
    Kind(
        "no-transcript",
        "warning",
        "add the transcript; word error rates leave these clips out",
        "none",
        of_dataset=True,
    ),
    Kind(
        "no-transcripts",
        "info",
        "for word error rates put CLIP.txt beside each video, or give a --manifest with transcripts",
    ),
    Kind(
        "empty-transcript",
        "warning",
        "write what is said; word error rates leave these clips out",
        "none",
        of_dataset=True,
    ),
    Kind(
        "characters",
        "warning",
        "spell it with letters, digits, space and apostrophe; the observer has no others",
        "none",
        of_dataset=True,
    ),
    Kind("alignment-contradicts-id", "warning", "put the clip's own alignment there; its word times are left unused"),
    Kind("bad-alignment", "warning", "copy the alignment from the data set again; its word times are left unused"),
    Kind("no-word-times", "info", "nothing; training that needs word times leaves these clips out"),
    Kind("texts-disagree", "warning", "look which is said; the transcript is what readings are compared with"),
    Kind("digits", "info", "write numbers as words, as readers do; in digits they count as read wrong"),
    Kind("annotation", "warning", "take out of the transcript what nobody says"),
    Kind("unknown-word", "warning", "spell the label as LRW does; word accuracy leaves these clips out"),
    Kind("word-window", "warning", "score it with --view mvm=face-framed, which finds the face first"),
    Kind("word-length", "warning", "cut out the 29 frames around the word; word accuracy leaves longer clips out"),
    # Face boxes
    Kind("bad-boxes", "error", "write (frames, 4) whole numbers x1 y1 x2 y2 as .npy: run `tlbench boxes`", "boxes"),
    Kind("boxes-too-short", "error", "one row a frame of the real video: run `tlbench boxes` again", "boxes"),
    Kind("boxes-too-many", "warning", "one row a frame of the real video; check that they belong to it"),
    Kind("boxes-outside", "warning", "boxes must touch the picture: run `tlbench boxes` again"),
    # Faces
    Kind(
        "no-face",
        "error",
        "show the face; if it is there and not found, only views that need no boxes can score it",
        "boxes",
    ),
    Kind("faces-missing", "warning", "show the face in every frame; `sound` numbers of faces leave the others out"),
    Kind("faces-filled", "info", "nothing; `sound` numbers of faces leave out frames without one"),
    # Observers outside their training
    Kind(
        "other-dataset",
        "warning",
        "score with an observer that was trained on such clips (--weights), or train one: tlbench train-observer",
    ),
    Kind(
        "other-speakers",
        "warning",
        "score with an observer that has learned from these speakers, or from many (--weights, tlbench train-observer)",
    ),
    Kind(
        "other-vocabulary",
        "warning",
        "score with an observer of an open vocabulary (--weights); words that it does not have can't be read",
    ),
    Kind(
        "unverified-checkpoint",
        "warning",
        "compare its SHA-256 with what its publisher says; nothing here shows that it is the published network",
    ),
    Kind(
        "cannot-read",
        "warning",
        "score with an observer that was trained on such faces; its numbers say nothing of these videos",
    ),
    # The data set's side
    Kind(
        "reference-no-face",
        "warning",
        "nothing, if the face is covered or away there; else try another --detector, or give --boxes",
        "none",
        of_dataset=True,
    ),
    Kind("several-faces", "warning", "check with --contact-sheet whose face is followed; --face chooses another"),
    Kind("boxes-unmarked", "info", "nothing, if each frame shows the face; rows of NaN say where there is none"),
    # The data set's side
    Kind("no-reference", "info", "nothing; PSNR and SSIM need the real video and leave these clips out"),
    Kind("reference-missing", "error", "complete the data set, or check --data-root", "reference"),
    Kind("reference-broken", "warning", "copy the file from the data set again", "reference", of_dataset=True),
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
_PLACES = {code: place for place, code in enumerate(CATALOGUE)}


def finding(code: str, clip: str | None, message: str, level: Level | None = None) -> Finding:
    """A finding of a kind in the catalogue, with the kind's level if none is given.

    Line breaks and control characters in the message are escaped.
    """
    kind = CATALOGUE[code]
    return Finding(level or kind.level, clip, code, one_line(message), kind.fix)


def of_failure(clip: str, code: str, message: str, observers: tuple[str, ...]) -> Finding:
    """An observer's failure as a finding, with the fix from the catalogue, else from the message.

    It is an error, except for a kind that the data set's own files cause, which keeps its level.
    """
    kind = CATALOGUE.get(code)
    found, _, way_out = one_line(message).partition("; ")
    level = kind.level if kind and kind.of_dataset else "error"
    return Finding(level, clip, code, found, kind.fix if kind else way_out, observers)


def finding_of_error(clip_id: str, error: ClipError, path: Path) -> Finding:
    """The error of reading a file as a finding; ``unreadable`` if its code is not in the catalogue."""
    return finding(error.code if error.code in CATALOGUE else "unreadable", clip_id, error_text(error, path))


def error_text(error: ClipError, path: Path) -> str:
    """What is wrong with a file, without its path and without the way out at the end of the error's line."""
    return error.message.removeprefix(f"{path}: ").partition("; ")[0]


def is_of_dataset(code: str) -> bool:
    """Whether the data set's own files cause findings of this code."""
    return code in CATALOGUE and CATALOGUE[code].of_dataset


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted by level (errors first), then by the catalogue's order; findings of one code keep their order."""
    return sorted(findings, key=lambda found: _rank(found.level, found.code))


def count_clips(findings: Iterable[Finding]) -> dict[tuple[Level, str], int]:
    """Number of clips for each level and code, worst first; findings about the folder are counted one by one."""
    seen = {(found.level, found.code, found.clip if found.clip is not None else i) for i, found in enumerate(findings)}
    counts = Counter((level, code) for level, code, _ in seen)
    return {key: counts[key] for key in sorted(counts, key=lambda key: _rank(*key))}


def _rank(level: Level, code: str) -> tuple[int, int, str]:
    """Sort key: level, then the catalogue's order; codes of another version of tlbench come last."""
    return LEVELS.index(level), _PLACES.get(code, len(_PLACES)), code
