"""What every Trainable promises, checked for each observer that can be trained, with its tiny network."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.factories.training_factory import INVENTORY, training_samples
from tlbench.checkpoints.catalogue import observer_names
from tlbench.checkpoints.package import own_package, read_package, write_package
from tlbench.errors import TlbenchError
from tlbench.observing.evidence import Evidence
from tlbench.observing.registry import capability, observer_class
from tlbench.training.trainable import TOTAL, Trainable

CPU = torch.device("cpu")
NAMES = [name for name in observer_names() if observer_class(name).trainable]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def kind(name: str) -> type[Trainable]:
    found: type[Trainable] = capability(name, "trainable")
    return found


@pytest.fixture
def trainable(kind: type[Trainable]) -> Trainable:
    return kind.from_scratch("tiny", INVENTORY, 0)


def as_json(evidence: list[Evidence]) -> str:
    return json.dumps([one.to_json() for one in evidence])


def test_the_bundled_observers_can_be_trained() -> None:
    assert {"autoavsr", "avhubert", "conformer", "mvm", "syncnet"} <= set(NAMES)


def test_it_names_its_observer_and_its_sizes(kind: type[Trainable], name: str) -> None:
    assert kind.observer == name
    assert {"tiny", "small"} <= set(kind.sizes)


def test_a_batch_follows_from_its_seed_and_is_augmented_by_it(trainable: Trainable, name: str) -> None:
    samples = training_samples(name)
    one, again, other = (trainable.batch(samples, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one["frames"].tolist() == [26, 27]
    assert one.keys() == again.keys()
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert any(key not in other or not torch.equal(one[key], other[key]) for key in one)


def test_the_same_seed_gives_the_same_weights(kind: type[Trainable]) -> None:
    first, second, other = (kind.from_scratch("tiny", INVENTORY, seed).network.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_losses_are_finite_scalars_and_one_is_minimised(trainable: Trainable, name: str) -> None:
    losses = trainable.network(trainable.batch(training_samples(name), np.random.default_rng(0)))
    assert all(loss.ndim == 0 and torch.isfinite(loss) for loss in losses.values())
    losses[TOTAL].backward()
    assert any(parameter.grad is not None for parameter in trainable.network.parameters())


def test_predictions_are_the_observers_evidence_in_order(trainable: Trainable, name: str) -> None:
    samples = training_samples(name)
    both = trainable.predict(samples, CPU)
    assert [one.observer for one in both] == [name, name]
    assert as_json(both) == as_json(trainable.predict(samples[:1], CPU) + trainable.predict(samples[1:], CPU))


def test_predicting_changes_no_weight_and_leaves_the_network_in_training(trainable: Trainable, name: str) -> None:
    trainable.network.train()
    before = {key: tensor.clone() for key, tensor in trainable.network.state_dict().items()}
    trainable.predict(training_samples(name), CPU)
    assert all(module.training for module in trainable.network.modules())
    assert all(parameter.requires_grad for parameter in trainable.network.parameters())
    for key, tensor in trainable.network.state_dict().items():
        assert torch.equal(tensor, before[key]), key


def test_a_network_from_its_package_predicts_the_same(
    trainable: Trainable, kind: type[Trainable], name: str, tmp_path: Path
) -> None:
    write_package(own_package(trainable.package(), "view@1", {}, half=False), tmp_path / "mine")
    again = kind.from_checkpoint(read_package(tmp_path / "mine"), tmp_path / "mine", INVENTORY, 0)
    samples = training_samples(name)
    assert as_json(again.predict(samples, CPU)) == as_json(trainable.predict(samples, CPU))


def test_a_package_of_another_observer_is_refused(trainable: Trainable, kind: type[Trainable], tmp_path: Path) -> None:
    package = replace(trainable.package(), observer="nobody")
    with pytest.raises(TlbenchError, match="is of observer 'nobody', not "):
        kind.from_checkpoint(package, tmp_path, INVENTORY, 0)


def test_dimensions_can_be_given_as_json(trainable: Trainable, kind: type[Trainable]) -> None:
    dims = json.loads(json.dumps(trainable.package().config["dims"]))
    again = kind.from_scratch(dims, INVENTORY, 0)
    assert again.package().config["dims"] == trainable.package().config["dims"]


@pytest.mark.parametrize(
    ("size", "message"),
    [("huge", "has no size 'huge'; there are tiny, small"), ({"sideways": 48}, "unknown size 'sideways'")],
    ids=["name", "dimension"],
)
def test_an_unknown_size_is_one_line(kind: type[Trainable], size: Any, message: str) -> None:
    with pytest.raises(TlbenchError, match=message) as caught:
        kind.from_scratch(size, INVENTORY, 0)
    assert "\n" not in str(caught.value)


def test_every_size_has_a_view_of_the_observer(kind: type[Trainable], name: str) -> None:
    for size in kind.sizes:
        for frame_size in ((160, 160), (360, 288), None):
            assert kind.view_for(size, frame_size) in observer_class(name).views


def test_processes_that_prepare_batches_can_be_given_it(trainable: Trainable) -> None:
    again = pickle.loads(pickle.dumps(trainable.network))
    assert again.state_dict().keys() == trainable.network.state_dict().keys()
