"""A drive's videos as parts of one record: which clips each part has, and what all parts say of a source clip."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.datasets.matching import ClipNames, find_files, match_files
from tlbench.datasets.selection import Selection, check_folder
from tlbench.errors import TlbenchError, quoted
from tlbench.files import sha256_if_readable
from tlbench.generation.drive import KINDS, MATCHED, MISMATCHED, SILENT, Drive
from tlbench.metrics.leakage import AGAINST_SOURCE
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.scoring.record import ClipRecord, Failure

# The kind of video that each part looks at, and the kind whose sound it is looked at with: `matched` is the source's.
PARTS: Mapping[str, tuple[str, str]] = {
    SILENT: (SILENT, MATCHED),
    MISMATCHED: (MISMATCHED, MISMATCHED),
    AGAINST_SOURCE: (MISMATCHED, MATCHED),
    MATCHED: (MATCHED, MATCHED),
}

Videos = Mapping[str, Mapping[str, Path]]  # the generated videos by kind of a drive, then by clip id


def found_kinds(folder: Path) -> tuple[str, ...]:
    """The kinds of a drive for which a folder of generated videos has a folder. Raises TlbenchError if it has none."""
    check_folder(folder, "generated folder", "GENERATED")
    there = tuple(kind for kind in KINDS if (folder / kind).is_dir())
    if not there:
        raise TlbenchError(
            f"{folder} has none of the folders {', '.join(KINDS)}; write the videos of a drive to "
            "GENERATED/KIND/<clip id>.mp4"
        )
    return there


def found_videos(folder: Path, selection: Selection, kinds: Iterable[str]) -> Videos:
    """The videos of these kinds in a folder of generated videos, by the clips that they are named after.

    Raises TlbenchError if a kind has none.
    """
    names = ClipNames([clip.id for clip in selection.clips], selection.dataset.aliases)
    videos = {kind: match_files(names, find_files(folder / kind)).files for kind in kinds}
    for kind, found in videos.items():
        if not found:
            raise TlbenchError(
                f"{folder / kind}: none of its files is named after a clip of the drive, such as "
                f"{quoted(selection.clips[0].id + '.mp4')}"
            )
    return videos


def part_clips(drive: Drive, selection: Selection, videos: Videos, part: str) -> list[Clip]:
    """The source clips with the generated video of a part, and the sound and transcript that it is compared with.

    A clip without a video has ``generated=None``.
    """
    kind, sound_kind = PARTS[part]
    sounds, texts = drive.of_kind(sound_kind), transcripts(drive, selection, sound_kind)
    return [
        replace(
            clip,
            generated=videos[kind].get(clip.id),
            audio=drive.sound_path(sounds[clip.id]),
            transcript=texts[clip.id],
        )
        for clip in selection.clips
    ]


def transcripts(drive: Drive, selection: Selection, kind: str) -> dict[str, str | None]:
    """What is said in the sound of one kind, by source clip."""
    texts = {clip.id: clip.transcript for clip in (*selection.clips, *selection.donors)}
    return {name: None if item.donor is None else texts[item.donor] for name, item in drive.of_kind(kind).items()}


def joined(clip: Clip, records: Mapping[str, ClipRecord]) -> ClipRecord:
    """One record of a source clip from those of its parts, each part's observers under ``observer@part``.

    Its generated video counts as one file, with the frames of all kinds, and the hash of their hashes.
    """
    evidence: dict[str, Evidence] = {}
    failures: dict[str, Failure] = {}
    findings = []
    for part, record in records.items():
        for name, seen in record.evidence.items():
            evidence[f"{name}@{part}"] = Evidence(f"{name}@{part}", {**seen.values, **_source_text(clip, seen)})
        failures |= {f"{name}@{part}": why for name, why in record.failures.items()}
        findings += [
            replace(
                found,
                message=f"{part}: {found.message}",
                observers=tuple(f"{name}@{part}" for name in found.observers),
            )
            for found in record.findings
        ]
    infos = [record.info for part, record in records.items() if part in KINDS]
    return ClipRecord(_info(clip, infos), evidence=evidence, failures=failures, findings=tuple(findings))


def _source_text(clip: Clip, seen: Evidence) -> dict[str, str]:
    """The source's transcript, beside that of the sound that drove the video."""
    return {"source_reference": clip.transcript or ""} if "reference" in seen.values else {}


def video_hashes(selection: Selection, videos: Videos, parts: Iterable[str]) -> dict[str, str | None]:
    """What records have as the hash of each clip's generated videos; None if one of them can't be read."""
    kinds = [part for part in parts if part in KINDS]
    return {
        clip.id: joint_sha256([sha256_if_readable(videos[kind].get(clip.id)) for kind in kinds])
        for clip in selection.clips
    }


def joint_sha256(hashes: Sequence[str | None]) -> str | None:
    """The hash of the hashes of a clip's videos; None if one has none."""
    return hashlib.sha256("\n".join(map(str, hashes)).encode()).hexdigest() if all(hashes) else None


def _info(clip: Clip, infos: Sequence[ClipInfo]) -> ClipInfo:
    frames, expected = [info.frames for info in infos], [info.frames_expected for info in infos]
    return replace(
        ClipInfo.of(clip),
        generated_sha256=joint_sha256([info.generated_sha256 for info in infos]),
        reference_sha256=infos[0].reference_sha256,
        frames=sum(count or 0 for count in frames) if any(frames) else None,
        frames_expected=None if None in expected else sum(count or 0 for count in expected),
    )
