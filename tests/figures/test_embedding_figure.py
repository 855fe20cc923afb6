"""Figures of two words: embeddings of the right frames, and the share of nearest neighbours of the same word."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.factories.media_factory import tone, write_clip
from tlbench.errors import TlbenchError
from tlbench.figures import embedding_figure
from tlbench.figures.embedding_figure import plot_embeddings, same_word_share
from tlbench.figures.embeddings import EmbeddingPanel, draw_embeddings
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.expert import AVHubertAudioEncoder
from tlbench.talklip.checkpoint import write_official
from tlbench.talklip.generator import TalkLip, dims_for


@pytest.fixture(scope="module")
def generators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    dims = Dims(encoder_layers=1, encoder_width=16, encoder_ffn=32, encoder_heads=2, visual_width=2)
    ear = AVHubertAudioEncoder(dims)
    networks = {
        "local": TalkLip(dims_for("tiny", "local", 0, 0)),
        "global": TalkLip(dims_for("tiny", "global", 16, 0), ear),
    }
    for name, network in networks.items():
        write_official(network, folder / f"{name}.pth", 1, 1, {})
    return {name: folder / f"{name}.pth" for name in networks}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips; in the middle of each one of two words, which are two tones."""
    root = tmp_path_factory.mktemp("said")
    for number in range(8):
        word, hertz = [("MEETING", 300), ("MEDIA", 2500)][number % 2]
        sound = tone(1.0, hertz=hertz + 5 * number)
        write_clip(root / f"{number}.mp4", frames=25, samples=sound, audio_codec="aac")
        table = f"SO 0.0 0.3 9\n{word} 0.3 0.7 9\n"
        (root / f"{number}.txt").write_text(f"Text:  SO {word}\n\nWORD START END ASDSCORE\n{table}")
    return root


def test_two_tones_are_separated_by_both_kinds_of_audio_encoder(
    generators: dict[str, Path], said: Path, tmp_path: Path
) -> None:
    out = tmp_path / "words.png"
    paths = list(generators.values())
    spreads = plot_embeddings(paths, "folder", said, ("meeting", "media"), out, names=["l", "g"])
    assert [(one.name, one.counts) for one in spreads] == [("l", (4, 4)), ("g", (4, 4))]
    assert [one.same_word_share for one in spreads] == [1.0, 1.0]
    with Image.open(out) as picture:
        assert picture.size[0] > picture.size[1] > 400


def test_panels_are_one_below_the_other_in_a_column(tmp_path: Path) -> None:
    places, labels = np.random.default_rng(0).normal(size=(8, 2)), np.repeat([0, 1], 4)
    panels = [EmbeddingPanel(name, places, labels, 0.5) for name in ("local", "global")]
    sizes = {}
    for width in ("column", "page"):
        draw_embeddings(("MEETING", "MEDIA"), panels, tmp_path / f"{width}.pdf", width)
        (box,) = re.findall(rb"/MediaBox \[ 0 0 ([0-9.]+) ([0-9.]+) \]", (tmp_path / f"{width}.pdf").read_bytes())
        sizes[width] = [float(side) / 72 for side in box]
    assert sizes["column"] == pytest.approx([3.3, 2 * 2.5 + 0.45])
    assert sizes["page"] == pytest.approx([6.875, 2.5 + 0.45])


def test_only_the_frames_of_the_word_are_summed(
    generators: dict[str, Path], said: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[np.ndarray] = []
    monkeypatch.setattr(TalkLip, "audio_embedding", lambda *_: torch.arange(25.0)[:, None])

    def place(points: np.ndarray) -> np.ndarray:
        told.append(points)
        return points

    monkeypatch.setattr(embedding_figure, "_projection", lambda seed: place)
    monkeypatch.setattr(embedding_figure, "draw_embeddings", lambda *_: None)
    plot_embeddings([generators["local"]], "folder", said, ("MEETING", "MEDIA"), tmp_path / "o.png", each=3)
    np.testing.assert_array_equal(told[0], np.full((6, 1), sum(range(7, 18))))


def test_figures_of_words_that_can_not_be_drawn(
    generators: dict[str, Path], said: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(*words: str) -> None:
        plot_embeddings([generators["local"]], "folder", said, (words[0], words[1]), tmp_path / "out.png")

    with pytest.raises(TlbenchError, match="NOBODY occurs in 0 clips; choose another"):
        draw("MEETING", "nobody")
    with pytest.raises(TlbenchError, match="is one word twice"):
        draw("Media", "MEDIA")
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(TlbenchError, match=r"pip install \"tlbench\[plot\]\""):
        draw("MEETING", "MEDIA")
    assert not (tmp_path / "out.png").exists()


def test_points_are_counted_by_their_nearest_neighbour() -> None:
    points = np.array([[0.0], [1.0], [2.4], [10.0], [11.0]])
    assert same_word_share(points, np.array([0, 0, 1, 1, 1])) == pytest.approx(4 / 5)
    assert same_word_share(points[[0, 1, 3, 4]], np.array([0, 1, 0, 1])) == 0
