"""Running the script of another repository, in its own environment, and what its repository is."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from tlbench.errors import TlbenchError, one_line, shortened
from tlbench.generation.generator import Stopped

POLL_SECONDS = 0.2
MOST_PRINTED_BYTES = 2**28  # by one call; a progress bar of an hour has 4 MB
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
        what = "is a file, not a folder" if path.exists() else "there is no such folder"
        raise TlbenchError(f"--repo {path}: {what}; give the repository that you cloned")
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


def run_command(words: Sequence[str], folder: Path, log: Path, stop: Event, most_minutes: float | None = None) -> int:
    """Run a command in a folder, with what it prints in a file, and return its exit status.

    No shell reads the words. What the command started and left running is ended with it; if ``stop`` is set or this
    process is interrupted, so is the command itself. One that takes more than ``most_minutes`` is ended too, which the
    last line of the log says.

    Raises
    ------
    TlbenchError
        If it can't be started, or prints more than 256 MiB.
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
        raise _not_run(words[0], folder, str(error.strerror)) from error
    started = time.monotonic()
    try:
        while True:
            try:
                return process.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    raise Stopped from None
                if log.stat().st_size > MOST_PRINTED_BYTES:
                    raise TlbenchError(
                        f"{one_line(words[0])}: was ended, as it printed more than {MOST_PRINTED_BYTES >> 20} MiB; "
                        f"{said(log)}"
                    ) from None
                if most_minutes is not None and time.monotonic() - started > 60 * most_minutes:
                    _end(process)
                    with suppress(OSError), log.open("ab") as file:  # a full disk: the exit status says it too
                        file.write(f"\ntlbench: ended after {most_minutes:g} minutes (--call-minutes)\n".encode())
    finally:
        _end(process)


def check_command(program: str, folder: Path, script: str | None) -> None:
    """Raises TlbenchError if there is no such program, or no such script, before anything is prepared.

    A word with a value to be filled in is not checked.
    """
    if "{" not in program:
        at_place = os.path.dirname(program) != ""
        if shutil.which(os.path.join(folder, program) if at_place else program) is None:
            raise _not_run(program, folder, "no such program")
    if script is not None and "{" not in script and not (folder / script).is_file():
        raise TlbenchError(f"--repo: {folder} has no {one_line(script)}; give the repository that the recipe is for")


def _not_run(program: str, folder: Path, why: str) -> TlbenchError:
    return TlbenchError(
        f"{one_line(program)}: can't be run in {folder} ({why}); give the Python of the repository's environment "
        "(--python)"
    )


def ended_with(status: int) -> str:
    """How a command ended, for a message: ``ended with status 3``, or ``was ended by SIGKILL``."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def said(log: Path) -> str:
    """What a command printed last, and where all of it is, for a message."""
    line = last_line(log)
    return f"its last line: {line!r} (all of it is in {log})" if line else f"it printed nothing ({log})"


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
