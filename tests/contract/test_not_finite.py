"""Weights that are NaN, infinite or huge: whatever the observer, the clip is an error, and the run goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import tlbench
from tests.contract.test_metric_contract import recorded
from tests.factories.lpips_factory import channels_by_formula
from tests.factories.media_factory import tone, write_clip
from tests.factories.observer_weights import formula_weights
from tlbench.checkpoints.catalogue import find_card, known_cards, observer_names
from tlbench.checkpoints.package import Package, read_package, source_of, view_of, words_of, write_package
from tlbench.cli.main import group
from tlbench.errors import ClipError
from tlbench.metrics.catalogue import all_metrics
from tlbench.metrics.metric import Metric
from tlbench.metrics.protocol import Protocol
from tlbench.observing.cache import Cache
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.plan import ObserverPlan, Plan
from tlbench.observing.registry import capability, observer_class, trained_view
from tlbench.observing.runner import ObserverRunner
from tlbench.scoring.aggregation import aggregate
from tlbench.scoring.record import ClipRecord, read_records
from tlbench.scoring.result import Result
from tlbench.statistics import IntervalSettings
from tlbench.verify import made_up_clip, saying

FACE = Path(__file__).parents[1] / "golden" / "clips" / "clip_c256.mp4"
BUNDLED = {card.observer: card.name for card in known_cards() if card.package is not None and card.observer}
WITH_WEIGHTS = [name for name in observer_names() if observer_class(name).needs.weights]
NUMBERS = {"nan": torch.nan, "inf": torch.inf, "huge": 1e38}


def bundled_package(card: str) -> Package:
    bundled = find_card(card).package
    assert bundled is not None
    return read_package(bundled)


def small_package(name: str, folder: Path) -> Package:
    """A bundled network of this observer, or where none is bundled one with formula weights."""
    if name in BUNDLED:
        return bundled_package(BUNDLED[name])
    written = formula_weights(name, folder)
    if written.is_dir():
        return read_package(written)
    made: Package = capability(name, "read_published")(written)
    return made


def spoilt(package: Package, number: float, path: Path) -> Path:
    """The package with ``number`` in place of all floating-point weights."""
    tensors = {
        key: torch.full_like(tensor, torch.finfo(tensor.dtype).max if number == 1e38 else number)
        if tensor.is_floating_point()
        else tensor
        for key, tensor in package.tensors.items()
    }
    write_package(replace(package, tensors=tensors, source_file="theirs"), path)
    return path


@pytest.mark.parametrize(
    "number",
    [NUMBERS["nan"], *(pytest.param(NUMBERS[name], marks=pytest.mark.slow) for name in ("inf", "huge"))],
    ids=NUMBERS.keys(),
)
@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_damaged_weights_make_the_clip_an_error_of_that_observer(name: str, number: float, tmp_path: Path) -> None:
    package = spoilt(small_package(name, tmp_path), number, tmp_path / "package")
    kind = observer_class(name)
    view = trained_view(kind, view_of(package))
    recipe = kind.recipe(view)
    size = recipe.frame_sizes[0] if recipe is not None and recipe.frame_sizes else (160, 160)
    words = words_of(package) or ["ABOUT"]
    clip = saying(made_up_clip(tmp_path, size), words[0], kind)
    if name == "arcface":  # its network sees nothing but faces
        clip = replace(clip, generated=FACE, reference=FACE)
    network = ObserverPlan(name, (view,), package, source_of(package)[1], kind.modes)
    plan = Plan((network, ObserverPlan("pixels", ("frame",))), BoxRule(), tmp_path / "cache")
    for _ in range(2):  # nothing of it is taken from the cache
        with channels_by_formula():
            (seen,) = ObserverRunner(plan).observe([clip])
        assert {observer: error.code for observer, error in seen.failures.items()} == {name: "not-finite"}
        assert "\n" not in seen.failures[name].message
        assert set(seen.evidence) == {"pixels"}


def spoil(evidence: Evidence, number: float) -> Evidence:
    """The same with ``number`` in place of every float, or as what its texts were decoded from."""
    values = {
        name: number if isinstance(value, float) else np.full_like(value, number) if is_floats(value) else value
        for name, value in evidence.values.items()
    }
    return Evidence(evidence.observer, values, finite=np.isfinite(number).item())


def spoil_all(evidence: dict[str, Evidence], number: float) -> dict[str, Evidence]:
    return {name: spoil(one, number) for name, one in evidence.items()}


def is_floats(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


@pytest.fixture(params=all_metrics(), ids=lambda metric: metric.key)
def metric(request: pytest.FixtureRequest) -> Metric:
    found: Metric = request.param
    return found


def result_of(metric: Metric, *clips: dict[str, Evidence]) -> Result:
    records = [ClipRecord(ClipInfo(str(n)), evidence=clip) for n, clip in enumerate(clips)]
    protocol = Protocol.of(metric, dataset="toy", split="test", view="whole@1", decoding="pyav-25fps@1")
    about = {"name": "x", "dataset": "toy", "split": "test", "expected": len(clips)}
    return aggregate(records, [metric], {metric.key: protocol}, interval=IntervalSettings(resamples=100), **about)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_evidence_that_is_not_finite_is_no_number_of_any_metric(metric: Metric, number: float) -> None:
    whole = recorded(metric, 0.0)
    result = result_of(metric, whole, spoil_all(whole, number), whole)
    assert result.row(metric.key).scored == 2
    assert result.row(metric.key).value == result_of(metric, whole, whole).row(metric.key).value
    assert result.by_id["1"].failures[metric.key].code == "not-finite"
    assert {found.code for found in result.by_id["1"].findings} == {"not-finite"}
    assert not result.complete


def test_numbers_whose_sum_is_beyond_all_numbers_are_no_numbers(metric: Metric) -> None:
    whole = recorded(metric, 0.0)
    usual = result_of(metric, whole, whole).row(metric.key)
    result = result_of(metric, whole, spoil_all(whole, 1.5e308), whole)
    if metric.reads and not metric.mode:  # made of texts and ranks, in which no number changed
        assert result.row(metric.key).scored == 3
    elif result.row(metric.key).scored == 2:
        assert result.by_id["1"].failures[metric.key].code == "not-finite"
        assert result.row(metric.key).value == usual.value
    else:  # made of whole numbers, or of logarithms
        assert result.row(metric.key).value is not None
        assert np.isfinite(result.row(metric.key).value)


def test_evidence_in_the_cache_is_looked_at_too(tmp_path: Path) -> None:
    clip = made_up_clip(tmp_path)
    plan = Plan((ObserverPlan("pixels", ("frame",)),), BoxRule(), tmp_path / "cache")
    (seen,) = ObserverRunner(plan).observe([clip])
    cache = Cache(plan.cache / "evidence")
    (path,) = (one for one in cache.folder.rglob("*.json") if "pixels" in one.read_text("utf-8"))
    key = json.loads(path.read_text("utf-8"))["key"]
    stored = cache.read(key)
    assert stored is not None
    cache.write(key, stored | {"evidence": spoil(seen.evidence["pixels"], np.inf).to_json()})
    (again,) = ObserverRunner(plan).observe([clip])
    assert {name: error.code for name, error in again.failures.items()} == {"pixels": "not-finite"}
    assert not again.evidence


def test_frames_in_memory_are_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Evidence("pixels", {"frame_mse": np.array([1.0, np.nan])})
    monkeypatch.setattr(observer_class("pixels"), "compute", lambda *_: [bad])
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    with pytest.raises(ClipError, match="frame_mse that is NaN or infinite"):
        tlbench.psnr(frames, frames)


def test_a_run_with_damaged_weights_ends_with_a_line_that_names_them(tmp_path: Path) -> None:
    package = spoilt(bundled_package("syncnet-grid"), torch.nan, tmp_path / "package")
    boxes = np.array([[30, 20, 130, 150]] * 30)
    for place in ("real", "made", "boxes"):
        (tmp_path / place).mkdir()
    for name in ("a", "b"):
        for place in ("real", "made"):
            sound = tone(1.2, hertz=300 if name == "a" else 400)
            size = {"frames": 30, "width": 160, "height": 160}
            write_clip(tmp_path / place / f"{name}.mp4", audio_codec="aac", samples=sound, **size)
        np.save(tmp_path / "boxes" / f"{name}.npy", boxes)
    words = [
        "score",
        tmp_path / "made",
        "--dataset",
        "folder",
        "--data-root",
        tmp_path / "real",
        "--no-probe",
        "--workers",
        "1",
    ]
    words += ["--boxes", tmp_path / "boxes", "--metrics", "lse_d/sound,psnr", "--weights", f"syncnet-grid={package}"]
    done = CliRunner().invoke(group, [*map(str, words), "--out", str(tmp_path / "out")], standalone_mode=False)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    shown = " ".join(done.stdout.split())
    assert "checkpoint 'syncnet-grid' (package) gives no finite number for any of 2 clips" in shown
    records = list(read_records(next((tmp_path / "out").rglob("records.jsonl"))))
    assert [record.failures["syncnet"].code for record in records] == ["not-finite"] * 2
    assert all("pixels" in record.evidence for record in records)
