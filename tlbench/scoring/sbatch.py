"""A job script for Slurm that scores a run in shards, one task of an array each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from tlbench.observing.stopping import EXIT_CODE
from tlbench.scoring.provenance import without_option
from tlbench.scoring.shard import Shard

WARNING_SECONDS = 120  # before the end of a task's time


def sbatch_script(words: Sequence[str], shards: int, out: Path) -> str:
    """The script for ``sbatch``.

    Parameters
    ----------
    words : sequence of str
        The command line of ``tlbench score``, after ``tlbench``. A shard in it is replaced.
    shards : int
        How many tasks there are.
    out : Path
        The folder of results.

    Raises
    ------
    TlbenchError
        If there can't be so many shards.
    """
    count = Shard(1, shards).count
    given = without_option(without_option(words, "--print-sbatch"), "--shard")
    command = shlex.join(["tlbench", *given])
    place = shlex.quote(str(out))
    # sbatch(1): the signal comes to the shell (B:), which passes it on; a requeued task has SLURM_RESTART_COUNT.
    return f"""#!/bin/bash
# Before: tlbench checkpoints fetch NAME, once and not in the array, into a folder that all nodes see.
# Set account, partition, memory, time and GPUs (#SBATCH --gpus=1) for your cluster.
#SBATCH --job-name=tlbench
#SBATCH --array=1-{count}
#SBATCH --cpus-per-task=2
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@{WARNING_SECONDS}
# After: tlbench merge {place}
# What is missing: tlbench merge --missing {place}; tasks again, such as 3 and 7: sbatch --array=3,7 SCRIPT

again=()
if [ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ]; then
  again=(--take-over)  # Slurm starts a task again when the one before is gone
fi
trap 'kill -USR1 "$!" 2>/dev/null && passed_on=1' USR1
trap 'kill -TERM "$!" 2>/dev/null && passed_on=1' TERM
{command} --shard "${{SLURM_ARRAY_TASK_ID}}/{count}" "${{again[@]}}" &
passed_on=1
while [ -n "$passed_on" ]; do  # a signal ends the wait, and not the run
  passed_on=
  wait "$!"
  status=$?
done
if [ "$status" -eq {EXIT_CODE} ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$status"
"""
