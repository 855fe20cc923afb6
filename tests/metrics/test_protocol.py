"""A protocol id can be read back, and differs whenever a number was made differently."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories.results_factory import LEVEL
from tlbench.metrics.protocol import Protocol, differing_fields, selection_mark

TEXT = st.text(min_size=1, max_size=12)
LSE = Protocol("lse_c", 1, "lrs2", "test", "syncnet-whole@1", "pyav-25fps@1", "clips", "paper", weights="961e8696f888")


def test_an_id_is_short_and_readable() -> None:
    assert LSE.id == "lse_c[lrs2:test/syncnet-whole@1/pyav-25fps@1/clips/paper/w:961e8696f888]@1"
    limited = replace(LSE, selection="limit=20", boxes="s3fd:619a31681264", weights=None)
    assert limited.id == "lse_c[lrs2:test#limit=20/syncnet-whole@1/pyav-25fps@1/b:s3fd:619a31681264/clips/paper]@1"
    assert replace(LSE, numbers="bfloat16").id.endswith("/clips/paper/n:bfloat16/w:961e8696f888]@1")
    ruled = replace(LSE, arithmetic="sound", rule="shifts=3..15")
    assert ruled.id.endswith("/clips/sound/r:shifts=3..15/w:961e8696f888]@1")


@given(
    texts=st.tuples(*[TEXT] * 7),
    version=st.integers(0, 10**9 - 1),
    selection=st.none() | TEXT,
    boxes=st.none() | TEXT,
    weights=st.none() | st.text("0123456789abcdef", min_size=12, max_size=12),
    numbers=st.none() | TEXT,
    rule=st.none() | TEXT,
)
def test_parse_is_the_inverse_of_id_whatever_the_names(
    texts: tuple[str, ...],
    version: int,
    selection: str | None,
    boxes: str | None,
    weights: str | None,
    numbers: str | None,
    rule: str | None,
) -> None:
    metric, dataset, split, view, decoding, aggregation, arithmetic = texts
    protocol = Protocol(
        metric,
        version,
        dataset,
        split,
        view,
        decoding,
        aggregation,
        arithmetic,
        selection,
        boxes,
        weights,
        numbers,
        rule,
    )
    assert Protocol.parse(protocol.id) == protocol
    assert not set(protocol.id) & set(" \n\t|")


@given(st.text(max_size=60))
def test_text_is_read_only_if_it_is_exactly_an_id(text: str) -> None:
    try:
        protocol = Protocol.parse(text)
    except ValueError:
        return
    assert protocol.id == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lse_c",
        "lse_c[lrs2:test/v@1/d/clips]@1",
        "lse_c[lrs2:test/v@1/d/clips/paper]",
        "lse_c[lrs2:test/v@1/d/clips/paper]@01",
        "lse_c[lrs2:test/v@1/d/clips/paper/w:XYZ]@1",
        "lse_c[lrs2:test/v%401/d/clips/paper]@1",
        "lse_c[lrs2/v@1/d/clips/paper]@1",
        "lse_c[lrs2:test#/v@1/d/clips/paper]@1",
        "lse_c[lrs2:test/v@1/d/clips/paper]@1\n",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="protocol"):
        Protocol.parse(text)


@pytest.mark.parametrize(
    "field", ["metric", "dataset", "split", "view", "decoding", "aggregation", "arithmetic", "numbers", "rule"]
)
def test_every_field_stands_in_the_id(field: str) -> None:
    other = replace(LSE, **{field: "other"})  # type: ignore[arg-type]
    assert other.id != LSE.id
    assert differing_fields([LSE, other]) == [field]


def test_the_metric_gives_its_part() -> None:
    protocol = Protocol.of(
        LEVEL, dataset="toy", split="test", view="whole@1", decoding="d@1", weights_sha256="0123456789abcdef" * 4
    )
    assert (protocol.metric, protocol.version, protocol.weights) == ("level", 1, "0123456789ab")
    assert (protocol.aggregation, protocol.arithmetic) == ("clips", "sound")


def test_a_part_of_a_split_is_marked_by_what_it_holds() -> None:
    assert selection_mark() is None
    assert selection_mark(limit=20) == "limit=20"
    assert selection_mark(["b", "a"]) == selection_mark(["a", "b"])
    assert selection_mark(["a"]) != selection_mark(["a", "b"]) != selection_mark(["ab"])
    assert str(selection_mark(["a"], 3)).endswith(",limit=3")
