"""Words and errors: what is normalised, and that the counts are the fewest edits there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tlbench.metrics.text import (
    align,
    align_words,
    as_published,
    count_character_errors,
    count_errors,
    count_word_errors,
    distance,
    spoken,
)

words = st.lists(st.sampled_from("abcd"), max_size=8)


def plain_distance(reference: list[str], hypothesis: list[str]) -> int:
    """Levenshtein's table, written out."""
    row = list(range(len(hypothesis) + 1))
    for i, one in enumerate(reference, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(hypothesis, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != other))
    return row[-1]


@given(words, words)
def test_the_errors_are_the_fewest_edits(reference: list[str], hypothesis: list[str]) -> None:
    tally = count_errors(reference, hypothesis)
    assert tally.numerator == plain_distance(reference, hypothesis) == distance(reference, hypothesis)
    assert tally.reference_length == len(reference)
    assert len(reference) - tally.deletions + tally.insertions == len(hypothesis)


@given(words, words)
def test_an_alignment_tells_both_texts_and_no_other_errors(reference: list[str], hypothesis: list[str]) -> None:
    steps = align(reference, hypothesis)
    assert [step.reference for step in steps if step.reference is not None] == reference
    assert [step.hypothesis for step in steps if step.hypothesis is not None] == hypothesis
    assert sum(step.operation != "equal" for step in steps) == distance(reference, hypothesis)
    assert all((step.reference == step.hypothesis) == (step.operation == "equal") for step in steps)


@given(words, words)
def test_jiwer_counts_words_as_rapidfuzz_counts_them(reference: list[str], hypothesis: list[str]) -> None:
    assert count_word_errors(reference, hypothesis) == count_errors(reference, hypothesis)


spelled = st.text(st.one_of(st.characters(), st.sampled_from("AB '’´-.,1")))


@given(spelled, spelled)
def test_jiwer_counts_texts_as_rapidfuzz_counts_them(reference: str, hypothesis: str) -> None:
    """Whatever is typed: numbers do not depend on which of the two libraries counts."""
    for rule in (spoken, as_published):
        said, read = rule(reference), rule(hypothesis)
        assert count_word_errors(said, read) == count_errors(said, read)
        assert count_character_errors(" ".join(said), " ".join(read)) == count_errors(" ".join(said), " ".join(read))
        assert align_words(said, read) == align(said, read)


def test_more_errors_than_words_are_possible() -> None:
    assert count_errors(["a"], ["b", "c", "d"]).value == 3.0


def test_an_empty_reference_has_no_rate_but_its_insertions_count() -> None:
    tally = count_errors([], ["a", "b"])
    assert tally.value is None
    assert (tally + count_errors(["a"], ["a"])).value == 2.0


def test_the_published_words_differ_in_case_only() -> None:
    assert as_published("IT'S  FINE, really ") == ["it's", "fine,", "really"]


def test_spoken_words_have_no_punctuation_and_one_apostrophe() -> None:
    assert spoken("It’s well-known: “FINE”, 'really'! 10%") == ["it's", "well", "known", "fine", "really", "10"]
    assert spoken("CAFE\u0301") == spoken("caf\u00e9")
    assert spoken(" -- ") == []


def test_marks_upon_letters_part_no_word() -> None:
    assert spoken("X\u0323Y") == ["x\u0323y"]  # a dot below, for which there is no letter of its own
    assert spoken("हिन्दी में") == ["हिन्दी", "में"]
    assert spoken("love \u2764\ufe0f you") == ["love", "you"]  # a heart, and a mark that asks for a coloured one


def test_every_way_of_typing_an_apostrophe_is_one() -> None:
    for typed in "'’‘ʼ´`′＇":
        assert spoken(f"DON{typed}T") == ["don't"], hex(ord(typed))


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("AB '’´-.,1"))))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = spoken(text)
    assert spoken(" ".join(once)) == once
    assert all(word.strip("'") == word and any(char.isalnum() for char in word) for word in once)
