"""``tlbench check``: checks of a folder of generated videos and, with ``faces``, of the faces in them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tlbench.arguments import AnyPath, AnyWeights, CountCallback, as_path, as_weights
from tlbench.checkpoints.catalogue import detector_card
from tlbench.checkpoints.weights import check_names
from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import TlbenchError
from tlbench.observing.cache import default_cache
from tlbench.observing.clip_faces import FaceChecker
from tlbench.observing.face_boxes import BoxRule, GuideSource, choose_rule
from tlbench.preflight.check import FACES, IF_KILLED, MOST_WORKERS, CheckReport, check_selection
from tlbench.preflight.faces import FACE_CODES
from tlbench.preflight.findings import CATALOGUE, Finding, worst_first
from tlbench.preflight.headers import Expected
from tlbench.worker_processes import worker_processes

FEW_CLIPS = 8  # starting two processes takes as long as searching so many clips in this one
_checker: FaceChecker | None = None  # of this worker process, made by _start_worker


def check(
    generated: AnyPath,
    dataset: str,
    data_root: AnyPath | None = None,
    *,
    split: str | None = None,
    subset: AnyPath | None = None,
    limit: int | None = None,
    manifest: AnyPath | None = None,
    boxes: AnyPath | None = None,
    boxes_from: GuideSource = "reference",
    faces: bool = False,
    detector: str | None = None,
    face: str | None = None,
    weights: AnyWeights | None = None,
    cache: AnyPath | None = None,
    alphabet: frozenset[str] | None = None,
    workers: int | None = None,
    progress: CountCallback | None = None,
) -> CheckReport:
    """Check a folder of generated videos against the data set they were made for.

    Parameters
    ----------
    generated : path
        Folder of the generated videos, named after the clips.
    dataset : str
        ``lrs2``, ``lrw``, ``grid``, ``folder`` ...
    data_root : path or None
        The data set's folder.
    split, subset, limit, manifest, boxes
        Which clips, and where their boxes are: see :func:`tlbench.datasets.selection.load_dataset`.
    boxes_from : "reference" or "generated"
        As you will pass it to ``score``. With ``generated``, faces are detected in the generated videos, which may have
        any frame size.
    faces : bool
        Run the face detector on every frame and check the faces as well. Without it no model is loaded.
    detector, face, weights, cache
        As you will pass them to ``score``; only with ``faces``. See :func:`tlbench.observing.face_boxes.choose_rule`;
        ``auto`` and ``largest`` if not given. The boxes are cached, and ``score`` with the same detector uses them.
    alphabet, workers, progress
        See :func:`tlbench.preflight.check.check_selection`; ``progress`` counts the files first, then the faces. With
        ``faces`` and 8 clips or more, a script that uses several workers must call this below
        ``if __name__ == "__main__":``.

    Returns
    -------
    CheckReport

    Raises
    ------
    TlbenchError
        If the clips can't be listed (no such data set or folder, no file named after a clip), if a face option is
        given without ``faces``, or if there is no such detector, face or checkpoint.
    """
    given = as_weights(weights)
    named = " ".join(f"{name}={path}" for name, path in given.items())
    for option, value in {"--detector": detector, "--face": face, "--weights": named, "--cache": cache}.items():
        if value and not faces:
            raise TlbenchError(f"{option} {value} is an option of the face checks; add --faces, or leave it out")
    selection = load_dataset(
        dataset,
        as_path(data_root),
        generated=as_path(generated),
        split=split,
        subset=as_path(subset),
        limit=limit,
        boxes=as_path(boxes),
        manifest=as_path(manifest),
    )
    rule = None
    if faces:
        check_names(given, [detector_card()])
        rule, _ = choose_rule(selection.fixed_box, detector or "auto", 0, given, boxes_from, face or "largest")
    report = check_selection(
        selection, alphabet=alphabet, workers=workers, progress=progress, boxes_of_each=boxes_from == "generated"
    )
    if rule is None or any(found.code == "wrong-folder" for found in report.findings):
        return report
    expected = replace(Expected.of(selection.dataset), boxes_of_each=boxes_from == "generated")
    checker = FaceChecker(rule, as_path(cache) or default_cache(), expected)
    return _with_faces(report, selection, checker, workers or min(os.cpu_count() or 1, MOST_WORKERS), progress)


def _with_faces(
    report: CheckReport, selection: Selection, checker: FaceChecker, workers: int, progress: CountCallback | None
) -> CheckReport:
    """The report with the findings about faces, and with the clips left out of the face checks."""
    began = time.monotonic()
    broken = {f.clip for f in report.findings if f.level == "error" and CATALOGUE[f.code].concerns in ("all", "boxes")}
    there = [clip for clip in selection.clips if clip.generated is not None and clip.id not in broken]
    clips = [clip for clip in there if _has_faces(clip, checker.rule)]
    known = {(found.clip, found.code) for found in report.findings}
    findings = list(report.findings)
    for done, found in enumerate(_check_faces(clips, checker, workers), start=1):
        findings += [one for one in found if one.code in FACE_CODES or (one.clip, one.code) not in known]
        if progress is not None:
            progress(done, len(clips))
    left_out = [
        (len(selection.clips) - len(there), "that are missing or have an error"),
        (len(there) - len(clips), "without a real video"),
    ]
    return replace(
        report,
        findings=tuple(worst_first(findings)),
        seconds=report.seconds + time.monotonic() - began,
        not_checked=(
            *(part for part in report.not_checked if part != FACES),
            *(f"{FACES} of {count:,} clip{'' if count == 1 else 's'} {why}" for count, why in left_out if count),
        ),
    )


def _has_faces(clip: Clip, rule: BoxRule) -> bool:
    """Whether there is a video to detect faces in, or a file of boxes."""
    return rule.source == "generated" or clip.reference is not None or clip.boxes is not None


def _check_faces(clips: Sequence[Clip], checker: FaceChecker, workers: int) -> Iterator[list[Finding]]:
    """Findings of each clip, in order."""
    if workers == 1 or len(clips) < FEW_CLIPS:
        yield from map(checker.check, clips)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    with worker_processes(workers, _start_worker, (checker, threads), if_killed=IF_KILLED) as pool:
        yield from pool.map(_work, clips)


def _start_worker(checker: FaceChecker, threads: int) -> None:
    global _checker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the work
    import cv2

    cv2.setNumThreads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch if the detector imports it
    _checker = checker


def _work(clip: Clip) -> list[Finding]:
    assert _checker is not None
    return _checker.check(clip)
