"""LSE through the run's view: the whole frame for the published network, its own view for a small one."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.factories.observer_weights import formula_weights
from tests.factories.training_factory import make_training_set
from tlbench.checkpoints.package import own_package, write_package
from tlbench.datasets.selection import Selection, load_dataset
from tlbench.errors import TlbenchError
from tlbench.observers.syncnet.observer import SyncNet
from tlbench.observers.syncnet.train import TrainableSyncNet
from tlbench.scoring.options import MetricOptions, RunOptions
from tlbench.scoring.score import score
from tlbench.scoring.setup import Setup, prepare
from tlbench.training.trainable import LabelInventory

OWN = {"lse_c/sound", "lse_d/sound", "lse_d_zero/sound", "in_sync/sound", "offset_size/sound"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_training_set(tmp_path_factory.mktemp("lrs2"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "small"
    package = TrainableSyncNet.from_scratch("tiny", LabelInventory((), (), ()), 0).package()
    write_package(own_package(package, SyncNet.views["small-whole"], {}, half=True), folder)
    return folder


def selected(root: Path) -> Selection:
    return load_dataset("lrs2", root, split="val")


def prepared(root: Path, weights: Path, *metrics: str, view: str = "") -> Setup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # this is not the published file
        return prepare(
            selected(root),
            MetricOptions(
                metrics or ("lse_c", "lse_d", "in_sync"),
                {"syncnet": weights},
                {"syncnet": view} if view else {},
            ),
            options=RunOptions(device="cpu"),
        )


def seen(setup: Setup) -> dict[str, str]:
    return {metric.key: SyncNet.views[setup.view(metric)] for metric in setup.metrics}


def test_a_small_network_looks_through_the_view_its_package_names_and_the_published_one_is_left_out(
    root: Path, small: Path
) -> None:
    setup = prepared(root, small)
    assert seen(setup) == dict.fromkeys(("lse_c/sound", "lse_d/sound", "in_sync/sound"), "syncnet-small-whole@1")
    assert [line.partition(" left out")[0] for line in setup.left_out] == ["lse_c/paper, lse_d/paper"]
    assert not setup.remarks


def test_the_published_network_looks_through_both_of_its_views(root: Path, tmp_path: Path) -> None:
    setup = prepared(root, formula_weights("syncnet", tmp_path), "syncnet")
    assert {key for key, view in seen(setup).items() if view == "syncnet-whole@1"} == OWN
    assert seen(setup)["lse_c/paper"] == "syncnet-whole-jpeg@4"
    assert seen(setup)["lse_c_track/sound"] == "syncnet-track-blazeface@2"
    assert not setup.left_out
    assert not setup.remarks


@pytest.mark.parametrize("metrics", [("lse_c/paper",), ("lse_c/sound",), ("lse_c_track/sound",)])
def test_one_metric_alone_needs_its_view_alone(root: Path, tmp_path: Path, metrics: tuple[str, ...]) -> None:
    setup = prepared(root, formula_weights("syncnet", tmp_path), *metrics)
    (plan,) = setup.plan.observers
    assert len(plan.views) == 1
    assert not setup.remarks


def test_another_view_that_fits_is_taken_and_remarked_upon(root: Path, small: Path) -> None:
    setup = prepared(root, small, view="small-face-framed")
    assert set(seen(setup).values()) == {"syncnet-small-face-framed@1"}
    assert setup.plan.observers[0].needs.framing
    assert "was trained with syncnet-small-whole@1" in setup.remarks[0]


def test_only_what_a_small_network_can_not_do_leaves_nothing_to_score(root: Path, small: Path) -> None:
    with pytest.raises(TlbenchError, match="lse_c/paper left out: the view 'paper' is not for the network"):
        prepared(root, small, "lse_c/paper")


def test_a_run_states_the_view_it_looked_through(root: Path, small: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = score(
            root / "main",
            "lrs2",
            root,
            split="val",
            metrics=["syncnet"],
            weights={"syncnet": small},
            device="cpu",
            cache=tmp_path / "cache",
            out=tmp_path / "out",
        )
    assert result.complete
    assert {metric.key for metric in result.metrics} == OWN
    assert {protocol.view for protocol in result.protocols.values()} == {"syncnet-small-whole@1"}
