"""Who gets which clips on a cluster, without one: a stand-in for Ray that does at once what it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tlbench.datasets.clip import Clip
from tlbench.errors import TlbenchError
from tlbench.observing import ray_engine
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.ray_nodes import CheckedNodes
from tlbench.observing.ray_options import DEFAULT_RAY, ClusterState, RayOptions
from tlbench.observing.stopping import STOP

errors = pytest.importorskip("ray.exceptions", reason="Ray has no wheel for this Python")
PLAN = Plan((ObserverPlan("pixels", ("face",)),), BoxRule(), Path("cache"))
CHECKED = CheckedNodes(frozenset(), "", [], Path("cache"))
Trouble = Callable[[str, int], "Exception | None"]  # from a method and the number of its call


class Actor:
    """Its methods, as Ray calls them."""

    def __init__(self, ray: InOneProcess, node: str) -> None:
        self.ray = ray
        self.node = node
        self.calls = 0

    def __getattr__(self, name: str) -> Actor.Method:
        return Actor.Method(self, name)

    class Method:
        def __init__(self, actor: Actor, name: str) -> None:
            self._actor, self._name = actor, name

        def options(self, **_: Any) -> Actor.Method:
            return self

        def remote(self, given: Any) -> Any:
            ray = self._actor.ray
            answer = next(ray.numbers)
            ray.asked.append(self._name)
            if self._name == "ready":
                ray.ready[answer] = self._actor.node
            ray.answers[answer] = lambda: self._done(given)
            return (answer, ("crops", given)) if self._name == "decode" else answer

        def _done(self, given: Any) -> Any:
            ray = self._actor.ray
            trouble = ray.trouble(self._name, sum(name == self._name for name in ray.got))
            ray.got.append(self._name)
            if trouble is None and self._actor.node in ray.away:
                trouble = errors.RayActorError()
            if trouble is not None:
                raise trouble
            if self._name == "ready":
                return self._actor.node, ray.refuses.get(self._actor.node)
            if self._name == "decode" and given[0].id not in ray.in_cache:
                return None, []
            clips = given[1] if self._name == "compute" else given
            return [Observation(clip, ClipInfo(clip.id)) for clip in clips], [f"{self._name} {clips[0].id}"]


class InOneProcess:
    """Ray's functions. Answers are taken in the order of the questions, the latest first with ``backwards``."""

    def __init__(self, trouble: Trouble = lambda *_: None, *, backwards: bool = False) -> None:
        self.trouble = trouble
        self.numbers = count()
        self.answers: dict[int, Callable[[], Any]] = {}
        self.ready: dict[int, str] = {}  # who is asked whether it runs, and its node
        self.away: set[str] = set()  # nodes that are gone: their actors do not run, and what they were doing fails
        self.back_at = float("inf")  # when they are there again
        self.seconds = 0.0
        self.asked: list[str] = []
        self.got: list[str] = []
        self.waiting: list[int] = []  # crops that nobody has taken yet, at each look
        self.in_cache: set[str] = set()
        self.refuses: dict[str, str] = {}
        self.wanted: list[dict[str, float]] = []
        self.killed = 0
        self._backwards = backwards

    def remote(self, **wanted: float) -> Callable[[type], Any]:
        def made(kind: type) -> Any:
            class Made:
                @staticmethod
                def remote(plan: Plan, folder: str) -> Actor:
                    self.wanted.append({"kind": kind.__name__, **wanted})  # type: ignore[dict-item]
                    return Actor(self, f"n{len(self.wanted)}")

            return Made

        return made

    def put(self, what: Any) -> Any:
        return what

    def wait(self, references: Sequence[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        self.waiting.append(self.got.count("decode") - self.asked.count("compute"))
        self.seconds += timeout
        if self.seconds >= self.back_at:
            self.away.clear()
        there = [one for one in references if self.ready.get(one) not in self.away]
        return (there[-1:] if self._backwards else there[:1]), []

    def clock(self) -> float:
        return self.seconds

    def get(self, reference: int) -> Any:
        return self.answers.pop(reference)()

    def kill(self, _: Actor) -> None:
        self.killed += 1


def clips(number: int = 30) -> list[Clip]:
    return [Clip(f"c{place:02d}") for place in range(number)]


def observed(
    ray: InOneProcess,
    workers: int,
    decoders: int,
    options: RayOptions = DEFAULT_RAY,
    gpu: bool = False,
) -> Iterator[Observation]:
    plan = Plan(PLAN.observers, PLAN.boxes, PLAN.cache, device="cuda" if gpu else "cpu")
    return ray_engine._observed(ray, plan, clips(), workers, decoders, options, CHECKED)


def ids(seen: Iterator[Observation]) -> list[str]:
    return [one.clip.id for one in seen]


EXPECTED = [clip.id for clip in clips()]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("decoders", [0, 1, 5])
def test_observations_come_in_order_whoever_answers_first(decoders: int, backwards: bool) -> None:
    ray = InOneProcess(backwards=backwards)
    assert ids(observed(ray, 2, decoders)) == EXPECTED
    assert ("observe" in ray.asked) == (decoders == 0)
    assert ray.killed == 2 + decoders
    # A batch more than may wait, for each that was asked for before that many waited.
    assert max(ray.waiting) <= ray_engine.DECODED_AHEAD * 2 + decoders


def test_who_computes_on_a_gpu_takes_no_core_from_those_who_decode() -> None:
    ray = InOneProcess()
    ids(observed(ray, 1, 2, RayOptions(gpus_per_worker=0.25), gpu=True))
    computing, *decoding = ray.wanted
    assert computing == {"kind": "ComputeWorker", "num_cpus": 0, "num_gpus": 0.25, "max_restarts": -1}
    assert decoding == [{"kind": "DecodeWorker", "num_cpus": 1, "num_gpus": 0, "max_restarts": -1}] * 2
    whole = InOneProcess()
    ids(observed(whole, 1, 0, RayOptions(gpus_per_worker=0.25), gpu=True))
    assert whole.wanted == [{"kind": "Worker", "num_cpus": 1, "num_gpus": 0.25, "max_restarts": -1}]


def test_what_needs_no_network_goes_to_nobody_who_computes() -> None:
    ray = InOneProcess()
    ray.in_cache = set(EXPECTED)
    assert ids(observed(ray, 1, 2)) == EXPECTED
    assert "compute" not in ray.asked


def once(method: str, error: Exception) -> Trouble:
    """The second call of a method fails."""
    return lambda name, number: error if (name, number) == (method, 1) else None


def lost() -> Exception:
    return errors.ObjectLostError("00", None, "")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("decoders", "method", "error"),
    [
        (0, "observe", errors.RayActorError()),
        (0, "observe", lost()),
        (2, "decode", errors.RayActorError()),
        (2, "decode", lost()),
        (2, "compute", errors.RayActorError()),
        (2, "compute", lost()),
        (2, "compute", errors.RayTaskError("compute", "traceback", lost())),
    ],
    ids=["worker", "answer", "decoder", "decoders-answer", "computer", "crops", "crops-in-a-task"],
)
def test_who_dies_costs_no_clip_and_what_is_observed_again_is_said(
    decoders: int, method: str, error: Exception
) -> None:
    states: list[ClusterState] = []
    ray = InOneProcess(once(method, error))
    with pytest.warns(UserWarning, match=r"a worker died; clips? c.* observed again by another \(try 2\)"):
        assert ids(observed(ray, 1, decoders, RayOptions(watch=states.append))) == EXPECTED
    assert len({state.again for state in states if state.again}) == 1
    assert states[-1] == ClusterState(1 + decoders, 1 + decoders)


def test_clips_whose_workers_always_die_are_named() -> None:
    ray = InOneProcess(lambda name, _: errors.RayActorError() if name == "decode" else None)
    with pytest.raises(TlbenchError, match=r"clips? c00.*: 4 workers that observed them died"):
        ids(observed(ray, 1, 1))
    assert ray.killed == 2


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> InOneProcess:
    """A cluster whose first two nodes go at the second call of each method but ``ready``. Its waits pass at once."""
    ray = InOneProcess()

    def trouble(name: str, number: int) -> Exception | None:
        if name == "ready" or number != 1:
            return None
        ray.away |= {"n1", "n2"}
        return errors.RayActorError()  # type: ignore[no-any-return]

    ray.trouble = trouble
    monkeypatch.setattr(ray_engine, "time", SimpleNamespace(monotonic=ray.clock))
    return ray


@pytest.mark.parametrize(("decoders", "room"), [(0, "1 core and 0.25 GPUs"), (3, "0.25 GPUs")])
def test_a_run_without_a_worker_says_so_and_ends_after_ten_minutes(
    gone: InOneProcess, decoders: int, room: str
) -> None:
    seen: list[Observation] = []
    options = RayOptions(gpus_per_worker=0.25)
    with (
        pytest.warns(UserWarning, match=rf"^no worker runs; waiting up to 10 minutes .* \({room}\); `ray status`"),
        pytest.raises(TlbenchError, match=rf"^no worker ran for 10 minutes: .* \({room}\); .* is kept$"),
    ):
        seen.extend(observed(gone, 2, decoders, options, gpu=True))
    assert 600 < gone.seconds < 660
    assert ids(iter(seen)) == EXPECTED[: len(seen)]
    assert gone.killed == 2 + decoders


def test_a_run_without_a_worker_goes_on_when_there_is_one_again(gone: InOneProcess) -> None:
    gone.back_at = 300
    with pytest.warns(UserWarning, match="no worker runs; waiting") as said:
        assert ids(observed(gone, 2, 0)) == EXPECTED
    assert sum("no worker runs" in str(one.message) for one in said) == 1
    assert gone.seconds < 400


def test_a_run_without_a_worker_that_is_asked_to_stop_does_not_wait(gone: InOneProcess) -> None:
    seen = observed(gone, 1, 0)
    first = next(seen)
    STOP.set()
    try:
        rest = ids(seen)
    finally:
        STOP.clear()
    assert [first.clip.id, *rest] == EXPECTED[: 1 + len(rest)]
    assert len(rest) < 10
    assert gone.seconds < 30


def test_nobody_who_computes_is_waited_for_if_nothing_is_to_be_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = InOneProcess()
    ray.away = {"n1"}
    ray.in_cache = set(EXPECTED)
    monkeypatch.setattr(ray_engine, "time", SimpleNamespace(monotonic=ray.clock))
    monkeypatch.setattr(ray_engine, "MOST_SECONDS", 2)
    assert ids(observed(ray, 1, 2, gpu=True)) == EXPECTED


def test_a_worker_that_can_not_start_ends_the_run() -> None:
    told = "died in its creation task, ray::Worker()\n  File\nModuleNotFoundError: No module named 'cv2'\n"
    ray = InOneProcess(once("ready", errors.RayActorError(error_msg=told, actor_init_failed=True)))
    with pytest.raises(
        TlbenchError, match=r"^a worker can't start \(ModuleNotFoundError: No module named 'cv2'\); see"
    ):
        ids(observed(ray, 2, 0))


def test_an_error_of_tlbench_is_its_one_line() -> None:
    fault = errors.RayTaskError("compute", "traceback", TlbenchError("its weights do not fit"))
    with pytest.raises(TlbenchError, match=r"^its weights do not fit$"):
        ids(observed(InOneProcess(once("compute", fault)), 1, 1))


def test_nodes_that_can_not_take_part_are_said_and_the_last_ends_the_run() -> None:
    ray = InOneProcess()
    ray.refuses = {"n2": "node two: has other files"}
    with pytest.warns(UserWarning, match="node two: has other files; it takes no part"):
        assert ids(observed(ray, 2, 0)) == EXPECTED
    ray = InOneProcess()
    ray.refuses = {"n2": "node two: has other files", "n3": "node three: has none"}
    with pytest.raises(TlbenchError, match="node three: has none; no other worker is left"):
        ids(observed(ray, 1, 2))
