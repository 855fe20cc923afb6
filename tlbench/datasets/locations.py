"""Where each data set's folder is on this machine: said once, used by every command and function.

Of several, the first holds: the folder given to the call (``--data-root``), the environment variable of the data set
(``$TLBENCH_LRS2``), and the user's file ``data.toml``, which ``tlbench data set lrs2 FOLDER`` writes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import tomli_w
from platformdirs import user_config_path

from tlbench.errors import TlbenchError, quoted
from tlbench.files import TEXT, read_outside, write_text_atomically
from tlbench.toml_input import parse_toml

CONFIG_VARIABLE = "TLBENCH_CONFIG"  # folder of data.toml; by default the user's configuration folder
FILE_NAME = "data.toml"


@dataclass(frozen=True)
class Location:
    """A data set's folder, and who says so (``--data-root``, ``$TLBENCH_LRS2``, ``tlbench data set``)."""

    folder: Path
    source: str


def find_root(dataset: str, given: Path | None = None) -> Location | None:
    """The folder of a data set, or None if it is not known.

    Parameters
    ----------
    dataset : str
        Name of the data set, such as ``lrs2``.
    given : Path, optional
        What the call says; it wins.

    Raises
    ------
    TlbenchError
        If ``data.toml`` can't be read.
    """
    if given is not None:
        return Location(given, "--data-root")
    variable = root_variable(dataset)
    if os.environ.get(variable):
        return Location(Path(os.environ[variable]).expanduser(), f"${variable}")
    folder = _read().get(dataset)
    return None if folder is None else Location(Path(folder), f"tlbench data set {dataset}")


def ways_to_say(dataset: str) -> str:
    """The three ways to say where a data set is, for error messages."""
    variable = root_variable(dataset)
    return f"pass --data-root FOLDER, set ${variable}, or say it once with `tlbench data set {dataset} FOLDER`"


def root_variable(dataset: str) -> str:
    """The environment variable with a data set's folder.

    >>> root_variable("lrs2"), root_variable("lrs2-wav2lip-pairs")
    ('TLBENCH_LRS2', 'TLBENCH_LRS2_WAV2LIP_PAIRS')
    """
    return "TLBENCH_" + re.sub(r"[^A-Z0-9]", "_", dataset.upper())


def set_root(dataset: str, folder: Path) -> Path:
    """Write to ``data.toml`` where a data set is, and return that file.

    Raises TlbenchError if the folder does not exist or the file can't be written.
    """
    if not folder.is_dir():
        raise TlbenchError(f"{folder} is not a folder; give the one that {dataset} is in")
    path = config_file()
    write_text_atomically(path, tomli_w.dumps({**_read(), dataset: os.path.abspath(folder)}))
    return path


def config_file() -> Path:
    """``data.toml`` in ``$TLBENCH_CONFIG``, or in the user's configuration folder."""
    named = os.environ.get(CONFIG_VARIABLE)
    return (Path(named) if named else user_config_path("tlbench")) / FILE_NAME


def _read() -> dict[str, str]:
    """Data set to folder. A file that is not there names none."""
    path = config_file()
    try:
        content = parse_toml(read_outside(path, TEXT))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TlbenchError(f"{path}: can't be read as TOML ({error}); fix or remove it") from error
    folders = {}
    for name, folder in content.items():
        if not isinstance(folder, str):
            raise TlbenchError(f"{path}: {name} = {quoted(folder)} is not a folder; fix it with `tlbench data set`")
        folders[name] = folder
    return folders
