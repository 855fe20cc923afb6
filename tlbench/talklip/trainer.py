"""The training loop of every generator: steps, stages, validation, rollbacks after divergence, and states.

As in :mod:`tlbench.training.loop`, a step depends on what came before it only through the weights and the optimisers'
states. The clips of its batch, the frames that are selected and masked, and dropout follow from the seed, the number of
the step and the number of rollbacks. So a training that was interrupted and continued ends with the weights of one that
was not (on the same device and the same number of devices).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

import numpy as np
import torch

from tlbench.checkpoints.package import own_package, replace_package
from tlbench.talklip.batches import FaceBatchMaker
from tlbench.talklip.checkpoint import write_official
from tlbench.talklip.copy_init import init_as_copy
from tlbench.talklip.dataset import TalkLipDataset
from tlbench.talklip.discriminator import Discriminator
from tlbench.talklip.divergence_guard import DivergenceGuard, DivergenceGuardConfig, first_tensor_not_finite
from tlbench.talklip.generator import FacePainter, TalkLip
from tlbench.talklip.generator_step import BatchT, GeneratorStep
from tlbench.talklip.loader import BatchLoader
from tlbench.talklip.stages import Progress
from tlbench.talklip.train_config import Init
from tlbench.talklip.validation import Validation
from tlbench.training.loop import TrainingReport
from tlbench.training.run_folder import STATE_ERRORS, RunLog, Sums, bad_state, check_progress, read_state, write_state
from tlbench.training.schedule import BatchPlan

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LAST_NAME = "last"
SAMPLES_NAME = "samples"
LOG_EVERY = 50  # steps
CHECKED_CLIPS = 10  # clips of the validation set that show whether the expert is of use
COPY_CLIPS = 24  # clips whose faces give the batch norms of `init_as_copy` their statistics


@dataclass(frozen=True)
class TrainLoopConfig:
    """Batches, validation and states.

    Attributes
    ----------
    batch_clips : int
        Clips in a batch, on each device; 8 as published (TalkLip ``train.py``, ``--batch_size``).
    accumulate : int
        Batches whose gradients are added before a step: larger batches in the same memory.
    validate_every : int
        Steps between validations; 3000 as published (``--ckpt_interval``).
    val_clips : int
        Clips that are validated on, the first of the validation set; 0 for all.
    save_every : int
        Steps between states; also the largest number of steps that a rollback loses.
    seed : int
    """

    batch_clips: int = 8
    accumulate: int = 1
    validate_every: int = 3000
    val_clips: int = 0
    save_every: int = 500
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


@dataclass
class Position:
    """How far a training is; kept in its state.

    Attributes
    ----------
    step : int
        Steps done.
    tries : int
        The number of rollbacks; batches after one are drawn anew.
    l1 : float or None
        Of the last validation.
    """

    step: int = 0
    tries: int = 0
    l1: float | None = None

    def __post_init__(self) -> None:
        check_progress((self.step, self.tries), self.l1)


class ReferenceTraining(Generic[BatchT]):
    """A training of a generator.

    Parameters
    ----------
    train_step : GeneratorStep
        Networks, losses and optimisers.
    maker : FaceBatchMaker
    train_set, val_set : TalkLipDataset
    out : Path
        The run folder: state, log, packages, samples, TensorBoard's files.
    stages : Progress
    config : TrainLoopConfig
    fabric : Fabric
        Devices and precision.
    guard : DivergenceGuardConfig
    num_workers : int
        Processes that prepare batches; 0 for none but this one.
    init : "random" or "copy"
        ``copy`` changes the generator's weights by :func:`tlbench.talklip.copy_init.init_as_copy` before the first
        step.
    provenance : mapping
        JSON for the package: how the generator is trained.
    """

    def __init__(
        self,
        train_step: GeneratorStep[BatchT],
        maker: FaceBatchMaker[BatchT],
        train_set: TalkLipDataset,
        val_set: TalkLipDataset,
        out: Path,
        stages: Progress,
        config: TrainLoopConfig,
        fabric: Fabric,
        *,
        guard: DivergenceGuardConfig,
        num_workers: int,
        init: Init,
        provenance: Mapping[str, Any],
    ) -> None:
        self._train_step = train_step
        self._maker = maker
        self._train_set = train_set
        self._validation = Validation(train_step, maker, val_set, config.val_clips, fabric.device)
        self._out = out
        self._stages = stages
        self._config = config
        self._fabric = fabric
        self._guard = DivergenceGuard(guard, train_step.adversarial)
        self._init = init
        self._provenance = provenance
        self._position = Position()
        self._log = RunLog(out)
        self._sums = Sums()
        self._state_is_consistent = True  # False during a step
        self._saved_step = -1  # step of the saved state
        # As in the original, a batch is a fixed number of clips at random, whatever their lengths.
        self._plan = BatchPlan([1] * len(train_set), config.batch_clips, config.seed)
        self._loader = BatchLoader(maker, train_set, self._plan, config.seed, num_workers, fabric)

    def run(
        self,
        on_report: Callable[[TrainingReport], None],
        notify: Callable[[str], None],
        stop: Callable[[], bool] = lambda: False,
    ) -> tuple[Position, bool]:
        """Train from the state in the run folder to the end, or until ``stop`` returns True between two steps.

        Parameters
        ----------
        on_report : callable
            Gets a report every 50 steps and after each validation.
        notify : callable
            Gets a line when a stage begins and after a rollback.

        Returns
        -------
        Position, bool
            How far the training is, and whether the last stage is over.

        Raises
        ------
        TlbenchError
            If the state is damaged, the disk is full, or the training diverges again and again.
        """
        if not self._resume():
            self._start()
            self._check_expert(notify)
            self._save()
        self._enter_stage()
        if not self._stages.is_over and self._fabric.global_rank == 0:
            notify(self._stages.described())
        try:
            self._train(on_report, notify, stop)
        finally:
            if self._state_is_consistent:
                self._save()
        return self._position, self._stages.is_over

    def _train(
        self, on_report: Callable[[TrainingReport], None], notify: Callable[[str], None], stop: Callable[[], bool]
    ) -> None:
        """The loop over steps."""
        config, batches = self._config, self._batches()
        while not self._stages.is_over and not stop():
            self._state_is_consistent = False
            began = time.monotonic()
            divergence = self._step(batches)
            if divergence is not None:
                self._roll_back(divergence, notify)
                batches = self._batches()
                continue
            self._sums.seconds += time.monotonic() - began
            ended = self._stages.at_step(self._position.step)
            validates = self._position.step % config.validate_every == 0 or self._stages.is_over
            stage = self._stages.stage, self._stages.is_over
            val_losses = self._validate() if validates else {}
            if not math.isfinite(val_losses.get("l1", 0.0)):
                self._roll_back(f"l1 of the validation set is {val_losses['l1']}", notify)
                batches = self._batches()
                continue
            ended = ended or (self._stages.stage, self._stages.is_over) != stage
            if ended:
                self._enter_stage(notify)
                batches = self._batches()
            report = self._report(val_losses) if validates or self._position.step % LOG_EVERY == 0 else None
            self._state_is_consistent = True
            if ended or validates or self._position.step % config.save_every == 0:
                self._save()
            if report is not None and self._fabric.global_rank == 0:
                on_report(report)

    def _start(self) -> None:
        """Prepare the first step of a new training."""
        self._stages.at_step(0)
        if self._init == "copy":
            clips = [self._train_set[index] for index in range(min(len(self._train_set), COPY_CLIPS))]
            rng = np.random.default_rng((self._config.seed, 2))
            batch = self._maker.training(clips, rng, use_expert=False).to(self._fabric.device)
            generator = self._train_step.networks["generator"]
            assert isinstance(generator, FacePainter)
            init_as_copy(generator, lambda: self._train_step.generate(batch))

    def _check_expert(self, notify: Callable[[str], None]) -> None:
        """Report what the expert says of real videos, and warn if that is nothing."""
        if self._fabric.global_rank != 0:
            return
        checked = self._train_step.check_of_expert(self._validation.batches(CHECKED_CLIPS))
        if checked is not None:
            self._notify(notify, *checked)

    def _step(self, batches: Iterator[BatchT]) -> str | None:
        """Train by one step. Returns why the training diverged, or None."""
        torch.manual_seed(
            (self._config.seed * 1009 + self._position.tries) * 1_000_003 + self._position.step
        )  # for dropout
        accumulated = [next(batches) for _ in range(self._config.accumulate)]
        self._train_step.prepare_step(self._position.step, self._stages.total)
        means = self._fabric.all_reduce(self._train_step(accumulated), reduce_op="mean")
        assert isinstance(means, dict)
        losses = {name: float(value) for name, value in means.items()}
        self._sums.add(losses)
        self._sums.frames += sum(len(batch.faces) for batch in accumulated)
        self._position.step += 1
        return self._guard.check(losses)

    def _batches(self) -> Iterator[BatchT]:
        """The batches from the next step on."""
        first = self._position.step * self._config.accumulate
        return self._loader.batches_from(first, self._position.tries, use_expert=self._train_step.use_expert)

    def _enter_stage(self, notify: Callable[[str], None] | None = None) -> None:
        """Set what is trained in the present stage."""
        stages = self._stages
        self._train_step.set_stage(train_audio=stages.train_audio, use_expert=stages.use_expert)
        if notify is not None and not stages.is_idle:
            self._notify(notify, stages.described(), {"stage": stages.stage})

    def _roll_back(self, reason: str, notify: Callable[[str], None]) -> None:
        """Return to the saved state, and draw other batches from there on."""
        diverged = self._position.step
        tries = self._position.tries + 1
        self._resume()
        self._position.tries = tries
        self._guard.note_rollback(reason, self._position.step)
        self._enter_stage()
        self._notify(
            notify,
            f"step {diverged}: {reason}; went back to step {self._position.step}, other batches are drawn from there",
            {"went_back_from": diverged, "reason": reason},
        )
        self._state_is_consistent = True
        self._saved_step = -1  # the number of rollbacks is part of the state
        self._save()

    def _notify(self, notify: Callable[[str], None], line: str, event: Mapping[str, Any]) -> None:
        if self._fabric.global_rank == 0:
            self._log.append({"step": self._position.step, **event})
            notify(line)

    def _validate(self) -> dict[str, float]:
        """Mean losses on the validation set, after writing packages and samples unless ``l1`` is not finite."""
        losses: dict[str, float] = {}
        if self._fabric.global_rank == 0:
            losses = self._validation.losses()
        losses = self._fabric.broadcast(losses)
        if not math.isfinite(losses["l1"]):
            return losses
        if self._fabric.global_rank == 0:
            self._publish(losses)
            self._validation.write_samples(self._out / SAMPLES_NAME, f"{self._position.step:07d}")
        self._fabric.barrier()
        self._position.l1 = losses["l1"]
        self._stages.validated(losses["l1"], losses)
        return losses

    def _publish(self, losses: Mapping[str, float]) -> None:
        """Write the networks as packages and in the original's format."""
        trained = {**self._provenance, "step": self._position.step, "stage": self._stages.stage, "judged": dict(losses)}
        package = self._train_step.package(trained)
        replace_package(own_package(package, "", trained, half=False), self._out / LAST_NAME)
        for name, network in self._train_step.networks.items():
            if isinstance(network, (TalkLip, Discriminator)):  # there is an original's format of these
                write_official(network, self._out / f"{name}.pth", self._position.step, self._epoch, trained)

    @property
    def _epoch(self) -> int:
        return self._plan.epoch_of(self._position.step * self._config.accumulate * self._fabric.world_size)

    def _report(self, val_losses: Mapping[str, float]) -> TrainingReport:
        """The mean losses since the last report, which the log and TensorBoard get too."""
        sums, self._sums = self._sums, Sums()
        frame_rate = sums.frames * self._fabric.world_size / max(sums.seconds, 1e-9)
        optim, total = self._train_step.optim, self._stages.total
        report = TrainingReport(
            self._position.step,
            total,
            self._epoch,
            sums.means(),
            optim.learning_rate * optim.lr_scale(self._position.step, total),
            frame_rate,
            val_losses.get("l1"),
            self._stages.best,
        )
        line = {"step": report.step, "epoch": report.epoch, "stage": self._stages.stage, **report.losses}
        line |= {"frames_per_second": round(frame_rate, 1)}
        line |= {f"val_{name}": value for name, value in val_losses.items()}
        if self._fabric.global_rank == 0:
            self._log.append(line)
            self._fabric.log_dict({name: value for name, value in line.items() if name != "step"}, step=report.step)
        return report

    def _save(self) -> None:
        """Write the state, unless this step's is written already or the training is diverging."""
        state = self._train_step.state()
        finite = all(first_tensor_not_finite(state[name]) is None for name in self._train_step.networks)
        if self._position.step == self._saved_step or not self._guard.is_calm or not finite:
            return
        if self._position.step > self._saved_step >= 0:
            self._guard.note_later_state()
        if self._fabric.global_rank == 0:
            write_state(self._out, {**state, **self._place()})
        self._fabric.barrier()
        self._saved_step = self._position.step

    def _place(self) -> dict[str, Any]:
        """What a state has besides networks and optimisers."""
        return {
            "at": asdict(self._position),
            "stages": self._stages.to_json(),
            "guard": self._guard.to_json(),
            "losses": self._sums.losses,
            "log_lines": self._log.lines,
        }

    def _resume(self) -> bool:
        """Continue from the saved state; False if there is none."""
        state = read_state(self._out, self._fabric.device)
        if state is None:
            self._cut_log(0)
            return False
        try:
            for network in self._train_step.networks:
                if strange := first_tensor_not_finite(state[network]):
                    raise ValueError(f"not all values of {network}.{strange} are finite")  # no state is saved so
            self._train_step.restore(state)
            self._position = Position(**state["at"])
            self._stages.restore(state["stages"])
            self._guard.restore(state.get("guard", {}))
            self._sums = Sums(state.get("losses", {}))
            check_progress([state["log_lines"]] if "log_lines" in state else [], None)
        except STATE_ERRORS as error:
            raise bad_state(self._out, error) from error
        self._cut_log(state.get("log_lines"))
        self._saved_step = self._position.step
        return True

    def _cut_log(self, lines: int | None) -> None:
        if self._fabric.global_rank == 0:
            self._log.cut(lines, self._position.step)
