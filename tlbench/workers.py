"""Worker processes end with the process that started them, even if that one was killed and could not tell them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


def end_with_parent() -> None:
    """Called first in a worker process: a thread waits for the end of its parent, and then ends this process.

    Without it the workers of a killed run would wait for work for ever, or go on writing into a folder that the next
    run has taken over. Does nothing in a process that is no worker.
    """
    import multiprocessing  # a start of tlbench does not wait for it

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.join,), name="parent", daemon=True).start()


def _end_after(wait: Callable[[], None]) -> None:
    wait()
    os._exit(1)
