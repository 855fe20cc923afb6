"""All checks of one clip's files, without any model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError
from tlbench.files import file_sha256
from tlbench.media.probe import probe
from tlbench.preflight.findings import Finding, finding, finding_of_error
from tlbench.preflight.frames import check_sync_length
from tlbench.preflight.headers import (
    Expected,
    check_boxes,
    check_identity,
    check_reference,
    check_video,
    check_window,
    frames_to_expect,
)
from tlbench.preflight.pictures import check_decoding, check_motion
from tlbench.preflight.sound_checks import check_sound_file


@dataclass(frozen=True)
class ClipFacts:
    """The findings about one clip's files, and facts to compare with other clips.

    Attributes
    ----------
    findings : tuple of Finding
    bytes_sha256 : str or None
        Of the generated file; None if it can't be read.
    pictures_sha256 : str or None
        Of its coded pictures, the same in any container.
    duration_seconds : float or None
        Of the generated video.
    reference_sha256 : str or None
        Of the real file; None if there is none.
    """

    findings: tuple[Finding, ...]
    bytes_sha256: str | None = None
    pictures_sha256: str | None = None
    duration_seconds: float | None = None
    reference_sha256: str | None = None


def check_clip(clip: Clip, expected: Expected) -> ClipFacts:
    """All findings about one clip's real video, boxes and generated video."""
    reference, findings = check_reference(clip, expected)
    if clip.boxes is not None:
        findings += check_boxes(clip.id, clip.boxes, reference)
    if clip.generated is None:
        return ClipFacts(tuple(findings))

    if clip.reference is not None and _same_file(clip.generated, clip.reference):
        findings.append(
            finding("same-file", clip.id, f"is the real video {clip.reference.name} itself (a link or the same folder)")
        )
        return ClipFacts(tuple(findings))
    try:
        video = probe(clip.generated)
        content = file_sha256(clip.generated)
    except ClipError as error:
        findings.append(finding_of_error(clip.id, error, clip.generated))
        return ClipFacts(tuple(findings))
    except OSError as error:
        findings.append(finding("unreadable", clip.id, f"can't be read ({error.strerror})"))
        return ClipFacts(tuple(findings))
    of_reference = None if clip.reference is None else _sha256_or_none(clip.reference)
    facts = (content, video.video_packets_sha256, video.duration_seconds, of_reference)
    if reference is not None and clip.reference is not None:
        same_bytes = content == of_reference
        findings += check_identity(clip.id, video, reference, same_bytes=same_bytes)
        if same_bytes:
            return ClipFacts(tuple(findings), *facts)
    findings += check_video(clip, video, reference, expected)
    findings += check_window(clip, video, expected)
    findings += check_decoding(clip.id, clip.generated, video)
    findings += check_sound_file(clip, video, reference)
    if reference is not None and clip.reference is not None:
        findings += check_motion(clip.id, clip.generated, clip.reference)
    findings += check_sync_length(clip.id, frames_to_expect(clip, video, reference, expected))
    return ClipFacts(tuple(findings), *facts)


def _same_file(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # a missing file or a circular link: reported when the file is opened
        return False


def _sha256_or_none(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None
