"""``--large-pictures``: the limit of a picture's size is raised for this run and its worker processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.factories.media_factory import write_clip
from tlbench.cli.main import group


@pytest.mark.parametrize("command", [("check",), ("score", "--metrics", "psnr_frame", "--cache", "cache")])
def test_pictures_beyond_the_limit_are_read_where_the_user_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TLBENCH_LARGE_PICTURES", "")  # it is set below, and has to be forgotten after this test
    monkeypatch.setattr("tlbench.media.container.MOST_PIXELS", 90 * 48)
    for place, crf in (("real", "18"), ("made", "28")):
        Path(place).mkdir()
        write_clip(Path(place) / "a.mp4", frames=2, width=96, height=48, codec_options={"crf": crf})
    words = [*command, "made", "--dataset", "folder", "--data-root", "real", "--workers", "1"]
    refused = CliRunner().invoke(group, words)
    assert refused.exit_code == (2 if command[0] == "check" else 1)
    said = " ".join(refused.output.split())
    assert "pictures of 96x48, at most 65x65" in said
    assert "scale the video down" in said
    assert "--large-pictures" in said
    allowed = CliRunner().invoke(group, [*words, "--large-pictures"])
    assert "too-large" not in allowed.output
