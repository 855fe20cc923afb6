"""The original packages that tlbench's networks are held to, where they are installed (docs/live.md).

They are no dependencies: their own requirements do not fit into one environment with ours. Nothing else imports them.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tlbench.errors import TlbenchError

if TYPE_CHECKING:
    from torch import Tensor, nn

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


def clone_module(code: Path, module: str, repository: str) -> ModuleType:
    """Import a module of a clone of an original repository, whatever package of the same name is installed.

    The package's ``__init__`` is not run.

    Parameters
    ----------
    code : Path
        The clone's folder, from ``--original-code``.
    module : str
        The module below it: ``espnet.nets.beam_search``.
    repository : str
        What the folder should be a clone of, for messages: ``mpc001/auto_avsr``.

    Raises
    ------
    TlbenchError
        If the folder has no such file, it can't be imported, or another package of this name is imported already.
    """
    top = module.partition(".")[0]
    path = str(code.resolve() / top)
    if not (code / module.replace(".", "/")).with_suffix(".py").is_file():
        raise TlbenchError(f"--original-code {code}: no {module.replace('.', '/')}.py; pass a clone of {repository}")
    if top not in sys.modules:
        package = ModuleType(top)
        package.__path__ = [path]
        sys.modules[top] = package
    elif list(sys.modules[top].__path__) != [path]:
        raise TlbenchError(f"--original-code {code}: another package {top!r} is imported already; start a new process")
    try:
        with quiet():
            return import_module(module)
    except ImportError as error:
        raise TlbenchError(f"--original-code {code}: {module} can't be imported ({error})") from error


def loaded(module: nn.Module, state: Mapping[str, Tensor], prefix: str, package: str) -> nn.Module:
    """An original's network with the tensors of a state dict whose names begin with ``prefix``, for inference.

    Raises
    ------
    TlbenchError
        If a tensor is missing, has another shape, or is not of this network. ``package`` is named.
    """
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    try:
        module.load_state_dict(own)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise TlbenchError(f"{package}'s {type(module).__name__} and these weights differ: {first}") from error
    return module.eval().requires_grad_(False)


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
