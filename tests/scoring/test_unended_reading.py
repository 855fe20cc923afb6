"""A text that AV-HuBERT's search had to cut is a finding: there the published protocol depends on its batches."""

from __future__ import annotations

import numpy as np
import pytest

from tlbench.datasets.clip import Clip
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence, Observation
from tlbench.preflight.findings import count_clips
from tlbench.scoring.run import _unended_reading

END = 2


def observation(clip_id: str, tokens: list[int] | None, frames: int | None) -> Observation:
    values = {"hypothesis": "x"} if tokens is None else {"hypothesis": "x", "tokens": np.array(tokens)}
    return Observation(
        Clip(clip_id, transcript="x"), ClipInfo(clip_id, frames=frames), {"avhubert": Evidence("avhubert", values)}
    )


@pytest.mark.parametrize(
    ("tokens", "frames", "cut"),
    [
        ([7, 7, 7, 7, END], 4, True),  # one token a frame, and the end
        ([7, 7, 7, END], 4, False),
        ([], 4, False),  # a CTC network that read blanks
        ([7, 7, 7, 7], 4, False),  # CTC has no end token
        (None, 4, False),
        ([7, END], None, False),
    ],
)
def test_it_is_one_that_has_a_token_for_every_frame(tokens: list[int] | None, frames: int | None, cut: bool) -> None:
    found = list(_unended_reading(observation("a", tokens, frames)))
    assert [one.code for one in found] == (["unended-reading"] if cut else [])
    if cut:
        assert (found[0].level, found[0].clip, found[0].observers) == ("warning", "a", ("avhubert",))
        assert found[0].message == "AV-HuBERT's text does not end: it was cut at 4 tokens, one for each frame"


def test_such_clips_are_counted() -> None:
    seen = [observation(name, [7] * length + [END], 4) for name, length in (("a", 4), ("b", 2), ("c", 4))]
    found = [one for each in seen for one in _unended_reading(each)]
    assert count_clips(found) == {("warning", "unended-reading"): 2}
    assert list(_unended_reading(Observation(Clip("a"), ClipInfo("a", frames=4)))) == []
