"""JSON of strangers is read strictly and within limits; what honest files have is read as Python's own reader does."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.draw_house import ROOT, sources
from tlbench.json_fields import clip_id, count, entries_of, finite, name_text, text, truth
from tlbench.json_input import parse_json

numbers = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.text(st.characters(exclude_categories=["Cs"]))
honest = st.recursive(
    st.none() | st.booleans() | numbers | plain,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(plain, inner, max_size=5),
    max_leaves=20,
)


@given(honest, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]), st.booleans())
def test_an_honest_file_is_read_as_it_is(value: object, encoding: str, escaped: bool) -> None:
    written = json.dumps({"a": value}, ensure_ascii=escaped)
    assert parse_json(written.encode(encoding)) == {"a": value}
    assert parse_json(written) == {"a": value}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property"),
        (b"\xff\xfe\xfd", "it is no text"),
        (b'"\xed\xa0\x80"', "it is no text"),  # half a pair in UTF-8
        (b"[NaN]", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"[1e999]", "not finite"),
        (b"[" + b"9" * 20 + b"]", "20 digits"),
        (b"[" + b"9" * 10**6 + b"]", "1,000,000 digits"),
        (b"[0." + b"1" * 10**6 + b"]", "digits"),
        (b'{"a": 1, "a": 2}', "field 'a' is given twice"),
        (b'["x", {"\\ud800": 1}]', "half a surrogate pair"),
        (b'{"a": ["b\\udfff"]}', "half a surrogate pair"),
        (b"[" * 33 + b"]" * 33, "nested too deeply"),
        (b"[" * 10**5 + b"]" * 10**5, "nested too deeply"),
        (b"[" + b"[]," * 10**6 + b"1]", "objects"),
        (b"[" + b"1," * (10**7 + 1) + b"1]", "entries"),
    ],
    ids=range(17),
)
def test_what_no_honest_file_has_is_refused_at_once(raw: bytes, why: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=why) as caught:
        parse_json(raw)
    assert time.process_time() - started < 5
    assert len(str(caught.value)) < 400


def test_thirty_two_levels_and_a_whole_pair_are_read() -> None:
    assert parse_json(b"[" * 31 + b"]" * 31)
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        *((text, value) for value in ("", None, 7, "x" * 100_001, ["a"])),
        *((name_text, value) for value in ("", "a\u202eb", "a\nb", "x" * 501, None)),
        *((clip_id, value) for value in ("../a", "a\\b", "/a", "a\x00")),
        *((count, value) for value in (-1, True, 1.0, "1", None, 10**12 + 1)),
        *((finite, value) for value in (float("nan"), float("inf"), 1e16, 10**400, True, "1", None)),
        *((truth, value) for value in (0, 1, "true", None)),
    ],
)
def test_a_field_beyond_its_limits_names_itself_and_what_it_has(reading: object, value: object) -> None:
    with pytest.raises(ValueError, match="the field") as caught:
        reading(value, "the field")  # type: ignore[operator]
    assert len(str(caught.value)) < 300


def test_lists_have_their_length_and_a_limit() -> None:
    assert entries_of([1, 2], "x", length=2, most=2) == [1, 2]
    for value, length, most in (([1], 2, None), ([1, 2, 3], None, 2)):
        with pytest.raises(ValueError, match=r"x has . entries"):
            entries_of(value, "x", length, most)
    for value in ("ab", {"a": 1}, None):
        with pytest.raises(TypeError, match="x must be a list"):
            entries_of(value, "x")


def test_names_are_composed_as_unicode_recommends() -> None:
    assert name_text("cafe\u0301", "x") == clip_id("cafe\u0301", "x") == "caf\u00e9"


def test_files_from_outside_are_parsed_in_one_place() -> None:
    """But for the description of a package, which has few fields and its own limits."""
    found = {
        path.name
        for folder in ("tlbench", "observers")
        for path in sources(ROOT / folder)
        if "json.loads(read_outside(" in path.read_text("utf-8")
    }
    assert found <= {"package.py"}
