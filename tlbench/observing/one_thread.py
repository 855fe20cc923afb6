"""Runs of a network that each compute on one thread, several at a time.

The last digits of a convolution depend on how many threads share it. Features of sets must be the same for any number
of workers, so each run of their network has a fixed number of pictures and one thread; the process's threads take runs
in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

import torch

Given = TypeVar("Given")
Found = TypeVar("Found")


def each_on_one_thread(function: Callable[[Given], Found], items: Sequence[Given]) -> list[Found]:
    """``function`` of each item, in order, on as many threads as torch may use. Errors of the function come through."""
    return list(_pool(torch.get_num_threads()).map(function, items))


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    """The pool of this process. In each of its threads torch computes on that thread alone."""
    return ThreadPoolExecutor(count, "one-thread", initializer=partial(torch.set_num_threads, 1))
