"""One clip seen by one observer, without a run: a clip's files, or frames that are in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from tlbench.arguments import AnyPath
from tlbench.checkpoints.catalogue import how_to_fetch, known_cards, observer_cards
from tlbench.checkpoints.weights import Weights, find_weights, parse_weights
from tlbench.datasets.clip import Clip
from tlbench.errors import ClipError, TlbenchError, listed, quoted
from tlbench.media.face_crop import steady
from tlbench.media.video_reader import FrameChunk
from tlbench.observing.cache import default_cache
from tlbench.observing.device import choose_device
from tlbench.observing.evidence import Evidence, check_finite
from tlbench.observing.face_options import DEFAULT_FACES
from tlbench.observing.observer import ClipChunk
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.registry import observer_class, trained_view
from tlbench.observing.runner import ObserverRunner


def observe(
    clip: Clip,
    observer: str,
    *,
    view: str | None = None,
    weights: str | None = None,
    device: str = "auto",
    cache: AnyPath | None = None,
) -> Evidence:
    """What an observer says about one clip: its evidence, from which metrics are computed.

    The clip is checked, its faces are found and its evidence is kept in the cache, as :func:`tlbench.score` does.

    Parameters
    ----------
    clip : Clip
        With the paths of its videos, and the transcript, word or word times if the observer needs them.
    observer : str
        ``pixels``, ``syncnet``, ``avhubert``, ``conformer``, ``mvm``, ``mvm-aligned``, or one that another package
        brings.
    view : str, optional
        One of the observer's views; by default the one its checkpoint was trained with.
    weights : str, optional
        Name of a checkpoint that is here (``syncnet-grid``), or ``NAME=FILE``; the published one if not given.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    cache : path, optional
        Folder of kept evidence; ``$TLBENCH_CACHE`` if not given.

    Raises
    ------
    TlbenchError
        No such observer, view or checkpoint.
    ClipError
        If the observer can't see this clip: the reason, as in a record's failures.

    Examples
    --------
    >>> import tlbench
    >>> clip = tlbench.Clip("c0", reference=real, generated=generated)
    >>> evidence = tlbench.observe(clip, "pixels", view="frame")
    >>> evidence.array("frame_ssim").shape  # one value for each frame
    (8,)
    """
    kind = observer_class(observer)
    found = weights_for(observer, weights)
    chosen = view or default_view(observer, found)
    if chosen not in kind.views:
        raise TlbenchError(f"observer {quoted(observer)} has no view {quoted(chosen)}{listed(chosen, kind.views)}")
    path, sha256 = (None, None) if found is None else (found.path, found.sha256)
    plan = ObserverPlan(observer, (chosen,), path, sha256)
    rule, _ = DEFAULT_FACES.rule(None, {})
    folder = default_cache() if cache is None else Path(cache)
    (seen,) = ObserverRunner(Plan((plan,), rule, folder, choose_device(device, path is not None))).observe([clip])
    for error in seen.failures.values():
        raise error
    return seen.evidence[observer]


def observe_frames(
    observer: str,
    view: str,
    generated: np.ndarray,
    reference: np.ndarray | None = None,
    *,
    boxes: np.ndarray | None = None,
    samples: np.ndarray | None = None,
    weights: Weights | None = None,
) -> Evidence:
    """What an observer says about frames in memory. Nothing is checked and nothing is kept.

    Parameters
    ----------
    view : str
        One of the observer's views.
    generated, reference : (T, height, width, 3) uint8
        RGB, 25 frames/s.
    boxes : (T, 4) int, optional
        Face boxes x1 y1 x2 y2 in pixels, the same for both videos.
    samples : (N,) int16, optional
        16 kHz.

    Raises
    ------
    ClipError
        If the observer can't see the clip.
    TlbenchError
        If the weights do not fit the view, or the view needs boxes.
    """
    kind = observer_class(observer)
    needs = kind.needs_for((view,), ())
    if needs.framing and boxes is None:
        raise TlbenchError(f"view {quoted(view)} of {observer} frames the face; pass its boxes, (T, 4)")
    if boxes is not None:
        boxes = steady(np.asarray(boxes)) if needs.framing else np.asarray(boxes)
    path, device = (None, "cpu") if weights is None else (weights.path, choose_device("auto", networks=True))
    network = kind.load(path, (view,), device)
    state = network.start_clip(Clip("frames"), samples)
    state.update(ClipChunk(as_chunk(generated), None if reference is None else as_chunk(reference), boxes))
    state.end()
    (outcome,) = network.compute([state])
    if isinstance(outcome, ClipError):
        raise outcome
    check_finite(outcome, "frames")
    return outcome


def as_chunk(frames: np.ndarray) -> FrameChunk:
    """Frames in memory, (T, height, width, 3) uint8 RGB, as a video's first chunk. Raises TlbenchError otherwise."""
    if not isinstance(frames, np.ndarray):
        raise TlbenchError(f"frames must be an array, got {quoted(frames)}; read a file with tlbench.read_video(path)")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise TlbenchError(
            f"frames must be (T, height, width, 3) uint8 RGB, got {frames.shape} {frames.dtype}; "
            "tlbench.read_video gives such frames"
        )
    return FrameChunk(0, tuple(av.VideoFrame.from_ndarray(np.ascontiguousarray(f), format="rgb24") for f in frames))


def weights_for(observer: str, named: str | None) -> Weights | None:
    """The checkpoint of an observer: the one named, else the published one; None for an observer without any.

    Parameters
    ----------
    named : str or None
        ``NAME`` of a checkpoint that is here, or ``NAME=FILE``.

    Raises
    ------
    TlbenchError
        If it is not here, or is another observer's.
    """
    cards = observer_cards(observer)
    if not cards:
        return None
    given = parse_weights(() if named is None else (named,), known_cards())
    found = find_weights(cards, given)
    if found is None:
        names: Sequence[str] = [card.name for card in cards]
        raise TlbenchError(
            f"observer {quoted(observer)}: {'its checkpoint' if named is None else named} is not here; "
            f"pass weights=NAME or NAME=FILE, with one of {', '.join(names)}, or "
            f"{how_to_fetch(cards[0])}"
        )
    return found


def default_view(observer: str, weights: Weights | None) -> str:
    """The view a checkpoint was trained with, or the observer's default view, or the first of its views."""
    kind = observer_class(observer)
    usual = kind.default_view if weights is None else trained_view(kind, weights.view)
    return usual or next(iter(kind.views))
