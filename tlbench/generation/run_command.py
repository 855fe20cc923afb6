"""Running the script of another repository, in its own environment, and what its repository is."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from tlbench.errors import TlbenchError, one_line, shortened
from tlbench.generation.generator import Stopped

POLL_SECONDS = 0.2
LAST_BYTES = 4000  # of a log, in which its last line is looked for
SECONDS_TO_END = 5.0  # between asking a script to end and killing it
# Ours, which would make another Python import from our environment.
NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Repository:
    """The repository whose script is run.

    Attributes
    ----------
    path : Path
        Absolute.
    commit : str or None
        None if it is no git repository, or git is not installed.
    changed : bool
        Whether files that git knows were changed after that commit.
    """

    path: Path
    commit: str | None
    changed: bool


def open_repository(path: Path) -> Repository:
    """What a repository is. Raises TlbenchError if there is no such folder."""
    if not path.is_dir():
        raise TlbenchError(f"--repo {path}: there is no such folder; give the repository that you cloned")
    commit = _git(path, "rev-parse", "HEAD")
    changed = _git(path, "status", "--porcelain", "--untracked-files=no") if commit else ""
    return Repository(path.resolve(), commit or None, bool(changed))


def python_words(given: str) -> list[str]:
    """The words of ``--python``: ``conda run -n wav2lip python``, or a path.

    A path with a folder in it is made absolute, since the script runs in another folder. Raises TlbenchError if there
    is no word, or a quote is not closed.
    """
    try:
        words = shlex.split(given)
    except ValueError as error:
        raise TlbenchError(f"--python {given}: can't be split into words ({error})") from error
    if not words:
        raise TlbenchError("--python is empty; give the Python of the repository's environment")
    first = Path(words[0])
    # Not resolved: the Python of a virtual environment is a link, and is known by its place.
    return [os.path.abspath(first), *words[1:]] if first.parent != Path() and first.exists() else words


def run_command(words: Sequence[str], folder: Path, log: Path, stop: Event) -> int:
    """Run a command in a folder, with what it prints in a file, and return its exit status.

    No shell reads the words. What the command started and left running is ended with it; if ``stop`` is set or this
    process is interrupted, so is the command itself.

    Raises
    ------
    TlbenchError
        If it can't be started.
    Stopped
        If ``stop`` was set.
    """
    passed_on = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    try:
        with log.open("wb") as file:
            process = subprocess.Popen(
                list(words),
                cwd=folder,
                env=passed_on,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise TlbenchError(
            f"{one_line(words[0])}: can't be run in {folder} ({error.strerror}); give the Python of the repository's "
            "environment (--python)"
        ) from error
    try:
        while True:
            try:
                return process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    raise Stopped from None
    finally:
        _end(process)


def last_line(log: Path) -> str:
    """The last line that is not empty of what a command printed, for a message; "" if it printed nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LAST_BYTES))
            lines = file.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
    except OSError:
        return ""
    return shortened(one_line(next((line.strip() for line in reversed(lines) if line.strip()), "")), 200)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started, which are one group."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # nothing of the group is left
        os.killpg(process.pid, number)


def _git(path: Path, *words: str) -> str:
    """What git says of a folder; "" if it says nothing."""
    try:
        done = subprocess.run(["git", "-C", str(path), *words], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()
