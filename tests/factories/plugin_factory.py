"""An observer of another package, so that processes which a test starts know it too."""

from __future__ import annotations

from pathlib import Path

CODE = '''
"""Takes its time, writes down which process works, and says the transcript."""
import os
import time
from pathlib import Path
import numpy as np
from tlbench.errors import TlbenchError
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipState, Needs, Observer


class State(ClipState):
    def __init__(self, clip):
        self.clip = clip
        self.crops = np.zeros((10, 96, 96), np.float32)  # too large for anything but the object store

    def update(self, chunk):
        pass


class Slow(Observer):
    name = "slow"
    version = 1
    needs = Needs(transcript=True)
    views = {"all": "all@1"}
    has_cropper = True

    @classmethod
    def load(cls, weights, views, device, modes=(), *, half=False, packed=False):
        if (Path(os.environ["SLOW_LOG"]) / "unfit").exists():
            raise TlbenchError("its weights do not fit")
        return cls()

    @classmethod
    def cropper(cls, weights, views, modes):
        def start(clip, samples):
            (Path(os.environ["SLOW_LOG"]) / f"cropped-{os.getpid()}").touch()
            return State(clip)

        return start

    def start_clip(self, clip, samples):
        return State(clip)

    def compute(self, states):
        place = Path(os.environ["SLOW_LOG"])
        (place / str(os.getpid())).touch()
        time.sleep(float(os.environ["SLOW_SECONDS"]))
        if (place / "poison").exists() and any(state.clip.id == "c3" for state in states):
            os._exit(9)
        return [Evidence(self.name, {"said": state.clip.transcript}) for state in states]
'''


def write_plugin(folder: Path) -> Path:
    """Write the package ``slow_plugin`` with its observer ``slow``; with the folder on the path it is found."""
    package, about = folder / "slow_plugin", folder / "slow_plugin-1.dist-info"
    for made in (package, about):
        made.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "observer.py").write_text(CODE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-plugin\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[tlbench.observers]\nslow = slow_plugin.observer:Slow\n")
    return folder
