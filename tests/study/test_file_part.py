"""Parts of a file are the file's bytes, whatever is asked for."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

pytest.importorskip("flask", reason="serving a study needs the extra `study` (flask, waitress)")

from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.test import EnvironBuilder

from tlbench.study.file_part import FilePart, send_part

DATA = os.urandom(1000)


@given(st.integers(0, 1000), st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 1000), st.integers(-1, 1200))))
def test_a_part_reads_and_seeks_as_a_file_of_its_own(start: int, stop: int, moves: list[tuple[int, int]]) -> None:
    start, stop = sorted((start, stop))
    part, own = FilePart(io.BytesIO(DATA), start, stop), io.BytesIO(DATA[start:stop])
    for position, size in moves:
        assert part.seek(position) == own.seek(position) == part.tell()
        assert part.read(size) == own.read(size)
    assert part.seek(0, os.SEEK_END) == own.seek(0, os.SEEK_END)


@settings(deadline=None)
@given(st.integers(0, 1200), st.one_of(st.none(), st.integers(0, 1200)), st.booleans())
def test_the_bytes_that_are_asked_for_come(
    tmp_path_factory: pytest.TempPathFactory, a: int, b: int | None, end: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "file"
    if not path.exists():
        path.write_bytes(DATA)
    wanted = f"bytes=-{a}" if end else f"bytes={a}-{'' if b is None else b}"
    environ = EnvironBuilder(headers={"Range": wanted}).get_environ()
    part = DATA[-a:] if end else DATA[a : None if b is None else b + 1]
    if (end and a == 0) or (not end and b is not None and b < a):  # no range at all
        part = DATA
    file = open(path, "rb")  # noqa: SIM115  # the answer closes it
    if not part:
        with pytest.raises(RequestedRangeNotSatisfiable):
            send_part(file, "tag", environ)
    else:
        response = send_part(file, "tag", environ)
        assert b"".join(response.response) == part  # type: ignore[arg-type]
        assert response.headers["Content-Length"] == str(len(part))
        response.close()
    assert file.closed


def test_a_file_that_became_shorter_ends_what_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    part = FilePart(open(path, "rb"), 0, 1000)  # noqa: SIM115  # the part closes it
    os.truncate(path, 0)
    with pytest.raises(OSError, match="shorter"):
        part.read(10)
    part.close()
