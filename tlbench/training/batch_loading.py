"""Batches prepared ahead of the steps, in processes that leave signals to the one that trains."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from torch.utils.data import DataLoader, Dataset, Sampler

from tlbench.errors import TlbenchError
from tlbench.training.devices import on_cuda

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Batch = TypeVar("Batch")


def load_batches(dataset: Dataset[Batch], numbers: Iterable[int], num_workers: int, fabric: Fabric) -> Iterator[Batch]:
    """The batches of these numbers, in their order.

    Parameters
    ----------
    dataset : Dataset
        Batch ``n`` is ``dataset[n]``.
    numbers : iterable of int
        May be without end.
    num_workers : int
        Processes that prepare batches; 0 for none but this one.
    fabric : Fabric

    Raises
    ------
    TlbenchError
        If one of these processes was killed.
    """
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=_Numbers(numbers),
        num_workers=num_workers,
        pin_memory=on_cuda(fabric),
        worker_init_fn=_leave_signals,
    )
    # Now, not at the first batch: it draws a random number, and the seed of the first step is set in between.
    return _told(iter(loader))


def _told(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches; the end of a process that prepares them is an error of one line."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):  # so torch begins, without a class of its own
                raise
            raise TlbenchError(
                "a process that prepares batches was killed (out of memory?); run the same command again to go on, "
                "with fewer --num-workers"
            ) from error
        yield batch


def _leave_signals(worker: int) -> None:
    """Runs first in each process: a signal to the whole group must not take away the batches of the last step."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class _Numbers(Sampler[int]):
    """The numbers of the batches."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = numbers

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)
