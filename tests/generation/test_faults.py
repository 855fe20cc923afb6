"""Faults put in what they say, in the size they say, and leave the rest alone to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.factories.media_factory import number_of, picture, tone
from tlbench.errors import ClipError, TlbenchError
from tlbench.generation.controls import (
    CRF,
    Blurred,
    Control,
    ControlScene,
    FrozenMouth,
    Reencoded,
    SwappedAudio,
    middle,
)
from tlbench.generation.fault_kinds import (
    Coarse,
    Compressed,
    IdentitySwap,
    LateSound,
    Noisy,
    NoisySound,
    OtherSpeaker,
    OtherWords,
    ScaledMotion,
)
from tlbench.generation.faults import FAULTS, Fault, find_faults
from tlbench.generation.generator import StandIn

FRAMES, HEIGHT, WIDTH = 16, 96, 128
BOX = (24, 8, 104, 88)
LOWER_FACE = (slice(48, 88), slice(36, 92))  # half of the box's height, 15 % of its width off on each side
IN_THE_PICTURE = [
    Blurred(2.0),
    Coarse(3),
    Noisy(8),
    ScaledMotion(0.5),
    OtherWords(0.5),
    OtherSpeaker(1),
    IdentitySwap(1),
    FrozenMouth(0.5),
]
IN_THE_SOUND = [LateSound(0.25), NoisySound(0.3), SwappedAudio(0.5)]


def scene(seed: int = 0, **changes: object) -> ControlScene:
    """A drifting picture with a flickering mouth; another seed has another mouth."""
    frames = np.stack([picture(number, WIDTH, HEIGHT) for number in range(FRAMES)])
    rng = np.random.default_rng(seed)
    frames[:, 60:80, 50:80] = rng.integers(40, 200, (FRAMES, 20, 30, 3), dtype=np.uint8)
    boxes = np.tile(BOX, (FRAMES, 1))
    parts: dict[str, object] = {"frames": frames, "samples": tone(FRAMES / 25)[:, 0], "boxes": boxes}
    return ControlScene(**{**parts, **changes})  # type: ignore[arg-type]


def with_others() -> ControlScene:
    other = scene(1)
    assert other.boxes is not None
    return scene(donor=tone(2.0, hertz=700)[:, 0], stand_in=StandIn(other.frames, other.boxes))


def outside(where: tuple[slice, slice]) -> np.ndarray:
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[where] = False
    return mask


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_size_that_is_no_fault_is_plain_re_encoding(fault: Fault) -> None:
    kind = fault.control(fault.none)
    assert kind == Reencoded()
    assert kind.crf == CRF
    before = with_others()
    assert kind.apply(before) is before


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_size_of_every_fault_can_be_made_and_has_a_name_of_its_own(fault: Fault) -> None:
    before = with_others()
    names = {fault.control(size).name for size in fault.sizes}
    assert len(names) == len(fault.sizes)
    for size in fault.grown:
        kind = fault.control(size)
        made = kind.apply(before)
        assert made.frames.shape == before.frames.shape
        assert made.frames.dtype == np.uint8
        assert made.samples is not None
        assert len(made.samples) == len(before.samples)  # type: ignore[arg-type]
        changed = not np.array_equal(made.frames, before.frames) or not np.array_equal(made.samples, before.samples)  # type: ignore[arg-type]
        assert changed or kind.crf != CRF
    np.testing.assert_array_equal(before.frames, with_others().frames)  # the input is not changed


@pytest.mark.parametrize("kind", IN_THE_PICTURE, ids=lambda kind: kind.name)
def test_a_fault_of_the_picture_leaves_the_sound_alone(kind: Control) -> None:
    before = with_others()
    assert kind.apply(before).samples is before.samples


@pytest.mark.parametrize("kind", IN_THE_SOUND, ids=lambda kind: kind.name)
def test_a_fault_of_the_sound_leaves_the_picture_alone(kind: Control) -> None:
    before = with_others()
    assert kind.apply(before).frames is before.frames


@pytest.mark.parametrize("kind", [LateSound(1), NoisySound(1)], ids=lambda kind: kind.name)
def test_a_clip_without_sound_can_not_be_given_a_fault_of_sound(kind: Control) -> None:
    with pytest.raises(ClipError, match="no sound") as error:
        kind.apply(scene(samples=None))
    assert error.value.code == "no-audio"


def test_the_middle_share_of_a_clip() -> None:
    assert middle(16, 0.5) == slice(4, 12)
    assert middle(16, 1.0) == slice(0, 16)
    assert middle(75, 0.1) == slice(33, 41)


def test_motion_of_amplitude_one_is_the_clip_itself_to_the_bit() -> None:
    np.testing.assert_array_equal(ScaledMotion(1.0).apply(scene()).frames, scene().frames)


@pytest.mark.parametrize("amplitude", [0.0, 0.5, 1.25])
def test_scaled_motion_scales_the_difference_from_the_mean_and_touches_nothing_outside_the_lower_face(
    amplitude: float,
) -> None:
    before = scene()
    made = ScaledMotion(amplitude).apply(before).frames
    np.testing.assert_array_equal(made[:, outside(LOWER_FACE)], before.frames[:, outside(LOWER_FACE)])
    inner = before.frames[:, 62:78, 55:73].astype(float)  # where the weight is 1
    expected = np.clip(inner.mean(axis=0) + amplitude * (inner - inner.mean(axis=0)), 0, 255)
    assert np.abs(made[:, 62:78, 55:73] - expected).max() <= 0.51  # rounding to whole levels


def test_a_head_that_moves_without_speaking_has_no_motion_to_take_away() -> None:
    texture = np.random.default_rng(3).integers(0, 256, (HEIGHT, 3 * WIDTH, 3), dtype=np.uint8)
    places = np.arange(FRAMES) * 2
    frames = np.stack([texture[:, place : place + WIDTH] for place in places[::-1]])
    boxes = np.stack([np.add(BOX, [2 * n - 14, 0, 2 * n - 14, 0]) for n in range(FRAMES)])
    made = ScaledMotion(0.0).apply(ControlScene(frames, boxes=boxes)).frames
    # The running median over the boxes is exact on a steady movement, but for its ends, where the last box is held.
    steady = slice(6, FRAMES - 6)
    assert (
        np.abs(made[steady].astype(float) - frames[steady]).mean()
        < 0.3 * np.abs(np.diff(frames.astype(float), axis=0)).mean()
    )


def test_a_frozen_mouth_of_the_whole_clip_is_the_control_and_of_a_part_its_middle() -> None:
    before = scene()
    whole = FrozenMouth()
    assert (FrozenMouth(1.0).name, FrozenMouth(0.5).name) == ("frozen-mouth", "frozen-mouth-0.5")
    np.testing.assert_array_equal(FrozenMouth(1.0).apply(before).frames, whole.apply(before).frames)
    made = FrozenMouth(0.5).apply(before).frames
    np.testing.assert_array_equal(made[:5], before.frames[:5])  # the stretch begins with its own first frame
    np.testing.assert_array_equal(made[12:], before.frames[12:])
    for number in range(4, 12):
        np.testing.assert_array_equal(made[number, 48:88, 24:104], before.frames[4, 48:88, 24:104])


@pytest.mark.parametrize(("kind", "part"), [(OtherWords, LOWER_FACE), (OtherSpeaker, (slice(8, 88), slice(24, 104)))])
def test_a_doubles_face_is_shown_in_its_place_in_the_middle_of_the_clip_only(
    kind: type[OtherWords | OtherSpeaker], part: tuple[slice, slice]
) -> None:
    before = with_others()
    assert before.stand_in is not None
    made = kind(0.5).apply(before).frames
    np.testing.assert_array_equal(made[:4], before.frames[:4])
    np.testing.assert_array_equal(made[12:], before.frames[12:])
    np.testing.assert_array_equal(made[:, outside(part)], before.frames[:, outside(part)])
    shown, other = (frames[4:12, 60:68, 55:73].astype(float) for frames in (made, before.stand_in.frames))
    assert np.corrcoef(shown.ravel(), other.ravel())[0, 1] > 0.99  # but for its mean colour
    own = before.frames[4:12, 60:68, 55:73].astype(float)
    assert abs(np.corrcoef(shown.ravel(), own.ravel())[0, 1]) < 0.2


def test_a_swapped_identity_keeps_the_mouth_of_the_clip() -> None:
    before = with_others()
    assert before.stand_in is not None
    whole, swapped = (kind(0.5).apply(before).frames for kind in (OtherSpeaker, IdentitySwap))
    np.testing.assert_array_equal(swapped[:4], before.frames[:4])
    np.testing.assert_array_equal(swapped[12:], before.frames[12:])
    lips = (slice(4, 12), slice(66, 76), slice(57, 71))
    np.testing.assert_array_equal(swapped[lips], before.frames[lips])
    upper = (slice(4, 12), slice(8, 50))  # of the face box, above the mouth
    np.testing.assert_array_equal(swapped[upper], whole[upper])
    assert (swapped[upper] != before.frames[upper]).any()


def test_who_is_their_own_double_is_not_changed() -> None:
    before = scene()
    assert before.boxes is not None
    same = replace(before, stand_in=StandIn(before.frames, before.boxes))
    np.testing.assert_array_equal(OtherWords(1.0).apply(same).frames, before.frames)


def test_a_double_of_another_size_is_scaled_to_fit() -> None:
    before = scene()
    other = scene(1)
    assert other.boxes is not None
    twice = StandIn(other.frames.repeat(2, axis=1).repeat(2, axis=2), other.boxes * 2)
    made = OtherWords(1.0).apply(replace(before, stand_in=twice)).frames
    shown, expected = (frames[:, 62:78, 55:73].astype(float) for frames in (made, other.frames))
    assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.95


def test_a_double_is_shown_in_the_order_of_the_warp_and_its_last_frame_is_held() -> None:
    frames = np.stack([picture(number) for number in range(4)])
    boxes = np.arange(16).reshape(4, 4)
    shown = StandIn(frames, boxes).shown_at(np.array([0, 0, 2, 3, 9]))
    assert [number_of(frame) for frame in shown.frames] == [0, 0, 2, 3, 3]
    np.testing.assert_array_equal(shown.boxes[:, 0], [0, 0, 8, 12, 12])


def test_sound_can_be_late_by_fractions_of_a_frame() -> None:
    before = scene()
    made = LateSound(0.25).apply(before).samples
    assert before.samples is not None
    assert made is not None
    assert not made[:160].any()
    np.testing.assert_array_equal(made[160:], before.samples[:-160])
    silent = LateSound(1000).apply(scene()).samples
    assert silent is not None
    assert not silent.any()


def test_half_of_the_sound_is_another_clips_at_the_same_time() -> None:
    before = with_others()
    assert before.samples is not None
    assert before.donor is not None
    made = SwappedAudio(0.5).apply(before).samples
    assert made is not None
    quarter = len(made) // 4
    np.testing.assert_array_equal(made[:quarter], before.samples[:quarter])
    np.testing.assert_array_equal(made[quarter:-quarter], before.donor[quarter : len(made) - quarter])
    np.testing.assert_array_equal(made[-quarter:], before.samples[-quarter:])


def test_noise_has_the_size_it_says() -> None:
    grey = scene(frames=np.full((4, 60, 60, 3), 128, np.uint8))
    assert Noisy(8).apply(grey).frames.astype(float).std() == pytest.approx(8, rel=0.03)
    before = scene()
    assert before.samples is not None
    own = before.samples.astype(float)
    added = NoisySound(0.1).apply(before).samples.astype(float) - own  # type: ignore[union-attr]
    assert np.sqrt((added**2).mean() / (own**2).mean()) == pytest.approx(0.1, rel=0.05)


def test_fewer_bits_are_the_encoders_business() -> None:
    before = scene()
    assert Compressed(43).apply(before) is before
    assert Compressed(43).crf == 43


def test_a_coarser_picture_has_less_detail() -> None:
    detail = [np.abs(np.diff(Coarse(factor).apply(scene()).frames.astype(int), axis=2)).sum() for factor in (1.5, 3, 8)]
    assert detail[0] > detail[1] > detail[2] > 0


@pytest.mark.parametrize("kind", [ScaledMotion(0.5), OtherWords(1.0)], ids=lambda kind: kind.name)
def test_a_face_outside_the_frame_has_no_mouth_to_change(kind: Control) -> None:
    boxes = np.tile([500, 500, 600, 600], (FRAMES, 1))
    with pytest.raises(ClipError) as error:
        kind.apply(replace(with_others(), boxes=boxes))
    assert error.value.code == "empty-crop"


def test_faults_are_found_by_name_in_one_order() -> None:
    assert find_faults(None) == find_faults(["all"]) == FAULTS
    assert [fault.name for fault in find_faults(["blur", "shift"])] == ["shift", "blur"]


@pytest.mark.parametrize(("words", "said"), [(["blurr"], "did you mean 'blur'"), ([], "no fault was asked for")])
def test_an_unknown_fault_is_told_what_there_is(words: list[str], said: str) -> None:
    with pytest.raises(TlbenchError, match=said):
        find_faults(words)


@pytest.mark.parametrize("sizes", [(0.0,), (1.0, 2.0), (0.0, 2.0, 1.0), (0.0, 1.0, 1.0)])
def test_sizes_grow_and_hold_no_fault(sizes: Sequence[float]) -> None:
    with pytest.raises(TlbenchError, match="must grow and hold 0"):
        Fault("x", "x", "px", 0.0, tuple(sizes), Blurred, "")


def test_the_sides_of_no_fault_run_from_small_to_large() -> None:
    shift, blur = find_faults(["shift", "blur"])
    assert dict(shift.sides) == {"early": (-1, -2, -3, -5, -10), "late": (1, 2, 3, 5, 10)}
    assert dict(blur.sides) == {"": (0.5, 1, 2, 4, 8)}
