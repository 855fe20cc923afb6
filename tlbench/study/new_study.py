"""A new study: clips drawn, videos written, codes made, all in one folder."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.datasets.transcripts import has_words
from tlbench.errors import TlbenchError
from tlbench.observing.cache import content_sha256
from tlbench.study.answers import GROUND_TRUTH
from tlbench.study.plan import as_said, check_balance, draw_clips, plan_trials, words_like
from tlbench.study.store import FILE_NAME, ShownVideo, create
from tlbench.study.videos import real, write_shown
from tlbench.tables.table_format import clean

CODES = "codes.txt"
VIDEOS = "videos"
_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # no 0 and O, 1, I and L: codes are read from paper
_CODE_LENGTH = 8  # 31^8 = 8.5e11


@dataclass(frozen=True)
class NewStudy:
    """What :func:`new_study` made.

    Attributes
    ----------
    folder : Path
    codes : tuple of str
        One a participant.
    trials : int
        Videos before each participant.
    seconds : float
        How long a participant's videos play, once each; the longest.
    notes : tuple of str
        What whoever runs the study should know.
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
    progress: Callable[[int, int], None] | None = None,
) -> NewStudy:
    """Draw the clips of a user study and write everything it needs to a new folder.

    Parameters
    ----------
    folder : path
        Of the study; must not hold anything. It appears only when it is complete.
    methods : mapping of name to folder
        The generated videos of each method. The real videos are added as a control.
    clips, reading_clips : int
        To be rated, and to be read without sound. Each must be a multiple of the number of methods and the control.
        As many are read as are rated if it is not said; 0 leaves reading out.
    participants, checks : int
        Attention checks are for each participant.
    seed : int
        Decides clips, orders and checks; not the codes and the names of the videos, which must not be guessed.
    progress : (done, total) -> None, optional
        Called after each video.

    Raises
    ------
    TlbenchError
        If names or folders are no good, there are too few clips, or a video can't be read.
    """
    _check_names(methods)
    if min(clips, participants) < 1 or checks < 0 or (reading_clips or 0) < 0:
        raise TlbenchError("a study needs at least one clip and one participant, and no number below 0")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TlbenchError(f"{folder}: there is something here already; choose a new folder for the study")
    chosen = {
        name: load_dataset(
            dataset, data_root, generated=path, split=split, subset=subset, limit=limit, manifest=manifest
        )
        for name, path in methods.items()
    }
    any_selection = next(iter(chosen.values()))
    shown = {name: {clip.id: clip for clip in selection.clips} for name, selection in chosen.items()}
    shown[GROUND_TRUTH] = {clip.id: real(clip) for clip in any_selection.clips}
    conditions = tuple(shown)
    reading = clips if reading_clips is None else reading_clips
    _check_apart(shown)
    check_balance(clips, conditions, "--clips")
    check_balance(reading, conditions, "--reading-clips")

    everywhere = [c.id for c in any_selection.clips if all(by_id[c.id].generated for by_id in shown.values())]
    truths = {clip_id: text for clip_id in everywhere if (text := _truth(shown[GROUND_TRUTH][clip_id]))}
    _check_enough(everywhere, truths, reading, any_selection, shown)
    drawn = draw_clips(everywhere, list(truths), clips, reading, checks, seed)
    offered = _offered(any_selection, [shown[GROUND_TRUTH][clip_id] for clip_id in drawn.read])
    plans = plan_trials(drawn, conditions, participants, offered, seed)

    wanted_videos = dict.fromkeys(trial.item for plan in plans for trial in plan)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        (partial / VIDEOS).mkdir(parents=True)
        videos = []
        for item in wanted_videos:
            clip, name = shown[item.condition][item.clip], secrets.token_hex(16)
            score = drawn.checks.get(item.clip) if item.task == "check" else None
            seconds = write_shown(partial / VIDEOS / f"{name}.mp4", clip, item.task, score)
            sha256 = content_sha256(clip.generated, clip.id, "generated video")
            truth = truths[item.clip] if item.task == "read" else None
            videos.append(ShownVideo(name, item.task, item.condition, item.clip, sha256, seconds, truth, score))
            if progress is not None:
                progress(len(videos), len(wanted_videos))
        codes = _codes(participants)
        create(
            partial / FILE_NAME, any_selection.dataset.name, any_selection.split, conditions, seed, videos, codes, plans
        )
        (partial / CODES).write_text("".join(f"{code}\n" for code in codes), encoding="ascii")
        if folder.is_dir():
            folder.rmdir()  # empty: not every system renames over a folder
        os.replace(partial, folder)
    except OSError as error:
        raise TlbenchError(f"{folder}: can't be written ({error.strerror}); choose another folder") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    lengths = {(v.task, v.condition, v.clip): v.seconds for v in videos}
    seconds = max(sum(lengths[t.item.task, t.item.condition, t.item.clip] for t in plan) for plan in plans)
    notes = _notes(any_selection, shown, everywhere, participants, conditions)
    return NewStudy(folder, tuple(codes), len(plans[0]), seconds, notes)


def _check_names(methods: Mapping[str, Path]) -> None:
    if not methods:
        raise TlbenchError("a study needs a method: --method NAME=FOLDER")
    for name in methods:
        if not name.strip() or clean(name) != name or len(name) > 100:
            raise TlbenchError(
                f"method name {name!r:.120}: give one of 1 to 100 visible characters (--method NAME=FOLDER)"
            )
        if name == GROUND_TRUTH:
            raise TlbenchError(
                f"a method can't be called {name!r}: the real videos are, and they are added by themselves"
            )


def _check_apart(shown: Mapping[str, Mapping[str, Clip]]) -> None:
    """Two rows of one video: a folder given twice, the real videos as a method, a manifest that names the generated."""
    for a, b in combinations(shown, 2):
        for clip_id, clip in shown[a].items():
            other = shown[b][clip_id].generated
            if clip.generated is not None and other is not None and clip.generated.resolve() == other.resolve():
                raise TlbenchError(
                    f"{a} and {b} show the same file for clip {clip_id} ({other}); give each method its own folder"
                )


def _truth(clip: Clip) -> str:
    """What is said; empty if that is not known or nothing is."""
    text = clip.word or clip.transcript or ""
    return as_said(text) if has_words(text) else ""


def _check_enough(
    everywhere: Sequence[str],
    truths: Mapping[str, str],
    reading: int,
    selection: Selection,
    shown: Mapping[str, Mapping[str, Clip]],
) -> None:
    """Tells apart the two reasons for having too few clips that asking for fewer does not mend."""
    if not everywhere:
        raise TlbenchError(f"no clip is there in every condition: {_lacking(shown) or 'the data set is empty'}")
    if reading and not truths:
        raise TlbenchError(
            f"{selection.dataset.name}: nothing is known of what its clips say, so they can't be read; "
            "leave reading out (--reading-clips 0) or give transcripts"
        )


def _lacking(shown: Mapping[str, Mapping[str, Clip]]) -> str:
    """``wav2lip lacks 3 of 40 (s1/bbaf2n, ...)`` for each condition that lacks any."""
    parts = []
    for condition, by_id in shown.items():
        missing = [clip_id for clip_id, clip in by_id.items() if clip.generated is None]
        if missing:
            parts.append(f"{clean(condition)} lacks {len(missing)} of {len(by_id)} ({missing[0]} for one)")
    return ", ".join(parts)


def _offered(selection: Selection, read: Sequence[Clip]) -> dict[str, tuple[str, ...]]:
    """Words to choose from, for the clips that have a word. Sentences are typed."""
    words = [clip for clip in read if clip.word is not None]
    vocabulary = sorted({as_said(clip.word) for clip in selection.clips if clip.word is not None})
    offered = {clip.id: words_like(as_said(clip.word), vocabulary) for clip in words if clip.word is not None}
    for clip in words:
        if len(offered[clip.id]) < 2:
            raise TlbenchError(
                f"clip {clip.id}: no word but {offered[clip.id][0]!r} is there to be told from it; "
                "take clips of more words, or leave reading out (--reading-clips 0)"
            )
    return offered


def _codes(count: int) -> list[str]:
    codes: set[str] = set()
    while len(codes) < count:
        codes.add("".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH)))
    return sorted(codes)


def _notes(
    selection: Selection,
    shown: Mapping[str, Mapping[str, Clip]],
    everywhere: Sequence[str],
    participants: int,
    conditions: Sequence[str],
) -> tuple[str, ...]:
    notes = []
    lacking = _lacking(shown)
    if lacking:
        notes.append(
            f"drawn from {len(everywhere)} of {len(selection.clips)} clips, those that every method has: {lacking}; "
            "if a method failed on its hardest clips, this flatters it"
        )
    if participants % len(conditions):
        notes.append(
            f"{participants} participants are no multiple of {len(conditions)} conditions: some clips are seen more "
            "often by one method than by another"
        )
    return tuple(notes)
