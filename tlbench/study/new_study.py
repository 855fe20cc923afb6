"""Makes a new study: draws clips, writes videos and makes codes, all in one folder."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from tlbench.arguments import CountCallback
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.datasets.transcripts import has_words
from tlbench.document import clean, counted
from tlbench.errors import TlbenchError, quoted, shortened
from tlbench.files import file_sha256
from tlbench.litter import temporary_name
from tlbench.observing.cache import content_sha256
from tlbench.owner import owned
from tlbench.study.answers import GROUND_TRUTH
from tlbench.study.database import FILE_NAME
from tlbench.study.plan import Drawn, Trial, as_said, check_balance, draw_clips, plan_trials, words_like
from tlbench.study.served_videos import HASHES, VIDEOS, hashes_text
from tlbench.study.store import ShownVideo, create
from tlbench.study.videos import real, write_shown

CODES = "codes.txt"
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # without 0, O, 1, I and L, since codes are read from paper
_CODE_LENGTH = 8  # 31^8 = 8.5e11


@dataclass(frozen=True)
class NewStudy:
    """A study made by :func:`new_study`.

    Attributes
    ----------
    folder : Path
    codes : tuple of str
        One code a participant.
    trials : int
        Videos shown to each participant.
    seconds : float
        Length of all videos of a participant; the longest of all participants.
    notes : tuple of str
        What the person who runs the study should know.
    """

    folder: Path
    codes: tuple[str, ...]
    trials: int
    seconds: float
    notes: tuple[str, ...]


def new_study(
    folder: Path,
    methods: Mapping[str, Path],
    dataset: str,
    data_root: Path | None = None,
    *,
    clips: int,
    participants: int,
    reading_clips: int | None = None,
    checks: int = 2,
    seed: int = 0,
    split: str | None = None,
    subset: Path | None = None,
    limit: int | None = None,
    manifest: Path | None = None,
    take_over: bool = False,
    progress: CountCallback | None = None,
) -> NewStudy:
    """Draw the clips of a user study and write everything it needs to a new folder.

    Parameters
    ----------
    folder : path
        Folder of the study, which must be new or empty. It appears only when it is complete.
    methods : mapping of name to folder
        The generated videos of each method. The real videos are added as a control.
    clips, reading_clips : int
        Number of clips to rate, and to read without sound. Each must be a multiple of the number of conditions (methods
        and the control). ``reading_clips`` equals ``clips`` if not given; 0 leaves reading out.
    participants : int
    checks : int
        Attention checks of each participant.
    seed : int
        Decides clips, orders and checks, but not codes and names of videos, which must be unpredictable.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.
    progress : (done, total) -> None, optional
        Called after each video.

    Raises
    ------
    TlbenchError
        If a name or folder can't be used, there are too few clips, or a video can't be read.
    """
    folder = folder if folder.name else folder.absolute()  # of "." too the name is asked
    _check_names(methods)
    if min(clips, participants) < 1 or checks < 0 or (reading_clips or 0) < 0:
        raise TlbenchError("a study needs at least one clip and one participant, and no number below 0")
    with owned(folder.parent, name=folder.name, take_over=take_over):  # what a killed run left goes in any case
        _check_free(folder)
    selections = [
        load_dataset(dataset, data_root, generated=path, split=split, subset=subset, limit=limit, manifest=manifest)
        for path in methods.values()
    ]
    conditions = _Conditions.of(tuple(methods), selections)
    reading = clips if reading_clips is None else reading_clips
    _check_apart(conditions.clips)
    check_balance(clips, conditions.names, "--clips")
    check_balance(reading, conditions.names, "--reading-clips")
    _check_enough(conditions, reading)
    drawn = draw_clips(conditions.shared, list(conditions.texts), clips, reading, checks, seed)
    plans = plan_trials(drawn, conditions.names, participants, _offered(conditions, drawn.read), seed)
    with owned(folder.parent, name=folder.name, take_over=take_over):  # in its place it appears complete
        codes, videos = _write(folder, conditions, drawn, plans, seed, progress)
    lengths = {(v.task, v.condition, v.clip): v.seconds for v in videos}
    seconds = max(sum(lengths[t.item.task, t.item.condition, t.item.clip] for t in plan) for plan in plans)
    return NewStudy(folder, tuple(codes), len(plans[0]), seconds, _notes(conditions, participants))


@dataclass(frozen=True)
class _Conditions:
    """The videos of a study.

    Attributes
    ----------
    selection : Selection
        The clips of the data set.
    clips : mapping of condition to {clip id: Clip}
        ``generated`` is the video shown under the condition, None if the method lacks it.
    shared : tuple of str
        Ids of the clips that every condition has.
    texts : mapping of clip id to str
        The text of those of them whose text is known.
    """

    selection: Selection
    clips: Mapping[str, Mapping[str, Clip]]
    shared: tuple[str, ...]
    texts: Mapping[str, str]

    @classmethod
    def of(cls, methods: Sequence[str], selections: Sequence[Selection]) -> _Conditions:
        """The conditions of methods with their selections, and the real videos as the last condition."""
        clips = {
            name: {clip.id: clip for clip in selection.clips}
            for name, selection in zip(methods, selections, strict=True)
        }
        clips[GROUND_TRUTH] = {clip.id: real(clip) for clip in selections[0].clips}
        shared = [c.id for c in selections[0].clips if all(by_id[c.id].generated for by_id in clips.values())]
        texts = {clip_id: text for clip_id in shared if (text := _text(clips[GROUND_TRUTH][clip_id]))}
        return cls(selections[0], clips, tuple(shared), texts)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.clips)


def _write(
    folder: Path,
    conditions: _Conditions,
    drawn: Drawn,
    plans: Sequence[Sequence[Trial]],
    seed: int,
    progress: CountCallback | None,
) -> tuple[list[str], list[ShownVideo]]:
    """Write the folder of a study under a temporary name and rename it. Returns the codes and the videos."""
    items = dict.fromkeys(trial.item for plan in plans for trial in plan)
    partial = folder.with_name(temporary_name(".part", folder.name))
    try:
        (partial / VIDEOS).mkdir(parents=True)
        videos = []
        for item in items:
            clip, name = conditions.clips[item.condition][item.clip], secrets.token_hex(16)
            score = drawn.checks.get(item.clip) if item.task == "check" else None
            seconds = write_shown(partial / VIDEOS / f"{name}.mp4", clip, item.task, score)
            sha256 = content_sha256(clip.generated, clip.id, "generated video")
            text = conditions.texts[item.clip] if item.task == "read" else None
            videos.append(ShownVideo(name, item.task, item.condition, item.clip, sha256, seconds, text, score))
            if progress is not None:
                progress(len(videos), len(items))
        codes = _codes(len(plans))
        selection = conditions.selection
        create(
            partial / FILE_NAME, selection.dataset.name, selection.split, conditions.names, seed, videos, codes, plans
        )
        shown = {video.id: file_sha256(partial / VIDEOS / f"{video.id}.mp4") for video in videos}
        (partial / HASHES).write_text(hashes_text(shown), encoding="ascii")
        (partial / CODES).write_text("".join(f"{code}\n" for code in codes), encoding="ascii")
        if folder.is_dir():
            folder.rmdir()  # it is empty; not every system can rename over a folder
        os.replace(partial, folder)
    except OSError as error:
        raise TlbenchError(f"{folder}: can't be written ({error.strerror}); choose another folder") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return codes, videos


def _check_free(folder: Path) -> None:
    """Raises TlbenchError if there is something already, such as the study that a killed run had just completed."""
    if (folder / FILE_NAME).is_file():
        raise TlbenchError(
            f"{folder}: is not an empty folder but a study, with its codes in {CODES}; serve it, or choose a new folder"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TlbenchError(f"{folder}: is not an empty folder; choose a new folder for the study")


def _check_names(methods: Mapping[str, Path]) -> None:
    if not methods:
        raise TlbenchError("a study needs a method: --method NAME=FOLDER")
    for name in methods:
        if not name.strip() or clean(name) != name or len(name) > 100:
            raise TlbenchError(
                f"method name {quoted(name)}: give one of 1 to 100 visible characters (--method NAME=FOLDER)"
            )
        if name == GROUND_TRUTH:
            raise TlbenchError(
                f"a method can't be called {quoted(name)}: that is the name of the real videos, which are added "
                "automatically"
            )


def _check_apart(shown: Mapping[str, Mapping[str, Clip]]) -> None:
    """Raises TlbenchError if two conditions show the same file, as when a folder is given twice."""
    for a, b in combinations(shown, 2):
        for clip_id, clip in shown[a].items():
            other = shown[b][clip_id].generated
            if clip.generated is not None and other is not None and clip.generated.resolve() == other.resolve():
                raise TlbenchError(
                    f"{a} and {b} show the same file for clip {shortened(clip_id)} ({other}); give each method its "
                    "own folder"
                )


def _text(clip: Clip) -> str:
    """The word or sentence of a clip; "" if it is not known or has no words."""
    text = clip.word or clip.transcript or ""
    return as_said(text) if has_words(text) else ""


def _check_enough(conditions: _Conditions, reading: int) -> None:
    """Raises TlbenchError if no clip can be drawn at all, which asking for fewer clips does not solve."""
    if not conditions.shared:
        raise TlbenchError(f"no clip is in every condition: {_lacking(conditions) or 'the data set is empty'}")
    if reading and not conditions.texts:
        raise TlbenchError(
            f"{conditions.selection.dataset.name}: the texts of its clips are not known, so they can't be read; "
            "leave reading out (--reading-clips 0) or give transcripts"
        )


def _lacking(conditions: _Conditions) -> str:
    """``wav2lip lacks 3 of 40 (such as s1/bbaf2n)`` for each condition that lacks any."""
    parts = []
    for condition, by_id in conditions.clips.items():
        missing = [clip_id for clip_id, clip in by_id.items() if clip.generated is None]
        if missing:
            parts.append(f"{clean(condition)} lacks {len(missing)} of {len(by_id)} (such as {missing[0]})")
    return ", ".join(parts)


def _offered(conditions: _Conditions, read: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Words to choose from, by id of the clips of single words. Sentences are typed."""
    clips = [conditions.clips[GROUND_TRUTH][clip_id] for clip_id in read]
    vocabulary = sorted({as_said(clip.word) for clip in conditions.selection.clips if clip.word is not None})
    offered = {clip.id: words_like(as_said(clip.word), vocabulary) for clip in clips if clip.word is not None}
    for clip_id, words in offered.items():
        if len(words) < 2:
            raise TlbenchError(
                f"clip {shortened(clip_id)}: no other word looks different from {quoted(words[0])}; "
                "take clips of more words, or leave reading out (--reading-clips 0)"
            )
    return offered


def _codes(count: int) -> list[str]:
    """Different random codes, sorted."""
    codes: set[str] = set()
    while len(codes) < count:
        codes.add("".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH)))
    return sorted(codes)


def _notes(conditions: _Conditions, participants: int) -> tuple[str, ...]:
    """What the person who runs the study should know."""
    notes = []
    lacking = _lacking(conditions)
    if lacking:
        notes.append(
            f"drawn from {len(conditions.shared)} of {counted(len(conditions.selection.clips), 'clip')}, "
            "those that every method "
            f"has: {lacking}; if a method failed on its hardest clips, this makes it look better"
        )
    if participants % len(conditions.names):
        notes.append(
            f"{counted(participants, 'participant is', 'participants are')} not a multiple of "
            f"{counted(len(conditions.names), 'condition')}: some clips are "
            "seen more often by one method than by another"
        )
    return tuple(notes)
