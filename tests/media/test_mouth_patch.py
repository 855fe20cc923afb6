"""Mouth patches: the steps of upstream AV-HuBERT's preparation, and what it does not say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage.transform

from tlbench.errors import ClipError
from tlbench.media.alignments import ALIGNMENTS
from tlbench.media.mean_face import mean_face
from tlbench.media.mouth_patch import MEAN_PX, MOUTH, STABLE, STABLE_XY, WINDOW_FRAMES, placements, warp

SKIMAGE: Any = skimage.transform
HEIGHT, WIDTH = 130, 150
EYES, NOSE, LEFT_EYE = slice(36, 42), slice(31, 36), slice(42, 48)


def face(scale: float = 0.5, turn_degrees: float = 0.0, x: float = 5.0, y: float = 3.0) -> np.ndarray:
    """(68, 2) landmarks of the mean face, its mouth a ring, brought into the frame."""
    points = np.zeros((68, 2))
    points[list(STABLE)] = STABLE_XY
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    points[MOUTH] = np.stack([129 + 20 * np.cos(angle), 160 + 8 * np.sin(angle)], axis=1)
    radians = np.deg2rad(turn_degrees)
    turn = scale * np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    moved: np.ndarray = points @ turn.T + [x, y]
    return moved


def speaking(frames: int, seed: int = 0) -> np.ndarray:
    """(T, 68, 2): the face wavers as a detector's points do."""
    return face() + np.random.default_rng(seed).normal(0, 1.0, (frames, 68, 2))


def upstreams_patches(pictures: np.ndarray, landmarks: np.ndarray, stable_xy: np.ndarray) -> np.ndarray:
    """av_hubert ``align_mouth.py`` (crop_patch), told in other words: warp to 256x256, then cut."""
    window = min(len(pictures), 12)
    patches = []
    similarity = None
    for index, picture in enumerate(pictures):
        if index + window <= len(pictures):
            smooth = landmarks[index : index + window].mean(axis=0)
            similarity = SKIMAGE.estimate_transform("similarity", smooth[list(STABLE)], stable_xy)
        assert similarity is not None
        whole = (SKIMAGE.warp(picture, inverse_map=similarity.inverse, output_shape=(256, 256)) * 255).astype("uint8")
        x, y = similarity(landmarks[index])[48:68].mean(axis=0)
        x, y = (min(max(centre, 48), 256 - 48) for centre in (x, y))
        top, left = round(y) - 48, round(x) - 48
        patches.append(whole[top : top + 96, left : left + 96])
    return np.stack(patches)


MEAN_FACES = {"avhubert-own": STABLE_XY, "avhubert-20words": mean_face()[list(STABLE)]}


@pytest.mark.parametrize("alignment", MEAN_FACES)
@pytest.mark.parametrize("frames", [1, 5, WINDOW_FRAMES, 16])
def test_patches_are_upstreams_within_one_grey_level(frames: int, alignment: str) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (frames, HEIGHT, WIDTH, 3), dtype=np.uint8)
    landmarks = speaking(frames)
    found = ALIGNMENTS[alignment].placements(landmarks)
    ours = np.stack([warp(*pair) for pair in zip(pictures, found, strict=True)])
    theirs = upstreams_patches(pictures, landmarks, MEAN_FACES[alignment])
    assert np.abs(ours.astype(int) - theirs).max() <= 1  # noise: half a pixel astray would give differences of 100
    assert np.mean(ours != theirs) < 0.001


@pytest.mark.parametrize(("scale", "turn", "x", "y"), [(0.3, 0, 40, 20), (1.4, 25, -90, -160), (0.5, -40, 10, 90)])
def test_every_face_comes_to_the_same_place_size_and_direction(scale: float, turn: float, x: float, y: float) -> None:
    landmarks = face(scale, turn, x, y)
    placement = placements(landmarks[None])[0]
    seen = landmarks @ placement[:, :2].T + placement[:, 2]
    expected = face(1.0, 0.0, 0.0, 0.0) - [129 - 48, 160 - 48]  # the middle of the ring is the middle of the patch
    np.testing.assert_allclose(seen[MOUTH], expected[MOUTH], atol=1e-9)
    np.testing.assert_allclose(seen[list(STABLE)], expected[list(STABLE)], atol=1e-9)


def test_frames_without_a_face_are_interpolated_and_the_ends_held() -> None:
    whole = speaking(9)
    gaps = whole.copy()
    gaps[[0, 3, 4, 8]] = np.nan
    whole[0], whole[8] = whole[1], whole[7]
    whole[3] = whole[2] + (whole[5] - whole[2]) / 3
    whole[4] = whole[2] + (whole[5] - whole[2]) * 2 / 3
    np.testing.assert_allclose(placements(gaps), placements(whole))


def test_no_face_at_all_is_a_reason_not_to_score() -> None:
    with pytest.raises(ClipError, match="no frame shows a face") as caught:
        placements(np.full((4, 68, 2), np.nan))
    assert caught.value.code == "no-face"


def test_points_that_coincide_are_refused() -> None:
    with pytest.raises(ClipError, match="in one point") as caught:
        placements(np.ones((4, 68, 2)))
    assert caught.value.code == "bad-landmarks"


def test_the_patch_stays_inside_the_picture_it_is_cut_from() -> None:
    landmarks = face()
    landmarks[MOUTH] += [400, 400]
    placement = placements(landmarks[None])[0]
    corner = face()[33] @ placement[:, :2].T + placement[:, 2] - STABLE_XY[0]
    np.testing.assert_allclose(corner, -(MEAN_PX - 96), atol=1e-9)


def test_what_lies_outside_the_frame_is_black() -> None:
    picture = np.full((40, 50, 3), 200, np.uint8)
    patch = warp(picture, np.array([[1.0, 0, 60], [0, 1, 70]]))
    assert (patch[70:, 60:] >= 199).all()
    assert not patch[:70].any()
    assert not patch[:, :60].any()


@pytest.mark.parametrize(
    "placement", [[[1e-7, 0, 0], [0, 1e-7, 0]], [[1.0, 0, -1e9], [0, 1, 0]], [[1e6, 0, 3], [0, 1e6, 5]]]
)
def test_absurd_placements_cost_nothing(placement: list[list[float]]) -> None:
    assert warp(np.full((40, 50, 3), 9, np.uint8), np.array(placement)).shape == (96, 96, 3)


def test_another_mean_face_can_be_given() -> None:
    landmarks = speaking(3)
    np.testing.assert_allclose(placements(landmarks, STABLE_XY * 0.5)[:, :, :2], placements(landmarks)[:, :, :2] * 0.5)


# x and y of points 17 to 67 in dlib/image_transforms/interpolation.h, mean_face_shape_x and mean_face_shape_y.
DLIB_X = """
0.000213256 0.0752622 0.18113 0.29077 0.393397 0.586856 0.689483 0.799124 0.904991 0.98004 0.490127 0.490127 0.490127
0.490127 0.36688 0.426036 0.490127 0.554217 0.613373 0.121737 0.187122 0.265825 0.334606 0.260918 0.182743 0.645647
0.714428 0.793132 0.858516 0.79751 0.719335 0.254149 0.340985 0.428858 0.490127 0.551395 0.639268 0.726104 0.642159
0.556721 0.490127 0.423532 0.338094 0.290379 0.428096 0.490127 0.552157 0.689874 0.553364 0.490127 0.42689
"""
DLIB_Y = """
0.106454 0.038915 0.0187482 0.0344891 0.0773906 0.0773906 0.0344891 0.0187482 0.038915 0.106454 0.203352 0.307009
0.409805 0.515625 0.587326 0.609345 0.628106 0.609345 0.587326 0.216423 0.178758 0.179852 0.231733 0.245099 0.244077
0.231733 0.179852 0.178758 0.216423 0.244077 0.245099 0.780233 0.745405 0.727388 0.742578 0.727388 0.745405 0.780233
0.864805 0.902192 0.909281 0.902192 0.864805 0.784792 0.778746 0.785343 0.778746 0.784792 0.824182 0.831803 0.824182
"""
CENTRES = np.array(  # of right eye, left eye, nose and mouth in upstream's mean face
    [
        [102.07394306, 94.27230352],
        [156.36130542, 93.57815605],
        [129.00373787, 135.90343029],
        [129.31337323, 157.82299635],
    ]
)


def test_the_mean_face_is_dlibs_set_on_the_centres_of_upstreams() -> None:
    shape = np.zeros((68, 2))
    shape[17:] = np.stack([np.array(text.split(), dtype=float) for text in (DLIB_X, DLIB_Y)], axis=1)
    centres = np.stack([shape[part].mean(axis=0) for part in (EYES, LEFT_EYE, NOSE, MOUTH)])
    linear = SKIMAGE.estimate_transform("similarity", centres, CENTRES).params[:2, :2]
    group = [2, 0, 0, 1, 1]  # which centre each stable point belongs to
    expected = CENTRES[group] + (shape[list(STABLE)] - centres[group]) @ linear.T
    np.testing.assert_allclose(STABLE_XY, expected, atol=0.0006)
