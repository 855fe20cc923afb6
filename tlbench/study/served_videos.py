"""The video files of a study while it is served: all there, and those that `tlbench study new` made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tlbench.document import counted
from tlbench.errors import TlbenchError
from tlbench.files import MEDIA, TEXT, file_sha256, open_outside, read_outside

VIDEOS = "videos"
HASHES = "videos.sha256"  # in the folder of the study, as `sha256sum` writes and checks it


def hashes_text(hashes: Mapping[str, str]) -> str:
    """The file ``HASHES`` of videos: name -> hex SHA-256."""
    return "".join(f"{sha256}  {VIDEOS}/{name}.mp4\n" for name, sha256 in sorted(hashes.items()))


class ServedVideos:
    """The videos of the study in ``folder`` with these names.

    A video that is exchanged while the study is served would give answers to other pictures than the database says, so
    it is not sent any more.

    Raises
    ------
    TlbenchError
        If a video is missing, can't be read, or is another than `tlbench study new` made. Where there is no ``HASHES``,
        as in studies made before it was written, only the names are compared.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._paths = {name: folder / VIDEOS / f"{name}.mp4" for name in names}
        missing = [path for path in self._paths.values() if not path.is_file()]
        if missing:
            raise TlbenchError(
                f"{missing[0]}: is not there (missing: {len(missing)} of {counted(len(names), 'video')} of the study); "
                "restore the folder from a copy"
            )
        try:
            self._compare(folder / HASHES)
            self._marks = {name: _mark(os.stat(path)) for name, path in self._paths.items()}
        except OSError as error:
            raise TlbenchError(f"{error.filename}: can't be read ({error.strerror})") from error

    def _compare(self, path: Path) -> None:
        if not path.exists():
            return
        text = read_outside(path, TEXT).decode("ascii", "replace")
        made = set(text.splitlines())
        for name, video in self._paths.items():
            if hashes_text({name: file_sha256(video)}).rstrip("\n") not in made:
                raise TlbenchError(
                    f"{video}: is not the video that `tlbench study new` made; restore it from a copy of the study"
                )

    def open(self, name: str) -> BinaryIO | None:
        """The open file of a video; None if it is gone or not what it was."""
        path = self._paths[name]
        try:
            file = open_outside(path, MEDIA)
        except OSError:
            return None
        if _mark(os.fstat(file.fileno())) != self._marks[name]:
            file.close()
            return None
        return file


def _mark(about: os.stat_result) -> tuple[int, int]:
    return about.st_size, about.st_mtime_ns
