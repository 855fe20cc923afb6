"""Arrays in zip files from outside: what a file says of itself is never believed, and never unpacked beyond a limit."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tlbench.array_archive import open_archive, read_array
from tlbench.errors import TlbenchError
from tlbench.scoring.real_set import real_set

MOST_BYTES = 10_000


def zipped(array: np.ndarray, *, version: tuple[int, int] | None = None, packed: bool = False) -> io.BytesIO:
    """A zip file with one array called ``a``."""
    content, file = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array(content, array, version)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        archive.writestr("a", content.getvalue())
    return file


@given(
    arrays.arrays(
        st.sampled_from(["<f4", "<f8", ">f8", "<i8", "|u1", "<U3"]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    st.sampled_from([(1, 0), (2, 0)]),
    st.booleans(),
    st.booleans(),
)
def test_what_was_written_is_read(array: np.ndarray, version: tuple[int, int], by_columns: bool, packed: bool) -> None:
    array = np.asarray(array, order="F" if by_columns else "C")
    with open_archive(zipped(array, version=version, packed=packed)) as archive:
        found = read_array(archive, "a", MOST_BYTES)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


@given(st.data())
def test_changed_bytes_are_other_numbers_or_an_error_that_is_expected(data: st.DataObject) -> None:
    content = bytearray(zipped(np.arange(50.0), packed=data.draw(st.booleans())).getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        with open_archive(io.BytesIO(bytes(content))) as archive:
            assert read_array(archive, "a", MOST_BYTES).nbytes <= MOST_BYTES
    except (KeyError, ValueError, OSError, zipfile.BadZipFile):
        pass


MEMBER_BYTES = {"its version": 6, "its flags": 8, "its compression": 10, "its name": 46}  # in the list of files, 4.3.12


@pytest.mark.parametrize("what", MEMBER_BYTES)
@pytest.mark.parametrize("value", [1, 32, 64, 99, 255])
def test_a_member_of_another_kind_of_zip_file_is_an_error_that_is_expected(what: str, value: int) -> None:
    content = zipped(np.arange(50.0)).getvalue()
    entry = content.rindex(b"PK\1\2") + MEMBER_BYTES[what]
    changed = content[:entry] + bytes([value]) + content[entry + 1 :]
    try:
        with open_archive(io.BytesIO(changed)) as archive:
            assert read_array(archive, archive.namelist()[0], MOST_BYTES).tolist() == list(range(50))
    except (ValueError, zipfile.BadZipFile):
        pass


def statistics(path: Path, **arrays: np.ndarray) -> None:
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # its stub takes the names for options


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mu.npy", bytes(300 * 10**6))


def lie(path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mu.npy", header.getvalue() + bytes(80))


def long_list(path: Path) -> None:
    """The end of a zip file that announces 4 GB of names."""
    path.write_bytes(bytes(100) + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 2**32 - 2, 0, 0))


EYE, ZEROS = np.eye(4), np.zeros(4)
WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bomb": (bomb, "mu.npy has 300,000,000 bytes, at most"),
    "a header that lies": (lie, r"says \(1000000000000,\) of float64, and has other bytes"),
    "a list of files that lies": (long_list, "list of files of 4,294,967,294 bytes"),
    "no zip file": (lambda path: path.write_bytes(b"hello"), "without an end"),
    "an empty file": (lambda path: path.touch(), "without an end"),
    "no covariance": (lambda path: statistics(path, mu=ZEROS), "sigma"),
    "Python objects": (lambda path: statistics(path, mu=np.array([{}], object), sigma=EYE), "has Python objects"),
    "complex numbers": (lambda path: statistics(path, mu=ZEROS.astype(complex), sigma=EYE), "holds complex128"),
    "texts": (lambda path: statistics(path, mu=np.array(["a"] * 4), sigma=EYE), "holds <U1"),
    "other sizes": (lambda path: statistics(path, mu=ZEROS, sigma=np.eye(5)), "do not fit"),
    "numbers that are none": (
        lambda path: statistics(path, mu=ZEROS * np.nan, sigma=EYE),
        "that is NaN, infinite or beyond",
    ),
    "too few frames": (lambda path: statistics(path, mu=ZEROS, sigma=EYE, n=np.array(-5)), "is -5.0, not a whole"),
    "several counts": (lambda path: statistics(path, mu=ZEROS, sigma=EYE, n=np.arange(3)), "is 3 numbers, not a whole"),
    "a variance below 0": (lambda path: statistics(path, mu=ZEROS, sigma=-EYE), "variance below 0"),
    "no symmetry": (lambda path: statistics(path, mu=ZEROS, sigma=np.triu(np.ones((4, 4)))), "not symmetric"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_statistics_of_a_real_set_are_one_line(tmp_path: Path, name: str) -> None:
    make, why = WRONG[name]
    path = tmp_path / "real.npz"
    make(path)
    with pytest.raises(TlbenchError, match=why) as raised:
        real_set(path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"--real {path}: ")


def test_statistics_of_pytorch_fid_are_read(tmp_path: Path) -> None:
    statistics(tmp_path / "real.npz", mu=ZEROS, sigma=EYE)
    found = real_set(tmp_path / "real.npz").statistics
    assert found is not None
    assert (found.mean.tolist(), found.covariance.tolist(), found.count) == ([0.0] * 4, EYE.tolist(), None)
