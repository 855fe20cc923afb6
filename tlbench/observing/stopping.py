"""A request to stop soon: what is being observed is finished and kept, and nothing more is started.

A batch system warns a job before its time is over (Slurm by ``--signal``). The command line asks for the stop at
SIGUSR1; engines then hand out no more work, and :class:`StoppedError` ends the run.
"""

from __future__ import annotations

import threading

from tlbench.errors import TlbenchError

EXIT_CODE = 75  # of a run that was asked to stop; EX_TEMPFAIL of sysexits.h: try again later
STOP = threading.Event()  # set: the runs of this process are to stop at the next safe place


class StoppedError(TlbenchError):
    """The run was asked to stop and has stopped; the same command goes on from there."""

    def __init__(self) -> None:
        super().__init__("stopped as asked; run the same command again to go on where it stopped")


def stop_if_asked() -> None:
    """Between two pieces of work. Raises StoppedError if the run is to stop."""
    if STOP.is_set():
        raise StoppedError
