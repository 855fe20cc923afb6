"""The one loop around every learner: steps, judgements, and a state from which it goes on as if it had never stopped.

Nothing in a step depends on what came before it but weights and the optimiser's memory: which clips are in its batch,
how they are varied and what is dropped follow from the seed and the step's number. So a training that was killed and
resumed ends with the weights of one that was not (on the same device and number of devices).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tlbench.checkpoints.package import own_package, replace_package
from tlbench.errors import TlbenchError
from tlbench.metrics.catalogue import find_metric
from tlbench.training.devices import on_cuda
from tlbench.training.run_folder import NO_STATE, Sums, append_log, bad_state, cut_log, read_state, write_state
from tlbench.training.sample_dataset import SampleDataset
from tlbench.training.schedule import BatchPlan, Schedule
from tlbench.training.trainable import TOTAL, Trainable

if TYPE_CHECKING:
    from lightning_fabric import Fabric

BEST_NAME = "best"
LOG_EVERY = 50  # steps


@dataclass(frozen=True)
class TrainingReport:
    """Where a training is.

    Attributes
    ----------
    step, epoch : int
        Updates done, and times every clip was seen.
    steps : int or None
        Updates in all; None where judgements decide when it is enough.
    losses : mapping of str to float
        Means since the last report.
    rate : float
        Learning rate.
    frames_per_second : float
        Learned from, since the last report, judgements not counted.
    judged : float or None
        The metric's value on the validation part, in its unit, if this report is of a judgement.
    best : float or None
        Of all judgements so far.
    """

    step: int
    steps: int | None
    epoch: int
    losses: Mapping[str, float]
    rate: float
    frames_per_second: float
    judged: float | None = None
    best: float | None = None


@dataclass
class _Position:
    """How far a training is; all that a state has besides tensors."""

    step: int = 0
    best: float | None = None
    best_step: int = 0


class _Batches(Dataset[dict[str, Tensor]]):
    """Batch ``n`` of a training, made when it is asked for."""

    def __init__(self, learner: Trainable, book: SampleDataset, plan: BatchPlan, seed: int) -> None:
        self._learner = learner
        self._book = book
        self._plan = plan
        self._seed = seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self._seed, 1, number))
        return self._learner.batch([self._book[index] for index in self._plan[number]], rng)


class TrainingLoop:
    """A learner on its way.

    Parameters
    ----------
    learner : Trainable
    lessons, exam : SampleDataset
        What is learned from, and what is judged by.
    out : Path
        Its folder: state, log, best package, TensorBoard's files.
    schedule : Schedule
    fabric : Fabric
        Devices and precision.
    half : bool
        Whether the package keeps its tensors in half precision.
    loaders : int
        Processes that prepare batches; 0 for none besides this one.
    note : mapping
        JSON that goes into the package's configuration: how it was made.
    view : str
        Id of the observer's view that the lessons were seen through; goes there too.
    """

    def __init__(
        self,
        learner: Trainable,
        lessons: SampleDataset,
        exam: SampleDataset,
        out: Path,
        schedule: Schedule,
        fabric: Fabric,
        *,
        half: bool,
        loaders: int,
        note: Mapping[str, Any],
        view: str,
    ) -> None:
        self._learner = learner
        self._lessons = lessons
        self._exam = exam
        self._out = out
        self._schedule = schedule
        self._fabric = fabric
        self._half = half
        self._loaders = loaders
        self._note = note
        self._view = view
        self._metric = find_metric(learner.metric)
        self._at = _Position()
        optimiser = torch.optim.AdamW(_groups(learner.network, schedule.weight_decay), lr=schedule.learning_rate)
        self._network, self._optimiser = fabric.setup(learner.network, optimiser)

    def run(self, tell: Callable[[TrainingReport], None], until: float | None = None) -> _Position:
        """Train from where the folder's state is to the end, or to the moment ``until`` of ``time.monotonic()``.

        Raises
        ------
        TlbenchError
            If the state is damaged, the disk is full, or the loss is no longer a number.
        """
        self._resume()
        schedule, fabric = self._schedule, self._fabric
        a_step = schedule.accumulate * fabric.world_size
        plan = BatchPlan(self._lessons.lengths, schedule.batch_frames, schedule.seed)
        batches = _Batches(self._learner, self._lessons, plan, schedule.seed)
        numbers = [
            (step * schedule.accumulate + part) * fabric.world_size + fabric.global_rank
            for step in range(self._at.step, schedule.steps)
            for part in range(schedule.accumulate)
        ]
        loader = iter(
            DataLoader(batches, batch_size=None, sampler=numbers, num_workers=self._loaders, pin_memory=on_cuda(fabric))
        )
        sums = Sums()
        self._network.train()
        try:
            while self._at.step < schedule.steps and (until is None or time.monotonic() < until):
                self._step(loader, sums)
                epoch = plan.epoch_of(self._at.step * a_step)
                judging = self._at.step % schedule.validate_every == 0 or self._at.step == schedule.steps
                if judging or self._at.step % LOG_EVERY == 0:
                    self._tell(tell, sums, epoch, self._judge() if judging else None)
                    sums = Sums()
        finally:
            self._save()
        return self._at

    def _step(self, loader: Any, sums: Sums) -> None:
        schedule = self._schedule
        began = time.monotonic()
        torch.manual_seed(schedule.seed * 1_000_003 + self._at.step)  # what is dropped
        rate = schedule.rate(self._at.step)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        for part in range(schedule.accumulate):
            batch = {name: tensor.to(self._fabric.device, non_blocking=True) for name, tensor in next(loader).items()}
            with self._fabric.no_backward_sync(self._network, enabled=part < schedule.accumulate - 1):
                losses = self._network(batch)
                self._fabric.backward(losses[TOTAL] / schedule.accumulate)
            sums.add({name: value.detach() for name, value in losses.items()})
            sums.frames += int(batch["frames"].sum())
            if not torch.isfinite(losses[TOTAL]):
                raise TlbenchError(
                    f"step {self._at.step}: the loss is {float(losses[TOTAL])}; lower the learning rate (now {rate:g}) "
                    "and begin again in another folder"
                )
        sums.rate = rate
        # Half precision's scaled gradients overflow now and then; its scaler leaves such a step out by itself.
        self._fabric.clip_gradients(
            self._network, self._optimiser, max_norm=schedule.clip_norm, error_if_nonfinite=False
        )
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._at.step += 1
        sums.seconds += time.monotonic() - began

    def _judge(self) -> float | None:
        """The metric on the validation part; the best network so far is kept."""
        value: float | None = None
        if self._fabric.global_rank == 0:
            said = self._learner.judge(self._exam, self._fabric.device)
            tallies = [self._metric.tally(evidence) for evidence in said]
            value = self._metric.value(sum(tallies[1:], tallies[0]))
            if value is not None and self._is_better(value):
                self._at.best, self._at.best_step = value, self._at.step
                trained = {**self._note, "step": self._at.step, self._metric.key: value}
                package = own_package(self._learner.package(), self._view, trained, half=self._half)
                replace_package(package, self._out / BEST_NAME)
            self._save()
        self._fabric.barrier()
        return value

    def _is_better(self, value: float) -> bool:
        if self._at.best is None:
            return True
        return value > self._at.best if self._metric.better == "higher" else value < self._at.best

    def _tell(self, tell: Callable[[TrainingReport], None], sums: Sums, epoch: int, judged: float | None) -> None:
        if self._fabric.global_rank != 0:
            return
        rate = sums.frames * self._fabric.world_size / max(sums.seconds, 1e-9)
        report = TrainingReport(
            self._at.step, self._schedule.steps, epoch, sums.means(), sums.rate, rate, judged, self._at.best
        )
        line = {"step": report.step, "epoch": epoch, **report.losses, "learning_rate": report.rate}
        line["frames_per_second"] = round(rate, 1)
        if judged is not None:
            line[self._metric.key] = judged
        append_log(self._out, line)
        self._fabric.log_dict({name: value for name, value in line.items() if name != "step"}, step=report.step)
        tell(report)

    def _save(self) -> None:
        if self._fabric.global_rank != 0:
            return
        state = {
            "network": self._learner.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self._at.step,
            "best": self._at.best,
            "best_step": self._at.best_step,
        }
        write_state(self._out, state)

    def _resume(self) -> None:
        state = read_state(self._out, self._fabric.device)
        if state is None:
            return
        try:
            self._learner.network.load_state_dict(state["network"])
            self._optimiser.load_state_dict(state["optimiser"])
            self._at = _Position(state["step"], state["best"], state["best_step"])
        except NO_STATE as error:
            raise bad_state(self._out, error) from error
        cut_log(self._out, self._at.step)


def _groups(network: nn.Module, weight_decay: float) -> Sequence[dict[str, Any]]:
    """Matrices decay, biases and scales do not."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
