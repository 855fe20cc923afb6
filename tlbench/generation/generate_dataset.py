"""Generates a video for each reference video of a data set, or for each item of a drive, by any generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tlbench.arguments import CountCallback
from tlbench.datasets.options import DataOptions
from tlbench.datasets.selection import Selection
from tlbench.errors import TlbenchError
from tlbench.generation.clip_writer import ClipWriter
from tlbench.generation.drive import KINDS, DriveOptions, driven_clips
from tlbench.generation.generator import DEFAULT_OPTIONS, GenerateOptions, Generator
from tlbench.generation.registry import load_generator_of
from tlbench.generation.write_generated import GeneratedDataset
from tlbench.observing.face_options import DEFAULT_FACES, FaceOptions
from tlbench.observing.make_boxes import box_finder
from tlbench.owner import owned


@dataclass(frozen=True)
class WriteOptions:
    """How a folder of videos is written, whatever makes them.

    Attributes
    ----------
    weights : mapping of str to Path
        Checkpoints of face detectors by name, as for :func:`tlbench.score`.
    workers : int or None
        Clips generated at the same time; None for what the generator says: one on a CPU, four on a GPU.
    cache : Path or None
        Where face boxes are kept; None for tlbench's own cache.
    take_over : bool
        Take the folder at once from another run that writes to it; see :func:`tlbench.owner.owned`.
    """

    weights: Mapping[str, Path] = field(default_factory=dict)
    workers: int | None = None
    cache: Path | None = None
    take_over: bool = False


DEFAULT_WRITING = WriteOptions()


def generate_dataset(
    generator: Path | str,
    out: Path,
    data: DataOptions,
    faces: FaceOptions = DEFAULT_FACES,
    options: GenerateOptions = DEFAULT_OPTIONS,
    writing: WriteOptions = DEFAULT_WRITING,
    progress: CountCallback | None = None,
) -> GeneratedDataset:
    """Write ``<out>/<id>.mp4`` for each reference video of a data set: its frames with generated faces, and its audio.

    The protocol is that of TalkLip's ``inf_test.py``: a face is generated from its upper half and the clip's first
    face, and pasted into the face box. ``<out>/generation.json`` says how the videos were generated, and from which
    files, by their hashes. A video that exists is kept, unless its reference or audio file has changed. A folder of
    videos that were generated in another way, or with other face boxes, is refused.

    Parameters
    ----------
    generator : Path or str
        The name of a generator or of a checkpoint, such as ``talklip-gc-synthetic``, or a file or package: see
        :func:`tlbench.generation.registry.load_generator_of`.
    data, faces, options, writing
        Which clips, where their faces are, how the generator is run, and how videos are written.
    progress : (done, total) -> None, optional

    Raises
    ------
    TlbenchError
        If nothing can be generated. What is wrong with a single clip is in ``failures``.
    """
    selection = data.load()
    if all(clip.reference is None for clip in selection.clips):
        raise TlbenchError(f"{data.dataset}: has no reference videos to generate from")
    maker = load_generator_of(generator, options)
    writer = _writer(maker, options, selection, faces, writing)
    with owned(out, take_over=writing.take_over):
        return writer.write_folder(selection.clips, out, {"dataset": data.dataset}, writing.workers, progress)


def generate_drive(
    generator: Path | str,
    out: Path,
    drive: DriveOptions,
    faces: FaceOptions = DEFAULT_FACES,
    options: GenerateOptions = DEFAULT_OPTIONS,
    writing: WriteOptions = DEFAULT_WRITING,
    progress: CountCallback | None = None,
) -> dict[str, GeneratedDataset]:
    """Write ``<out>/<kind>/<id>.mp4`` for each item of a drive, in the way of :func:`generate_dataset`.

    Parameters
    ----------
    progress : (done, total) -> None, optional
        Counts the items of all kinds.

    The other arguments are those of :func:`generate_dataset`.

    Returns
    -------
    dict of kind to GeneratedDataset

    Raises
    ------
    TlbenchError
        If nothing can be generated, or the drive or its source videos are not as it says.
    """
    read, selection = drive.load()
    maker = load_generator_of(generator, options)
    writer = _writer(maker, options, selection, faces, writing)
    done: dict[str, GeneratedDataset] = {}
    clips = len(selection.clips)
    with owned(*(out / kind for kind in KINDS), take_over=writing.take_over):
        for number, kind in enumerate(KINDS):
            tell = part_of(progress, number * clips, len(KINDS) * clips)
            driven = driven_clips(read, selection.clips, kind)
            done[kind] = writer.write_folder(driven, out / kind, read.log_entry(kind), writing.workers, tell)
    return done


def part_of(progress: CountCallback | None, before: int, total: int) -> CountCallback:
    """What counts one part of a run, after ``before`` things of other parts, of ``total`` in all."""

    def tell(count: int, _: int) -> None:
        if progress is not None:
            progress(before + count, total)

    return tell


def _writer(
    maker: Generator, options: GenerateOptions, selection: Selection, faces: FaceOptions, writing: WriteOptions
) -> ClipWriter:
    finder = box_finder(selection, faces, writing.weights, writing.cache) if maker.needs.boxes else None
    return ClipWriter(maker, options, finder)
