"""Builds a network for the tensors of a checkpoint: what its dimensions say is compared with what the file has.

The network is first built on torch's meta device, which has shapes and no memory. Only if names, shapes and types are
those of the tensors, and the memory is no more than such a file may need, it gets memory and the tensors' numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from tlbench.checkpoints.state_dict import compare_with, load_into
from tlbench.checkpoints.torch_archive import CONSTANT_BYTES, TIMES_THE_FILE
from tlbench.errors import TlbenchError

OneModule = TypeVar("OneModule", bound=nn.Module)

# A computed table, such as that of sinusoidal positions, needs a few of its size while it is computed.
TIMES_A_TABLE = 4
# A parameter may be set twice (weight normalisation replaces one). Up to 2,000 are planned anyway, so that the
# message can name those that the file lacks.
TIMES_THE_TENSORS, FURTHER_TENSORS = 2, 2000
# What torch and the networks raise for dimensions that make no network.
_IMPOSSIBLE = (ValueError, RuntimeError, TypeError, AssertionError, ArithmeticError, MemoryError)


class _TooManyTensorsError(Exception):
    """A network that has more tensors than the checkpoint."""


def build_network(make: Callable[[], OneModule], tensors: Mapping[str, Tensor], name: str) -> OneModule:
    """The network that ``make`` builds, in float32 on the default device, with the numbers of ``tensors``.

    Parameters
    ----------
    make : callable
        Builds the network from dimensions that a checkpoint states; called once or twice. It must use no other number
        of the checkpoint.
    tensors : mapping of str to Tensor
        The checkpoint's state dict.
    name : str
        Names the weights in messages.

    Raises
    ------
    TlbenchError
        If no network has these dimensions, if names, shapes or types of its tensors are others, or if it needs more
        than four times the memory of ``tensors`` and 256 MB.
    """
    try:
        with torch.device("meta"), _at_most(TIMES_THE_TENSORS * len(tensors) + FURTHER_TENSORS):
            planned = make()
    except _TooManyTensorsError as error:
        raise TlbenchError(
            f"weights of {name}: its sizes are those of a network with more layers than its {len(tensors):,} tensors "
            "are; import or train it again"
        ) from error
    except _IMPOSSIBLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TlbenchError(
            f"weights of {name}: no network can be built with its sizes ({reason:.120}); import or train it again"
        ) from error
    compare_with(planned, tensors, name)
    tables = _tables(planned)
    needed = sum(map(_bytes_of, [*planned.parameters(), *planned.buffers()]))
    needed += (TIMES_A_TABLE - 1) * sum(map(_bytes_of, tables))
    allowed = TIMES_THE_FILE * stored_bytes(tensors.values()) + CONSTANT_BYTES
    if needed > allowed:
        raise TlbenchError(
            f"weights of {name}: its sizes need {needed / 1e6:,.0f} MB of memory, a file of these tensors may need "
            f"{allowed / 1e6:,.0f} MB; import or train it again"
        )
    network = make() if tables else planned.to_empty(device=torch.get_default_device())
    for count in (buffer for path, buffer in network.named_buffers() if path.endswith("num_batches_tracked")):
        count.zero_()  # old checkpoints lack it
    load_into(network, tensors, name)
    return network


def stored_bytes(tensors: Iterable[Tensor]) -> int:
    """The memory that tensors have, in bytes; what several of them share counts once."""
    blocks = [tensor.untyped_storage() for tensor in tensors]
    return sum({block.data_ptr() or id(block): block.nbytes() for block in blocks}.values())  # empty and meta: 0


def _tables(network: nn.Module) -> list[Tensor]:
    """The buffers that are computed when the network is built, and are in no file."""
    stored = network.state_dict()
    return [buffer for name, buffer in network.named_buffers() if name not in stored]


def _bytes_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.itemsize


@contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Raises _TooManyTensorsError as soon as modules built in the block, by this thread, have more parameters."""
    thread, found = get_ident(), 0

    def counted(_module: nn.Module, _name: str, _parameter: nn.Parameter) -> None:
        nonlocal found
        if get_ident() == thread:
            found += 1
            if found > count:
                raise _TooManyTensorsError

    hook = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        hook.remove()
