"""The original packages that tlbench's networks are held to, where they are installed (docs/live.md).

They are no dependencies: their own requirements do not fit into one environment with ours. Nothing else imports them.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from tlbench.errors import TlbenchError

_WAY_OUT = "install the original packages on Python 3.11, see docs/live.md"


def original(package: str, module: str) -> ModuleType:
    """Import a module of an original package. What it prints and warns of meanwhile is dropped.

    Parameters
    ----------
    package : str
        The name that pip knows, for messages: ``ve-fairseq``.
    module : str
        The module: ``fairseq.sequence_generator``.

    Raises
    ------
    TlbenchError
        If the package, or another one that this module imports, is not installed.
    """
    try:
        with quiet():
            return import_module(module)
    except ImportError as error:
        raise TlbenchError(f"{module} of {package} can't be imported ({error}); {_WAY_OUT}") from error


def original_file(package: str, module: str) -> ModuleType:
    """Import one file of an original package without the package's ``__init__``, which would import much more.

    The file may import nothing of its own package. Parameters and errors are those of :func:`original`.
    """
    top, _, name = module.rpartition(".")
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        raise TlbenchError(f"{module} of {package} can't be imported (no package {top!r}); {_WAY_OUT}")
    alone = spec_from_file_location(f"{name} of {package}", Path(spec.origin).with_name(f"{name}.py"))
    if alone is None or alone.loader is None:
        raise TlbenchError(f"{module} of {package} can't be imported (no file {name}.py); {_WAY_OUT}")
    made = module_from_spec(alone)
    try:
        with quiet():
            alone.loader.exec_module(made)
    except (ImportError, FileNotFoundError) as error:
        raise TlbenchError(f"{module} of {package} can't be imported ({error}); {_WAY_OUT}") from error
    sys.modules[made.__name__] = made
    return made


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what is printed, and warnings: the originals print results, and use what newer releases warn of."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
