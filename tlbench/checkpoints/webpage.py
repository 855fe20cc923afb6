"""What a browser or a failed download leaves in a checkpoint's place, told without torch."""

from __future__ import annotations

from pathlib import Path

from tlbench.errors import TlbenchError


def refuse_page(path: Path) -> None:
    """Raises TlbenchError if a file is empty, or a web page saved in a checkpoint's place; OSError if unreadable."""
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise TlbenchError(f"weights {path}: the file is empty; download it again")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise TlbenchError(
            f"weights {path}: this is a web page, not a checkpoint; the download link led to a page, "
            "open it in a browser and save the file itself"
        )
