"""The head without the mouth, drawn once per person on a canvas that is larger than the face in the video."""

from __future__ import annotations

import cv2
import numpy as np

from tlbench.datasets.synthetic.drawing import ellipse, fill, line
from tlbench.datasets.synthetic.person import Person

CANVAS = 288  # side in pixels
CX = CANVAS / 2
CY = 138.0  # centre of the head, about which it turns
EYES_Y = 124.0
HAIRLINE_Y, CHIN_BELOW_PX = 58.0, 5.0  # upper edge of the face box; room for a chin that drops
_FRAME: tuple[float, ...] = (32, 30, 34)  # of glasses
# Highlights: x from the middle, y, extent in x and y, and gain.
_LIGHTS = (
    (0, 70, 46, 24, 0.05),
    (-48, 168, 24, 22, 0.05),
    (48, 168, 24, 22, 0.05),
    (0, 150, 10, 34, 0.06),
    (0, 240, 22, 12, 0.04),
)


class Head:
    """The parts of a person that do not move with speech.

    Attributes
    ----------
    eyes : three of (CANVAS, CANVAS, 3) uint8 RGB
        The face with open, half open and shut eyes, without the mouth.
    mask : (CANVAS, CANVAS) uint8
        The head's mask, with a soft edge.
    box : (x1, y1, x2, y2)
        The face from hairline to chin and cheek to cheek, in canvas pixels.
    """

    def __init__(self, who: Person) -> None:
        rng = np.random.default_rng(who.texture)
        y, x = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32)
        image = _skin(who, x, y, rng)
        _grow_beard(image, who, x, y, rng)
        face = np.clip(image, 0, 255).astype(np.uint8)
        _draw_nose(face, who)
        for side in (-1, 1):
            _draw_crease(face, who, side)
        hair, alpha = _hair(who, rng)
        self.eyes = tuple(_under_hair(_with_eyes(face, who, openness), who, hair, alpha) for openness in (1.0, 0.45, 0))
        self.mask = _mask(who, alpha)
        self.box = (CX - who.face_width, HAIRLINE_Y, CX + who.face_width, CY + who.face_height + CHIN_BELOW_PX)


class Jaw:
    """Stretches the lower face downwards when the jaw opens: rows below the mouth move, rows above it do not."""

    DROP_PX = 14.0  # of the chin with the jaw fully open

    def __init__(self, who: Person) -> None:
        self._first = int(who.mouth_y - 16)
        y, x = np.mgrid[self._first : CANVAS, 0:CANVAS].astype(np.float32)
        rise = np.clip((y - (who.mouth_y - 14)) / 46, 0, 1)
        side = np.exp(-(((x - CX) / (who.face_width * 0.92)) ** 4))
        self._x, self._y = x, y
        self._drop = (self.DROP_PX * rise * rise * (3 - 2 * rise) * side).astype(np.float32)

    def opened(self, image: np.ndarray, jaw: float) -> np.ndarray:
        """A copy of a canvas picture with the jaw open by ``jaw``, 0 to 1."""
        out: np.ndarray = image.copy()
        rows = self._y - np.float32(jaw) * self._drop
        cv2.remap(image, self._x, rows, cv2.INTER_LINEAR, dst=out[self._first :], borderMode=cv2.BORDER_REPLICATE)
        return out


def _skin(who: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    r = ((x - CX) / who.face_width) ** 2 + ((y - CY) / who.face_height) ** 2
    shade = 1.0 - 0.28 * np.clip(r, 0, 1.3) ** 1.5
    sockets = ((-who.eye_distance, EYES_Y, 25, 14, -0.10), (who.eye_distance, EYES_Y, 25, 14, -0.10))
    around_mouth = ((0, who.mouth_y + 20, 24, 6, -0.07), (0, who.mouth_y - 18, 8, 10, -0.04))
    for px, py, sx, sy, gain in (*_LIGHTS, *sockets, *around_mouth):
        shade += gain * np.exp(-(((x - CX - px) / sx) ** 2) - ((y - py) / sy) ** 2)
    grain = cv2.GaussianBlur(_noise(rng), (0, 0), 1.2) * 3.2 + cv2.GaussianBlur(_noise(rng), (0, 0), 9) * 26
    image = np.array(who.skin, np.float32) * shade[..., None] + 0.3 * grain[..., None]
    blush = 0.1 * np.exp(-(((np.abs(x - CX) - 46) / 20) ** 2) - ((y - 172) / 18) ** 2)[..., None]
    tinted: np.ndarray = image * (1 - blush) + np.array([200, 90, 80], np.float32) * blush
    return tinted


def _noise(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((CANVAS, CANVAS), np.float32)


def _grow_beard(image: np.ndarray, who: Person, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    grain = cv2.GaussianBlur(_noise(rng), (0, 0), 0.9)
    if who.beard:
        jaw = 1 / (1 + np.exp(-(y - (who.mouth_y - 14 - 0.0128 * (x - CX) ** 2)) / 5))
        around = 1 - np.exp(-(((x - CX) / (who.mouth_width + 9)) ** 4) - ((y - who.mouth_y) / 17) ** 4)
        _cover(image, jaw * around * who.beard * np.clip(0.72 + 0.5 * grain, 0, 1), who)
    if who.moustache:
        band = np.exp(-(((x - CX) / 32) ** 4) - ((y - (who.mouth_y - 15 + 0.004 * (x - CX) ** 2)) / 5.0) ** 2)
        _cover(image, band * who.moustache * np.clip(0.8 + 0.5 * grain, 0, 1), who)


def _cover(image: np.ndarray, share: np.ndarray, who: Person) -> None:
    image += share[..., None] * (np.array(who.hair, np.float32) - image)


def _draw_nose(image: np.ndarray, who: Person) -> None:
    skin = np.array(who.skin)
    tip = 134 + who.nose_length
    layer = image.copy()
    for side in (-1, 1):
        fill(layer, ellipse(CX + side * who.nose_width * 0.72, tip - 2, who.nose_width * 0.38, 7), skin * 0.88)
        fill(layer, ellipse(CX + side * who.nose_width * 0.46, tip + 2.5, 4.2, 2.2), skin * 0.42)
    bridge = np.array([[CX - 9, 122], [CX - 10, 150], [CX - who.nose_width * 0.8, tip - 6]])
    line(layer, bridge, skin * 0.84, 2)
    top, low = 110, int(tip + 12)
    image[top:low] = cv2.GaussianBlur(layer, (0, 0), 1.6)[top:low]


def _draw_crease(image: np.ndarray, who: Person, side: int) -> None:
    """Draw the crease from the nose to the corner of the mouth."""
    if who.wrinkles < 0.25:
        return
    points = np.array(
        [
            [CX + side * (who.nose_width + 4), 134 + who.nose_length - 4],
            [CX + side * (who.mouth_width + 2), who.mouth_y - 12],
            [CX + side * (who.mouth_width + 8), who.mouth_y + 4],
        ]
    )
    layer = image.copy()
    line(layer, points, np.array(who.skin) * (0.93 - 0.12 * who.wrinkles), 3)
    cv2.addWeighted(cv2.GaussianBlur(layer, (0, 0), 2), 0.7, image, 0.3, 0, image)


def _with_eyes(image: np.ndarray, who: Person, openness: float) -> np.ndarray:
    skin, hair = np.array(who.skin), np.array(who.hair)
    out: np.ndarray = image.copy()
    for side in (-1, 1):
        cx, cy = CX + side * who.eye_distance, EYES_Y
        lid = ellipse(cx, cy, who.eye_size, max(who.eye_size * 0.48 * openness, 0.4))
        lid[:, 1] += np.where(lid[:, 1] < cy, -0.8, 0.6) * openness
        if openness > 0.15:
            _draw_eyeball(out, lid, cx, cy - 0.5, who)
        upper = lid[lid[:, 1] <= cy]
        upper = upper[np.argsort(upper[:, 0])]
        line(out, upper, np.minimum(skin * 0.35, 60), 2)
        line(out, upper + np.array([0, -5.0]), skin * 0.80, 1)
        along = np.linspace(-1, 1, 9)
        brow = np.stack([cx + along * 21, cy - 21 - 4.2 * (1 - along**2) + 1.5 * side * along], 1)
        line(out, brow, hair * 0.85 + skin * 0.12, who.brow_weight)
        if who.glasses:
            rim = ellipse(cx, cy + 3, 28, 22, power=2.0 if who.glasses == 1 else 4.5)
            line(out, rim, _FRAME, 3, True)
            line(out, np.array([[cx + side * 28, cy], [CX + side * who.face_width, cy - 4]]), _FRAME, 3)
    if who.glasses:
        inner = who.eye_distance - 28
        line(out, np.array([[CX - inner, 124], [CX, 121], [CX + inner, 124]]), _FRAME, 3)
    return out


def _draw_eyeball(image: np.ndarray, lid: np.ndarray, x: float, y: float, who: Person) -> None:
    opening = np.zeros(image.shape[:2], np.uint8)
    fill(opening, lid, (255,))
    eye = np.empty_like(image)
    white = 0.55 + 0.45 * np.array(who.skin).mean() / 200  # the eye gets the light of the skin around it
    eye[:] = np.minimum(np.array([222, 217, 211]) * white, 222)
    fill(eye, ellipse(x, y, 7.2, 7.2), who.eyes)
    fill(eye, ellipse(x, y, 3.4, 3.4), (14, 12, 12))
    fill(eye, ellipse(x - 2, y - 2.4, 1.5, 1.5), (244, 244, 244))
    share = (opening / 255.0)[..., None]
    image[:] = (image * (1 - share) + eye * share).astype(np.uint8)


def _hair(who: Person, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours, (CANVAS, CANVAS, 3) float32, and opacity, (CANVAS, CANVAS) float32 from 0 to 1."""
    alpha = np.zeros((CANVAS, CANVAS), np.uint8)
    w, top = who.face_width, CY - who.face_height
    fill(alpha, ellipse(CX, 92, w + 9, 92 - top + 16), (255,))
    opening = (84, 78, 62, 96)[who.hair_style]
    cut = np.zeros_like(alpha)
    fill(cut, ellipse(CX, 190, w - 3, 190 - opening, power=2.6), (255,))
    if who.hair_style == 3:
        cut[: opening + 4] = 0
    if who.hair_style == 1:
        for side in (-1, 1):
            fill(alpha, ellipse(CX + side * (w + 2), 175, 21, 95), (255,))
    else:
        alpha[150:] = 0
    alpha = np.where(cut > 0, (alpha * (1 - cut / 255.0)).astype(np.uint8), alpha)
    soft = cv2.GaussianBlur(alpha, (0, 0), 2.0).astype(np.float32) / 255
    strands = cv2.GaussianBlur(_noise(rng), (0, 0), sigmaX=1.1, sigmaY=9)
    y = np.arange(CANVAS, dtype=np.float32)[:, None]
    light = 0.95 + 1.6 * strands + 0.2 * np.exp(-(((y - 52) / 20) ** 2))
    return np.array(who.hair, np.float32) * light[..., None], soft


def _under_hair(face: np.ndarray, who: Person, hair: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    whole = face.astype(np.float32)
    for side in (-1, 1):
        line(whole, ellipse(CX + side * (who.face_width + 4), 147, 6, 13), np.array(who.skin) * 0.72, 2, True)
    front = alpha[..., None]
    under: np.ndarray = np.clip(whole * (1 - front) + hair * front, 0, 255).astype(np.uint8)
    return under


def _mask(who: Person, alpha: np.ndarray) -> np.ndarray:
    """The mask of face, ears and hair; the face is an ellipse above the cheeks and squarer below."""
    mask = np.zeros((CANVAS, CANVAS), np.uint8)
    upper = ellipse(CX, CY, who.face_width, who.face_height, 80)
    lower = ellipse(CX, CY, who.face_width * 0.985, who.face_height, 80, 2.0 + 0.7 * who.jaw_square)
    fill(mask, np.where(upper[:, 1:] < CY, upper, lower), (255,))
    for side in (-1, 1):
        fill(mask, ellipse(CX + side * (who.face_width + 3), 146, 11, 21), (255,))
    return np.asarray(cv2.GaussianBlur(np.maximum(mask, (alpha * 255).astype(np.uint8)), (0, 0), 1.0))
