"""The catalogue of findings: code, level and fix of each kind. ``docs/check.md`` explains each code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from tlbench.errors import ClipError, one_line, quoted
from tlbench.json_fields import entries_of, fields_of, optional_text, text

Level = Literal["error", "warning", "info"]
LEVELS: tuple[Level, ...] = ("error", "warning", "info")  # worst first
MOST_OBSERVERS = 1_000  # of one finding
# Which observers do not score a clip that has an error of this kind:
# "all": all observers. "sound": observers that need sound. "reference": observers that use the real video, for its
# frames or for face boxes. "boxes": observers that need face boxes. "framing": observers that need face boxes or
# compare both videos, because both videos have to show the same part of the scene. "words": observers that read a
# single word. "none": no observer, but the run is incomplete.
Concern = Literal["all", "sound", "reference", "boxes", "framing", "words", "none"]


@dataclass(frozen=True)
class Finding:
    """A problem with a clip or with the whole folder, or a note about how it was read.

    Attributes
    ----------
    level : ``error``, ``warning`` or ``info``
        Error: the clip can't be scored, or its numbers would be meaningless. Warning: the clip is scored, but the
        numbers may be misleading. Info: how the clip was converted or read.
    clip : str or None
        The clip's id; None for the folder as a whole.
    code : str
        Stable name for programs, in kebab case. All codes are listed in ``docs/check.md``.
    message : str
        What was found, with the values, in one line.
    fix : str
        How to fix it, in one line.
    observers : tuple of str
        The observers of the run that the finding affects. They do not score a clip with an error. If the data set
        causes the finding, their ``sound`` numbers leave the clip out. Empty if no number is affected.
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
        about = fields_of(data, "finding")
        level, clip = about["level"], optional_text(about["clip"], "clip of a finding")
        if level not in LEVELS:
            raise ValueError(f"not a finding: its level is {quoted(level)}")
        code, message, fix = (one_line(_said(about[field], field)) for field in ("code", "message", "fix"))
        observers = entries_of(about.get("observers", []), "observers of a finding", most=MOST_OBSERVERS)
        return cls(cast(Level, level), clip, code, message, fix, tuple(text(who, "observer") for who in observers))


def _said(value: Any, field: str) -> str:
    """A text of a finding, which may be empty: a leaderboard has no messages."""
    return "" if value == "" else text(value, f"{field} of a finding")


@dataclass(frozen=True)
class Kind:
    """A row of the catalogue: the properties of all findings with one code.

    Attributes
    ----------
    code, level, fix
        As on :class:`Finding`.
    concerns : Concern
        Which observers of a run it affects.
    of_dataset : bool
        Whether the data set's own files cause it, so that it is the same for every system. The affected ``sound``
        numbers leave the clip out, and the run still counts as complete.
    """

    code: str
    level: Level
    fix: str
    concerns: Concern = "all"
    of_dataset: bool = False


_KINDS = (
    # The folder as a whole
    Kind(
        "no-videos", "error", "give the folder that contains the generated videos (mp4, avi, mpg, mov, mkv, webm, gif)"
    ),
    Kind("wrong-folder", "error", "name each file after its clip, or give the right folder or --dataset"),
    Kind(
        "missing",
        "error",
        "generate them, or complete the data set if these are its real videos; a score over `n of N` clips can't enter "
        "a leaderboard",
    ),
    Kind("extra", "warning", "rename or remove them; they match no clip and are not scored"),
    Kind("duplicate", "error", "generate them again; the files of different clips must differ", "none"),
    Kind("duplicate-pictures", "error", "generate them again; the videos of different clips must differ", "none"),
    Kind("long-video", "warning", "cut them to the length of their clips; one long file can outweigh all others"),
    Kind(
        "split-size",
        "info",
        "nothing, if you chose these clips; the numbers can't be compared with published ones",
    ),
    Kind("dataset-note", "info", "nothing; this says how the data set was read"),
    # The generated video
    Kind("unreadable", "error", "write the file again; check its permissions and links"),
    Kind("empty-file", "error", "generate it again; a full disk or a failed ffmpeg leaves 0 bytes"),
    Kind("no-video", "error", "write a file with a video stream"),
    Kind("no-frames", "error", "generate it again; no frame of the video stream can be decoded"),
    Kind("truncated", "error", "copy or generate it again; the file ends before the length in its header"),
    Kind("size-changes", "error", "write all frames in one size"),
    Kind("too-large", "error", "scale the video down to the real video's size, or pass --large-pictures"),
    Kind("timestamps", "error", "re-encode it at a constant 25 frames a second"),
    Kind("damaged", "error", "copy or generate it again; some of its frames can't be decoded"),
    Kind(
        "pictures-missing",
        "warning",
        "copy or generate it again; the file ends a little before the length in its header",
    ),
    Kind("same-file", "error", "give the generated video; this is the real video itself", "none"),
    Kind("identical", "error", "give the generated video; this is a copy of the real video", "none"),
    Kind(
        "identical-pictures",
        "error",
        "give the generated video; these are the frames of the real video",
        "none",
    ),
    Kind(
        "ground-truth-as-system",
        "warning",
        "to score the real videos, pass --controls ground-truth; no leaderboard takes them as a system",
    ),
    # Frames
    Kind("single-frame", "error", "generate the whole clip; one frame is not a video"),
    Kind(
        "few-frames",
        "error",
        "generate the whole clip, or pass --allow-short; no leaderboard takes numbers of short videos",
    ),
    Kind(
        "frame-count", "warning", "generate as many frames as the real video has; only frames in both videos are scored"
    ),
    Kind("frame-rate", "warning", "write 25 frames a second; at other rates frames are dropped or repeated"),
    Kind("variable-frame-rate", "warning", "write a constant 25 frames a second (ffmpeg: -fps_mode cfr -r 25)"),
    # Size and framing
    Kind(
        "frame-size",
        "error",
        "render it at the real video's aspect ratio, or pass --boxes-from generated",
        "framing",
    ),
    Kind(
        "framing",
        "error",
        "render the same part of the scene as the real video, or pass --boxes-from generated",
        "framing",
    ),
    Kind(
        "view-frame",
        "error",
        "pass a --view that finds the face first, or write frames of the size that the view needs",
        "none",
    ),
    Kind(
        "face-framing",
        "warning",
        "crop the face as LRS2 does (a square of 1.4 face widths), or pass a --view that finds the face first",
        "none",
    ),
    Kind("rescaled", "info", "nothing; boxes and landmarks of the real video are scaled to the generated video's size"),
    Kind("rotated", "info", "nothing; the rotation in the header is applied before scoring, as players do"),
    Kind("large-frame", "info", "nothing; decoding takes long"),
    # Sound
    Kind("no-audio", "error", "mux the speech into the file; LSE and offset need it", "sound"),
    Kind("unreadable-audio", "error", "write the sound again; LSE and offset need it", "sound"),
    Kind("sound-lost", "error", "copy the file or write its sound again; LSE and offset need all of it", "sound"),
    Kind("sound-missing", "warning", "copy the file or write its sound again; what is missing counts as silence"),
    Kind("silent-audio", "error", "mux the speech into the file; LSE and offset need it", "sound"),
    Kind(
        "short-clip",
        "warning",
        "nothing; LSE and offset in `sound` leave this clip out for every system",
        "none",
        of_dataset=True,
    ),
    Kind("too-short", "error", "generate the whole clip; LSE and offset need 21 frames with speech, FVD 16", "sound"),
    Kind("audio-format", "info", "nothing; it is converted to 16 kHz mono"),
    Kind("audio-start", "warning", "start sound and frames at the same time; the gap is filled with silence"),
    Kind(
        "audio-video-length",
        "warning",
        "make sound and video equally long; LSE leaves out frames without sound and sound without frames",
    ),
    Kind("audio-length", "warning", "use the clip's own sound, uncut"),
    Kind("leading-silence", "warning", "remove the silence that was added before the speech"),
    Kind("audio-lag", "warning", "remove the delay; LSE ignores a constant lag, the offset column shows it"),
    Kind("other-audio", "warning", "use the clip's own sound, unless you test other speech"),
    # Motion
    Kind(
        "pictures-late",
        "warning",
        "make frame k of the generated video show the same moment as frame k of the real video",
        "reference",
    ),
    # Texts
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
        "for word error rates put CLIP.txt next to each video, or give a --manifest with transcripts",
    ),
    Kind(
        "empty-transcript",
        "warning",
        "write the spoken words; word error rates leave these clips out",
        "none",
        of_dataset=True,
    ),
    Kind(
        "characters",
        "warning",
        "use only letters, digits, spaces and apostrophes; the observer has no other characters",
        "none",
        of_dataset=True,
    ),
    Kind("alignment-contradicts-id", "warning", "copy the clip's own alignment there; its word times are not used"),
    Kind(
        "alignment-shared", "warning", "copy each clip's own alignment there; the word times of both clips are not used"
    ),
    Kind("bad-alignment", "warning", "copy the alignment from the data set again; its word times are not used"),
    Kind(
        "no-word-times",
        "info",
        "nothing; ACC aligned, and training that needs word times, leave these clips out",
        "none",
        of_dataset=True,
    ),
    Kind(
        "texts-disagree", "warning", "correct the wrong text; what the observer reads is compared with the transcript"
    ),
    Kind("digits", "info", "write numbers as words, as observers do; digits count as errors"),
    Kind("annotation", "warning", "remove from the transcript what is not spoken"),
    Kind("unknown-word", "error", "spell the label as LRW does; word accuracy leaves these clips out", "words"),
    Kind("word-window", "error", "score it with --view mvm=face-framed, which finds the face first", "words"),
    Kind(
        "word-length",
        "error",
        "cut out the 29 frames around the word; word accuracy leaves longer clips out",
        "words",
    ),
    # Face boxes
    Kind("bad-boxes", "error", "write (frames, 4) whole numbers x1 y1 x2 y2 as .npy: run `tlbench boxes`", "boxes"),
    Kind(
        "boxes-too-short", "error", "write one row for each frame of the real video: run `tlbench boxes` again", "boxes"
    ),
    Kind(
        "boxes-too-many",
        "warning",
        "check that the boxes belong to this video; write one row for each frame of the real video",
    ),
    Kind("boxes-outside", "warning", "boxes must overlap the frame: run `tlbench boxes` again"),
    # Faces
    Kind(
        "no-face",
        "error",
        "show the face; if the detector misses the face, use a view that needs no boxes",
        "boxes",
    ),
    Kind(
        "faces-missing",
        "warning",
        "show the face in every frame; `sound` numbers of faces leave out frames without one",
    ),
    Kind("faces-filled", "info", "nothing; `sound` numbers of faces leave out frames without one"),
    # Observers outside their training
    Kind(
        "other-dataset",
        "warning",
        "score with an observer trained on such clips (--weights), or train one: tlbench train-observer",
    ),
    Kind(
        "other-speakers",
        "warning",
        "score with an observer trained on these speakers, or on many (--weights, tlbench train-observer)",
    ),
    Kind(
        "other-vocabulary",
        "warning",
        "score with an observer of an open vocabulary (--weights); this one can't read other words",
    ),
    Kind(
        "unverified-checkpoint",
        "warning",
        "compare its SHA-256 with the publisher's; tlbench can't verify that it is the published checkpoint",
    ),
    Kind(
        "cannot-read",
        "warning",
        "score with an observer trained on such faces; these numbers say nothing about the videos",
    ),
    Kind(
        "unended-reading",
        "warning",
        "look at what was read (tlbench report): such a text mostly repeats itself; in padded batches it may be longer",
    ),
    # Observers with damaged weights
    Kind("not-finite", "error", "take another checkpoint, or leave this clip out; NaN says nothing of a video", "none"),
    Kind(
        "damaged-checkpoint", "warning", "take another file of this checkpoint: fetch, import or train it again", "none"
    ),
    # Faces in the real video
    Kind(
        "reference-no-face",
        "warning",
        "nothing, if the face is covered or turned away; otherwise try another --detector, or give --boxes",
        "none",
        of_dataset=True,
    ),
    Kind("several-faces", "warning", "check with --contact-sheet which face is followed; --face chooses another"),
    Kind("boxes-unmarked", "info", "nothing, if every frame shows the face; mark frames without a face by rows of NaN"),
    # The data set's files
    Kind("no-reference", "info", "nothing; PSNR and SSIM need the real video and leave these clips out"),
    Kind("reference-missing", "error", "complete the data set, or check --data-root", "reference"),
    Kind(
        "reference-sound-lost",
        "warning",
        "copy the file from the data set again; the generated video's sound is not compared with it",
        "none",
        of_dataset=True,
    ),
    Kind("reference-broken", "warning", "copy the file from the data set again", "reference", of_dataset=True),
    Kind(
        "reference-rate", "info", "nothing, if this is intended; the real video is converted to 25 frames a second too"
    ),
    Kind(
        "reference-dataset",
        "warning",
        "check --dataset and --data-root; the real videos differ from those that the data set ships",
    ),
)

CATALOGUE = {kind.code: kind for kind in _KINDS}
_PLACES = {code: place for place, code in enumerate(CATALOGUE)}


def finding(code: str, clip: str | None, message: str) -> Finding:
    """A finding with the level and fix of its code in the catalogue, the same in ``check`` and in ``score``.

    Line breaks and control characters in the message are escaped.
    """
    kind = CATALOGUE[code]
    return Finding(kind.level, clip, code, one_line(message), kind.fix)


def of_failure(clip: str, code: str, message: str, observers: tuple[str, ...]) -> Finding:
    """An observer's failure as a finding. The fix is from the catalogue, or from the message for other codes.

    It is an error, unless the data set's own files cause it; then it has the level of the catalogue.
    """
    kind = CATALOGUE.get(code)
    found, _, fix = one_line(message).partition("; ")
    level = kind.level if kind and kind.of_dataset else "error"
    return Finding(level, clip, code, found, kind.fix if kind else fix, observers)


def finding_of_error(clip_id: str, error: ClipError, path: Path) -> Finding:
    """The error of reading a file as a finding; ``unreadable`` if its code is not in the catalogue."""
    return finding(error.code if error.code in CATALOGUE else "unreadable", clip_id, error_text(error, path))


def error_text(error: ClipError, path: Path) -> str:
    """The error message without the file's path and without the fix after the semicolon."""
    return error.message.removeprefix(f"{path}: ").partition("; ")[0]


def is_of_dataset(code: str) -> bool:
    """Whether the data set's own files cause findings of this code."""
    return code in CATALOGUE and CATALOGUE[code].of_dataset


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sorted by level (errors first), then by the catalogue's order; findings of one code keep their order."""
    return sorted(findings, key=lambda found: _rank(found.level, found.code))


def count_clips(findings: Iterable[Finding]) -> dict[tuple[Level, str], int]:
    """Number of clips for each level and code, worst first. Each finding about the folder counts as one."""
    seen = {(found.level, found.code, found.clip if found.clip is not None else i) for i, found in enumerate(findings)}
    counts = Counter((level, code) for level, code, _ in seen)
    return {key: counts[key] for key in sorted(counts, key=lambda key: _rank(*key))}


def _rank(level: Level, code: str) -> tuple[int, int, str]:
    """Sort key: level, then the catalogue's order; codes of another version of tlbench come last."""
    return LEVELS.index(level), _PLACES.get(code, len(_PLACES)), code
