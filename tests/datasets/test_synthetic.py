"""The synthetic talker: what is said, when, how the mouth looks, and a corpus that can be trusted."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlbench.datasets.clip import Clip
from tlbench.datasets.dataset import Span
from tlbench.datasets.selection import load_dataset
from tlbench.datasets.synthetic.articulation import PARTS, SEEN, VISEMES, articulate
from tlbench.datasets.synthetic.clips import PEOPLE, ClipKey, Take, make_take
from tlbench.datasets.synthetic.corpus import Sizes, check_corpus, render_corpus
from tlbench.datasets.synthetic.grammar import MIDDLE_WORDS, SPLITS, focus_words, sentence_with, split_of, vocabulary
from tlbench.datasets.synthetic.head import Head
from tlbench.datasets.synthetic.person import make_person
from tlbench.datasets.synthetic.phonemes import PHONEMES, sounds_of
from tlbench.datasets.synthetic.rng import StableRng
from tlbench.datasets.synthetic.scene import Scene
from tlbench.datasets.synthetic.speech import SAMPLE_RATE, SpeechSynthesizer, Voice
from tlbench.datasets.synthetic.timings import phones_text, read_phones, transcript_text
from tlbench.datasets.word_times import word_times
from tlbench.errors import TlbenchError
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import read_video

SMALL = Sizes(train=2, val=1, test=2, word_train=0, word_val=0, word_test=0)


@pytest.fixture(scope="module")
def speaker() -> Iterator[SpeechSynthesizer]:
    pytest.importorskip("espeakng_loader", reason="speech needs the extra 'demo'")
    with SpeechSynthesizer() as talking:
        yield talking


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("espeakng_loader", reason="speech needs the extra 'demo'")
    out = tmp_path_factory.mktemp("corpus") / "made"
    assert render_corpus(out, sizes=SMALL, parts=["sentences"], workers=1) == 5
    return out


def test_the_dice_fall_as_they_always_did() -> None:
    assert [StableRng(0, "sentences", "test", 12).below(1000) for _ in range(2)] == [380, 380]
    assert StableRng("a", 1).between(0, 1) != StableRng("a", 2).between(0, 1)


def test_there_are_more_than_four_hundred_words() -> None:
    assert len(vocabulary()) >= 400
    assert len(MIDDLE_WORDS) >= 100
    assert set(MIDDLE_WORDS) <= set(vocabulary())


@given(st.integers(0, 10_000), st.sampled_from(SPLITS))
def test_a_sentence_belongs_to_one_split_and_has_its_word(number: int, split: str) -> None:
    word = focus_words()[number % len(focus_words())]
    sentence = sentence_with(word, StableRng(number, split), split)
    assert split_of(sentence) == split
    assert word in sentence.split()
    assert 3 <= len(sentence.split()) <= 7
    assert set(sentence.split()) <= set(vocabulary())


def test_the_training_part_has_every_word_often_enough() -> None:
    words: Counter[str] = Counter()
    focus = focus_words()
    for key in Sizes().keys(0, ["sentences"]):
        if key.split == "train":
            words.update(sentence_with(focus[key.number % len(focus)], key.rng, "train").split())
    assert set(words) == set(vocabulary())
    assert min(words.values()) >= 12


def test_keys_do_not_depend_on_sizes_and_nobody_is_in_two_splits() -> None:
    small, large = SMALL.keys(0, ["sentences", "words"]), Sizes().keys(0, ["sentences", "words"])
    assert set(small) <= set(large)
    assert len({key.name for key in large}) == len(large)
    people = {
        split: {key.name.split("/")[1] for key in large if key.split == split and key.part == "sentences"}
        for split in SPLITS
    }
    assert {split: len(names) for split, names in people.items()} == PEOPLE
    assert not people["train"] & people["test"]
    assert not people["train"] & people["val"]


def test_every_phoneme_is_seen_as_a_mouth() -> None:
    assert set(SEEN) == set(PHONEMES)
    assert {viseme for seen in SEEN.values() for viseme in seen} <= set(VISEMES)


@pytest.mark.parametrize("words", [("PAE T", "BAE T", "MAE T"), ("FAYN", "VAYN"), ("TIY", "DIY", "NIY")])
def test_what_sounds_alike_on_the_lips_looks_alike(words: tuple[str, ...]) -> None:
    firsts = [word[0] for word in words]
    tracks = [articulate([(0.2, 0.3, first), (0.3, 0.5, "AE"), (0.5, 0.6, "T")], 20) for first in firsts]
    for track in tracks[1:]:
        np.testing.assert_array_equal(track, tracks[0])


def test_lips_close_for_p_and_open_for_a() -> None:
    track = articulate([(0.4, 0.5, "P"), (0.5, 0.8, "AA"), (0.8, 0.9, "P")], 32)
    jaw, closing = track[:, PARTS.index("jaw")], track[:, PARTS.index("closing")]
    assert closing[10] > 0.8  # 0.42 s
    assert closing[16] < 0.2  # 0.66 s
    assert jaw[16] > jaw[10] + 0.3


def test_a_neighbour_is_felt() -> None:
    """Coarticulation: the same s, before a round and before a spread vowel."""
    before = {vowel: articulate([(0.2, 0.3, "S"), (0.3, 0.5, vowel)], 15)[6] for vowel in ("UW", "IY")}
    assert before["UW"][PARTS.index("rounding")] > before["IY"][PARTS.index("rounding")] + 0.1


def test_an_unknown_mnemonic_is_said() -> None:
    assert sounds_of("'aI@", "american") == ("AY", "AH")
    assert sounds_of("_:", "british") == ("SIL",)
    with pytest.raises(TlbenchError, match="no English voice"):
        sounds_of("q7", "british")


def test_times_are_written_and_read(tmp_path: Path) -> None:
    phones = [(0.0, 0.12, "SIL"), (0.12, 0.2, "B")]
    words = [(0.12, 0.5, "bat"), (0.5, 0.8, "ball")]
    (tmp_path / "a.phones").write_text(phones_text(phones))
    (tmp_path / "a.txt").write_text(transcript_text(words))
    assert read_phones(tmp_path / "a.phones") == phones
    clip = Clip("a", reference=tmp_path / "a.mp4")
    assert word_times(clip, ()) == (Span(0.12, 0.5, "BAT"), Span(0.5, 0.8, "BALL"))


@pytest.mark.parametrize("text", ["0.1\t0.2\n", "0.3\t0.2\tB\n", "x\t0.2\tB\n"])
def test_damaged_times_are_named_by_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.phones").write_text("0.0\t0.1\tSIL\n" + text)
    with pytest.raises(TlbenchError, match=r"a\.phones:2: .* render the corpus again"):
        read_phones(tmp_path / "a.phones")


def test_a_scene_is_the_same_each_time_and_its_mouth_moves_where_readers_look() -> None:
    who = make_person(StableRng("somebody"))
    shut, wide = np.zeros((1, 6)), np.array([[1.0, 0, 0, 0, 0, 0]])
    frames = []
    for shapes in (shut, shut, wide):
        frames.append(next(Scene(who, Head(who), 1, seed=3).film(shapes)).astype(int))
    np.testing.assert_array_equal(frames[0], frames[1])
    moved = np.abs(frames[2] - frames[0]).max(axis=2) > 40
    rows, columns = np.nonzero(moved)
    assert len(rows) > 50
    inside = (rows >= 60) & (rows < 124) & (columns >= 48) & (columns < 112)  # the window of the small views
    assert inside.mean() > 0.8


def test_speech_does_not_depend_on_what_was_said_before(speaker: SpeechSynthesizer) -> None:
    voice = Voice("en-us+f2")
    first = speaker.say("my nephew often carries it", voice, seed=5)
    speaker.say("who drops the broom in the forest", Voice("en+m3"), seed=9)
    again = speaker.say("my nephew often carries it", voice, seed=5)
    with SpeechSynthesizer() as other:
        fresh = other.say("my nephew often carries it", voice, seed=5)
    for said in (again, fresh):
        np.testing.assert_array_equal(said.samples, first.samples)
        assert (said.phonemes, said.words) == (first.phonemes, first.words)


def test_words_that_are_said_as_one_have_their_times(speaker: SpeechSynthesizer) -> None:
    speech = speaker.say("who drops the broom in the forest", Voice("en+f1"))
    assert [word for _, _, word in speech.words] == ["who", "drops", "the", "broom", "in", "the", "forest"]
    assert all(begin < end for begin, end, _ in speech.words)
    assert [begin for begin, _, _ in speech.words[1:]] == [end for _, end, _ in speech.words[:-1]]


def test_an_unknown_voice_is_said(speaker: SpeechSynthesizer) -> None:
    with pytest.raises(TlbenchError, match="nobody"):
        speaker.say("hello", Voice("nobody"))


def test_a_speech_process_that_does_not_start_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    espeakng_loader = pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: "/nowhere/libespeak-ng.so")
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*words, **options, stderr=subprocess.DEVNULL))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(TlbenchError, match="espeak-ng broke down"):
        SpeechSynthesizer()
    assert [child.returncode for child in started] == [1]


def word_take(speaker: SpeechSynthesizer) -> Take:
    return make_take(ClipKey(0, "words", "test", 3), speaker)


def test_a_word_clip_has_29_frames_with_the_word_in_its_middle(speaker: SpeechSynthesizer) -> None:
    take = word_take(speaker)
    assert len(take.boxes) == 29
    assert len(take.samples) == round(29 / 25 * SAMPLE_RATE)
    begin, end = next((begin, end) for begin, end, word in take.words if word == MIDDLE_WORDS[3])
    assert abs((begin + end) / 2 - 29 / 50) < 0.002
    assert (take.phonemes[0][0], take.phonemes[-1][1]) == (0.0, 29 / 25)


def test_a_corpus_is_what_it_says(corpus: Path) -> None:
    selection = load_dataset("synthetic", corpus)
    assert [clip.id for clip in selection.clips] == ["test000/00001", "test001/00002"]
    clip = selection.clips[0]
    assert clip.reference is not None
    assert clip.boxes is not None
    frames = read_video(clip.reference)
    assert frames.shape[1:] == (160, 160, 3)
    boxes = np.load(clip.boxes)
    assert boxes.shape == (len(frames), 4)
    assert abs(len(read_audio(clip.reference)) / 16000 - len(frames) / 25) < 0.1
    assert clip.transcript == " ".join(span.label for span in word_times(clip, ()))
    spans = selection.spans(clip)
    assert {span.label for span in spans} <= set(PHONEMES)
    assert spans[0].begin_seconds == 0
    assert abs(spans[-1].end_seconds - len(frames) / 25) < 0.002
    assert check_corpus(corpus) == []


def test_the_same_seed_gives_the_same_bytes_whoever_renders(corpus: Path, tmp_path: Path) -> None:
    smaller = Sizes(train=0, val=1, test=1, word_train=0, word_val=0, word_test=0)
    render_corpus(tmp_path / "again", sizes=smaller, parts=["sentences"], workers=2)
    render_corpus(tmp_path / "again", sizes=SMALL, parts=["sentences"], workers=1)  # made larger
    assert (tmp_path / "again" / "hashes.txt").read_text() == (corpus / "hashes.txt").read_text()


def test_what_was_interrupted_goes_on(corpus: Path, tmp_path: Path) -> None:
    render_corpus(tmp_path / "c", sizes=SMALL, parts=["sentences"], workers=1)
    hashes = (tmp_path / "c" / "hashes.txt").read_text()
    (tmp_path / "c/main/test001/00002.mp4").unlink()
    assert check_corpus(tmp_path / "c") == ["main/test001/00002.mp4: is missing"]
    with pytest.raises(TlbenchError, match=r"1 file is missing, the first main/test001/00002\.mp4"):
        load_dataset("synthetic", tmp_path / "c")
    assert render_corpus(tmp_path / "c", sizes=SMALL, parts=["sentences"], workers=1) == 1
    assert (tmp_path / "c" / "hashes.txt").read_text() == hashes


def test_changed_and_foreign_files_are_found(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader", reason="speech needs the extra 'demo'")
    one = Sizes(train=0, val=0, test=1, word_train=0, word_val=0, word_test=0)
    render_corpus(tmp_path / "c", sizes=one, parts=["sentences"], workers=1)
    (tmp_path / "c/main/test000/00001.txt").write_text("Text:  SOMETHING ELSE\n")
    (tmp_path / "c/main/test000/00009.mp4").write_bytes(b"x")
    assert check_corpus(tmp_path / "c") == [
        "main/test000/00009.mp4: was not rendered",
        "main/test000/00001.txt: has changed",
    ]


def test_a_folder_of_something_else_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(TlbenchError, match=r"is not empty and holds no corpus\.json"):
        render_corpus(tmp_path, sizes=SMALL)
    with pytest.raises(TlbenchError, match="holds a corpus of seed 0, not 1"):
        render_corpus(corpus, seed=1, sizes=SMALL)
    with pytest.raises(TlbenchError, match="no part 'songs'"):
        render_corpus(tmp_path / "new", parts=["songs"])


def test_a_full_disk_is_said_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader", reason="speech needs the extra 'demo'")
    monkeypatch.setattr("tlbench.datasets.synthetic.corpus.CLIP_BYTES", 10**18)
    with pytest.raises(TlbenchError, match=r"5 clips need about .* MB are free; make room or fewer"):
        render_corpus(tmp_path / "c", sizes=SMALL, parts=["sentences"])


def test_a_folder_without_a_corpus_is_said(tmp_path: Path) -> None:
    with pytest.raises(TlbenchError, match=r"holds no corpus\.json; render a corpus with `tlbench data synth"):
        load_dataset("synthetic", tmp_path)
