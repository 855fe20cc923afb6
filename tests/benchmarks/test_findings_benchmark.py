"""When the benchmark of faults calls tlbench silent: the exit code that CI would see."""

from __future__ import annotations

import pytest

from benchmarks.fault_kinds import Kind
from benchmarks.findings import Said, is_told


def said(command: str = "score", value: float | None = None, messages: tuple[str, ...] = (), **findings: int) -> Said:
    """Of one command; ``few_frames=2`` is a finding of two clips."""
    numbers = {} if command != "score" else {"PSNR": (value, 3)}
    return Said(command, 0, numbers, {f"error {code.replace('_', '-')}": n for code, n in findings.items()}, messages)


def kind(*codes: str, **rules: object) -> Kind:
    return Kind("a fault", lambda desk: [], codes, **rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fault", "printed", "told"),
    [
        (kind("few-frames"), [said(value=31.9)], False),
        (kind("few-frames"), [said(few_frames=3)], True),
        (kind("few-frames"), [said(value=31.9, few_frames=2)], False),  # the third clip is scored without a word
        (kind("few-frames"), [said(value=31.9, frame_rate=3)], False),
        (kind("few-frames"), [said(value=31.9), said("check", few_frames=3)], False),  # check knows, score is silent
        (kind("few-frames"), [said("check", few_frames=3)], True),
        (kind("few-frames", clips=1), [said(value=31.9, few_frames=1)], True),
        (kind(words="LFS"), [said("check", messages=("a Git LFS pointer",))], True),
        (kind(words="LFS"), [said("check", messages=("not a video",))], False),
        (kind(right=("PSNR", 25, 60)), [said(value=28.0)], True),
        (kind(right=("PSNR", 25, 60)), [said(value=13.4)], False),
        (kind(right=("PSNR", 25, 60)), [said(value=None)], False),
        (kind(same=("PSNR", 0.5)), [said(value=32.5), said(value=32.4)], True),
        (kind(same=("PSNR", 0.5)), [said(value=32.5), said(value=14.6)], False),
        (kind(same=("PSNR", 0.5)), [said(value=32.5), said(value=None)], False),
        (kind(same=("PSNR", 0.5)), [said(value=32.5)], False),
    ],
)
def test_a_fault_is_told_by_the_table_or_the_right_number(fault: Kind, printed: list[Said], told: bool) -> None:
    assert is_told(fault, printed) == told
