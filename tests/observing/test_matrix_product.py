"""Which matrix product a run uses: the table's for the processor, torch's where nothing was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlbench.errors import TlbenchError
from tlbench.observing.matrix_product import (
    INSTRUCTIONS,
    Measured,
    choose_product,
    measured,
    mkl_branch,
    processor,
    product_of,
)

WIDE = frozenset().union(*INSTRUCTIONS.values())
NARROW = frozenset(INSTRUCTIONS["avx2"])
TABLE = (
    Measured("AuthenticAMD", "avx512", "float32", (2, 6), "onednn"),
    Measured("AuthenticAMD", "avx2", "float32", (2, 8), "torch"),
)
CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
flags\t\t: fpu avx2 fma avx512f

processor\t: 1
vendor_id\t: Other
"""


@pytest.mark.parametrize(
    ("vendor", "flags", "numbers", "torch", "product"),
    [
        ("AuthenticAMD", WIDE, "float32", (2, 6), "onednn"),
        ("AuthenticAMD", WIDE, "float32", (3, 0), "onednn"),
        ("AuthenticAMD", WIDE, "float32", (2, 5), "torch"),  # older than any that was measured
        ("AuthenticAMD", WIDE, "bfloat16", (2, 6), "torch"),
        ("AuthenticAMD", NARROW, "float32", (2, 8), "torch"),
        ("GenuineIntel", WIDE, "float32", (2, 6), "torch"),
        ("", frozenset(), "float32", (2, 6), "torch"),
        ("AuthenticAMD", WIDE, "float32", (0, 0), "torch"),  # torch is not installed
    ],
)
def test_the_first_row_that_fits_decides(
    vendor: str, flags: frozenset[str], numbers: str, torch: tuple[int, int], product: str
) -> None:
    assert product_of(vendor, flags, numbers, torch, TABLE) == product


def test_the_table_can_be_read_and_names_known_instruction_sets() -> None:
    assert measured()
    for row in measured():
        assert row.instructions in INSTRUCTIONS
        assert row.numbers in ("float32", "bfloat16")
        assert row.torch >= (2, 6)


def test_of_intels_processors_those_that_were_measured_gain() -> None:
    release = (2, 13)
    assert product_of("GenuineIntel", WIDE, "float32", release, measured()) == "onednn"
    assert product_of("GenuineIntel", WIDE, "bfloat16", release, measured()) == "onednn"
    assert product_of("GenuineIntel", WIDE - INSTRUCTIONS["amx_bf16"], "bfloat16", release, measured()) == "onednn"
    assert product_of("GenuineIntel", NARROW, "float32", release, measured()) == "torch"
    assert product_of("GenuineIntel", WIDE, "float32", (2, 12), measured()) == "torch"


def test_mkl_keeps_the_order_of_sums_on_intels_processors() -> None:
    assert mkl_branch("GenuineIntel", WIDE) == "AVX512,STRICT"
    assert mkl_branch("GenuineIntel", NARROW) == "AVX2,STRICT"
    assert mkl_branch("GenuineIntel", frozenset()) is None
    assert mkl_branch("AuthenticAMD", WIDE) is None


def test_the_processor_is_what_the_system_says_of_the_first(tmp_path: Path) -> None:
    said = tmp_path / "cpuinfo"
    said.write_text(CPUINFO)
    assert processor(said) == ("AuthenticAMD", frozenset({"fpu", "avx2", "fma", "avx512f"}))
    assert processor(tmp_path / "missing") == ("", frozenset())


def test_a_name_is_taken_as_given_and_a_gpu_has_its_own_product() -> None:
    assert choose_product("torch", "cpu", "float32") == "torch"
    assert choose_product("onednn", "cpu", "float32") == "onednn"
    assert choose_product("auto", "cuda", "float32") == "torch"
    with pytest.raises(TlbenchError, match="for CPUs, not for device 'cuda'"):
        choose_product("onednn", "cuda", "float32")
    with pytest.raises(TlbenchError, match="no matrix product 'mkl'; there are auto, torch, onednn"):
        choose_product("mkl", "cpu", "float32")
