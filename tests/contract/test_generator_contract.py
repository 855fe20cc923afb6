"""What every generator must do, whoever wrote it: a new one is tested as soon as it is in the registry."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.factories.generator_factory import generator_weights
from tests.factories.media_factory import tone
from tlbench.datasets.clip import Clip
from tlbench.generation.controls import CONTROLS
from tlbench.generation.faults import FAULTS, fault_control
from tlbench.generation.generator import FaceGenerator, GenerateOptions, Generator, SourceClip, StandIn
from tlbench.generation.registry import generator_class, generator_names
from tlbench.generation.sound_features import sound_features

FRAMES, HEIGHT, WIDTH = 9, 120, 128
BOX = np.array([20, 10, 116, 110])


WRITTEN = [
    *(known.name for known in CONTROLS if known.written),
    *(fault.of_size(fault.grown[0]).name for fault in FAULTS if fault.of_size(fault.grown[0]).needs_stand_in),
]
FACES = [name for name in generator_names() if generator_class(name).returns == "faces"]


@pytest.fixture(scope="module", params=[*generator_names(), *WRITTEN])
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return fault_control(request.param) or loaded(request.param, tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module", params=FACES)
def face_generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return loaded(request.param, tmp_path_factory.mktemp("weights"))


def loaded(name: str, folder: Path) -> Generator:
    kind = generator_class(name)
    return kind.load(generator_weights(name, folder) if kind.has_weights else None, GenerateOptions(device="cpu"))


def pictures(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8)


def source(generator: Generator, frames: np.ndarray, *, without_face: tuple[int, ...] = ()) -> SourceClip:
    samples = tone(FRAMES / 25)[:, 0]
    boxes = [None if number in without_face else BOX for number in range(FRAMES)]
    return SourceClip(
        Clip("a", Path("a.mp4")),
        iter(enumerate(frames)),
        FRAMES,
        boxes if generator.needs.boxes else None,
        samples,
        sound_features(generator.needs, samples, FRAMES),
        donor=tone(1, hertz=900)[:, 0] if generator.needs.donor else None,
        stand_in=StandIn(pictures(9), np.tile(BOX, (FRAMES, 1))) if generator.needs.stand_in else None,
        mouths=tuple(np.full((9, 20, 3), 100, np.uint8) for _ in range(FRAMES)) if generator.needs.mouths else None,
    )


def made(generator: Generator, frames: np.ndarray, **given: tuple[int, ...]) -> np.ndarray:
    return np.stack(list(generator.generate(source(generator, frames, **given)).frames))


def test_it_is_named_as_in_the_registry_and_says_what_decides_its_frames(generator: Generator) -> None:
    assert generator.name in WRITTEN or generator_class(generator.name) is type(generator)
    entry = generator.log_entry()
    assert json.loads(json.dumps(entry)) == entry
    assert entry
    assert all(isinstance(text, str) for text in generator.libraries().values())
    assert generator.returns == ("faces" if isinstance(generator, FaceGenerator) else "frames")


def test_it_makes_as_many_frames_of_their_size_and_leaves_those_it_is_given(generator: Generator) -> None:
    frames = pictures(0)
    result = made(generator, frames)
    assert (result.shape, result.dtype) == (frames.shape, np.uint8)
    np.testing.assert_array_equal(frames, pictures(0))


def test_a_clip_does_not_depend_on_the_others_and_nothing_is_random(generator: Generator) -> None:
    alone = made(generator, pictures(1))
    one, other = (generator.generate(source(generator, pictures(seed))).frames for seed in (1, 2))
    between = np.stack([frame for frame, _ in zip(one, other, strict=True)])
    np.testing.assert_array_equal(between, alone)


def test_faces_change_only_their_boxes_and_frames_without_a_face_stay(face_generator: Generator) -> None:
    frames = pictures(3)
    result = made(face_generator, frames, without_face=(4, 8))
    np.testing.assert_array_equal(result[[4, 8]], frames[[4, 8]])
    x1, y1, x2, y2 = BOX
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[y1:y2, x1:x2] = False
    np.testing.assert_array_equal(result[:, outside], frames[:, outside])


def test_the_real_lips_are_not_shown_to_a_generator_that_does_not_ask_for_them(face_generator: Generator) -> None:
    """The first face is the identity, so only the lower halves of later ones may be of no effect."""
    if face_generator.needs.lower_half or not isinstance(face_generator, FaceGenerator):
        pytest.skip("sees them")
    frames, changed = pictures(4), pictures(4)
    changed[1:, (BOX[1] + BOX[3]) // 2 + 2 : BOX[3]] = 0
    x1, y1, x2, y2 = BOX
    results = [made(face_generator, given)[:, y1:y2, x1:x2] for given in (frames, changed)]
    np.testing.assert_array_equal(*results)


def test_a_face_does_not_depend_on_the_runs_unless_it_depends_on_the_faces_before(
    face_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = pictures(5)
    whole = made(face_generator, frames)
    monkeypatch.setattr(face_generator, "run_frames", 5)
    apart = made(face_generator, frames)
    assert np.abs(whole.astype(int) - apart).max() <= 1  # other runs may change the last bits of a float
