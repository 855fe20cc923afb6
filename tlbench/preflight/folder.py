"""Checks across all clips of a folder: file names, copies, outliers in length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tlbench.datasets.selection import Selection
from tlbench.preflight.findings import Finding, finding

# With fewer matches than this share of the files found, it is the wrong folder. A generation that stopped early has few
# files, but they match.
WRONG_FOLDER_SHARE = 0.05
# A clip longer than a minute and five times the median is not one utterance.
LONG_SECONDS, LONG_TIMES_MEDIAN = 60.0, 5.0

# Findings of generated videos that are the real ones. For a few clips they are errors; if most clips have one, the user
# scores ground truth to get the ceiling.
COPIES = frozenset({"same-file", "identical", "identical-pictures"})


@dataclass(frozen=True)
class Content:
    """Hashes that show copies among clips: of the generated file, its coded pictures and the real file.

    None for a hash that is not known.
    """

    id: str
    file_sha256: str | None
    pictures_sha256: str | None
    reference_sha256: str | None

    def is_copy_of(self, other: Content) -> bool:
        """Whether this clip, with the same content as another, should differ from it: its real video differs."""
        same_reference = self.reference_sha256 is not None and self.reference_sha256 == other.reference_sha256
        return other.id != self.id and not same_reference


def check_file_names(selection: Selection) -> list[Finding]:
    """Clips without a video and videos without a clip; a single finding if hardly any name fits."""
    missing = [clip.id for clip in selection.clips if clip.generated is None]
    matched = len(selection.clips) - len(missing)
    files = matched + len(selection.extra)
    where = selection.generated
    findings = [finding("dataset-note", None, note) for note in selection.notes]
    if selection.expected is not None and selection.clips_in_split != selection.expected:
        message = (
            f"{selection.dataset.title} {selection.split} has {selection.expected} clips as published, "
            f"{selection.clips_in_split} here"
        )
        findings.append(finding("split-size", None, message))
    if missing and not files:
        return [*findings, finding("no-videos", None, f"none of {len(missing)} clips has a video in {where}")]
    if missing and selection.extra and matched < WRONG_FOLDER_SHARE * files:
        message = (
            f"{matched} of {files} videos in {where} are named after a clip: "
            f"expected such as {missing[0]}.mp4, found such as {_below(selection.extra[0], where)}"
        )
        return [*findings, finding("wrong-folder", None, message)]
    findings += [finding("missing", clip_id, "no generated video") for clip_id in missing]
    findings += [finding("extra", None, f"{_below(path, where)} belongs to no clip") for path in selection.extra]
    return findings


def check_copies(contents: Iterable[Content]) -> list[Finding]:
    """Clips that are copies of earlier ones: ``duplicate`` (same bytes), ``duplicate-pictures`` (same coded pictures).

    Clips with the same real video may have the same generated video.
    """
    files: dict[str, Content] = {}
    pictures: dict[str, Content] = {}
    findings = []
    for clip in contents:
        same_file = files.setdefault(clip.file_sha256, clip) if clip.file_sha256 is not None else clip
        same_pictures = pictures.setdefault(clip.pictures_sha256, clip) if clip.pictures_sha256 is not None else clip
        if clip.is_copy_of(same_file):
            findings.append(finding("duplicate", clip.id, f"the same bytes as {same_file.id}"))
        elif clip.is_copy_of(same_pictures):
            findings.append(finding("duplicate-pictures", clip.id, f"the same coded pictures as {same_pictures.id}"))
    return findings


def check_ground_truth(clips: int, findings: Iterable[Finding]) -> Finding | None:
    """``ground-truth-as-system`` if the folder holds the real videos, to replace the findings of single clips.

    Parameters
    ----------
    clips : int
        Number of clips.
    findings : iterable of Finding
        Of all clips. More than half of the clips must have one with a code in ``COPIES``.
    """
    copies = {found.clip for found in findings if found.code in COPIES}
    if 2 * len(copies) <= clips:
        return None
    return finding("ground-truth-as-system", None, f"{len(copies)} of {clips} videos are the real videos themselves")


def check_lengths(seconds: Mapping[str, float]) -> list[Finding]:
    """``long-video`` for videos much longer than the others; ``seconds`` by clip id."""
    if not seconds:
        return []
    usual = median(seconds.values())
    return [
        finding("long-video", clip_id, f"{length:.0f} s long, where half of the clips are below {usual:.1f} s")
        for clip_id, length in seconds.items()
        if length > max(LONG_SECONDS, LONG_TIMES_MEDIAN * usual)
    ]


def _below(path: Path, folder: Path | None) -> str:
    return path.relative_to(folder).as_posix() if folder is not None and path.is_relative_to(folder) else path.name
