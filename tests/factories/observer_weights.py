"""Formula weights for every observer with a network, as a checkpoint file or a package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from tests.golden.formula import fill
from tlbench.checkpoints.package import Package, write_package
from tlbench.observers.avhubert.dims import Dims

TINY = Dims(
    encoder_layers=2,
    encoder_width=64,
    encoder_ffn=128,
    encoder_heads=4,
    decoder_layers=2,
    decoder_width=64,
    decoder_ffn=96,
    decoder_heads=4,
    vocabulary=40,
)


def formula_weights(name: str, folder: Path) -> Path:
    """Write a file or package for the observer ``name`` to ``folder``. Raises KeyError for an unknown observer."""
    return _WRITERS[name](folder)


def _arcface(folder: Path) -> Path:
    from tlbench.observers.identity.arcface.dims import Dims
    from tlbench.observers.identity.arcface.model import ArcFaceNetwork

    dims = Dims(blocks=(1, 2, 1, 1), channels=(8, 8, 12, 16), features=32)
    state = _filled(ArcFaceNetwork(dims).state_dict())
    package = folder / "arcface"
    write_package(Package("arcface", state, {"dims": dims.to_json()}, {}, "tiny.onnx", "0" * 64), package)
    return package


def _syncnet(folder: Path) -> Path:
    from tlbench.observers.syncnet.model import SyncNetModel

    return _save(_filled(SyncNetModel().state_dict()), folder / "syncnet_v2.model")


def _avhubert(folder: Path) -> Path:
    from tlbench.observers.avhubert.model import AVHubert

    state = _filled(AVHubert(TINY).state_dict())
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *(f"▁w{number}" for number in range(TINY.vocabulary - 4))]
    config = {"dims": TINY.to_json(), "dictionary": symbols}
    package = folder / "avhubert"
    write_package(Package("avhubert", state, config, {}, "tiny.pt", "0" * 64), package)
    return package


def _autoavsr(folder: Path) -> Path:
    from tlbench.observers.autoavsr.dims import Dims
    from tlbench.observers.autoavsr.model import AutoAVSRModel
    from tlbench.observers.autoavsr.tokens import published_tokens

    dims = Dims(visual_width=16, width=64, heads=4, hidden=96, encoder_blocks=2, decoder_blocks=2, vocabulary=60)
    tokens = published_tokens()
    spelled = [tokens.symbols[number] for number in tokens.encode("BIN BLUE AT ONE NOW")]
    units = list(dict.fromkeys([tokens.units[0], *spelled, *tokens.units]))[: dims.vocabulary - 2]
    config = {"dims": dims.to_json(), "units": units}
    state = _filled(AutoAVSRModel(dims).state_dict())
    package = folder / "autoavsr"
    files = {"sentencepiece.model": tokens.pieces}
    write_package(Package("autoavsr", state, config, files, "tiny.pth", "0" * 64), package)
    return package


def _i3d(folder: Path) -> Path:
    from tlbench.observers.i3d.dims import Dims
    from tlbench.observers.i3d.model import I3DModel

    dims = Dims(frames=8, side=32, divisor=16, classes=12)
    state = _filled(I3DModel(dims).state_dict())
    package = folder / "i3d"
    write_package(Package("i3d", state, {"dims": dims.to_json()}, {}, "tiny.pt", "0" * 64), package)
    return package


def _inception(folder: Path) -> Path:
    from tlbench.observers.inception.dims import Dims
    from tlbench.observers.inception.model import InceptionModel

    dims = Dims(side=75, divisor=16)
    state = _filled(InceptionModel(dims).state_dict())
    package = folder / "inception"
    write_package(Package("inception", state, {"dims": dims.to_json()}, {}, "tiny.pth", f"6726825d{'0' * 56}"), package)
    return package


def _conformer(folder: Path) -> Path:
    from tlbench.observers.conformer.model import ConformerModel

    return _save(_filled(ConformerModel().state_dict()), folder / "conformer.pth")


def _lpips(folder: Path) -> Path:
    from tlbench.observers.lpips.model import AlexNetFeatures

    return _save(_filled(AlexNetFeatures().state_dict()), folder / "alexnet.pth")


def _mvm(folder: Path) -> Path:
    from tlbench.observers.mvm.checkpoint import PARTS
    from tlbench.observers.mvm.model import MVMModel

    model = MVMModel()
    states = {f"{part}_state_dict": _filled(getattr(model, part).state_dict()) for part in PARTS}
    return _save(states, folder / "mvm.ckpt")


def _mvm_aligned(folder: Path) -> Path:
    from tlbench.observers.mvm.dims import Dims
    from tlbench.observers.mvm.model import MVMModel

    words = ["BIN", "BLUE", *(f"WORD{number}" for number in range(49))]
    dims = Dims(48, visual_width=8, hearing_width=4, features=16, slots=8, heads=2, branch=8, words=len(words))
    state = _filled(MVMModel(dims).state_dict())
    config = {"dims": dims.to_json(), "words": words}
    package = folder / "mvm-aligned"
    write_package(Package("mvm-aligned", state, config, {}, "tiny.ckpt", "0" * 64), package)
    return package


def _filled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    fill(state)
    return state


def _save(state: Mapping[str, object], path: Path) -> Path:
    torch.save(state, path)
    return path


_WRITERS: dict[str, Callable[[Path], Path]] = {
    "arcface": _arcface,
    "autoavsr": _autoavsr,
    "avhubert": _avhubert,
    "conformer": _conformer,
    "i3d": _i3d,
    "inception": _inception,
    "lpips": _lpips,
    "mvm": _mvm,
    "mvm-aligned": _mvm_aligned,
    "syncnet": _syncnet,
}
