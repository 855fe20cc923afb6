"""Checkpoints of generators: published files, and those trained here, with their discriminators.

TalkLip's and Wav2Lip's files are written by their ``train.py``: a state dict under ``state_dict``, with the state of
the optimizer and the step; the names in Wav2Lip's begin with ``module.``. They state no sizes and have the published
ones. Files written here have the same format, so that the original code reads them at the published size, and one more
entry, ``tlbench``, with the sizes and how the network was trained. Packages are the other format: half as large, and
faster to read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.package import Package, open_package
from tlbench.checkpoints.state_dict import open_checkpoint, published, read_state, renamed
from tlbench.checkpoints.weights import locate
from tlbench.errors import TlbenchError, quoted
from tlbench.files import atomic_path
from tlbench.observing.registry import capability
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import PUBLISHED, FacePainter, GeneratorDims, TalkLip
from tlbench.training.expert import AudioEncoder, without_prefix

GENERATOR, WAV2LIP = "talklip", "wav2lip"  # `observer` of a package; the same network, if its audio encoder is local
NAMES = (GENERATOR, WAV2LIP)
GENERATORS = ("talklip-g", "wav2lip", "faceformer")  # prefixes of the names of generators' cards
ENTRY = "tlbench"  # added to files of the original's format
PARALLEL = "module."  # prefix that torch.nn.DataParallel gives every name
PUBLISHED_ENCODER = "avhubert"  # observer of the global audio encoder of published files
AUDIO = "audio_encoder."
CONTRAST = "sync_net."


def load_generator(path: Path) -> TalkLip:
    """Load a generator for inference, in float32: from a published file, one written here, or a package.

    Raises
    ------
    TlbenchError
        If the file can't be read, is damaged or of another model.
    """
    return generator_of(open_generator(path), path).eval().requires_grad_(False)


def find_generator(given: Path, option: str = "checkpoint") -> Path:
    """The path of a generator, given as the name of a checkpoint, or as a file or package.

    Raises
    ------
    TlbenchError
        If there is none, or the checkpoint is not downloaded. The message names ``option``.
    """
    return locate(given, [card for card in known_cards() if card.name.startswith(GENERATORS)], option)


def open_generator(path: Path) -> Package:
    """A generator as a package, converted if the file is none. Raises as :func:`load_generator`."""
    return open_package(path, _read_generator)


def read_published(path: Path) -> Package:
    """As :func:`open_generator` of a file, with the file's name and hash. Raises as :func:`load_generator`."""
    return published(_read_generator(path), path)


def generator_of(package: Package, path: Path) -> TalkLip:
    """Build the network of a package; the parameters of a global audio encoder are frozen.

    Raises TlbenchError, naming ``path``, if the package is of another model or its sizes do not fit.
    """
    dims, encoder = stated_parts(package, path)
    return build_network(lambda: TalkLip(dims, encoder), package.tensors, f"{GENERATOR}, {path}")


def stated_parts(
    package: Package, path: Path, names: tuple[str, ...] = NAMES
) -> tuple[GeneratorDims, AudioEncoder | None]:
    """The sizes that a package states, and its global audio encoder if it has one. Raises as :func:`generator_of`."""
    dims = stated_dims(package, path, names)
    audio = package.config.get("audio", {})
    if not isinstance(audio, dict):
        raise TlbenchError(f"weights {path}: its configuration is not a generator's (audio is no JSON object)")
    observer, sizes = audio.get("observer", PUBLISHED_ENCODER), audio.get("sizes")
    if dims.audio == "local":
        return dims, None
    name = f"{package.observer}, {path}"
    encoder = _audio_encoder(observer, without_prefix(package.tensors, AUDIO), sizes, name)
    if encoder.width != dims.audio_width:
        raise TlbenchError(
            f"weights {path}: its audio encoder has features of size {encoder.width}, its configuration "
            f"says {dims.audio_width}"
        )
    return dims, encoder


def stated_dims(package: Package, path: Path, names: tuple[str, ...] = NAMES) -> GeneratorDims:
    """The sizes that a package states.

    Raises TlbenchError, naming ``path``, if it has none that can be used, or is of none of the generators ``names``.
    """
    if package.observer not in names:
        raise TlbenchError(f"package {path}: holds {quoted(package.observer)}, not {' or '.join(map(quoted, names))}")
    try:
        return GeneratorDims.from_json(package.config["generator"])
    except (KeyError, TypeError, ValueError) as error:
        raise TlbenchError(f"weights {path}: its configuration is not a generator's ({error})") from error


def _audio_encoder(observer: object, tensors: Mapping[str, Tensor], sizes: object, name: str) -> AudioEncoder:
    if not isinstance(observer, str) or not (sizes is None or isinstance(sizes, dict)):
        raise TlbenchError(f"weights of {name}: its audio encoder has no observer's name, or no JSON object of sizes")
    encoder: AudioEncoder = capability(observer, "audio_encoder")(tensors, sizes, name)
    return encoder


def generator_to_finetune(
    package: Package, path: Path, audio: Literal["global", "local"], contrast_width: int
) -> TalkLip:
    """Build a trained generator that is trained further, with the sizes it has.

    Parameters
    ----------
    package : Package
    path : Path
        Of the package, for messages.
    audio : "global" or "local"
        The kind of audio encoder that it must have.
    contrast_width : int
        Size of the expert's video features if the contrastive loss is used, else 0. A contrastive layer of another size
        than the package's, or that the package does not have, is initialised randomly.

    Raises
    ------
    TlbenchError
        If the package does not fit, or its audio encoder is of the other kind.
    """
    trained = generator_of(package, path)
    if trained.dims.audio != audio:
        raise TlbenchError(
            f"weights {path}: this generator has a {trained.dims.audio} audio encoder, the variant needs a {audio} one "
            "(--init-from)"
        )
    if contrast_width in (0, trained.dims.contrast_width):
        return trained
    encoder = trained.audio_encoder if isinstance(trained.audio_encoder, AudioEncoder) else None
    generator = TalkLip(replace(trained.dims, contrast_width=contrast_width), encoder)
    kept = {name: tensor for name, tensor in trained.state_dict().items() if not name.startswith(CONTRAST)}
    generator.load_state_dict({**generator.state_dict(), **kept})
    return generator


def open_discriminator(path: Path) -> Discriminator:
    """Load a discriminator to train it further: Wav2Lip's ``visual_quality_disc.pth``, or one written here.

    Raises
    ------
    TlbenchError
        If the file can't be read, is damaged or of another model.
    """
    tensors, config = _read(path)
    if "binary_pred.0.weight" not in tensors:
        raise TlbenchError(
            f"weights {path}: is not a discriminator (its first tensor is {quoted(next(iter(tensors), ''))}); give "
            "visual_quality_disc.pth, or OUT/discriminator.pth of a training (--init-discriminator)"
        )
    stated = (config or {}).get("discriminator", {})
    try:
        sizes = {"width": float(stated.get("width", 1.0)), "deepest": int(stated.get("deepest", 512))}
    except (AttributeError, TypeError, ValueError) as error:
        raise TlbenchError(f"weights {path}: its entry {quoted(ENTRY)} has no sizes of a discriminator") from error
    name = f"discriminator, {path}"
    return build_network(lambda: Discriminator(sizes["width"], int(sizes["deepest"])), tensors, name)


def package_of(generator: FacePainter, trained: Mapping[str, Any], name: str = GENERATOR) -> Package:
    """A generator as a package, with its tensors copied to the CPU; ``trained`` is JSON for the configuration."""
    tensors = {key: tensor.detach().cpu().clone() for key, tensor in generator.state_dict().items()}
    return Package(name, tensors, {**_sizes(generator), "trained": dict(trained)})


def write_official(
    network: TalkLip | Discriminator, path: Path, step: int, epoch: int, trained: Mapping[str, Any]
) -> None:
    """Write a network as the original's ``save_checkpoint`` does, with the entry ``tlbench``, atomically.

    The optimizer's state is None, which the original's ``load_checkpoint`` skips.

    Raises
    ------
    TlbenchError
        If the file can't be written; an older one is then kept.
    """
    content = {
        "state_dict": network.state_dict(),
        "optimizer": None,
        "global_step": step,
        "global_epoch": epoch,
        ENTRY: json.dumps({**_sizes(network), "trained": dict(trained)}),
    }
    try:
        with atomic_path(path) as temporary, open(temporary, "xb") as file:
            torch.save(content, file)  # into a path it would also write the name of the temporary file
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = str(error).splitlines()[0]
        raise TlbenchError(f"checkpoint {path}: can't be written ({reason}); free some space") from error


def _sizes(network: FacePainter | Discriminator) -> dict[str, Any]:
    if isinstance(network, Discriminator):
        return {"discriminator": {"width": network.width, "deepest": network.deepest}}
    encoder = network.audio_encoder
    stated: dict[str, Any] = {"generator": network.dims.to_json()}
    if isinstance(encoder, AudioEncoder):
        stated["audio"] = {"observer": encoder.observer, "sizes": encoder.sizes()}
    return stated


def _read_generator(path: Path) -> Package:
    tensors, config = _read(path)
    if "binary_pred.0.weight" in tensors:
        raise TlbenchError(f"weights {path}: is a discriminator; give a generator")
    if "face_encoder.0.conv_block.0.weight" in tensors:
        raise TlbenchError(f"weights {path}: is a sync expert; give a generator")
    if "face_decoder_blocks.0.0.conv_block.0.weight" not in tensors:
        raise TlbenchError(
            f"weights {path}: is another model's file, not a generator of TalkLip or Wav2Lip (its first tensor is "
            f"{quoted(next(iter(tensors)))})"
        )
    return Package(GENERATOR, tensors, config or {"generator": _published_dims(tensors, path).to_json()})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Tensors by their names without ``module.``, and the entry ``tlbench``; None for published files."""
    archive = open_checkpoint(path)
    tree = archive.tree
    wrapped = tree.get("state_dict", tree) if isinstance(tree, dict) else None
    if not isinstance(wrapped, dict):
        raise TlbenchError(f"weights {path}: has no state dict; this is another model's file")
    tensors = renamed(read_state(archive, wrapped, path), lambda name: name.removeprefix(PARALLEL), path)
    return tensors, _stated(tree.get(ENTRY), path)


def _stated(text: object, path: Path) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        config = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise TlbenchError(f"weights {path}: damaged, its entry {quoted(ENTRY)} is not a JSON object")
    return config


def _published_dims(tensors: Mapping[str, Tensor], path: Path) -> GeneratorDims:
    """Sizes for a file that states none: Wav2Lip's, TalkLip's, or a local TalkLip's."""
    contrast = tensors.get("sync_net.Linearaudio.weight")
    contrast_width = 0 if contrast is None or contrast.ndim != 2 else len(contrast)
    try:
        if "audio_map.weight" not in tensors:
            return replace(PUBLISHED, contrast_width=contrast_width)
        return replace(
            PUBLISHED,
            audio="global",
            audio_width=int(tensors["audio_map.weight"].shape[1]),
            contrast_width=contrast_width,
        )
    except (IndexError, ValueError) as error:
        raise TlbenchError(f"weights {path}: another model's file, or changed ({error})") from error
