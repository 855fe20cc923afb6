"""The file of LPIPS's weights of AlexNet's channels, which comes in the wheel of the package lpips (BSD-2-Clause)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.files import file_sha256

PACKAGE = "lpips"
FILE = Path("weights", "v0.1", "alex.pth")  # in the package's folder
SHA256 = "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"  # of the wheel of lpips 0.1.4
INSTALL = "pip install 'tlbench[quality]'"


def lacking_channels() -> str:
    """That the package lpips is not installed, and how to install it; "" if its file is there."""
    return "" if _installed() is not None else f"{PACKAGE} not installed; {INSTALL}"


def published_channels() -> Path:
    """The path of the file. Another one would change numbers under the same id, so it is refused.

    Raises TlbenchError if it is not installed, or not that of lpips 0.1.4.
    """
    path = _installed()
    if path is None:
        raise TlbenchError(f"LPIPS's weights of AlexNet's channels: {lacking_channels()}")
    own = file_sha256(path)
    if own != SHA256:
        raise TlbenchError(
            f"{path} is not the file of lpips 0.1.4 (sha256 {own[:12]}...); "
            f"pip install --force-reinstall --no-deps {PACKAGE}==0.1.4"
        )
    return path


def _installed() -> Path | None:
    spec = find_spec(PACKAGE)  # not imported: it would import torchvision, which need not load beside the torch here
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return next((found for folder in folders if (found := Path(folder) / FILE).is_file()), None)
