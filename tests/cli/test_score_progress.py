"""The progress of a run: the rate, and the nodes of a cluster that took part."""

from __future__ import annotations

import pytest

from tlbench.cli import progress
from tlbench.cli.progress import ScoreProgress
from tlbench.datasets.clip import Clip
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Observation


@pytest.mark.parametrize(("nodes", "said"), [(("", ""), "clips/s"), (("n1", "n2"), "clips/s, 2 nodes")])
def test_the_rate_is_said_with_the_nodes_that_took_part(
    nodes: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", -1.0)
    with ScoreProgress() as shown:
        for done, node in enumerate(nodes, start=1):
            shown("gen", Observation(Clip(str(done)), ClipInfo(str(done)), node=node), done, 2)
    assert capsys.readouterr().err.splitlines()[-1].endswith(said)
