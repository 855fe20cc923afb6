"""Columns about pictures and faces: likeness of the person, landmark and perceptual distance, sharpness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tlbench.errors import ClipError
from tlbench.metrics.metric import Metric
from tlbench.metrics.tally import MeanTally
from tlbench.observing.evidence import Evidence


def _frame_mean_of(name: str) -> Callable[[Evidence], MeanTally]:
    """The tally of an array with one number for each frame that counts."""

    def tally(evidence: Evidence) -> MeanTally:
        values = evidence.array(name)
        return MeanTally(float(values.sum()), len(values))

    return tally


SEEN_SHARE = 0.5  # of the frames in which the real face is seen


def _of_seen(name: str, code: str, what: str) -> Callable[[Evidence], MeanTally]:
    """The tally of a number of the frames in which ``what`` is found in the generated face as well as in the real one.

    Other frames can't count, so a system would gain by faces that nothing is found in. Raises ClipError of this code if
    it is found in less than half of the frames in which it is found in the real face.
    """

    def tally(evidence: Evidence) -> MeanTally:
        seen, wanted = len(evidence.array(name)), round(evidence.number("reference_seen"))
        if seen < SEEN_SHARE * wanted:
            raise ClipError(
                code,
                f"{what} found in {seen} of {wanted} frames that show the real face; look at the video",
            )
        return _frame_mean_of(name)(evidence)

    return tally


def _of_landmarks(name: str) -> Callable[[Evidence], MeanTally]:
    return _of_seen(name, "no-landmarks", "landmarks are")


def _lmd(name: str, label: str, evidence_name: str, what: str) -> tuple[Metric, Metric]:
    """In pixels as papers print it, and of the shape alone."""
    published = Metric(
        name=name,
        arithmetic="paper",
        label=label,
        observer="landmarks",
        view="",
        unit="px",
        better="lower",
        version=1,
        tally=_of_landmarks(f"{evidence_name}_px"),
        description=f"distance between generated and real landmarks of {what}, in pixels of a 256x256 picture, mean "
        "over points and frames",
        aggregation="frames",
        headline=False,
        lowest=0,
    )
    of_shape = replace(
        published,
        arithmetic="sound",
        unit="%",
        tally=_of_landmarks(f"{evidence_name}_shape"),
        description=f"distance between generated and real landmarks of {what}, both moved to one mean (Chen et al. "
        "2018), over the distance between the real outer eye corners; mean over points and frames",
        scale=100.0,
    )
    return published, of_shape


def _csim() -> tuple[Metric, Metric]:
    """By dlib's network, which anybody may use, and by the one of most papers."""
    by_dlib = Metric(
        name="csim",
        arithmetic="sound",
        label="CSIM",
        observer="identity",
        view="",
        unit="",
        better="higher",
        version=1,
        tally=_of_seen("cosine", "no-face", "a face is"),
        description="likeness of the person: cosine similarity of the face embeddings (dlib's ResNet) of the generated "
        "and the real frame, mean over the frames in which both are found",
        aggregation="frames",
        headline=False,
        digits=3,
        lowest=-1,
        highest=1,
    )
    by_arcface = replace(
        by_dlib,
        name="csim_arcface",
        arithmetic="paper",
        label="CSIM ArcFace",
        observer="arcface",
        description="the same by ArcFace (Deng et al. 2019), by which most papers print CSIM; faces aligned by five "
        "points of the embedded mesh",
    )
    return by_dlib, by_arcface


METRICS: tuple[Metric, ...] = (
    *_csim(),
    *_lmd("lmd", "LMD", "face", "the face"),
    *_lmd("lmd_mouth", "LMD mouth", "mouth", "the lips"),
    Metric(
        name="lpips",
        arithmetic="paper",
        label="LPIPS",
        observer="lpips",
        view="",
        unit="",
        better="lower",
        version=1,
        tally=_frame_mean_of("distance"),
        description="perceptual distance of generated and real frames by AlexNet's features (Zhang et al. 2018, "
        "version 0.1), mean over frames",
        aggregation="frames",
        headline=False,
        digits=3,
        lowest=0,
    ),
    Metric(
        name="sharpness",
        arithmetic="sound",
        label="Sharpness",
        observer="sharpness",
        view="",
        unit="",
        better="higher",
        version=1,
        tally=_frame_mean_of("laplacian_variance"),
        description="variance of the Laplacian of the grey picture (Pech-Pacheco et al. 2000), mean over the frames "
        "that show the face",
        aggregation="frames",
        headline=False,
        digits=1,
        lowest=0,
    ),
)
