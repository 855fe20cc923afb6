"""Small weights for every generator that has any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from tests.factories.expert_factory import write_expert
from tlbench.checkpoints.package import own_package, write_package
from tlbench.talklip.checkpoint import package_of, write_official
from tlbench.talklip.faceformer import Faceformer
from tlbench.talklip.faceformer_step import NAME
from tlbench.talklip.find_expert import find_expert
from tlbench.talklip.generator import TalkLip, dims_for


def generator_weights(name: str, folder: Path) -> Path:
    """Write a file or package for the generator ``name`` to ``folder``. Raises KeyError for an unknown one."""
    return _WRITERS[name](folder)


def _local(folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / "tiny.pth"
    write_official(TalkLip(dims_for("tiny", "local", 0, 0)), path, 1, 1, {"variant": "l"})
    return path


def _faceformer(folder: Path) -> Path:
    """With output maps that are not zero, so that speech and earlier frames count."""
    expert = find_expert(str(write_expert(folder / "reader", ["BLUE BOATS"])), "lrs2").expert
    torch.manual_seed(0)
    encoder = expert.audio_encoder()
    network = Faceformer(dims_for("tiny", "global", encoder.width, 0), encoder)
    torch.nn.init.normal_(network.output_map.weight)
    write_package(own_package(package_of(network, {}, NAME), "", {}, half=False), folder / "faceformer")
    return folder / "faceformer"


_WRITERS: Mapping[str, Callable[[Path], Path]] = {"talklip": _local, "wav2lip": _local, "faceformer": _faceformer}
