"""Ids of a selection are names that a result can hold and tell apart."""

from __future__ import annotations

import pytest

from tlbench.datasets.clip import Clip
from tlbench.datasets.selection import _check_ids, _legible
from tlbench.errors import TlbenchError


def test_two_ways_to_write_a_letter_are_one_id() -> None:
    with pytest.raises(TlbenchError, match="is there twice"):
        _check_ids("folder", [_legible(Clip(clip_id)) for clip_id in ("caf\u00e9", "cafe\u0301")])
