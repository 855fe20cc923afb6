"""The engine ``ray`` on clusters of this machine: what is refused at once, and who dies without a clip being lost."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.factories.media_factory import write_clip
from tests.factories.observer_factory import use_observers
from tests.factories.plugin_factory import write_plugin
from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.files import file_sha256
from tlbench.observing import ray_engine, ray_nodes
from tlbench.observing.device import package_versions
from tlbench.observing.engines import observe
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.observer import Observer
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.ray_nodes import CheckedNodes, check_nodes, connect, count_decoders, files_of, look_at_node
from tlbench.observing.ray_options import ClusterState, RayOptions
from tlbench.version import VERSION

pytestmark = pytest.mark.ray
SECONDS = "0.3"  # for each clip
CLIPS = 12


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the plug-in, where workers of clusters that are started from now on look too."""
    folder = write_plugin(tmp_path_factory.mktemp("desk"))
    (folder / "log").mkdir()
    write_clip(folder / "video.mp4", frames=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("SLOW_LOG", str(folder / "log"))
        patch.setenv("SLOW_SECONDS", SECONDS)
        patch.setenv("RAY_health_check_period_ms", "500")
        patch.setenv("RAY_worker_niceness", "0")  # Ray's 15 would starve them where other processes are busy
        patch.delenv("RAY_ADDRESS", raising=False)
        yield folder


@pytest.fixture(scope="module")
def cluster(desk: Path) -> Iterator[Any]:
    """A head with one processor, and a node with another one and a GPU, as it says."""
    pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 * 2**20})
        started.add_node(num_cpus=1, num_gpus=1, object_store_memory=100 * 2**20)
        yield started
        import ray

        ray.shutdown()
        started.shutdown()


@pytest.fixture
def connected(cluster: Any) -> Iterator[RayOptions]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        yield RayOptions(cluster.address)


@pytest.fixture
def plan(desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.syspath_prepend(str(desk))
    slow: type[Observer] = importlib.import_module("slow_plugin.observer").Slow
    use_observers(monkeypatch, {"slow": slow}.__getitem__)
    for left in (desk / "log").iterdir():
        left.unlink()
    return Plan((ObserverPlan("slow", ("all",)),), BoxRule(), tmp_path / "cache")


@pytest.fixture
def clips(desk: Path, monkeypatch: pytest.MonkeyPatch) -> list[Clip]:
    """Their paths are relative to the folder where the command runs, which is not the one where nodes were started."""
    monkeypatch.chdir(desk)
    made = [Clip(f"c{number}", generated=Path("video.mp4"), transcript=f"T{number}") for number in range(CLIPS)]
    made[5] = Clip("c5", generated=Path("none.mp4"), transcript="T5")
    return made


def as_text(seen: Iterator[Observation] | list[Observation]) -> list[tuple[str, str, str]]:
    return [
        (one.clip.id, str([e.to_json() for e in one.evidence.values()]), str([str(f) for f in one.failures.values()]))
        for one in seen
    ]


def expected(plan: Plan, clips: list[Clip], folder: Path) -> list[tuple[str, str, str]]:
    """What one process says, with a cache of its own."""
    own = Plan(plan.observers, plan.boxes, folder)
    return as_text(observe(own, clips))


def worker_of(desk: Path) -> int:
    """A process that observes, and is not this one."""
    found = [int(path.name) for path in (desk / "log").iterdir() if path.name.isdecimal()]
    return next(process for process in found if process != os.getpid())


def test_a_killed_worker_costs_no_clip(
    plan: Plan, clips: list[Clip], connected: RayOptions, desk: Path, tmp_path: Path
) -> None:
    seen = observe(plan, clips, workers=2, engine="ray", ray=connected)
    first = [next(seen), next(seen)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        os.kill(worker_of(desk), signal.SIGKILL)
        rest = list(seen)
    assert [one.clip.id for one in [*first, *rest]] == [clip.id for clip in clips]
    assert any("a worker died; clip c" in str(one.message) for one in caught)
    assert all(one.processor for one in rest)
    assert as_text([*first, *rest]) == expected(plan, clips, tmp_path / "other")


def test_processors_crop_for_a_gpu_and_one_that_dies_costs_no_clip(
    plan: Plan, clips: list[Clip], connected: RayOptions, desk: Path, tmp_path: Path
) -> None:
    """Nobody here has a GPU: the observer takes none, though its place in the cluster does."""
    states: list[ClusterState] = []
    quarter = replace(connected, gpus_per_worker=0.25, watch=states.append)
    seen = observe(replace(plan, device="cuda"), clips, workers=1, engine="ray", ray=quarter)
    first = [next(seen), next(seen)]
    (cropping,) = (int(path.name.partition("-")[2]) for path in (desk / "log").glob("cropped-*"))
    assert cropping != worker_of(desk)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        os.kill(cropping, signal.SIGKILL)
        rest = list(seen)
    assert as_text([*first, *rest]) == expected(plan, clips, tmp_path / "other")
    assert {one.processor for one in [*first, *rest]} == {"", "cuda"}  # nothing was computed for a missing video
    (died,) = (str(one.message) for one in caught if "a worker died" in str(one.message))
    (again,) = {state.again for state in states if state.again}
    assert again[0] in died
    assert states[0] == ClusterState(1, 1)
    assert max(state.workers for state in states) == 2


def test_who_decodes_for_whom(plan: Plan, tmp_path: Path) -> None:
    gpu, one = replace(plan, device="cuda"), RayOptions()
    network = replace(plan.observers[0], weights=tmp_path)
    assert [count_decoders(cores, gpu, 2, one) for cores in (2, 3, 40)] == [0, 1, 12]
    assert count_decoders(40, plan, 2, one) == 0
    assert count_decoders(5, plan, 2, RayOptions(decode_workers=3)) == 3
    with pytest.raises(TlbenchError, match="--workers 2 and --decode-workers 3 need 5 cores, the Ray cluster has 4"):
        count_decoders(4, plan, 2, RayOptions(decode_workers=3))
    assert count_decoders(4, gpu, 2, RayOptions(decode_workers=9)) == 9  # they wait for a node that is added
    assert count_decoders(40, gpu, 2, RayOptions(decode_workers=0)) == 0
    assert count_decoders(40, replace(gpu, observers=(network,)), 1, one) == 6


def test_an_observer_that_decodes_where_it_computes_is_said(plan: Plan, tmp_path: Path) -> None:
    frames = ObserverPlan("slow", ("all",), weights=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObserverPlan, "has_cropper", False)
        whole = replace(plan, observers=(frames,), device="cuda")
        assert count_decoders(40, whole, 2, RayOptions()) == 0
        with pytest.warns(UserWarning, match="--decode-workers 3: slow decodes where it computes"):
            assert count_decoders(40, whole, 2, RayOptions(decode_workers=3)) == 0
        pixels = replace(plan, observers=(ObserverPlan("slow", ("all",)),))
        with pytest.warns(UserWarning, match="--decode-workers 3: no network computes in this run"):
            assert count_decoders(40, pixels, 2, RayOptions(decode_workers=3)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("dying", ["computer", "node"])
def test_what_was_cropped_is_cropped_again_if_a_computer_or_a_node_is_gone(
    plan: Plan, clips: list[Clip], connected: RayOptions, cluster: Any, desk: Path, tmp_path: Path, dying: str
) -> None:
    node = cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    many = [*clips, *(Clip(f"d{number}", generated=clips[0].generated, transcript="D") for number in range(20))]
    shared = replace(connected, gpus_per_worker=0.25, decode_workers=3)
    seen = observe(replace(plan, device="cuda"), many, workers=1, engine="ray", ray=shared)
    first = [next(seen) for _ in range(4)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if dying == "node":
            cluster.remove_node(node, allow_graceful=False)
        else:
            os.kill(worker_of(desk), signal.SIGKILL)
        rest = list(seen)
    if dying == "computer":
        cluster.remove_node(node)
    assert as_text([*first, *rest]) == expected(plan, many, tmp_path / "other")
    assert any("a worker died" in str(one.message) for one in caught)


@pytest.mark.slow
def test_clips_that_kill_their_workers_are_named_and_end_the_run(
    plan: Plan, clips: list[Clip], connected: RayOptions, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "MOST_TRIES", 2)
    (desk / "log" / "poison").touch()
    with pytest.raises(TlbenchError, match="clip c3: 2 workers that observed them died") as caught:
        list(observe(plan, clips, workers=2, engine="ray", ray=connected))
    assert "\n" not in str(caught.value)


def test_an_observer_that_can_not_be_loaded_is_one_line(
    plan: Plan, clips: list[Clip], connected: RayOptions, desk: Path
) -> None:
    (desk / "log" / "unfit").touch()
    with pytest.raises(TlbenchError, match="its weights do not fit") as caught:
        list(observe(plan, clips, workers=1, engine="ray", ray=connected))
    assert str(caught.value) == "its weights do not fit"


def test_nodes_with_other_files_or_another_version_are_refused_before_a_clip_is_observed(
    plan: Plan, clips: list[Clip], connected: RayOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = connect(connected)
    check_nodes(ray, plan, clips, 2, connected)  # as it is, nothing is wrong
    files = files_of(plan, clips)
    monkeypatch.setattr(ray_nodes, "files_of", lambda *_: [(files[0][0], 7, None), *files[1:]])
    size = Path(files[0][0]).stat().st_size
    with pytest.raises(TlbenchError, match=f"video.mp4 has {size:,} bytes there, has 7 bytes on this machine"):
        check_nodes(ray, plan, clips, 2, connected)
    monkeypatch.undo()
    there = package_versions()
    monkeypatch.setattr(ray_nodes, "package_versions", lambda: {**there, "torch": "9.9.9"})
    told = rf"^2 nodes \(\S+, \S+\) have torch {re.escape(str(there['torch']))}, this machine 9\.9\.9; floats may"
    with pytest.warns(UserWarning, match=told):
        check_nodes(ray, plan, clips, 2, connected)
    monkeypatch.undo()
    monkeypatch.setattr(ray_nodes, "VERSION", "9.9")
    with pytest.raises(TlbenchError, match=r"node .*: has tlbench .*, this machine 9.9; install the same on all"):
        list(observe(plan, clips, workers=2, engine="ray", ray=connected))


def test_fewer_gpus_than_asked_are_said(plan: Plan, clips: list[Clip], connected: RayOptions) -> None:
    on_gpu = Plan(plan.observers, plan.boxes, plan.cache, device="cuda")
    quarter = RayOptions(connected.address, gpus_per_worker=0.25)
    with pytest.raises(
        TlbenchError, match=r"6 workers with 0.25 GPUs each need 1.5, the Ray cluster has 1; pass fewer"
    ):
        list(observe(on_gpu, clips, workers=6, engine="ray", ray=quarter))


def test_weights_are_compared_by_content_a_package_by_its_files(plan: Plan, tmp_path: Path) -> None:
    package, single = tmp_path / "package", tmp_path / "weights.pt"
    package.mkdir()
    (package / "inner").mkdir()
    for path in (package / "b.json", package / "a.safetensors", single):
        path.write_text("x")
    observers = tuple(replace(plan.observers[0], weights=path) for path in (package, single, single, None))
    files = files_of(replace(plan, observers=observers), [Clip("c", generated=tmp_path / "none")])
    hashed = file_sha256(single)
    assert files == [
        (str(package / "a.safetensors"), 1, hashed),
        (str(package / "b.json"), 1, hashed),
        (str(single), 1, hashed),
        (str(tmp_path / "none"), None, None),
    ]
    assert look_at_node(files, tmp_path / "cache", tmp_path).different is None


def test_what_a_node_sees_is_compared_with_the_head(tmp_path: Path) -> None:
    there, mark = tmp_path / "a.mp4", tmp_path / "cache" / "mark"
    there.write_bytes(b"abc")
    mark.parent.mkdir()
    mark.touch()
    good = look_at_node([(str(there), 3, None), (str(tmp_path / "none"), None, None)], mark.parent, mark)
    assert (good.different, good.unwritable, good.shared) == (None, None, True)
    gone = look_at_node([(str(tmp_path / "none"), 3, None)], mark.parent, mark)
    assert gone.different == f"{tmp_path / 'none'} does not exist there, has 3 bytes on this machine"
    other = look_at_node([(str(there), 3, "0" * 64)], mark.parent, mark)
    assert other.different == f"{there} has other content there"
    own = look_at_node([], tmp_path / "own", mark.with_name("no mark"))
    assert (own.unwritable, own.shared) == (None, False)
    assert look_at_node([], there / "cache", mark).unwritable == "Not a directory"


def test_a_node_that_joins_later_looks_at_itself(tmp_path: Path) -> None:
    there = tmp_path / "a.mp4"
    there.write_bytes(b"abc")
    files = [(str(there), 3, None), (str(tmp_path / "none"), 5, None)]
    checked = CheckedNodes(frozenset({"old"}), VERSION, files, tmp_path / "cache")
    assert checked.problem_here("old") is None
    assert checked.problem_here("new") == f"{tmp_path / 'none'} does not exist there, has 5 bytes on this machine"
    assert replace(checked, files=files[:1]).problem_here("new") is None
    assert replace(checked, version="9.9").problem_here("new") == f"has tlbench {VERSION}, the head 9.9"
    assert "can't write the cache" in str(replace(checked, cache=there / "cache").problem_here("new"))


def test_a_node_without_tlbench_is_said(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"Alive": True, "Resources": {"CPU": 1.0}, "NodeManagerHostname": "n7", "NodeID": "1"}
    ray = SimpleNamespace(nodes=lambda: [node], cluster_resources=dict)
    monkeypatch.setattr(ray_nodes, "_on_each", lambda *_: [(node, None)])
    with pytest.raises(TlbenchError, match="node n7: has no tlbench, this machine"):
        check_nodes(ray, plan, [], 1, RayOptions())
    empty = SimpleNamespace(nodes=list, cluster_resources=lambda: {"GPU": 2.0})
    with pytest.raises(TlbenchError, match="no node with a processor"):
        check_nodes(empty, plan, [], 1, RayOptions())
    network = replace(plan, observers=(replace(plan.observers[0], weights=Path("network")),))
    with (
        pytest.warns(UserWarning, match="has 2 GPUs, and networks compute on processors; pass --device cuda"),
        pytest.raises(TlbenchError, match="no node"),
    ):
        check_nodes(empty, network, [], 1, RayOptions())


def test_a_node_without_tlbench_can_be_asked_for_its_version() -> None:
    """The question is sent as a whole: it needs nothing of tlbench where it is answered."""
    ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    sent = ray.cloudpickle.dumps(ray_nodes._version_asker())
    code = "import pickle, sys; sys.modules['tlbench'] = None; print(pickle.loads(sys.stdin.buffer.read())())"
    assert subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True).stdout == b"None\n"
    plain = code.replace("sys.modules['tlbench'] = None; ", "")
    there = subprocess.run([sys.executable, "-c", plain], input=sent, capture_output=True, check=True).stdout
    assert there.decode().strip() == VERSION


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "--ray-address: 'nonsense' is no address"),
        ("127.0.0.1:1", "at 127.0.0.1:1 can't be reached .*refused.*ray start --head"),
        ("no.such.host.invalid:6379", "no.such.host.invalid:6379 can't be reached"),
        ("127.0.0.1:99999", "can't be reached"),
    ],
)
def test_a_cluster_that_can_not_be_reached_is_one_line_and_soon(
    monkeypatch: pytest.MonkeyPatch, address: str, message: str
) -> None:
    ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray was asked"))
    start = time.monotonic()
    with pytest.raises(TlbenchError, match=message) as caught:
        connect(RayOptions(address))
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 10
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(TlbenchError, match=r"\$RAY_ADDRESS"):
        connect(RayOptions())


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:6379", "127.0.0.1:6379 answers, .* cluster was started with: Ray: 2.1.*RAY_AUTH_MODE=token"),
        (None, "Ray can't start on this machine .* was started with: Ray: 2.1"),
    ],
)
@pytest.mark.parametrize("kind", ["RayError", "RuntimeError"])
def test_a_cluster_that_ray_can_not_use_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], address: str | None, said: str, kind: str
) -> None:
    ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")

    def refuse(**_: object) -> None:
        os.write(2, b"gcs_client.cc:210: Failed to get cluster ID\n")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        kinds = {"RayError": ray.exceptions.RayError, "RuntimeError": RuntimeError}
        raise kinds[kind]("Version mismatch: The\ncluster was started with:\n    Ray: 2.1\n")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_nodes, "_check_reachable", lambda *_: None)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(TlbenchError, match=said) as caught:
        connect(RayOptions(address))
    assert "\n" not in str(caught.value)
    os.write(2, b"and this\n")
    assert capfd.readouterr().err == "and this\n"
    assert signal.getsignal(signal.SIGTERM) == before  # Ray sets its own, which ends a command with another code


@pytest.mark.slow
def test_a_removed_node_costs_no_clip(
    plan: Plan, clips: list[Clip], connected: RayOptions, cluster: Any, tmp_path: Path
) -> None:
    node = cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    many = [*clips, *(Clip(f"d{number}", generated=clips[0].generated, transcript="D") for number in range(20))]
    states: list[ClusterState] = []
    seen = observe(plan, many, workers=4, engine="ray", ray=replace(connected, watch=states.append))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first = [next(seen) for _ in range(4)]
        while states[-1].workers < 4 and len(first) < 12:
            time.sleep(1)  # the node's processes take their time to start on a busy machine
            first.append(next(seen))
        cluster.remove_node(node, allow_graceful=False)
        rest = list(seen)
    assert as_text([*first, *rest]) == expected(plan, many, tmp_path / "other")
    assert any("a worker died" in str(one.message) for one in caught)


@pytest.mark.slow
def test_a_node_that_is_added_takes_part(
    plan: Plan, clips: list[Clip], connected: RayOptions, cluster: Any, tmp_path: Path
) -> None:
    states: list[ClusterState] = []
    many = [*clips, *(Clip(f"d{number}", generated=clips[0].generated, transcript="D") for number in range(60))]
    watched = replace(connected, watch=states.append)
    seen = observe(plan, many, workers=4, engine="ray", ray=watched)  # two of them have to wait for room
    first = [next(seen), next(seen)]
    node = cluster.add_node(num_cpus=2, object_store_memory=100 * 2**20)
    try:
        rest = []
        for one in seen:
            rest.append(one)
            if states[-1].workers < 4:
                time.sleep(1)  # its processes take their time to start on a busy machine
    finally:
        cluster.remove_node(node)
    assert as_text([*first, *rest]) == expected(plan, many, tmp_path / "other")
    assert states[0].workers == 1
    assert (max(state.nodes for state in states), max(state.workers for state in states)) == (3, 4)


@pytest.mark.slow
def test_a_run_whose_nodes_are_all_gone_says_so_and_ends(
    plan: Plan, clips: list[Clip], connected: RayOptions, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster's own nodes have no GPU left for it, and the one that had some goes."""
    node = cluster.add_node(num_cpus=1, num_gpus=2, object_store_memory=100 * 2**20)
    seen = observe(
        replace(plan, device="cuda"), clips, workers=1, engine="ray", ray=replace(connected, gpus_per_worker=2)
    )
    first = [next(seen)]
    monkeypatch.setattr(ray_engine, "SAY_SECONDS", 1.0)
    monkeypatch.setattr(ray_engine, "MOST_SECONDS", 4.0)
    cluster.remove_node(node, allow_graceful=False)
    with (
        pytest.warns(UserWarning, match=r"no worker runs; waiting up to 4 s .* \(2 GPUs\)"),
        pytest.raises(TlbenchError, match=r"no worker ran for 4 s: no node .* had room for one \(2 GPUs\)"),
    ):
        first.extend(seen)
    assert [one.clip.id for one in first] == [clip.id for clip in clips[: len(first)]]


DRIVER = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from tlbench.cli import signals
from tlbench.datasets.clip import Clip
from tlbench.observing.engines import observe
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.ray_options import RayOptions
from tlbench.version import VERSION
address, video, cache, count = sys.argv[1:]
clips = [Clip(f"c{n}", generated=Path(video), transcript=f"T{n}") for n in range(int(count))]
plan = Plan((ObserverPlan("slow", ("all",)),), BoxRule(), Path(cache))
signals.install()
try:
    for one in observe(plan, clips, workers=2, engine="ray", ray=RayOptions(address)):
        print(one.clip.id, one.cached, flush=True)
except KeyboardInterrupt:
    sys.exit(signals.exit_code(1))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_after_a_driver_that_was_ended_the_next_run_takes_up(
    plan: Plan, connected: RayOptions, cluster: Any, desk: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ray's own handler of SIGTERM would end it with 15."""
    words = [sys.executable, "-c", DRIVER, cluster.address, str(desk / "video.mp4"), str(tmp_path / "cache"), "10"]
    driver = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    assert [driver.stdout.readline().split()[1] for _ in range(4)] == ["0"] * 4
    driver.send_signal(number)
    driver.communicate(timeout=60)
    assert driver.returncode == (128 + number if number == signal.SIGTERM else -number)
    again = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    lines = [line.split() for line in again.stdout.splitlines() if line.startswith("c")]
    assert [one for one, _ in lines] == [f"c{number}" for number in range(10)]
    assert [cached for _, cached in lines[:4]] == ["1"] * 4


@pytest.mark.slow
def test_what_ray_says_of_a_dead_node_does_not_come_among_results(
    plan: Plan, connected: RayOptions, cluster: Any, desk: Path, tmp_path: Path
) -> None:
    node = cluster.add_node(num_cpus=0, object_store_memory=100 * 2**20)
    words = [sys.executable, "-c", DRIVER, cluster.address, str(desk / "video.mp4"), str(tmp_path / "cache"), "60"]
    with (tmp_path / "errors").open("w") as errors:
        driver = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert driver.stdout is not None
        lines = [driver.stdout.readline() for _ in range(4)]
        cluster.remove_node(node, allow_graceful=False)
        lines += driver.stdout.readlines()
        assert driver.wait(timeout=60) == 0
    assert [line.split()[0] for line in lines] == [f"c{number}" for number in range(60)]
    assert (tmp_path / "errors").read_text() == ""
