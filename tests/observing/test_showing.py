"""A video that is a system's and a real one of the set: what becomes of one of the two does not touch the other."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from tlbench.errors import ClipError
from tlbench.observing.showing import Showing, show

DAMAGED = ClipError("damaged", "clip a: frame 3 can't be decoded")


class Chunk:
    start = 0

    def __len__(self) -> int:
        return 2

    def before(self, limit: int | None) -> Chunk:
        return self


class Job:
    """With one observer, which counts the frames that it sees, or fails at the first."""

    def __init__(self, fails: bool = False) -> None:
        self.seen, self.fails, self.ended = 0, fails, False
        self.failure: ClipError | None = None
        self.states: dict[str, Any] = {"counts": self}
        self.checks = SimpleNamespace(
            surplus=False,
            frames_expected=0,
            update_motion=lambda *_: None,
            check_generated=lambda _: None,
            check_real=lambda _: None,
        )

    def update(self, chunk: object) -> None:
        if self.fails:
            raise ClipError("no-face", "clip a: no face")
        self.seen += 2

    def end(self) -> None:
        self.ended = True

    def fail(self, name: str, error: ClipError) -> None:
        self.failure = error
        self.states.pop(name, None)

    def fail_all(self, error: ClipError) -> None:
        self.fail("counts", error)

    def note_findings(self) -> None:
        pass


class Reader:
    chunk_frames = 2

    def __init__(self, chunks: int, damaged: bool = False) -> None:
        self._chunks, self._damaged = chunks, damaged

    def frames(self, chunk_frames: int | None) -> Iterator[Chunk]:
        yield from (Chunk() for _ in range(self._chunks))
        if self._damaged:
            raise DAMAGED


def shown(job: Job, video: Reader, reference: Reader | None) -> Showing:
    needs = {"counts": SimpleNamespace(reference=False)}
    checker = SimpleNamespace(face_looks=lambda *_: None, check_framing=lambda *_: None)
    guides = SimpleNamespace(for_frames=lambda *_: (None, None))
    made: Any = (job, needs, checker, video, reference, guides, guides)
    return Showing(*made)


def test_a_damaged_file_that_is_both_fails_for_both() -> None:
    video, own, real = Reader(3, damaged=True), Job(), Job()
    show(shown(own, video, video), shown(real, video, None))
    assert (own.failure, real.failure) == (DAMAGED, DAMAGED)
    assert not real.ended


def test_a_file_that_is_both_is_shown_to_its_end_as_the_one_if_the_other_fails() -> None:
    video, own, real = Reader(3), Job(fails=True), Job()
    show(shown(own, video, video), shown(real, video, None))
    assert own.failure is not None
    assert (real.seen, real.ended, real.failure) == (6, True, None)


def test_a_damaged_generated_video_does_not_touch_the_real_one() -> None:
    own, real, reference = Job(), Job(), Reader(3)
    show(shown(own, Reader(1, damaged=True), reference), shown(real, reference, None))
    assert own.failure is DAMAGED
    assert (real.seen, real.ended, real.failure) == (6, True, None)
