"""What an engine itself costs: 25,000 descriptions of clips through each, and whether a clip costs more among more.

    python -m benchmarks.scale [--clips 25000] [--engines one,local,ray] [--workers 2] [--repeats 3]

The descriptions name videos that do not exist, but for the first, which lets workers start. So no observer is asked
again, each clip becomes a record with its reason at once, and what is measured is the engine, the runner's bookkeeping
and the writing of records. Printed are

- milliseconds a clip, by the clock and of this process's processor time, and the growth of this process's memory from
  a fifth of the clips to all of them;
- both times a clip among 1,000, 10,000 and 25,000 clips, in turns, and their ratios: medians of the repeats.

    python -m benchmarks.scale --ways

compares ways of giving work to Ray, with batches of one clip that do nothing: actors as the engine uses them, plain
tasks, and Ray Data's ``map_batches`` with a pool of actors.

    python -m benchmarks.scale --handing-over

is what it costs to decode in one process and to compute in another: megabytes of a clip's crops for the bundled
AV-HuBERT, SyncNet and MVM, and processor time to make them, to put them into Ray's object store and to take them out.
"""

from __future__ import annotations

import argparse
import os
import pickle
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.factories.media_factory import tone, write_clip
from tlbench.datasets.clip import Clip
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.clip_job import ClipJob
from tlbench.observing.engines import observe
from tlbench.observing.evidence import Observation
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.one_clip import default_view, weights_for
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.runner import ObserverRunner
from tlbench.scoring.record import ClipRecord, Failure, RecordWriter

ENGINES = ("one", "local", "ray")
BUNDLED = {"avhubert": "avhubert-grid", "syncnet": "syncnet-grid", "mvm": "mvm-synthetic"}
MIB = 2**20
COUNTS = (1_000, 10_000, 25_000)  # of clips, for the cost of growing
WARM = 100  # clips until all workers run


def descriptions(count: int, first: Path) -> list[Clip]:
    """Clips whose videos do not exist, after one of the video ``first``: the cache has nothing of it."""
    nowhere = Path("nowhere")
    return [Clip("first", first, first, "WORDS")] + [
        Clip(f"s{number % 33}/{number:05d}", nowhere / f"r{number}.mp4", nowhere / f"g{number}.mp4", f"WORDS {number}")
        for number in range(1, count)
    ]


def seen(engine: str, clips: Sequence[Clip], workers: int, cache: Path) -> Iterator[Observation]:
    """Observations of an engine."""
    plan = Plan((ObserverPlan("pixels", ("face",)),), BoxRule(), cache)
    return observe(plan, clips, 1 if engine == "one" else workers, "ray" if engine == "ray" else "local")


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def measure(engine: str, count: int, workers: int) -> tuple[float, float, float]:
    """Milliseconds a clip by the clock and of this process's processor, and MiB that its memory grew by.

    The first clips, until all workers run, are left out; the growth is from a fifth of the clips to all.
    """
    with tempfile.TemporaryDirectory() as name, RecordWriter(Path(name) / "records.jsonl") as writer:
        clips = descriptions(count + WARM, write_clip(Path(name) / "first.mp4", frames=2))
        began = used = before = 0.0
        for done, one in enumerate(seen(engine, clips, workers, Path(name) / "cache")):
            if done == WARM:
                began, used = time.perf_counter(), time.process_time()
            if done == WARM + count // 5:
                before = resident_mib()
            writer.write(record(one))
        clock, processor, grown = time.perf_counter() - began, time.process_time() - used, resident_mib() - before
    return 1000 * clock / count, 1000 * processor / count, grown


def record(observation: Observation) -> ClipRecord:
    """The record of a clip that could not be observed."""
    failures = {name: Failure(error.code, error.message) for name, error in observation.failures.items()}
    return ClipRecord(ClipInfo(observation.clip.id, observation.clip.speaker), failures=failures)


def costs(
    engine: str, workers: int, repeats: int, counts: Sequence[int] = (1_000, 10_000)
) -> list[tuple[float, float]]:
    """Milliseconds a clip among so many clips, by the clock and of this process's processor: medians of turns."""
    turns = [[measure(engine, count, workers)[:2] for count in counts] for _ in range(repeats)]
    return [
        (statistics.median(turn[place][0] for turn in turns), statistics.median(turn[place][1] for turn in turns))
        for place in range(len(counts))
    ]


def growing(measured: str, costs: Sequence[float]) -> str:
    """The costs of a clip among each of :data:`COUNTS`, and how many times the first the others are."""
    first, *others = zip(COUNTS, costs, strict=True)
    shown = [f"{cost:.4f} among {count:,} ({cost / first[1]:.3f} of it)" for count, cost in others]
    return f"{measured} {first[1]:.4f} ms a clip among {first[0]:,}, {', '.join(shown)}"


def ways_of_ray(count: int, workers: int) -> Iterator[tuple[str, float]]:
    """Milliseconds a clip of each way of giving work to Ray."""
    import ray

    class Idle:
        def observe(self, batch: list[Clip]) -> list[Clip]:
            return batch

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            return batch

    clips = descriptions(count, Path("nowhere"))
    actors = [ray.remote(num_cpus=1)(Idle).remote() for _ in range(workers)]
    ray.get([actor.observe.remote(clips[:1]) for actor in actors])
    began = time.perf_counter()
    waiting = {actor.observe.remote([clips[number]]): actor for number, actor in enumerate(actors)}
    for clip in clips[workers:]:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        actor = waiting.pop(ready)
        ray.get(ready)
        waiting[actor.observe.remote([clip])] = actor
    ray.get(list(waiting))
    yield "actors, the next batch to whoever is free", 1000 * (time.perf_counter() - began) / count
    for actor in actors:
        ray.kill(actor)

    task = ray.remote(num_cpus=1)(lambda batch: batch)
    ray.get([task.remote(clips[:1]) for _ in range(workers)])
    began = time.perf_counter()
    asked = [task.remote([clip]) for clip in clips[:workers]]
    for clip in clips[workers:]:
        (ready,), asked = ray.wait(asked, num_returns=1)
        ray.get(ready)
        asked.append(task.remote([clip]))
    ray.get(asked)
    yield "plain tasks", 1000 * (time.perf_counter() - began) / count

    try:
        import ray.data
    except ImportError as error:
        print(f"Ray Data: not measured ({error})")
        return
    ray.data.DataContext.get_current().enable_progress_bars = False
    began = time.perf_counter()
    items = ray.data.from_items([{"number": number} for number in range(count)], override_num_blocks=count // 10)
    for _ in items.map_batches(Idle, batch_size=1, concurrency=workers).iter_rows():
        pass
    yield "Ray Data, map_batches with a pool of actors (with its start)", 1000 * (time.perf_counter() - began) / count


def handing_over(repeats: int) -> Iterator[str]:
    """What is handed from a process that decodes to one that computes, for a clip of 29 frames of 160x160."""
    import ray

    class Receiver:
        def take(self, jobs: list[ClipJob]) -> float:
            """This process's processor time so far, once the jobs are here."""
            return time.process_time()

    receiver = ray.remote(num_cpus=1)(Receiver).remote()
    with tempfile.TemporaryDirectory() as name:
        samples = tone(29 / 25)
        path = write_clip(Path(name) / "clip.mp4", frames=29, width=160, height=160, audio_codec="aac", samples=samples)
        clip = Clip("one/00001", path, path, transcript="BIN BLUE", word="ALWAYS")
        for observer, bundled in BUNDLED.items():
            weights = weights_for(observer, bundled)
            assert weights is not None
            view = default_view(observer, weights)
            plan = ObserverPlan(observer, (view,), weights.path)
            cropper = plan.cropper()
            assert cropper is not None
            runner = ObserverRunner(Plan((plan,), BoxRule(), Path(name) / "cache"), croppers={observer: cropper})
            jobs = runner.look([clip])  # decoders and tables are made
            if not jobs[0].states:
                raise RuntimeError(f"{observer} has nothing to hand over: {jobs[0].failures}")
            before = ray.get(receiver.take.remote(ray.put(jobs)))  # what it has to import, it imports once
            crop = put = 0.0
            for _ in range(repeats):
                began = time.process_time()
                jobs = runner.look([clip])
                cropped = time.process_time()
                there = ray.put(jobs)
                crop, put = crop + cropped - began, put + time.process_time() - cropped
                after = ray.get(receiver.take.remote(there))
            size = len(pickle.dumps(jobs)) / MIB
            yield (
                f"{observer}, view {view}: {size:.2f} MiB a clip; decoding and cropping "
                f"{1000 * crop / repeats:.1f} ms, "
                f"putting {1000 * put / repeats:.2f}, taking {1000 * (after - before) / repeats:.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=25_000)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--handing-over", action="store_true", help="what it costs to divide a clip's work, and end")
    parser.add_argument("--ways", action="store_true", help="compare ways of giving work to Ray, and end")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.ways:
        import ray

        ray.init(log_to_driver=False, num_cpus=2 * arguments.workers)
        for way, cost in ways_of_ray(min(arguments.clips, 2_000), arguments.workers):
            print(f"{way}: {cost:.2f} ms a clip", flush=True)
        return
    if arguments.handing_over:
        import ray

        ray.init(log_to_driver=False, num_cpus=2, object_store_memory=200 * MIB)
        for line in handing_over(10 * arguments.repeats):
            print(line, flush=True)
        return
    for engine in arguments.engines.split(","):
        runs = [measure(engine, arguments.clips, arguments.workers) for _ in range(arguments.repeats)]
        clock, processor, grown = (statistics.median(run[place] for run in runs) for place in range(3))
        growth = costs(engine, arguments.workers, arguments.repeats, COUNTS)
        print(
            f"{engine}: {arguments.clips:,} clips, {clock:.2f} ms a clip ({processor:.2f} ms of this process's "
            f"processor), memory {grown:+.1f} MiB; {growing('by the clock', [one[0] for one in growth])}; "
            f"{growing('of its processor', [one[1] for one in growth])}",
            flush=True,
        )


if __name__ == "__main__":
    main()
