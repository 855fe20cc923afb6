"""Checkpoints of generators and discriminators: published files, and those that are trained here.

TalkLip's and Wav2Lip's files are what their ``train.py`` saves: a state dict under ``state_dict``, beside the state of
the optimizer and the step; Wav2Lip's names begin with ``module.``. They state no sizes, so they are of the published
ones. Ours are written in the same form, readable by the original code at the published size, with one more entry,
``tlbench``, which states the sizes and how it was trained; or as a package, half as large and fast to read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.package import Package, open_package
from tlbench.checkpoints.state_dict import load_into, open_checkpoint, published, read_state
from tlbench.checkpoints.weights import locate
from tlbench.errors import TlbenchError
from tlbench.files import atomic_path
from tlbench.observing.registry import observer_class
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.generator import PUBLISHED, GeneratorDims, TalkLip
from tlbench.training.expert import AudioEncoder, without_prefix

GENERATOR, DISCRIMINATOR = "talklip", "talklip-discriminator"  # what a package says it is of
GENERATORS = ("talklip-g", "wav2lip")  # how generators' cards are called
STATES = "tlbench"  # our entry in a file of the original's form
PARALLEL = "module."  # torch.nn.DataParallel puts it before every name
EAR = "avhubert"  # whose transformer a published TalkLip hears by
AUDIO = "audio_encoder."
CONTRAST = "sync_net."


def load_generator(path: Path) -> TalkLip:
    """A generator ready to speak, in float32: from a published file, one of ours, or a package.

    Raises
    ------
    TlbenchError
        In one line, if the file can't be read, is damaged or of another model.
    """
    return generator_of(open_generator(path), path).eval().requires_grad_(False)


def find_generator(given: Path, option: str = "checkpoint") -> Path:
    """Where a generator lies: the checkpoint of that name, or else a file or package; ``option`` is for the errors.

    Raises
    ------
    TlbenchError
        If there is neither, or that checkpoint is not here.
    """
    return locate(given, [card for card in known_cards() if card.name.startswith(GENERATORS)], option)


def open_generator(path: Path) -> Package:
    """The package of a generator, read or made on the spot. Raises as :func:`load_generator`."""
    return open_package(path, _read_generator)


def read_published(path: Path) -> Package:
    """As :func:`open_generator`, of a file, with its name and hash. Raises as :func:`load_generator`."""
    return published(_read_generator(path), path)


def generator_of(package: Package, path: Path) -> TalkLip:
    """The network of a package; what learns of it is what was trained, an audio encoder's blocks are frozen.

    Raises TlbenchError, naming ``path``, if the package does not fit.
    """
    _check_kind(package, GENERATOR, path)
    try:
        dims = GeneratorDims.from_json(package.config["generator"])
        audio = package.config.get("audio") or {}
        ear, sizes = str(audio.get("observer", EAR)), audio.get("sizes")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TlbenchError(f"weights {path}: its configuration is not a generator's ({error})") from error
    whose = f"{GENERATOR}, {path}"
    if dims.audio == "local":
        generator = TalkLip(dims)
    else:
        encoder = observer_class(ear).audio_encoder(without_prefix(package.tensors, AUDIO), sizes, whose)
        if encoder.width != dims.audio_width:
            raise TlbenchError(
                f"weights {path}: its audio encoder is {encoder.width} wide, its configuration says {dims.audio_width}"
            )
        generator = TalkLip(dims, encoder)
    load_into(generator, package.tensors, whose)
    return generator


def generator_to_train_on(
    package: Package, path: Path, audio: Literal["global", "local"], contrast_width: int
) -> TalkLip:
    """A generator that has learned something and is to learn more, with the sizes it has.

    Parameters
    ----------
    package : Package
    path : Path
        Where that was read from.
    audio : "global" or "local"
        How it has to hear.
    contrast_width : int
        Width of the lip reader's features if there is contrastive learning, else 0. A layer of another width than the
        file's, or that the file does not have, begins untrained.

    Raises
    ------
    TlbenchError
        If the package does not fit; if it hears in the other way.
    """
    learned = generator_of(package, path)
    if learned.dims.audio != audio:
        raise TlbenchError(
            f"weights {path}: this generator has a {learned.dims.audio} audio encoder, the variant a {audio} one "
            "(--begin-from)"
        )
    if contrast_width in (0, learned.dims.contrast_width):
        return learned
    encoder = learned.audio_encoder if isinstance(learned.audio_encoder, AudioEncoder) else None
    generator = TalkLip(replace(learned.dims, contrast_width=contrast_width), encoder)
    kept = {name: tensor for name, tensor in learned.state_dict().items() if not name.startswith(CONTRAST)}
    generator.load_state_dict({**generator.state_dict(), **kept})
    return generator


def load_discriminator(path: Path) -> Discriminator:
    """A discriminator, to be trained on: from a published file, one of ours, or a package.

    Raises TlbenchError as :func:`load_generator`.
    """
    package = open_package(path, _read_discriminator)
    _check_kind(package, DISCRIMINATOR, path)
    try:
        discriminator = Discriminator(**package.config["discriminator"])
    except (KeyError, TypeError, ValueError) as error:
        raise TlbenchError(f"weights {path}: its configuration is not a discriminator's ({error})") from error
    load_into(discriminator, package.tensors, f"{DISCRIMINATOR}, {path}")
    return discriminator


def package_of(network: TalkLip | Discriminator, trained: Mapping[str, Any]) -> Package:
    """A package of a network, its tensors copied to the CPU; ``trained`` is JSON, kept with it."""
    return Package(
        GENERATOR if isinstance(network, TalkLip) else DISCRIMINATOR,
        {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()},
        {**_sizes(network), "trained": dict(trained)},
    )


def write_official(
    network: TalkLip | Discriminator, path: Path, step: int, epoch: int, trained: Mapping[str, Any]
) -> None:
    """Write a network as the original's ``save_checkpoint`` does, and our entry beside; whole or not at all.

    The optimizer's state is None, which the original's ``load_checkpoint`` passes over.

    Raises
    ------
    TlbenchError
        If the disk refuses; a file that was there stays as it was.
    """
    content = {
        "state_dict": network.state_dict(),
        "optimizer": None,
        "global_step": step,
        "global_epoch": epoch,
        STATES: json.dumps({**_sizes(network), "trained": dict(trained)}),
    }
    try:
        with atomic_path(path) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise TlbenchError(f"checkpoint {path}: can't be written ({str(error).splitlines()[0]})") from error


def _sizes(network: TalkLip | Discriminator) -> dict[str, Any]:
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
        raise TlbenchError(f"weights {path}: is a discriminator, which judges faces; a generator is wanted here")
    if "face_decoder_blocks.0.0.conv_block.0.weight" not in tensors:
        raise _other_model(path, "generator", tensors)
    return Package(GENERATOR, tensors, config or {"generator": _published_dims(tensors, path).to_json()})


def _read_discriminator(path: Path) -> Package:
    tensors, config = _read(path)
    if "face_decoder_blocks.0.0.conv_block.0.weight" in tensors:
        raise TlbenchError(f"weights {path}: is a generator, which makes faces; a discriminator is wanted here")
    if "binary_pred.0.weight" not in tensors:
        raise _other_model(path, "discriminator", tensors)
    return Package(DISCRIMINATOR, tensors, config or {"discriminator": {}})


def _other_model(path: Path, wanted: str, tensors: Mapping[str, Tensor]) -> TlbenchError:
    first = next(iter(tensors))[:80]
    return TlbenchError(
        f"weights {path}: is another model's file, not a {wanted} of TalkLip or Wav2Lip (its first tensor is {first!r})"
    )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Tensors by their names without ``module.``, and what our own files state; None in others'."""
    archive = open_checkpoint(path)
    tree = archive.tree
    wrapped = tree.get("state_dict", tree) if isinstance(tree, dict) else None
    if not isinstance(wrapped, dict):
        raise TlbenchError(f"weights {path}: holds no state dict; this is another model's file")
    tensors = {name.removeprefix(PARALLEL): tensor for name, tensor in read_state(archive, wrapped, path).items()}
    return tensors, _stated(tree.get(STATES), path)


def _stated(text: object, path: Path) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        config = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise TlbenchError(f"weights {path}: damaged, its entry {STATES!r} is no JSON object")
    return config


def _published_dims(tensors: Mapping[str, Tensor], path: Path) -> GeneratorDims:
    """Of a file that states none: Wav2Lip's, TalkLip's, or a local TalkLip's."""
    contrast = tensors.get("sync_net.Linearaudio.weight")
    seen = 0 if contrast is None or contrast.ndim != 2 else len(contrast)
    try:
        if "audio_map.weight" not in tensors:
            return replace(PUBLISHED, contrast_width=seen)
        return replace(
            PUBLISHED, audio="global", audio_width=int(tensors["audio_map.weight"].shape[1]), contrast_width=seen
        )
    except (IndexError, ValueError) as error:
        raise TlbenchError(f"weights {path}: another model's file, or changed ({error})") from error


def _check_kind(package: Package, wanted: str, path: Path) -> None:
    if package.observer != wanted:
        raise TlbenchError(f"package {path}: is of {package.observer!r}, not of {wanted!r}")
