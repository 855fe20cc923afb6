"""Packages: tlbench's own format of a checkpoint, a folder that is read fast and without running code.

``weights.safetensors`` holds the tensors under their original names. ``package.json`` states the observer, the
network's dimensions, its vocabulary, and the published file that the package was made from. ``tlbench checkpoints
import`` writes one. An observer reads the published file or its package, with the same results.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tlbench.checkpoints.dims import NetworkDims
from tlbench.errors import TlbenchError, one_line, quoted
from tlbench.files import PACKAGE_ABOUT, PACKAGED, WEIGHTS, file_sha256, open_outside, read_outside
from tlbench.litter import remove_litter, temporary_name

if TYPE_CHECKING:
    from torch import Tensor

OneDims = TypeVar("OneDims", bound=NetworkDims)

WEIGHTS_NAME = "weights.safetensors"
ABOUT_NAME = "package.json"
OWN_SOURCE = "trained by tlbench"  # in place of the name of a published file
FORM = 1  # version of package.json; raised when a field changes its meaning
LONGEST_TEXT = 255  # characters of a file's name, a hash or an observer's name
MOST_FILES = 16  # further files of a package; the observers here have one at most
MOST_HEADER_BYTES = 10 * 10**6  # of safetensors, about 100 bytes for each tensor
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # no folder, no hidden file, valid on every system


@dataclass(frozen=True)
class Package:
    """The content of a package: what an observer needs to build its network.

    Attributes
    ----------
    observer : str
        Registry name of the observer that uses it.
    tensors : mapping of str to Tensor
        By their original state-dict names, on the CPU.
    config : mapping
        JSON: dimensions and vocabulary, in the observer's own form.
    files : mapping of str to bytes
        Further files by name, such as a tokenizer's model.
    source_file, source_sha256 : str
        The published file's name, and the SHA-256 of the whole file. Results state this hash, so that a package and
        the file it was made from give the same protocol id.
    """

    observer: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    source_file: str = ""
    source_sha256: str = ""


def is_package(path: Path) -> bool:
    """Whether ``path`` is the folder of a package."""
    return (path / ABOUT_NAME).is_file()


def write_package(package: Package, folder: Path) -> None:
    """Write a package to a new folder, which appears complete or not at all.

    Tensors keep their precision. Tensors that share memory are stored separately.

    Raises
    ------
    TlbenchError
        If ``folder`` exists, a file has no plain name, or the disk is full or read-only.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    if folder.exists():
        raise TlbenchError(f"package {folder}: exists already; remove it or choose another name")
    for name in package.files:
        _check_name(name, folder)
    remove_litter(folder.parent)
    unfinished = folder.with_name(temporary_name(".tmp", folder.name))
    try:
        unfinished.mkdir(parents=True)
        save_file(_separate(package.tensors), unfinished / WEIGHTS_NAME)
        for name, content in package.files.items():
            (unfinished / name).write_bytes(content)
        about = {
            "form": FORM,
            "observer": package.observer,
            "source": {"file": package.source_file, "sha256": package.source_sha256},
            "weights_sha256": file_sha256(unfinished / WEIGHTS_NAME),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in package.files.items()},
            "config": package.config,
        }
        (unfinished / ABOUT_NAME).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", "utf-8")
        (unfinished / WEIGHTS_NAME).chmod(
            (unfinished / ABOUT_NAME).stat().st_mode
        )  # safetensors makes it unreadable for others
        unfinished.rename(folder)
    except OSError as error:
        raise TlbenchError(f"package {folder}: can't be written ({error.strerror})") from error
    except SafetensorError as error:  # a full disk is no OSError of it
        raise TlbenchError(f"package {folder}: can't be written ({one_line(str(error))})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def own_package(package: Package, view: str, trained: Mapping[str, Any], *, half: bool) -> Package:
    """Complete the package of a network that tlbench trained.

    Its weights have no published file, so ``source_sha256`` is the hash of everything that decides its numbers: names,
    types, shapes and bytes of the tensors, the configuration, and the further files.

    Parameters
    ----------
    package : Package
    view : str
        Id of the observer's view it was trained with; scoring uses this view by default.
    trained : mapping
        JSON about the training.
    half : bool
        Store float32 tensors in float16.
    """
    import torch

    tensors = {
        name: tensor.half() if half and tensor.dtype == torch.float32 else tensor
        for name, tensor in package.tensors.items()
    }
    config = {**package.config, "view": view, **({"trained": dict(trained)} if "trained" in package.config else {})}
    made = replace(package, tensors=tensors, config=config, source_file=OWN_SOURCE)
    return replace(made, source_sha256=_own_sha256(made), config={**config, "trained": dict(trained)})


def _own_sha256(package: Package) -> str:
    """The hash of everything that decides the numbers of a network that tlbench trained."""
    import torch

    digest = hashlib.sha256(json.dumps(package.config, sort_keys=True).encode())
    for name in sorted(package.tensors):
        dense = package.tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {dense.dtype} {tuple(dense.shape)}".encode())
        digest.update(dense.reshape(-1).view(torch.uint8).numpy().tobytes())
    for name in sorted(package.files):
        digest.update(name.encode() + package.files[name])
    return digest.hexdigest()


def replace_package(package: Package, folder: Path) -> None:
    """:func:`write_package`, but replaces a package that exists; a complete package is there at any time.

    Raises TlbenchError as :func:`write_package`.
    """
    if not folder.exists():
        write_package(package, folder)
        return
    new, old = (folder.with_name(temporary_name(suffix, folder.name)) for suffix in (".new", ".old"))
    write_package(package, new)
    folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors that share no memory, as safetensors needs them."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        dense = tensor.detach().contiguous()
        block = dense.untyped_storage()
        if block.data_ptr() in seen or block.nbytes() != dense.numel() * dense.element_size():
            dense = dense.clone()
        seen.add(dense.untyped_storage().data_ptr())
        separate[name] = dense
    return separate


def read_package(folder: Path) -> Package:
    """Read a package and check the SHA-256 of every file against ``package.json``.

    That of a network that tlbench trained is compared as a whole with the hash that its protocol ids have.

    Raises
    ------
    TlbenchError
        If a file is missing, damaged or changed, or the package's form is unknown to this version.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    about = _read_about(folder)
    _check_header(folder)
    _check_hash(folder, WEIGHTS_NAME, about["weights_sha256"])
    try:
        tensors = load_file(folder / WEIGHTS_NAME)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise _damaged(folder, f"{WEIGHTS_NAME} is not a safetensors file") from error
    files = {name: _read_file(folder, name, sha256) for name, sha256 in about["files"].items()}
    if sum(map(len, files.values())) > PACKAGED.most_bytes:
        raise _damaged(folder, f"its files are larger than {PACKAGED.most_bytes / 1e6:,.0f} MB together")
    source = about["source"]
    package = Package(about["observer"], tensors, about["config"], files, source["file"], source["sha256"])
    if package.source_file == OWN_SOURCE:  # nothing else proves its configuration, which decides numbers too
        _check_own(folder, package)
    return package


def _check_own(folder: Path, package: Package) -> None:
    """The hash of an observer's package leaves out how it was trained, that of a generator's has it."""
    bare = {name: value for name, value in package.config.items() if name != "trained"}
    if package.source_sha256 not in (_own_sha256(package), _own_sha256(replace(package, config=bare))):
        raise _damaged(folder, f"{ABOUT_NAME} is not the one that was written with the weights")


def _read_file(folder: Path, name: str, sha256: str) -> bytes:
    _check_name(name, folder)
    try:
        content = read_outside(folder / name, PACKAGED)
    except OSError as error:
        raise _damaged(folder, f"{name} can't be read ({error.strerror})") from error
    _compare_hash(folder, name, hashlib.sha256(content).hexdigest(), sha256)
    return content


def source_of(folder: Path) -> tuple[str, str]:
    """Name and SHA-256 of the published file that a package was made from, without reading the weights.

    Raises
    ------
    TlbenchError
        As :func:`read_package`, for ``package.json``.
    """
    source = _read_about(folder)["source"]
    return source["file"], source["sha256"]


def observer_of(folder: Path) -> str:
    """The observer or generator whose weights a package holds. Raises as :func:`source_of`."""
    observer: str = _read_about(folder)["observer"]
    return observer


def view_of(folder: Path) -> str:
    """Id of the view that a package was trained with; "" if it states none. Raises as :func:`source_of`."""
    config = _read_about(folder).get("config")
    view = config.get("view", "") if isinstance(config, dict) else ""
    if not isinstance(view, str):
        raise _damaged(folder, "its view is not a text")
    return view


def trained_of(folder: Path) -> dict[str, Any] | None:
    """How tlbench trained a package; None if it was made from a published file. Raises as :func:`source_of`."""
    trained = _read_about(folder)["config"].get("trained")
    if trained is not None and not isinstance(trained, dict):
        raise _damaged(folder, "its training info is not a JSON object")
    return trained


def words_of(folder: Path) -> list[str]:
    """The classes of a word classifier's package; empty if it states none. Raises as :func:`source_of`."""
    words = _read_about(folder)["config"].get("words", [])
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise _damaged(folder, "its words are not a list of texts")
    return words


def open_package(path: Path, read_published: Callable[[Path], Package]) -> Package:
    """Read a package, or a published file as a package.

    Parameters
    ----------
    path : Path
        The folder of a package, or a published checkpoint file.
    read_published : callable
        The observer's function that reads a published file.

    Raises
    ------
    TlbenchError
        If it can't be read.
    """
    if path.is_dir():
        return read_package(path)
    return read_published(path)


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads(read_outside(folder / ABOUT_NAME, PACKAGE_ABOUT))
    except FileNotFoundError as error:
        raise TlbenchError(
            f"package {folder}: has no {ABOUT_NAME}; give a checkpoint file, or a folder that "
            "`tlbench checkpoints import` wrote"
        ) from error
    except OSError as error:
        raise TlbenchError(f"package {folder}: {ABOUT_NAME} can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, f"{ABOUT_NAME} is not JSON") from error
    form = about.get("form") if isinstance(about, dict) else None
    if form != FORM:
        raise TlbenchError(
            f"package {folder}: has form {quoted(form)}, this version reads form {FORM}; import the published file "
            "again"
        )
    source = about.get("source")
    texts = [about.get("observer"), about.get("weights_sha256")]
    texts += [source.get("file"), source.get("sha256")] if isinstance(source, dict) else [None]
    files = about.get("files")
    sound = all(isinstance(text, str) and len(text) <= LONGEST_TEXT for text in texts)
    sound = sound and isinstance(about.get("config"), dict)
    if not sound or not isinstance(files, dict) or not all(isinstance(sha256, str) for sha256 in files.values()):
        raise _damaged(folder, f"{ABOUT_NAME} lacks fields, or has too long ones")
    if len(files) > MOST_FILES:
        raise _damaged(folder, f"{ABOUT_NAME} lists {len(files):,} files")
    return dict(about)


def _check_header(folder: Path) -> None:
    """Raises TlbenchError if the header of the weights is too large, or has a name twice.

    The library reads the header whole, as JSON, and takes one of two entries.
    """
    try:
        with open_outside(folder / WEIGHTS_NAME, WEIGHTS) as file:
            stated = int.from_bytes(file.read(8), "little")
            header = file.read(min(stated, MOST_HEADER_BYTES))
        if stated > MOST_HEADER_BYTES:
            raise _damaged(folder, f"{WEIGHTS_NAME} is not a safetensors file, or has a header of {stated:.2g} bytes")
        json.loads(header, object_pairs_hook=_without_twins)
    except OSError as error:
        raise _damaged(folder, f"{WEIGHTS_NAME} can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, f"{WEIGHTS_NAME} is not a safetensors file") from error


def _without_twins(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name that is there more than once")


def _check_name(name: str, folder: Path) -> None:
    if not _FILE_NAME.fullmatch(name) or name in (WEIGHTS_NAME, ABOUT_NAME):
        raise TlbenchError(f"package {folder}: {quoted(name)} is not a plain file name")


def _check_hash(folder: Path, name: str, sha256: str) -> None:
    try:
        found = file_sha256(folder / name)
    except OSError as error:
        raise _damaged(folder, f"{name} can't be read ({error.strerror})") from error
    _compare_hash(folder, name, found, sha256)


def _compare_hash(folder: Path, name: str, found: str, sha256: str) -> None:
    if found != sha256:
        raise _damaged(folder, f"{name} has SHA-256 {found[:12]} instead of {sha256[:12]}")


def _damaged(folder: Path, what: str) -> TlbenchError:
    return TlbenchError(f"package {folder}: damaged, {what}; import or train it again")


def check_observer(package: Package, observer: str, path: Path) -> None:
    """Check that a package is an observer's own. Raises TlbenchError, naming ``path``, if it is not."""
    if package.observer != observer:
        raise TlbenchError(f"package {path}: is of observer {quoted(package.observer)}, not {quoted(observer)}")


def read_dims(kind: type[OneDims], data: Any, path: Path) -> OneDims:
    """The dimensions that a package states. Raises TlbenchError, naming ``path``, if they can't be used."""
    try:
        return kind.from_json(data)
    except (TypeError, ValueError) as error:
        raise TlbenchError(f"package {path}: its sizes can't be read ({error}); import or train it again") from error
