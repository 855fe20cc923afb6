"""The loop around the generator's steps: stages, judgements, a guard, and a state from which it goes on exactly.

As in :mod:`tlbench.training.loop`, nothing in a step depends on what came before it but weights and the optimisers'
memory: which clips are in its batch, which frames are picked and masked and what is dropped follow from the seed, the
step's number and how often the guard has gone back. So a training that was killed and resumed ends with the weights of
one that was not (on the same device and number of devices).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from tlbench.checkpoints.package import own_package, replace_package
from tlbench.talklip.batches import Batch, BatchMaker, as_pictures
from tlbench.talklip.checkpoint import package_of, write_official
from tlbench.talklip.copy_init import begin_as_copier
from tlbench.talklip.dataset import TalkLipDataset
from tlbench.talklip.divergence_guard import DivergenceGuard, DivergenceGuardConfig, first_not_finite
from tlbench.talklip.samples import VIDEO_FRAMES, Sample, draw_strip, write_sample_video
from tlbench.talklip.stages import DONE, LISTENING, NAMES, READING, Stages, StageSchedule
from tlbench.talklip.train_step import ADVERSARIAL, TrainStep
from tlbench.training.devices import on_cuda
from tlbench.training.loop import TrainingReport
from tlbench.training.run_folder import NO_STATE, Sums, append_log, bad_state, cut_log, read_state, write_state
from tlbench.training.schedule import BatchPlan

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LAST_NAME = "last"
OFFICIAL = {"generator": "generator.pth", "discriminator": "discriminator.pth"}  # in the original's form
SAMPLES_NAME = "samples"
LOG_EVERY = 50  # steps
SAMPLE_FRAMES = 25  # that are generated at once
COPIED_CLIPS = 24  # whose faces a copier's batch norms are measured by
TRIED_CLIPS = 10  # of the val part, to see whether the lip reader can read them
SAMPLE_CLIPS = 4  # of the validation part, in the strip; the first of them is the video


@dataclass(frozen=True)
class TrainLoopConfig:
    """How a training goes, apart from what it learns.

    Attributes
    ----------
    batch_clips : int
        On each device; 8 as published (TalkLip ``train.py``, ``--batch_size``).
    accumulate : int
        Batches whose gradients are added before the weights change: a larger batch in the same memory.
    validate_every : int
        Steps between two judgements, 3000 as published (``--ckpt_interval``).
    judged_clips : int
        Of the validation part, the first so many are judged; 0 for all.
    save_every : int
        Steps between two states, which is also how far the guard goes back at most.
    seed : int
    """

    batch_clips: int = 8
    accumulate: int = 1
    validate_every: int = 3000
    judged_clips: int = 0
    save_every: int = 500
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


@dataclass
class Position:
    """How far a training is; what a state has besides tensors and stages.

    Attributes
    ----------
    step : int
    tries : int
        How often the guard has gone back: the same steps are then made with other chances.
    l1 : float or None
        Of the last judgement.
    """

    step: int = 0
    tries: int = 0
    l1: float | None = None


class _TalkLipBatches(Dataset[Batch]):
    """Batch ``n`` of a training, made when it is asked for."""

    def __init__(
        self, maker: BatchMaker, book: TalkLipDataset, plan: BatchPlan, chance: tuple[int, ...], *, read: bool
    ) -> None:
        self._maker = maker
        self._book = book
        self._plan = plan
        self._chance = chance
        self._read = read

    def __getitem__(self, number: int) -> Batch:
        rng = np.random.default_rng((*self._chance, number))
        return self._maker.training([self._book[index] for index in self._plan[number]], rng, read=self._read)


class _Numbers(Sampler[int]):
    """The numbers of the batches to come."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = numbers

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)


class ReferenceTraining:
    """A generator on its way.

    Parameters
    ----------
    update : TrainStep
        Networks, losses and optimisers.
    maker : BatchMaker
    lessons, exam : TalkLipDataset
        What is learned from, and what is judged by.
    out : Path
        Its folder: state, log, packages, samples, TensorBoard's files.
    stages : StageSchedule
    pace : TrainLoopConfig
    fabric : Fabric
        Devices and precision.
    guard : DivergenceGuardConfig
    loaders : int
        Processes that prepare batches; 0 for none besides this one.
    note : mapping
        JSON that goes into the package's configuration: how it was made.
    """

    def __init__(
        self,
        update: TrainStep,
        maker: BatchMaker,
        lessons: TalkLipDataset,
        exam: TalkLipDataset,
        out: Path,
        stages: StageSchedule,
        pace: TrainLoopConfig,
        fabric: Fabric,
        *,
        guard: DivergenceGuardConfig,
        loaders: int,
        note: Mapping[str, Any],
    ) -> None:
        self._update = update
        self._maker = maker
        self._lessons = lessons
        self._exam = exam
        self._out = out
        self._stages = Stages(stages)
        self._pace = pace
        self._fabric = fabric
        self._guard = DivergenceGuard(guard, ADVERSARIAL)
        self._loaders = loaders
        self._note = note
        self._at = Position()
        self._settled = True  # between two steps: a state may be kept
        self._saved = -1  # the step of the state that is kept
        # Clips of any length count alike, as in the original: a batch is so many of them at random.
        self._plan = BatchPlan([1] * len(lessons), pace.batch_clips, pace.seed)

    def run(
        self,
        tell: Callable[[TrainingReport], None],
        notice: Callable[[str], None],
        stop: Callable[[], bool] = lambda: False,
    ) -> tuple[Position, bool]:
        """Train from where the folder's state is to the end, or until ``stop`` says so between two steps.

        Parameters
        ----------
        tell : callable
            Gets a report every 50 steps and with each judgement.
        notice : callable
            Gets a line when a stage begins and when the guard goes back.

        Returns
        -------
        Position, bool
            Where it is, and whether the last stage is over.

        Raises
        ------
        TlbenchError
            If the state is damaged, the disk is full, or the training goes off again and again.
        """
        if not self._resume():
            self._begin()
            self._try_teacher(notice)
            self._save()
        self._enter_stage()
        sums, loader = Sums(), self._loader()
        try:
            while self._stages.stage != DONE and not stop():
                self._settled = False
                began = time.monotonic()
                reason = self._one_step(loader, sums)
                if reason is not None:
                    self._go_back(reason, notice)
                    sums, loader = Sums(), self._loader()
                    continue
                sums.seconds += time.monotonic() - began
                stage = self._stages.stage
                self._stages.at_step(self._at.step)
                judging = self._at.step % self._pace.validate_every == 0 or self._stages.stage == DONE
                judged = self._judge() if judging else {}
                self._settled = True
                if self._stages.stage != stage:
                    self._enter_stage(notice)
                    loader = self._loader()
                if self._stages.stage != stage or judging or self._at.step % self._pace.save_every == 0:
                    self._save()
                if judging or self._at.step % LOG_EVERY == 0:
                    self._tell(tell, sums, judged)
                    sums = Sums()
        finally:
            if self._settled:
                self._save()
        return self._at, self._stages.stage == DONE

    def _begin(self) -> None:
        """What comes before the first step."""
        self._stages.at_step(0)
        if self._update.recipe.copies:
            clips = [self._lessons[index] for index in range(min(len(self._lessons), COPIED_CLIPS))]
            rng = np.random.default_rng((self._pace.seed, 2))
            begin_as_copier(
                self._update.generator, self._maker.training(clips, rng, read=False).to(self._fabric.device)
            )

    def _try_teacher(self, notice: Callable[[str], None]) -> None:
        """Say what the lip reader charges for true videos: one that can't read those has nothing to teach."""
        teacher = self._update.teacher
        if teacher is None or self._fabric.global_rank != 0:
            return
        clips = [self._exam[index] for index in range(min(len(self._exam), TRIED_CLIPS))]
        charges = [self._update.charged_truth(self._maker.validation(clip).to(self._fabric.device)) for clip in clips]
        charge, guess = float(np.mean(charges)), math.log(teacher.vocabulary)
        line = (
            f"the lip reader is charged {charge:.2f} nats a token by the truth ({len(clips)} clips of the val part); "
            f"a guess among its {teacher.vocabulary} tokens is {guess:.2f}"
        )
        if charge > guess / 2:
            line += ": it can't read these videos and has nothing to teach; was it taught other words? (--expert)"
        self._say(notice, line, {"truth_lip_per_token": round(charge, 5)})

    def _one_step(self, loader: Iterator[Batch], sums: Sums) -> str | None:
        """Change the weights once. Returns why the training has gone off; None if it has not."""
        torch.manual_seed((self._pace.seed * 1009 + self._at.tries) * 1_000_003 + self._at.step)  # what is dropped
        batches = [next(loader) for _ in range(self._pace.accumulate)]
        self._update.at_step(self._at.step, self._left)
        losses = self._update(batches)
        means = self._fabric.all_reduce(losses, reduce_op="mean")
        assert isinstance(means, dict)
        told = {name: float(value) for name, value in means.items()}
        sums.add(told)
        sums.frames += sum(len(batch.faces) for batch in batches)
        self._at.step += 1
        return self._guard.look(told)

    def _loader(self) -> Iterator[Batch]:
        """Batches from the next step on, prepared ahead by ``loaders`` processes."""
        devices, first = self._fabric.world_size, self._at.step * self._pace.accumulate
        mine = (number * devices + self._fabric.global_rank for number in itertools.count(first))
        chance, read = (self._pace.seed, 1, self._at.tries), self._update.lips_are_read
        batches = _TalkLipBatches(self._maker, self._lessons, self._plan, chance, read=read)
        loader = DataLoader(
            batches,
            batch_size=None,
            sampler=_Numbers(mine),
            num_workers=self._loaders,
            pin_memory=on_cuda(self._fabric),
        )
        return (batch.to(self._fabric.device) for batch in loader)

    def _enter_stage(self, notice: Callable[[str], None] | None = None) -> None:
        """Let learn what learns in this stage, and charge what is charged in it."""
        stage = self._stages.stage
        self._update.enter(audio_learns=stage >= LISTENING, lips_are_read=stage >= READING)
        if notice is not None and stage not in self._stages.rule.idle:
            self._say(notice, f"stage {stage} of 3: {NAMES[stage]}", {"stage": stage})

    def _go_back(self, reason: str, notice: Callable[[str], None]) -> None:
        """Return to the state that was kept last, and take other chances from there."""
        gone = self._at.step
        tries = self._at.tries + 1
        self._resume()
        self._at.tries = tries
        self._guard.went_back(reason, self._at.step)
        self._enter_stage()
        self._saved = -1  # how often it has gone back is part of the state
        self._save()
        self._settled = True
        self._say(
            notice,
            f"step {gone}: {reason}; went back to step {self._at.step}, to go on from there with other chances",
            {"went_back_from": gone, "reason": reason},
        )

    def _say(self, notice: Callable[[str], None], line: str, event: Mapping[str, Any]) -> None:
        if self._fabric.global_rank == 0:
            append_log(self._out, {"step": self._at.step, **event})
            notice(line)

    def _judge(self) -> dict[str, float]:
        """Losses on the validation part, ``l1`` among them, which tells the stages; none if it is no number.

        Packages, files of the original's form and samples of the networks as they are.
        """
        means: dict[str, float] = {}
        if self._fabric.global_rank == 0:
            means = self._judged()
        means = self._fabric.broadcast(means)
        if not math.isfinite(means["l1"]):
            return {}
        if self._fabric.global_rank == 0:
            self._publish(means)
            self._draw()
        self._fabric.barrier()
        self._at.l1 = means["l1"]
        self._stages.judged(means["l1"])
        return means

    @torch.no_grad()
    def _judged(self) -> dict[str, float]:
        """Mean losses a clip over the validation part, its frames picked as the original picks them there.

        The lip reader is asked in every stage, so that it can be seen how far pictures alone get.
        """
        update, sums = self._update, Sums()
        networks = update.networks.values()
        for network in networks:
            network.eval()
        for index in range(min(len(self._exam), self._pace.judged_clips or len(self._exam))):
            batch = self._maker.validation(self._exam[index]).to(self._fabric.device)
            torch.manual_seed(index)  # contrastive negatives
            with self._fabric.autocast():
                heard, made = update.make(batch)
                losses = {"l1": (made.float() - batch.truth).abs().mean()}
                if update.teacher is not None:
                    losses |= update.read(batch, heard, made)
            sums.add(losses)
        update.train()
        return sums.means()

    def _publish(self, means: Mapping[str, float]) -> None:
        """The networks as packages and in the original's form."""
        trained = {**self._note, "step": self._at.step, "stage": self._stages.stage, "judged": dict(means)}
        update = self._update
        replace_package(
            own_package(package_of(update.generator, trained), "", trained, half=False), self._out / LAST_NAME
        )
        epoch = self._epoch
        write_official(update.generator, self._out / OFFICIAL["generator"], self._at.step, epoch, trained)
        write_official(update.discriminator, self._out / OFFICIAL["discriminator"], self._at.step, epoch, trained)

    @torch.no_grad()
    def _draw(self) -> None:
        """A strip of the first validation clips, and the first of them as a video."""
        update, samples = self._update, []
        update.generator.eval()
        for index in range(min(len(self._exam), SAMPLE_CLIPS)):
            clip = self._exam[index]
            made, given, truth = [], [], []
            for begin in range(0, min(len(clip), VIDEO_FRAMES), SAMPLE_FRAMES):
                batch = self._maker.whole(clip, begin, min(begin + SAMPLE_FRAMES, VIDEO_FRAMES)).to(self._fabric.device)
                made.append(as_pictures(update.make(batch)[1]))
                given.append(as_pictures(batch.faces))
                truth.append(as_pictures(batch.truth))
            pose, identity = np.split(np.concatenate(given), 2, axis=-1)
            samples.append(Sample(identity, pose, np.concatenate(made), np.concatenate(truth), clip.samples))
        update.train()
        folder = self._out / SAMPLES_NAME
        draw_strip(samples, folder / f"{self._at.step:07d}.png")
        write_sample_video(samples[0], folder / f"{self._at.step:07d}.mp4")

    @property
    def _left(self) -> float:
        """How much of the learning rates is left for the next step."""
        return self._update.recipe.left_at(self._at.step, self._stages.rule.total)

    @property
    def _epoch(self) -> int:
        return self._plan.epoch_of(self._at.step * self._pace.accumulate * self._fabric.world_size)

    def _tell(self, tell: Callable[[TrainingReport], None], sums: Sums, judged: Mapping[str, float]) -> None:
        if self._fabric.global_rank != 0:
            return
        rate = sums.frames * self._fabric.world_size / max(sums.seconds, 1e-9)
        report = TrainingReport(
            self._at.step,
            self._stages.rule.total,
            self._epoch,
            sums.means(),
            self._update.recipe.learning_rate * self._left,
            rate,
            judged.get("l1"),
            self._stages.best,
        )
        line = {"step": report.step, "epoch": report.epoch, "stage": self._stages.stage, **report.losses}
        line |= {"frames_per_second": round(rate, 1), **{f"val_{name}": value for name, value in judged.items()}}
        append_log(self._out, line)
        self._fabric.log_dict({name: value for name, value in line.items() if name != "step"}, step=report.step)
        tell(report)

    def _save(self) -> None:
        """Keep the state, unless it is kept already or is not worth going back to."""
        state = self._update.state()
        worth = self._guard.calm and all(first_not_finite(state[name]) is None for name in self._update.networks)
        if self._at.step == self._saved or not worth:
            return
        if self._fabric.global_rank == 0:
            write_state(self._out, {**state, "at": asdict(self._at), "stages": self._stages.to_json()})
        self._fabric.barrier()
        if self._at.step > self._saved >= 0:
            self._guard.went_on()
        self._saved = self._at.step

    def _resume(self) -> bool:
        """Take up the state that was kept; False if there is none."""
        state = read_state(self._out, self._fabric.device)
        if state is None:
            return False
        try:
            self._update.restore(state)
            self._at = Position(**state["at"])
            self._stages.restore(state["stages"])
        except NO_STATE as error:
            raise bad_state(self._out, error) from error
        if self._fabric.global_rank == 0:
            cut_log(self._out, self._at.step)
        self._saved = self._at.step
        return True
