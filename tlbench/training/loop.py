"""The training loop of observers: optimiser steps, validation, and a state file from which training resumes.

A step depends on the weights, the optimiser's state, the seed and the step's number, and on nothing else: the seed and
the number decide which clips are in the batch, their augmentation and dropout. So an interrupted run that is resumed
ends with the same weights as one that was not interrupted, on the same kind and number of devices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from tlbench.checkpoints.package import own_package, replace_package
from tlbench.errors import TlbenchError
from tlbench.observing.evidence import first_not_finite
from tlbench.training.batch_loading import load_batches
from tlbench.training.preprocessed import PreprocessedDataset
from tlbench.training.run_folder import (
    STATE_ERRORS,
    RunLog,
    Sums,
    bad_state,
    check_progress,
    load_optimiser,
    read_state,
    write_state,
)
from tlbench.training.schedule import BatchPlan, Schedule
from tlbench.training.trainable import TOTAL, Trainable

if TYPE_CHECKING:
    from lightning_fabric import Fabric

BEST_NAME = "best"
LOG_EVERY = 50  # steps


@dataclass(frozen=True)
class TrainingReport:
    """The progress of a training run.

    Attributes
    ----------
    step : int
        Optimiser steps done.
    steps : int or None
        Steps in all; None where validation decides when training ends.
    epoch : int
        Counted from 0.
    losses : mapping of str to float
        Means since the last report.
    learning_rate : float
    frames_per_second : float
        Video frames trained on per second since the last report, without the time of validation.
    val_value : float or None
        The metric on the validation set, in its unit; None if this report is not of a validation.
    best : float or None
        The best ``val_value`` so far.
    """

    step: int
    steps: int | None
    epoch: int
    losses: Mapping[str, float]
    learning_rate: float
    frames_per_second: float
    val_value: float | None = None
    best: float | None = None


@dataclass
class _Progress:
    """What a state file holds besides tensors."""

    step: int = 0
    best: float | None = None
    best_step: int = 0

    def __post_init__(self) -> None:
        check_progress((self.step, self.best_step), self.best)


class _Batches(Dataset[dict[str, Tensor]]):
    """Batch ``n`` of a run, computed when it is accessed."""

    def __init__(self, trainable: Trainable, train_set: PreprocessedDataset, plan: BatchPlan, seed: int) -> None:
        self._trainable = trainable
        self._train_set = train_set
        self._plan = plan
        self._seed = seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self._seed, 1, number))
        return self._trainable.batch([self._train_set[index] for index in self._plan[number]], rng)


class TrainingLoop:
    """One training run.

    Parameters
    ----------
    trainable : Trainable
    train_set, val_set : PreprocessedDataset
    out : Path
        The run folder: state file, log, best package, TensorBoard's files.
    schedule : Schedule
    fabric : Fabric
        Devices and precision.
    save_fp16 : bool
        Store the package's tensors in float16.
    num_workers : int
        Processes that prepare batches; 0 prepares them in this process.
    training_info : mapping
        JSON about the run for the package's configuration.
    view_id : str
        Id of the observer's view; also for the package's configuration.
    """

    def __init__(
        self,
        trainable: Trainable,
        train_set: PreprocessedDataset,
        val_set: PreprocessedDataset,
        out: Path,
        schedule: Schedule,
        fabric: Fabric,
        *,
        save_fp16: bool,
        num_workers: int,
        training_info: Mapping[str, Any],
        view_id: str,
    ) -> None:
        self._trainable = trainable
        self._train_set = train_set
        self._val_set = val_set
        self._out = out
        self._schedule = schedule
        self._fabric = fabric
        self._save_fp16 = save_fp16
        self._num_workers = num_workers
        self._training_info = training_info
        self._view_id = view_id
        self._metric = trainable.validation_metric()
        self._progress = _Progress()
        self._log = RunLog(out)
        self._sums = Sums()
        self._state_is_consistent = True  # False during a step
        optimiser = torch.optim.AdamW(_groups(trainable.network, schedule.weight_decay), lr=schedule.learning_rate)
        self._network, self._optimiser = fabric.setup(trainable.network, optimiser)

    def run(self, on_report: Callable[[TrainingReport], None], stop: Callable[[], bool]) -> _Progress:
        """Train from the folder's state to the last step, or until ``stop`` returns True between two steps.

        The state is saved at each validation and at the end. An exception during a step drops the step: training
        resumes from the state before it.

        Raises
        ------
        TlbenchError
            If the state file is damaged, the disk is full, or the loss is not finite.
        """
        self._resume()
        schedule, fabric = self._schedule, self._fabric
        plan = BatchPlan(self._train_set.lengths, schedule.batch_frames, schedule.seed)
        batches = self._batches(plan)
        self._network.train()
        try:
            while self._progress.step < schedule.steps and not stop():
                self._state_is_consistent = False
                self._step(batches)
                step = self._progress.step
                epoch = plan.epoch_of(step * schedule.accumulate * fabric.world_size)
                validating = step % schedule.validate_every == 0 or step == schedule.steps
                value = self._validate() if validating else None
                report = self._report(epoch, value) if validating or step % LOG_EVERY == 0 else None
                self._state_is_consistent = True
                if validating:
                    self._save()
                if report is not None and fabric.global_rank == 0:
                    on_report(report)
        finally:
            if self._state_is_consistent:
                self._save()
        return self._progress

    def _batches(self, plan: BatchPlan) -> Iterator[dict[str, Tensor]]:
        """The batches of this process, from the next step on."""
        schedule, fabric = self._schedule, self._fabric
        numbers = [
            (step * schedule.accumulate + part) * fabric.world_size + fabric.global_rank
            for step in range(self._progress.step, schedule.steps)
            for part in range(schedule.accumulate)
        ]
        batches = _Batches(self._trainable, self._train_set, plan, schedule.seed)
        return load_batches(batches, numbers, self._num_workers, fabric)

    def _step(self, batches: Iterator[dict[str, Tensor]]) -> None:
        schedule, sums = self._schedule, self._sums
        started = time.monotonic()
        torch.manual_seed(schedule.seed * 1_000_003 + self._progress.step)  # decides dropout
        rate = schedule.learning_rate_at(self._progress.step)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        for part in range(schedule.accumulate):
            batch = {name: tensor.to(self._fabric.device, non_blocking=True) for name, tensor in next(batches).items()}
            with self._fabric.no_backward_sync(self._network, enabled=part < schedule.accumulate - 1):
                losses = self._network(batch)
                self._fabric.backward(losses[TOTAL] / schedule.accumulate)
            sums.add({name: value.detach() for name, value in losses.items()})
            sums.frames += int(batch["frames"].sum())
            if not torch.isfinite(losses[TOTAL]):
                raise TlbenchError(
                    f"step {self._progress.step}: the loss is {float(losses[TOTAL])}; lower the learning rate "
                    f"(now {rate:g}) and start again in another folder"
                )
        sums.rate = rate
        self._fabric.clip_gradients(
            self._network, self._optimiser, max_norm=schedule.clip_norm, error_if_nonfinite=False
        )
        self._optimiser.step()
        self._optimiser.zero_grad()
        self._progress.step += 1
        sums.seconds += time.monotonic() - started

    def _validate(self) -> float | None:
        """The metric on the validation set. The best network so far is written as a package."""
        value: float | None = None
        progress = self._progress
        if self._fabric.global_rank == 0:
            evidence = self._trainable.predict(self._val_set, self._fabric.device)
            if strange := next(filter(None, map(first_not_finite, evidence)), None):
                raise TlbenchError(
                    f"step {progress.step}: on a validation clip the {strange} is not finite; lower the learning rate "
                    "and start again in another folder"
                )
            tallies = [self._metric.tally(one) for one in evidence]
            value = self._metric.value(sum(tallies[1:], tallies[0]))
            if value is not None and self._is_better(value):
                progress.best, progress.best_step = value, progress.step
                trained = {**self._training_info, "step": progress.step, self._metric.key: value}
                package = own_package(self._trainable.package(), self._view_id, trained, half=self._save_fp16)
                replace_package(package, self._out / BEST_NAME)
        self._fabric.barrier()
        return value

    def _is_better(self, value: float) -> bool:
        if self._progress.best is None:
            return True
        return value > self._progress.best if self._metric.better == "higher" else value < self._progress.best

    def _report(self, epoch: int, val_value: float | None) -> TrainingReport:
        """The mean losses since the last report, which the log and TensorBoard get too."""
        sums, self._sums = self._sums, Sums()
        frames_per_second = sums.frames * self._fabric.world_size / max(sums.seconds, 1e-9)
        report = TrainingReport(
            self._progress.step,
            self._schedule.steps,
            epoch,
            sums.means(),
            sums.rate,
            frames_per_second,
            val_value,
            self._progress.best,
        )
        line = {"step": report.step, "epoch": epoch, **report.losses, "learning_rate": report.learning_rate}
        line["frames_per_second"] = round(frames_per_second, 1)
        if val_value is not None:
            line[self._metric.key] = val_value
        if self._fabric.global_rank == 0:
            self._log.append(line)
            values = {name: value for name, value in line.items() if name != "step"}
            self._fabric.log_dict(values, step=report.step)
        return report

    def _save(self) -> None:
        if self._fabric.global_rank != 0:
            return
        state = {
            "network": self._trainable.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self._progress.step,
            "best": self._progress.best,
            "best_step": self._progress.best_step,
            "losses": self._sums.losses,
            "log_lines": self._log.lines,
        }
        write_state(self._out, state)

    def _resume(self) -> None:
        state = read_state(self._out, self._fabric.device)
        if state is None:
            self._cut_log(0)
            return
        try:
            self._trainable.network.load_state_dict(state["network"])
            load_optimiser(self._optimiser, state["optimiser"])
            self._progress = _Progress(state["step"], state["best"], state["best_step"])
            self._sums = Sums(state.get("losses", {}))
            check_progress([state["log_lines"]] if "log_lines" in state else [], None)
        except STATE_ERRORS as error:
            raise bad_state(self._out, error) from error
        self._cut_log(state.get("log_lines"))

    def _cut_log(self, lines: int | None) -> None:
        if self._fabric.global_rank == 0:
            self._log.cut(lines, self._progress.step)


def _groups(network: nn.Module, weight_decay: float) -> Sequence[dict[str, Any]]:
    """Parameter groups for AdamW: weight decay for matrices, none for biases and scales."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
