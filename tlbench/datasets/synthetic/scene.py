"""Rendering a clip of a speaking person: a moving and blinking head, light, a background, and camera noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from tlbench.datasets.synthetic.head import CX, CY, Head, Jaw
from tlbench.datasets.synthetic.mouth import draw_mouth
from tlbench.datasets.synthetic.person import Person
from tlbench.media.rates import FRAMES_PER_SECOND

SIDE = 160  # pixels; LRS2's frame
FIT = 160 / 250  # frame pixels per canvas pixel, so that the face fills the frame as in LRS2
HEAD_Y = 49.0  # y of the head's centre in the frame; the mouth is then at about 93
_BRIGHTEST = 226.0  # highest level of lit skin, like a camera's exposure control, so that no face is overexposed
_BANK = 64  # pixels by which the noise picture is larger than the frame; it is shifted in every frame


@dataclass(frozen=True)
class Pose:
    """The pose of the head in each frame: (T,) each."""

    angle_degrees: np.ndarray
    x_px: np.ndarray
    y_px: np.ndarray
    yaw: np.ndarray  # to the side, about in radians
    size: np.ndarray

    def placed(self, t: int) -> np.ndarray:
        """(2, 3) affine map from canvas to frame ``t``."""
        turn: np.ndarray = cv2.getRotationMatrix2D((CX, CY), self.angle_degrees[t], FIT * self.size[t])
        turn[0, 0] *= 1 - abs(self.yaw[t])
        turn[0, 1] += self.yaw[t] * 0.12
        centre = turn @ np.array([CX, CY, 1.0])
        turn[:, 2] += np.array([SIDE / 2 + self.x_px[t] + 22 * self.yaw[t], HEAD_Y + self.y_px[t]]) - centre
        return turn


class Scene:
    """The scene of one clip.

    Parameters
    ----------
    who : Person
    head : Head
        Of the same person; shared by many clips.
    frames : int
    seed : int
        Of all random parts: movement, blinks, background, light, camera.
    """

    def __init__(self, who: Person, head: Head, frames: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.who = who
        self.head = head
        self._jaw = Jaw(who)
        self._lids = _blinks(rng, frames)
        self.pose = Pose(
            angle_degrees=rng.normal(0, 2.5) + 2.2 * _wandering(rng, frames, 0.5),
            x_px=np.clip(rng.normal(0, 2.0) + 1.6 * _wandering(rng, frames, 0.6), -6, 6),
            y_px=np.clip(rng.normal(0, 2.0) + 1.6 * _wandering(rng, frames, 0.5), -6, 5),
            yaw=np.clip(rng.normal(0, 0.03) + 0.035 * _wandering(rng, frames, 0.6), -0.15, 0.15),
            size=np.clip(rng.uniform(0.95, 1.05) * (1 + 0.012 * _wandering(rng, frames, 0.8)), 0.92, 1.08),
        )
        self._behind = _room(rng, who)
        self._light, self._fog = _light(rng, who)
        self._soften = float(rng.uniform(0.25, 0.75))
        bank = rng.standard_normal((SIDE + _BANK, SIDE + _BANK, 3), np.float32)
        self._noise = bank * np.float32(rng.uniform(0.8, 3.2))
        self._noise_at = rng.integers(0, _BANK, (frames, 2))

    def frame(self, t: int, shape: np.ndarray) -> np.ndarray:
        """Frame ``t`` with the mouth shape ``shape``, (6,): (160, 160, 3) uint8 RGB."""
        jaw = float(shape[0])
        face = self._jaw.opened(self.head.eyes[self._lids[t]], jaw)
        mask = self._jaw.opened(self.head.mask, jaw)
        draw_mouth(face, self.who, shape)
        place = self.pose.placed(t)
        seen = cv2.warpAffine(face, place, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.warpAffine(mask, place, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        picture = seen.astype(np.float32)
        picture -= self._behind
        picture *= (cover.astype(np.float32) * np.float32(1 / 255))[..., None]
        picture += self._behind
        cv2.GaussianBlur(picture, (0, 0), self._soften, dst=picture)
        picture *= self._light
        x, y = self._noise_at[t]
        picture += self._noise[y : y + SIDE, x : x + SIDE]
        picture += self._fog
        return np.clip(picture, 0, 255, out=picture).astype(np.uint8)

    def box(self, t: int) -> tuple[int, int, int, int]:
        """The face box in frame ``t``, from hairline to chin and cheek to cheek: x1 y1 x2 y2, inside the frame."""
        x1, y1, x2, y2 = self.head.box
        corners = np.array([[x1, CY], [x2, CY], [CX, y1], [CX, y2]])
        place = self.pose.placed(t)
        x, y = (corners @ place[:, :2].T + place[:, 2]).T
        left, top, right, low = np.clip(np.round([x[0], y[2], x[1], y[3]]), 0, SIDE).astype(int).tolist()
        return left, top, right, low

    def film(self, shapes: np.ndarray) -> Iterator[np.ndarray]:
        """The frames for the mouth shapes ``shapes``, (T, 6)."""
        for t, shape in enumerate(shapes):
            yield self.frame(t, shape)


def _wandering(rng: np.random.Generator, frames: int, seconds: float) -> np.ndarray:
    """(frames,) slow smooth random motion with unit variance."""
    reach = max(int(seconds * FRAMES_PER_SECOND), 1)
    raw = rng.normal(0, 1, frames + 6 * reach)
    kernel = np.exp(-0.5 * (np.arange(-3 * reach, 3 * reach + 1) / reach) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    return np.convolve(raw, kernel, "valid")[:frames]


def _blinks(rng: np.random.Generator, frames: int) -> np.ndarray:
    """(frames,) state of the eyelids: 0 open, 1 half, 2 shut; a blink of 0.16 s every 2 to 6 seconds."""
    lids = np.zeros(frames, np.int64)
    at = rng.uniform(0.2, 4.0) * FRAMES_PER_SECOND
    while at < frames:
        blink = (1, 2, 2, 1)[: frames - int(at)]
        lids[int(at) : int(at) + len(blink)] = blink
        at += rng.uniform(2.0, 6.0) * FRAMES_PER_SECOND
    return lids


def _room(rng: np.random.Generator, who: Person) -> np.ndarray:
    """(SIDE, SIDE, 3) float32: a blurred background and the speaker's shoulders."""
    margin = 20
    side = SIDE + 2 * margin
    base = np.clip(rng.uniform(40, 175) + rng.normal(0, 12, 3), 10, 215)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    tilt = rng.normal(0, 0.35, 2)
    image = (base * (1 + (tilt[0] * x + tilt[1] * y))[..., None]).astype(np.float32)
    for _ in range(int(rng.integers(0, 7))):
        x0, y0 = rng.uniform(-20, side, 2)
        width, height = rng.uniform(15, 110, 2)
        color = np.clip(base + rng.normal(0, 28) + rng.normal(0, 12, 3), 5, 225)
        cv2.rectangle(image, (int(x0), int(y0)), (int(x0 + width), int(y0 + height)), tuple(map(float, color)), -1)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(3, 10))
    cx, low = side / 2, side + 30
    body = [[cx - 99, low], [cx - 90, 168], [cx - 30, 150], [cx + 30, 150], [cx + 90, 168], [cx + 95, low]]
    cv2.fillPoly(image, [np.array(body).astype(np.int32)], who.shirt)
    image = cv2.GaussianBlur(image, (0, 0), 1.5)
    neck = np.array([[cx - 27, 112], [cx - 29, 154], [cx, 168], [cx + 29, 154], [cx + 27, 112]]).astype(np.int32)
    cv2.fillPoly(image, [neck], tuple(0.70 * channel for channel in who.skin), cv2.LINE_AA)
    image = cv2.GaussianBlur(image, (0, 0), 0.8)
    return np.ascontiguousarray(np.clip(image[margin:-margin, margin:-margin], 0, 255))


def _light(rng: np.random.Generator, who: Person) -> tuple[np.ndarray, np.float32]:
    """Light, its colour and exposure: a factor (SIDE, SIDE, 3) float32, and an offset."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    light = (1 + rng.normal(0, 0.22) * x - rng.normal(0.04, 0.12) * y)[..., None]
    tint = np.array([1 + rng.normal(0, 0.04), 1.0, 1 + rng.normal(0, 0.04)])
    fog = rng.uniform(0, 12)
    lit = light * tint
    brightest = float(lit.max()) * max(who.skin)
    gain = min(rng.uniform(0.75, 1.3), (_BRIGHTEST - fog) / brightest)
    return (gain * lit).astype(np.float32), np.float32(fog)
