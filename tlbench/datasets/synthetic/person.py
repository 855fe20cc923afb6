"""Random people: the looks and the voice of one person."""

from __future__ import annotations

from dataclasses import dataclass

from tlbench.datasets.synthetic.rng import StableRng
from tlbench.datasets.synthetic.speech import Voice

Rgb = tuple[float, float, float]  # 0 to 255

# From light to dark; skin colours are interpolated between them.
_SKINS: tuple[Rgb, ...] = ((232, 194, 170), (214, 168, 138), (182, 132, 100), (136, 92, 68), (92, 60, 44))
_HAIRS: tuple[Rgb, ...] = (
    *[(28.0, 22.0, 20.0)] * 7,
    *[(62.0, 40.0, 26.0)] * 5,
    *[(100.0, 68.0, 40.0)] * 3,
    *[(158.0, 122.0, 76.0)] * 2,
    *[(124.0, 120.0, 116.0)] * 2,
    (122.0, 58.0, 32.0),
)
_IRISES: tuple[Rgb, ...] = ((62, 40, 26), (62, 40, 26), (92, 70, 40), (70, 96, 120), (70, 100, 70))
_LIP: Rgb = (172, 66, 72)
_LANGUAGES = ("en-us", "en-us", "en-us", "en", "en-gb-x-rp")
_MEN, _WOMEN = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"), ("f1", "f2", "f3", "f4", "f5")


@dataclass(frozen=True)
class Person:
    """A face and a voice. Lengths are in pixels of the face's canvas (see ``head``), colours RGB.

    Attributes
    ----------
    jaw_square : float
        0 round to 1 square.
    face_width, face_height, mouth_width : float
        Half of the size; of the mouth at rest.
    hair_style : int
        0 short, 1 long, 2 receding, 3 fringe.
    beard, moustache : float
        0 none to 1 full.
    glasses : int
        0 none, 1 round, 2 square.
    wrinkles : float
        0 to 1.
    effort : float
        How far the mouth moves when speaking; 1 is normal.
    texture : int
        Seed of skin and hair.
    """

    skin: Rgb
    lips: Rgb
    hair: Rgb
    eyes: Rgb
    shirt: Rgb
    face_width: float
    face_height: float
    jaw_square: float
    eye_distance: float
    eye_size: float
    brow_weight: float
    nose_length: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    lip_upper: float
    lip_lower: float
    hair_style: int
    beard: float
    moustache: float
    glasses: int
    wrinkles: float
    effort: float
    voice: Voice
    texture: int


def make_person(rng: StableRng) -> Person:
    """A random person. The voice varies a little more from clip to clip."""
    man = rng.chance(0.5)
    skin = _skin(rng)
    redness = rng.between(0.35, 0.75)
    bright = 0.55 + sum(skin) / 3 / 460
    lips = _mixed(skin, (_LIP[0] * bright, _LIP[1] * bright, _LIP[2] * bright), redness)
    hair = rng.pick(_HAIRS)
    shade = rng.between(0.85, 1.15)
    beard = rng.between(0.3, 1.0) if man and rng.chance(0.4) else 0.0
    moustache = rng.between(0.4, 1.0) if man and rng.chance(0.3) else 0.0
    styles = (0, 0, 0, 0, 1, 2, 2, 3, 3) if man else (0, 1, 1, 1, 1, 3, 3)
    return Person(
        skin=skin,
        lips=lips,
        hair=(hair[0] * shade, hair[1] * shade, hair[2] * shade),
        eyes=rng.pick(_IRISES),
        shirt=(rng.between(25, 200), rng.between(25, 200), rng.between(25, 200)),
        face_width=rng.between(82, 96),
        face_height=rng.between(112, 124),
        jaw_square=rng.between(0.35, 0.95) if man else rng.between(0.0, 0.5),
        eye_distance=rng.between(37, 44),
        eye_size=rng.between(14, 18),
        brow_weight=rng.between(4, 7) if man else rng.between(2.2, 4.5),
        nose_length=rng.between(40, 52),
        nose_width=rng.between(14, 21),
        mouth_y=rng.between(202, 212),
        mouth_width=rng.between(30, 38),
        lip_upper=rng.between(5.0, 9.5),
        lip_lower=rng.between(7.0, 12.0),
        hair_style=rng.pick(styles),
        beard=beard,
        moustache=moustache,
        glasses=rng.pick((0, 0, 0, 0, 0, 0, 1, 2)),
        wrinkles=rng.between(0, 1),
        effort=rng.between(0.88, 1.12),
        voice=Voice(
            f"{rng.pick(_LANGUAGES)}+{rng.pick(_MEN if man else _WOMEN)}",
            words_per_minute=140 + rng.below(41),
            pitch=35 + rng.below(31),
            pitch_range=30 + rng.below(41),
        ),
        texture=rng.below(2**31),
    )


def _skin(rng: StableRng) -> Rgb:
    place = rng.between(0, len(_SKINS) - 1)
    step = min(int(place), len(_SKINS) - 2)
    red, green, blue = _mixed(_SKINS[step], _SKINS[step + 1], place - step)
    return red + rng.between(-6, 6), green + rng.between(-5, 5), blue + rng.between(-6, 6)


def _mixed(first: Rgb, second: Rgb, share: float) -> Rgb:
    red, green, blue = (a * (1 - share) + b * share for a, b in zip(first, second, strict=True))
    return red, green, blue
