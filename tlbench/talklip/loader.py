"""The batches of a training, prepared ahead of the steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic

import numpy as np
from torch.utils.data import Dataset

from tlbench.talklip.batches import FaceBatchMaker
from tlbench.talklip.dataset import TalkLipDataset
from tlbench.talklip.generator_step import BatchT
from tlbench.training.batch_loading import load_batches
from tlbench.training.schedule import BatchPlan

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class BatchLoader(Generic[BatchT]):
    """Loads the batches of a training; batch n depends only on the seed, on n and on the number of rollbacks.

    Parameters
    ----------
    maker : FaceBatchMaker
    train_set : TalkLipDataset
    plan : BatchPlan
        The clips of each batch.
    seed : int
    num_workers : int
        Processes that prepare batches; 0 for none but this one.
    fabric : Fabric
        Each of its devices gets batches of its own.
    """

    def __init__(
        self,
        maker: FaceBatchMaker[BatchT],
        train_set: TalkLipDataset,
        plan: BatchPlan,
        seed: int,
        num_workers: int,
        fabric: Fabric,
    ) -> None:
        self._maker = maker
        self._train_set = train_set
        self._plan = plan
        self._seed = seed
        self._num_workers = num_workers
        self._fabric = fabric

    def batches_from(self, number: int, rollbacks: int, *, use_expert: bool) -> Iterator[BatchT]:
        """This device's batches from number ``number`` on, on the device."""
        devices = self._fabric.world_size
        mine = (batch * devices + self._fabric.global_rank for batch in itertools.count(number))
        dataset = _NumberedBatches(
            self._maker, self._train_set, self._plan, (self._seed, 1, rollbacks), use_expert=use_expert
        )
        loaded = load_batches(dataset, mine, self._num_workers, self._fabric)
        return (batch.to(self._fabric.device) for batch in loaded)


class _NumberedBatches(Dataset[BatchT]):
    """Batch ``number`` of a training, made when it is needed."""

    def __init__(
        self,
        maker: FaceBatchMaker[BatchT],
        train_set: TalkLipDataset,
        plan: BatchPlan,
        seed: tuple[int, ...],
        *,
        use_expert: bool,
    ) -> None:
        self._maker = maker
        self._train_set = train_set
        self._plan = plan
        self._seed = seed
        self._use_expert = use_expert

    def __getitem__(self, number: int) -> BatchT:
        rng = np.random.default_rng((*self._seed, number))
        clips = [self._train_set[index] for index in self._plan[number]]
        return self._maker.training(clips, rng, use_expert=self._use_expert)
