"""The nodes of a Ray cluster: reaching them, and looking at each before hours are spent.

Every node must have this version of tlbench, and see the same files under the same paths: videos, weights, and a cache
that it can write. The cache may be the node's own, but then what it has observed is found there alone.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlbench.datasets.clip import Clip
from tlbench.document import counted
from tlbench.errors import TlbenchError, quoted
from tlbench.files import file_sha256, file_size
from tlbench.litter import temporary_name
from tlbench.observing.device import LAST_DIGITS, package_versions
from tlbench.observing.plan import Plan
from tlbench.observing.ray_options import RayOptions
from tlbench.version import VERSION

ADDRESS = "RAY_ADDRESS"  # the environment variable that Ray reads too
CONNECT_SECONDS = 5.0
DECODERS_A_WORKER = 6  # cores that feed a GPU where faces are searched, docs/scale.md
LOOK_SECONDS = 300.0  # for each node to look at 25,000 clips on a slow file server
WAY_OUT = "see docs/clusters.md"
# Read when Ray is imported.
RAY_VARIABLES = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will do; without it, it warns
    # Else it prints to stdout, among results, that a node died or a task is tried again.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
    # Else its library ends this process, with code 1 and no word of ours, a minute after the cluster's head died.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "3600",
}


@dataclass(frozen=True)
class NodeReport:
    """What one node says of itself.

    Attributes
    ----------
    different : str or None
        The first file that is not as on the head node, with what is different.
    unwritable : str or None
        Why the cache can't be written.
    shared : bool
        Whether the cache is that of the head node.
    packages : mapping of str to str or None
        Versions, see :func:`tlbench.observing.device.package_versions`.
    """

    different: str | None
    unwritable: str | None
    shared: bool
    packages: Mapping[str, str | None]


@dataclass(frozen=True)
class CheckedNodes:
    """What was compared before the first clip, for nodes that join later.

    Attributes
    ----------
    ids : frozenset of str
        Ray's ids of the nodes that were looked at.
    version : str
        Of tlbench on the head.
    files : list of (path, size, SHA-256)
        See :func:`files_of`.
    cache : Path
    """

    ids: frozenset[str]
    version: str
    files: Sequence[tuple[str, int | None, str | None]]
    cache: Path

    def problem_here(self, node: str) -> str | None:
        """On a node: why it can't take part, None if it can. Nothing is done for a node that was looked at."""
        if node in self.ids:
            return None
        if self.version != VERSION:
            return f"has tlbench {VERSION}, the head {self.version}"
        report = look_at_node(self.files, self.cache, self.cache)
        if report.unwritable is not None:
            return f"can't write the cache {self.cache} ({report.unwritable})"
        return report.different


def import_ray() -> Any:
    """Ray's package. Raises TlbenchError if it is not installed."""
    for variable, value in RAY_VARIABLES.items():
        os.environ.setdefault(variable, value)
    try:
        import ray
    except ImportError as error:
        raise TlbenchError("engine 'ray' needs Ray; install it with: pip install 'tlbench[ray]'") from error
    return ray


def connect(options: RayOptions) -> Any:
    """Ray's package, connected to the cluster; one is started on this machine if no address is given.

    Raises
    ------
    TlbenchError
        If Ray is not installed, or the cluster can't be reached.
    """
    ray = import_ray()
    if ray.is_initialized():
        return ray
    address = options.address or os.environ.get(ADDRESS)
    if address:
        _check_reachable(address, "--ray-address" if options.address else f"${ADDRESS}")
    try:
        with _own_signals(), _without_lines_on_stderr():
            ray.init(address=address or "local", log_to_driver=False, logging_level="error")
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        why = " ".join(str(error).split())
        if address is None:
            raise TlbenchError(f"Ray can't start on this machine ({why:.300}); {WAY_OUT}") from error
        raise TlbenchError(
            f"the Ray cluster at {address} answers, and Ray can't connect to it ({why:.300}); all machines need the "
            "same version of Ray and of Python, and a cluster with a token needs RAY_AUTH_MODE=token and the same "
            f"~/.ray/auth_token; {WAY_OUT}"
        ) from error
    return ray


@contextmanager
def _own_signals() -> Iterator[None]:
    """After the block SIGTERM does what it did before: Ray's handler would end the process with 15, half cleaned up."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _without_lines_on_stderr() -> Iterator[None]:
    """Ray's libraries repeat each second that they can't connect, and write it to the process's stderr themselves."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _check_reachable(address: str, said: str) -> None:
    """Raises TlbenchError if nobody listens at HOST:PORT; Ray itself would try for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        if address in ("auto", "local"):
            return
        raise TlbenchError(f"{said}: {quoted(address)} is no address of a Ray cluster; give HOST:PORT, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise TlbenchError(_unreachable(address, said, why)) from error


def _unreachable(address: str, said: str, why: str) -> str:
    return (
        f"the Ray cluster at {address} can't be reached ({why}); start it with `ray start --head`, or give another "
        f"address ({said}); {WAY_OUT}"
    )


def check_nodes(ray: Any, plan: Plan, clips: Sequence[Clip], workers: int, options: RayOptions) -> CheckedNodes:
    """Look at every node of the cluster.

    Raises
    ------
    TlbenchError
        Fewer GPUs than asked; a node without tlbench or with another version, with other files than this one, or that
        can't write the cache. One line, which names the node.

    Warns
    -----
    UserWarning
        If a node has a cache of its own or other versions of packages, or there are GPUs that no network uses.
    """
    gpus = ray.cluster_resources().get("GPU", 0.0)
    if plan.device != "cpu":
        _check_gpus(gpus, workers, options.gpus_per_worker)
    elif gpus and any(observer.weights is not None for observer in plan.observers):
        warnings.warn(
            f"the Ray cluster has {gpus:g} GPUs, and networks compute on processors; pass --device cuda", stacklevel=4
        )
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if not nodes:
        raise TlbenchError(f"the Ray cluster has no node with a processor; {WAY_OUT}")
    versions = _on_each(ray, nodes, _version_asker(), ())
    for node, version in versions:
        if version != VERSION:
            has = "has no tlbench" if version is None else f"has tlbench {version}"
            raise TlbenchError(f"node {_name(node)}: {has}, this machine {VERSION}; install the same on all; {WAY_OUT}")
    cache = plan.cache.absolute()
    mark = cache / f".{secrets.token_hex(8)}.mark"
    try:
        plan.cache.mkdir(parents=True, exist_ok=True)
        mark.touch()
        files = files_of(plan, clips)
        reports = _on_each(ray, nodes, look_at_node, (ray.put(files), cache, mark))
    except OSError as error:
        raise TlbenchError(f"cache {plan.cache}: can't be written ({error.strerror}); pass --cache") from error
    finally:
        mark.unlink(missing_ok=True)
    for node, report in reports:
        if report.different is not None:
            raise TlbenchError(
                f"node {_name(node)}: {report.different}; all nodes must see the same files under the same paths; "
                f"{WAY_OUT}"
            )
        if report.unwritable is not None:
            raise TlbenchError(
                f"node {_name(node)}: can't write the cache {plan.cache} ({report.unwritable}); pass --cache"
            )
    here, others = package_versions(), defaultdict(list)
    for node, report in reports:
        for name, version in report.packages.items():
            if version != here.get(name):
                others[f"{name} {version}, this machine {here.get(name)}"].append(_name(node))
    for what, names in others.items():
        warnings.warn(f"{_listed(names)} {what}; {LAST_DIGITS}", stacklevel=4)
    own = [_name(node) for node, report in reports if not report.shared]
    if own:
        warnings.warn(
            f"cache {plan.cache}: {_listed(own)} another one there; what is observed there is found there alone",
            stacklevel=4,
        )
    return CheckedNodes(frozenset(node["NodeID"] for node in nodes), VERSION, files, cache)


def _listed(names: Sequence[str]) -> str:
    """Nodes that have something: ``2 nodes (a, b) have``."""
    some = f"{', '.join(names[:3])}{', ...' if names[3:] else ''}"
    return f"node {some} has" if len(names) == 1 else f"{len(names)} nodes ({some}) have"


def _check_gpus(there: float, workers: int, each: float) -> None:
    if workers * each > there:
        raise TlbenchError(
            f"{counted(workers, 'worker')} with {each:g} GPUs each need {workers * each:g}, the Ray cluster has "
            f"{there:g}; pass fewer --workers or a smaller --gpus-per-worker"
        )


def count_decoders(cores: float, plan: Plan, workers: int, options: RayOptions) -> int:
    """How many workers decode for those that compute; with 0 each does both.

    Parameters
    ----------
    cores : float
        Of the cluster.

    Raises
    ------
    TlbenchError
        If such workers are asked for where nothing but cores computes, and there are too few: they could keep all.

    Warns
    -----
    UserWarning
        If such workers are asked for, and an observer decodes where it computes, or none has a network.
    """
    asked = options.decode_workers
    networks = [observer for observer in plan.observers if observer.weights is not None]
    whole = [observer.name for observer in networks if not observer.has_cropper]
    if asked == 0 or whole or not any(observer.has_cropper for observer in plan.observers):
        if asked:
            why = f"{', '.join(whole)} decodes where it computes" if whole else "no network computes in this run"
            warnings.warn(f"--decode-workers {asked}: {why}, so each worker does both", stacklevel=4)
        return 0
    if asked is not None:
        if plan.device == "cpu" and workers + asked > cores:
            raise TlbenchError(
                f"--workers {workers} and --decode-workers {asked} need {workers + asked} cores, the Ray cluster has "
                f"{cores:g}; pass fewer"
            )
        return asked
    return 0 if plan.device == "cpu" else max(0, min(DECODERS_A_WORKER * workers, int(cores) - workers))


def files_of(plan: Plan, clips: Sequence[Clip]) -> list[tuple[str, int | None, str | None]]:
    """Every file of a run: its absolute path, its size (None if it is not there), and of weights the SHA-256."""
    found: list[tuple[str, int | None, str | None]] = []
    for weights in dict.fromkeys(observer.weights for observer in plan.observers):
        if weights is not None:  # a file, or a package, which is a folder
            inside = sorted(weights.iterdir()) if weights.is_dir() else [weights]
            found += [(str(path.absolute()), file_size(path), file_sha256(path)) for path in inside if path.is_file()]
    for clip in clips:
        paths = (clip.generated, clip.reference, clip.boxes, clip.landmarks, clip.audio)
        found += [(str(path.absolute()), file_size(path), None) for path in paths if path is not None]
    return found


def look_at_node(files: Sequence[tuple[str, int | None, str | None]], cache: Path, mark: Path) -> NodeReport:
    """Runs on a node: whether its files and its cache are those of the head node."""
    different = None
    for path, size, sha256 in files:
        here = file_size(Path(path))
        if here != size:
            different = f"{path} {_sized(here)} there, {_sized(size)} on this machine"
        elif sha256 is not None and file_sha256(Path(path)) != sha256:
            different = f"{path} has other content there"
        if different is not None:
            break
    unwritable = None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        written = cache / temporary_name(".tmp")
        written.touch()
        written.unlink()
    except OSError as error:
        unwritable = error.strerror or str(error)
    return NodeReport(different, unwritable, mark.exists(), package_versions())


def _sized(size: int | None) -> str:
    return "does not exist" if size is None else f"has {size:,} bytes"


def _version_asker() -> Callable[[], str | None]:
    """A function that is sent as a whole, so that a node without tlbench can run it too."""

    def ask() -> str | None:
        try:
            from tlbench.version import VERSION as there  # noqa: N811
        except ImportError:
            return None
        return str(there)

    return ask


def _on_each(
    ray: Any, nodes: Sequence[dict[str, Any]], call: Callable[..., Any], words: tuple[Any, ...]
) -> list[tuple[dict[str, Any], Any]]:
    """What a function returns on each node. Raises TlbenchError if a node does not answer."""
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = []
    for node in nodes:
        place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        remote = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=place)(call)
        asked.append((node, remote.remote(*words)))
    answers = []
    for node, answer in asked:
        try:
            answers.append((node, ray.get(answer, timeout=LOOK_SECONDS)))
        except (RayError, TimeoutError) as error:
            why = str(error).strip().split("\n")[-1]
            raise TlbenchError(f"node {_name(node)}: does not answer ({why:.200}); {WAY_OUT}") from error
    return answers


def _name(node: dict[str, Any]) -> str:
    return str(node["NodeManagerHostname"])
