"""Hostile files from a seed, read in this process: a value or one line, no code, no memory beyond what is allowed."""

from __future__ import annotations

import random
import shutil
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.trouble.hostile_archives import HOSTILE as ARCHIVES
from tests.trouble.hostile_archives import TRACE
from tests.trouble.hostile_packages import HOSTILE as PACKAGES
from tlbench.checkpoints.catalogue import find_card
from tlbench.checkpoints.package import read_package
from tlbench.checkpoints.pickle_limits import PROCESSOR_SECONDS
from tlbench.checkpoints.state_dict import open_checkpoint, read_state, read_tree
from tlbench.errors import TlbenchError
from tlbench.observers.avhubert.checkpoint import read_published
from tlbench.observers.syncnet.checkpoint import FORMAT

WHOLE = {"layer.weight": torch.ones(40, 30), "layer.bias": torch.zeros(40)}
SEEDS = 3


def one_line_at_most(read: Callable[[], object], size: int) -> None:
    """Runs ``read``, which may end in a TlbenchError of one line, within the time and memory that are allowed."""
    started = time.thread_time()
    tracemalloc.start()
    try:
        read()
    except TlbenchError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert len(str(error)) < 700  # noqa: PT017
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * size + 256 * 10**6
    assert time.thread_time() - started < PROCESSOR_SECONDS


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_hostile_archive_is_read_or_refused(
    kind: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.pt"
    ARCHIVES[kind](path, WHOLE, random.Random(f"{kind}/{seed}"))

    def read() -> None:
        archive = open_checkpoint(path)
        if isinstance(archive.tree, dict) and "model" not in archive.tree:
            read_state(archive, archive.tree.get("state_dict", archive.tree), path)

    one_line_at_most(read, path.stat().st_size)
    one_line_at_most(lambda: read_published(path), path.stat().st_size)
    assert not Path(TRACE).exists()


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", PACKAGES)
def test_a_hostile_package_is_read_or_refused(kind: str, seed: int, tmp_path: Path) -> None:
    bundled = find_card("syncnet-synthetic").package
    assert bundled is not None
    package = tmp_path / "package"
    shutil.copytree(bundled, package)
    PACKAGES[kind](package, random.Random(f"{kind}/{seed}"))
    size = sum(path.stat().st_size for path in package.iterdir())
    one_line_at_most(lambda: FORMAT.network_of(read_package(package), package), size)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", ["two of a name", "code"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_readers_disagree_on_and_what_is_code_is_refused(kind: str, seed: int, tmp_path: Path) -> None:
    path = tmp_path / "hostile.pt"
    ARCHIVES[kind](path, WHOLE, random.Random(seed))
    with pytest.raises(TlbenchError, match=r"run code|not a checkpoint"):
        read_tree(open_checkpoint(path), path)
