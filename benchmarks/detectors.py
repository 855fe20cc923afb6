"""Face detectors side by side: faces found, false boxes where there is no face, and processor time.

    python -m benchmarks.detectors --faces FOLDER [--only NAME,NAME] [--empty N] [--seed N]

FOLDER holds pictures and ``boxes.json``, a list of ``{"file": ..., "kind": ..., "boxes": [[x1, y1, x2, y2], ...]}``;
rows of kind ``panel`` show one face each. The baseline is OpenCV's cascade (`haar`), in the same run. `blazeface-once`
is BlazeFace as MediaPipe uses it: the whole frame once, score 0.5. dlib's HOG and MTCNN take part if their
packages are installed (dlib-bin; facenet-pytorch).

A hit is a box that overlaps the labelled one by 0.4 or more (intersection over union). Boxes of `hog` and `mtcnn`
are taken as they are; blazeface's and haar's are fitted (their docstrings say how).

Turned faces are rendered: the face mesh gives the depth of 468 points, which is spread over the head, fades to nothing
around it and turns the picture's pixels about a vertical axis; the labelled box turns with them. Each face is turned by
eight angles of up to 50 degrees, drawn by the seed, and the pictures are told apart by where they look in the end: the
head's turn as the mesh measures it in the source, plus the angle. What a source hides can't be rendered: pictures that
are turned back, nearer to the front than a source that is turned by more than 10 degrees, show a cheek that is drawn
out of a few pixels, and have a column of their own. Tilted faces are rotated in the picture's plane. Small faces are
the pictures shrunk into a wide grey frame.

Pictures without a face, in equal parts: crops of scikit-image's and scikit-learn's sample pictures (people's heads cut
off); the same, blurred; what lies beside the face in FOLDER's pictures, mirrored until it fills a frame; noise of
spectra from white to smooth; circles, rectangles, ellipses and letters.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from sklearn.datasets import load_sample_images

from tlbench.media.blazeface import FACE_SCORE, BlazeFaceDetector, framed
from tlbench.media.face_mesh import FaceMesh, head_turn_degrees
from tlbench.media.faces import FaceDetector
from tlbench.media.haar import HaarDetector
from tlbench.media.squares import overlap

HIT = 0.4
SIZES = ((224, 224), (288, 360), (160, 160), (256, 256), (270, 480), (512, 512))  # height, width of empty frames
SAMPLES = (  # all without a person
    *("brick", "cell", "clock", "coffee", "coins", "colorwheel", "grass", "gravel", "hubble_deep_field", "logo"),
    *("immunohistochemistry", "moon", "page", "retina", "rocket", "text"),
)
TURNS, FURTHEST = 8, 50.0  # pictures of each face that are turned, and by how many degrees at most
YAWS = (0, 15, 30, 45, 60, 90)  # degrees that part the columns of turned faces
TURNED_BACK, SEEN_TURNED = "turned back", 10.0  # where the source is turned by more than so many degrees
Picture = tuple[np.ndarray, np.ndarray]  # (H, W, 3) uint8 RGB and the face's (4,) float64 x1 y1 x2 y2


class Own:
    """A detector of tlbench: its best face of one frame, and the time of a face that is followed."""

    def __init__(self, detector: FaceDetector) -> None:
        self.detector = detector

    def best(self, frame: np.ndarray) -> np.ndarray | None:
        (box,) = self.detector.detect(frame[None])
        return box

    def count(self, frame: np.ndarray) -> int:
        return len(self.detector.detect_all(frame[None], -np.inf)[0])

    def follow(self, frames: np.ndarray) -> None:
        self.detector.detect(frames)


class Other:
    """Something that gives (k, 4) or (k, 5) boxes of one frame, best first, and can't follow a face."""

    def __init__(self, boxes: Callable[[np.ndarray], np.ndarray]) -> None:
        self.boxes = boxes

    def best(self, frame: np.ndarray) -> np.ndarray | None:
        found = self.boxes(frame)
        return found[0, :4] if len(found) else None

    def count(self, frame: np.ndarray) -> int:
        return len(self.boxes(frame))

    def follow(self, frames: np.ndarray) -> None:
        for frame in frames:
            self.boxes(frame)


def blazeface_once() -> Other:
    detector = BlazeFaceDetector()

    def boxes(frame: np.ndarray) -> np.ndarray:
        height, width = frame.shape[:2]
        side = max(height, width)
        faces = detector.look(frame, ((width - side) // 2, (height - side) // 2, side), FACE_SCORE)
        return np.array([framed(face.square, frame.shape) for face in faces]).reshape(-1, 4)

    return Other(boxes)


def hog() -> Other:
    import dlib

    detector = dlib.get_frontal_face_detector()

    def boxes(frame: np.ndarray) -> np.ndarray:
        found, scores, _ = detector.run(np.ascontiguousarray(frame), 1, 0.0)
        order = sorted(range(len(found)), key=lambda index: -scores[index])
        rows = [(found[i].left(), found[i].top(), found[i].right() + 1, found[i].bottom() + 1) for i in order]
        return np.array(rows, dtype=np.float64).reshape(-1, 4)

    return Other(boxes)


def mtcnn() -> Other:
    from facenet_pytorch.models.mtcnn import MTCNN

    detector = MTCNN(keep_all=True, device="cpu")

    def boxes(frame: np.ndarray) -> np.ndarray:
        found, _ = detector.detect(frame)
        return np.zeros((0, 4)) if found is None else np.asarray(found)

    return Other(boxes)


CANDIDATES: dict[str, tuple[str, Callable[[], Own | Other]]] = {  # the package that each needs
    "haar": ("cv2", lambda: Own(HaarDetector())),
    "blazeface": ("cv2", lambda: Own(BlazeFaceDetector())),
    "blazeface-once": ("cv2", blazeface_once),
    "hog": ("dlib", hog),
    "mtcnn": ("facenet_pytorch", mtcnn),
}


# Pictures with one face.


def singles(folder: Path) -> list[Picture]:
    """The pictures of a folder that show one face each."""
    rows = json.loads((folder / "boxes.json").read_text("utf-8"))
    return [(read(folder / row["file"]), np.array(row["boxes"][0])) for row in rows if row["kind"] == "panel"]


def read(path: Path) -> np.ndarray:
    bgr = cv2.imread(str(path))
    if bgr is None:
        raise SystemExit(f"{path} is no picture that OpenCV reads")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def tilted(picture: Picture, degrees: float) -> Picture:
    """Rotated about the middle of the face; the box keeps its size."""
    frame, box = picture
    x, y = (box[:2] + box[2:]) / 2
    turn = cv2.getRotationMatrix2D((float(x), float(y)), degrees, 1.0)
    size = (frame.shape[1], frame.shape[0])
    return cv2.warpAffine(frame, turn, size, borderMode=cv2.BORDER_REPLICATE), box


def turned(picture: Picture, depth: np.ndarray, degrees: float) -> Picture:
    """Turned about a vertical axis by the depth of each pixel, (H, W) in pixels, larger the nearer.

    Positive angles move what is near to the right. The other way is the same in a mirror: a nose hides the cheek behind
    it whichever way the face turns.
    """
    frame, box = picture
    height, width = depth.shape
    if degrees < 0:
        frame, box = turned((frame[:, ::-1], mirrored(box, width)), depth[:, ::-1], -degrees)
        return np.ascontiguousarray(frame[:, ::-1]), mirrored(box, width)
    middle, angle = float(box[0] + box[2]) / 2, np.radians(degrees)
    x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    near = depth / max(float(depth.max()), 1e-9)  # 0 around the head, which keeps its place
    moved = x + near**0.5 * ((x - middle) * (np.cos(angle) - 1)) + depth * np.sin(angle)
    back = np.empty_like(x, dtype=np.float32)
    for row in range(height):
        seen = np.maximum.accumulate(moved[row])  # what turns out of sight is covered by what is before it
        back[row] = np.interp(x[row], seen, x[row])
    out = cv2.remap(np.ascontiguousarray(frame), back, y.astype(np.float32), cv2.INTER_LINEAR)
    inside = (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3]) & (near > 0.05)
    face = moved[inside] if inside.any() else np.array([box[0], box[2]])
    return out, np.array([face.min(), box[1], face.max(), box[3]])


def mirrored(box: np.ndarray, width: int) -> np.ndarray:
    left, top, right, bottom = box
    return np.array([width - 1 - right, top, width - 1 - left, bottom])


def points_of(mesh: FaceMesh, detector: BlazeFaceDetector, picture: Picture) -> np.ndarray | None:
    """(468, 3) the mesh of a face; None where no face is found."""
    frame, _ = picture
    face = detector.find(frame)
    return None if face is None else mesh.find(frame, face.square, *face.points[:2]).points


def depth_of(points: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """(H, W) depth of the head in pixels, 0 a third of a face around the mesh."""
    height, width = frame.shape[:2]
    flat, z = points[:, :2], points[:, 2].max() - points[:, 2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    inner = LinearNDInterpolator(flat, z)(x, y)
    edge = NearestNDInterpolator(flat, z)(x, y)
    outside = np.isnan(inner)
    away = cv2.distanceTransform(outside.astype(np.uint8), cv2.DIST_L2, 5)
    reach = (flat[:, 0].max() - flat[:, 0].min()) / 3
    whole = np.where(outside, edge * np.clip(1 - away / reach, 0, 1), inner)
    return cv2.GaussianBlur(whole, (0, 0), max(1.0, width / 100))


def small(picture: Picture, rng: np.random.Generator, height: int, width: int, share: float) -> Picture:
    """Shrunk until the face is a share of the frame's height, somewhere in a grey frame."""
    frame, box = picture
    scale = height * share / (box[3] - box[1])
    side = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    tiny = cv2.resize(frame, side, interpolation=cv2.INTER_AREA)
    left, top = rng.integers(width - side[0] + 1), rng.integers(height - side[1] + 1)
    wide = np.full((height, width, 3), 110, dtype=np.uint8)
    wide[top : top + side[1], left : left + side[0]] = tiny
    return wide, box * scale + np.array([left, top, left, top])


# Pictures without one.


def empty(count: int, faces: Sequence[Picture], seed: int) -> Iterator[np.ndarray]:
    """Pictures without a face; see above."""
    rng = np.random.default_rng(seed)
    scenes = [rgb(getattr(skimage.data, name)()) for name in SAMPLES]
    scenes += [*load_sample_images().images, skimage.data.astronaut()[270:], rgb(skimage.data.camera()[230:])]
    for index in range(count):
        height, width = SIZES[rng.integers(len(SIZES))]
        kind = index % 5
        if kind == 2:
            yield cv2.resize(beside(faces, rng), (width, height), interpolation=cv2.INTER_LINEAR)
        elif kind == 3:
            yield noise(rng, height, width)
        elif kind == 4:
            yield drawing(rng, height, width)
        else:
            scene = crop(scenes[rng.integers(len(scenes))], rng)
            scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_LINEAR)
            yield cv2.GaussianBlur(scene, (0, 0), rng.uniform(1, width / 20)) if kind == 1 else scene


def rgb(picture: np.ndarray) -> np.ndarray:
    return np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else np.ascontiguousarray(picture[..., :3])


def crop(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = max(32, int(rng.uniform(0.15, 1) * min(scene.shape[:2])))
    top, left = (rng.integers(length - side + 1) for length in scene.shape[:2])
    return scene[top : top + side, left : left + side]


def beside(faces: Sequence[Picture], rng: np.random.Generator) -> np.ndarray:
    """A strip beside, above or below a face, mirrored until it fills the frame."""
    while True:
        frame, box = faces[rng.integers(len(faces))]
        height, width = frame.shape[:2]
        margin = 0.25 * (box[2:] - box[:2]).max()
        left, top, right, bottom = (int(v) for v in box + margin * np.array([-1, -1.5, 1, 0.6]))
        strips = [frame[:, : max(0, left)], frame[:, right:], frame[: max(0, top)], frame[bottom:]]
        wide = [strip for strip in strips if min(strip.shape[:2]) >= 24]
        if wide:
            strip = wide[rng.integers(len(wide))]
            room = ((0, max(0, height - strip.shape[0])), (0, max(0, width - strip.shape[1])), (0, 0))
            return np.pad(strip, room, mode="symmetric")


def noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    spectrum = np.fft.fft2(rng.normal(size=(height, width, 3)), axes=(0, 1))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height)))
    radius[0, 0] = 1
    waves = np.fft.ifft2(spectrum / (radius ** rng.uniform(0, 2))[..., None], axes=(0, 1)).real
    waves -= waves.mean(axis=(0, 1))
    return np.clip(127 + waves / waves.std() * rng.uniform(20, 70), 0, 255).astype(np.uint8)


def drawing(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    canvas = np.full((height, width, 3), rng.integers(0, 256, 3), dtype=np.uint8)
    for _ in range(rng.integers(1, 25)):
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        size, other = int(rng.integers(3, height // 3)), int(rng.integers(2, height // 3))
        shape = rng.integers(4)
        if shape == 0:
            cv2.circle(canvas, (x, y), size, colour, -1)
        elif shape == 1:
            cv2.rectangle(canvas, (x, y), (x + size, y + other), colour, -1)
        elif shape == 2:
            line = int(rng.choice([-1, 2, 5]))
            cv2.ellipse(canvas, (x, y), (size, other), float(rng.uniform(0, 180)), 0, 360, colour, line)
        else:
            word = "Talking face generation"[int(rng.integers(10)) :]
            cv2.putText(canvas, word, (x, y), cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.3, 2)), colour, 2)
    return canvas


# Measuring.


def hits(candidate: Own | Other, pictures: Sequence[Picture]) -> int:
    found = ((candidate.best(frame), box) for frame, box in pictures)
    return sum(best is not None and overlap(box, np.asarray(best, float)[None])[0] >= HIT for best, box in found)


def milliseconds(work: Callable[[], object], frames: int) -> float:
    work()
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000 / frames


def parts(faces: list[Picture], seed: int) -> dict[str, list[Picture]]:
    """The sets of pictures with a face, by their name in the table."""
    rng = np.random.default_rng(seed)
    named = {"one face": faces, **turned_parts(faces, seed)}
    for degrees in (15, 30):
        named[f"tilted {degrees}°"] = [tilted(face, angle) for face in faces for angle in (-degrees, degrees)]
    for height, width, share in ((720, 1280, 0.2), (720, 1280, 0.1), (1080, 1920, 0.1)):
        named[f"{share:.0%} of {height}p"] = [small(face, rng, height, width, share) for face in faces]
    return named


def turned_parts(faces: list[Picture], seed: int) -> dict[str, list[Picture]]:
    """Turned faces by where they look in the end, and those that are turned back."""
    rng = np.random.default_rng([seed, TURNS])
    mesh, detector = FaceMesh(), BlazeFaceDetector()
    names = [f"looking {low}-{high}°" for low, high in itertools.pairwise(YAWS)]
    named: dict[str, list[Picture]] = {name: [] for name in (*names, TURNED_BACK)}
    for face in faces:
        angles = rng.uniform(-FURTHEST, FURTHEST, TURNS)
        points = points_of(mesh, detector, face)
        if points is None:
            continue
        depth, source = depth_of(points, face[0]), head_turn_degrees(points)
        for angle in angles:
            final = abs(source + angle)
            back = abs(source) > SEEN_TURNED and final < abs(source)
            name = TURNED_BACK if back else names[int(np.searchsorted(YAWS, final, side="right")) - 1]
            named[name].append(turned(face, depth, float(angle)))
    return {name: pictures for name, pictures in named.items() if pictures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, help="Pictures and boxes.json.")
    parser.add_argument("--only", help="Names of candidates, split by commas.")
    parser.add_argument("--empty", type=int, default=2000, help="Pictures without a face.")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    names = arguments.only.split(",") if arguments.only else list(CANDIDATES)
    faces = singles(arguments.faces)
    sets = parts(faces, arguments.seed)
    print(f"OpenCV {cv2.__version__}; hits of: " + ", ".join(f"{name} {len(part)}" for name, part in sets.items()))
    nothing = list(empty(arguments.empty, faces, arguments.seed))
    columns = [*sets, f"false boxes, {len(nothing)} pictures", "ms a frame, searched", "ms a frame, followed"]
    print("| detector | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns), sep="\n")
    for name in names:
        package, make = CANDIDATES[name]
        if importlib.util.find_spec(package) is None:
            print(f"| {name} | left out: needs the package {package} |")
            continue
        candidate = make()
        cells = [f"{hits(candidate, part) / len(part):.1%}" for part in sets.values()]
        cells.append(str(sum(candidate.count(frame) for frame in nothing)))
        frames = [frame for frame, _ in faces]
        cells.append(f"{milliseconds(lambda c=candidate, f=frames: [c.best(frame) for frame in f], len(frames)):.1f}")
        moved = [np.stack([np.roll(frame, step, axis=1) for step in range(12)]) for frame in frames[:10]]
        cells.append(f"{milliseconds(lambda c=candidate, m=moved: [c.follow(run) for run in m], 120):.1f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
