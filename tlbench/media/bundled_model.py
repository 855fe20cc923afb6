"""Bundled networks, in the form in which their authors published them, checked by hash."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from tlbench.errors import TlbenchError


@dataclass(frozen=True)
class BundledModel:
    """A TensorFlow Lite file of ``bundled/mediapipe``.

    Attributes
    ----------
    file : str
        Its name, as in MediaPipe's repository.
    sha256 : str
    version : str
        Of the wheel it was taken from.
    """

    file: str
    sha256: str
    version: str = "mediapipe 0.10.21"

    @property
    def path(self) -> Path:
        """The path of the file."""
        return Path(str(files("tlbench.media"))) / "bundled" / "mediapipe" / self.file

    def load(self) -> cv2.dnn.Net:
        """Load the network, for one picture at a time. Raises TlbenchError if the file is not the bundled one."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise TlbenchError(f"{self.file} is not there ({error.strerror}); install tlbench again") from error
        found = sha256(content).hexdigest()
        if found != self.sha256:
            raise TlbenchError(f"{self.file} has SHA-256 {found[:12]}, not {self.sha256[:12]}; install tlbench again")
        return cv2.dnn.readNetFromTFLite(np.frombuffer(content, dtype=np.uint8))
