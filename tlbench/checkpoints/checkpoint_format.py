"""How the network of an observer is read, from its published file or from a package of it.

For observers whose network follows from its dimensions alone. One that needs a vocabulary too reads it with the network
(``observers/mvm/checkpoint.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from tlbench.checkpoints.build_network import OneModule, build_network
from tlbench.checkpoints.package import OneDims, Package, check_observer, open_package, read_dims
from tlbench.checkpoints.state_dict import published


@dataclass(frozen=True)
class CheckpointFormat(Generic[OneDims, OneModule]):
    """What an observer's files are.

    Attributes
    ----------
    observer : str
        Its registry name.
    dims : type of NetworkDims
        The dimensions of its network. A file or package that states none has their defaults.
    build : callable
        Builds the network of some dimensions.
    read_file : callable
        Reads the published file as a package, without the file's name and hash. Raises TlbenchError if it is damaged.
    """

    observer: str
    dims: type[OneDims]
    build: Callable[[OneDims], OneModule]
    read_file: Callable[[Path], Package]

    def read_published(self, path: Path) -> Package:
        """Read the published file as a package.

        Raises TlbenchError if it is damaged, would run code, or is another model's.
        """
        package = self.read_file(path)
        self.network_of(package, path)
        return published(package, path)

    def load(self, path: Path) -> OneModule:
        """The network of the published file or of a package, ready for inference.

        Raises TlbenchError if the file does not fit.
        """
        return self.network_of(open_package(path, self.read_file), path).eval().requires_grad_(False)

    def network_of(self, package: Package, path: Path) -> OneModule:
        """The network of a package. Raises TlbenchError, naming ``path``, if it does not fit."""
        check_observer(package, self.observer, path)
        dims = read_dims(self.dims, package.config.get("dims", {}), path)
        return build_network(lambda: self.build(dims), package.tensors, f"{self.observer}, {path}")
