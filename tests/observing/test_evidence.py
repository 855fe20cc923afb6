"""Evidence comes back from its file exactly as it was, or is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tlbench.observing.evidence import Evidence

DTYPES = st.sampled_from(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u8", "?", ">f4", ">i8"])


def through_a_file(evidence: Evidence) -> Evidence:
    return Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False)))


@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
def test_an_array_comes_back_bit_for_bit_with_its_shape_and_kind(array: np.ndarray) -> None:
    back = through_a_file(Evidence("pixels", {"x": array})).array("x")
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.tobytes() == array.astype(back.dtype).tobytes()  # NaN and -0.0 too


def test_an_array_that_is_a_view_comes_back_as_it_looks() -> None:
    array = np.arange(24.0).reshape(4, 6)[::2, ::-1].T
    np.testing.assert_array_equal(through_a_file(Evidence("o", {"x": array})).array("x"), array)


@given(
    st.one_of(
        st.floats(allow_nan=False),
        st.integers(-(2**70), 2**70),
        st.text(),
        st.booleans(),
        st.none(),
        st.lists(st.text()),
    )
)
def test_numbers_and_texts_come_back_as_they_were(value: Any) -> None:
    back = through_a_file(Evidence("o", {"x": value})).values["x"]
    assert back == value
    assert type(back) is type(value)


def test_what_is_not_a_number_comes_back_too() -> None:
    assert math.isnan(through_a_file(Evidence("o", {"x": math.nan})).number("x"))


@pytest.mark.parametrize("value", [np.float32(0.1), np.int64(7), np.bool_(True), np.float64(np.inf)])
def test_a_scalar_of_numpy_becomes_the_same_number_of_python(value: np.generic) -> None:
    assert through_a_file(Evidence("o", {"x": value})).values["x"] == value.item()  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "value",
    [np.array(["a"]), np.array([object()]), np.array([1j]), (1, 2), [1.0, 2.0], {"a": 1}, b"x"],
    ids=["texts", "objects", "complex", "tuple", "floats", "mapping", "bytes"],
)
def test_what_would_not_come_back_as_it_was_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="'x'"):
        Evidence("o", {"x": value}).to_json()


@pytest.mark.parametrize(
    "array",
    [
        {"dtype": "O", "shape": [1], "base64": "AAAAAAAAAAA="},
        {"dtype": "f4,f4", "shape": [1], "base64": "AAAAAAAAAAA="},
        {"dtype": ["f4"], "shape": [1], "base64": "AAAAAA=="},
        {"dtype": "Zq" * 300, "shape": [1], "base64": "AAAAAA=="},
        {"dtype": "f4", "shape": [3], "base64": "AAAA"},
        {"dtype": "f4", "shape": [1], "base64": "?"},
        {"shape": [1], "base64": "AAAA"},
    ],
    ids=["objects", "fields", "a-list", "a-long-name", "too-short", "no-base64", "no-dtype"],
)
def test_a_malformed_array_is_refused_and_never_an_object(array: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        Evidence.from_json({"observer": "o", "values": {"x": array}})
