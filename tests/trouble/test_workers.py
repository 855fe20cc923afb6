"""Workers of a run that was killed end too, though nobody tells them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STARTS = """
import os, time
from tlbench.worker_processes import worker_processes

if __name__ == "__main__":
    with worker_processes(2, if_killed="a worker was killed; try again") as pool:
        print(pool.submit(os.getpgid, 0).result(), flush=True)
        for future in [pool.submit(time.sleep, 60), pool.submit(time.sleep, 60)]:
            future.result()
"""


def processes_of(group: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(STARTS)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, start_new_session=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == str(child.pid)
        assert len(processes_of(child.pid)) >= 3
        os.kill(child.pid, signal.SIGKILL)  # the parent alone
        child.wait(timeout=60)
        deadline = time.monotonic() + 30
        while processes_of(child.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes_of(child.pid) == []
