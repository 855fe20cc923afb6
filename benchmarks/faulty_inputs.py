"""Inputs that people have in good faith and that break an assumption of tlbench, made from the synthetic talkers.

Each function that takes a :class:`Desk` writes its input into the desk's empty folder and returns the commands that are
run on it: a list of words is a command of tlbench, a string is a piece of Python. Nothing here is downloaded.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from tlbench.media.audio import read_audio
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video

Command = list[str] | str
SIDE = 160  # of the synthetic talkers, pixels
WATCH = ["--metrics", "psnr/sound"]
HEAR = ["--metrics", "psnr/sound,lse_c/sound", "--weights", "syncnet-synthetic"]
OFFSET = ["--metrics", "offset_size/sound,in_sync/sound", "--weights", "syncnet-synthetic"]
READ = ["--metrics", "wer1/sound", "--weights", "avhubert-synthetic"]


@dataclass(frozen=True)
class Talker:
    """One synthetic clip: its id, (T, 160, 160, 3) uint8 RGB, 16 kHz samples, and what is said."""

    clip_id: str
    pictures: np.ndarray
    samples: np.ndarray
    text: str


@dataclass(frozen=True)
class Desk:
    """Where a kind of fault writes, and what it writes from.

    Attributes
    ----------
    folder : Path
        Empty; of this kind alone.
    talkers : tuple of Talker
        Clips of the synthetic data set.
    grid : Path, optional
        GRID, for the kinds that need real faces.
    """

    folder: Path
    talkers: tuple[Talker, ...]
    grid: Path | None = None

    def write(self, part: str, change: Change, count: int = 3, talkers: tuple[Talker, ...] = ()) -> None:
        """``part``/CLIP.mp4 with what ``change`` makes of the first ``count`` talkers."""
        (self.folder / part).mkdir()
        for talker in (talkers or self.talkers)[:count]:
            pictures, samples = change(talker.pictures, talker.samples)
            write_video(self.folder / part / f"{talker.clip_id}.mp4", pictures, samples=samples, crf=20)

    def write_real(self, change: Change | None = None, text: Callable[[str], str] = str, count: int = 3) -> None:
        """``real``/CLIP.mp4 and CLIP.txt."""
        self.write("real", change or unchanged, count)
        for talker in self.talkers[:count]:
            (self.folder / "real" / f"{talker.clip_id}.txt").write_text(text(talker.text), "utf-8")

    def score(self, *options: str, made: str = "made", real: str = "real") -> Command:
        """``tlbench score`` of one folder beside the other."""
        folders = [str(self.folder / made), "--dataset", "folder", "--data-root", str(self.folder / real)]
        return ["score", *folders, "--name", "made", *options]

    def check(self) -> Command:
        """``tlbench check`` of ``made`` beside ``real``."""
        return ["check", str(self.folder / "made"), "--dataset", "folder", "--data-root", str(self.folder / "real")]


Change = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def read_talkers(corpus: Path) -> tuple[Talker, ...]:
    """The test clips of a synthetic data set."""
    found = []
    for path in sorted((corpus / "main").rglob("*.mp4")):
        text = path.with_suffix(".txt").read_text("utf-8").splitlines()[0].removeprefix("Text:").strip()
        found.append(Talker(path.parent.name, np.stack(list(read_video(path))), read_audio(path), text))
    return tuple(found)


def unchanged(pictures: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return pictures, samples


def softened(pictures: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What stands for a generator's output: no fault, but not the real video either."""
    return np.stack([cv2.GaussianBlur(picture, (0, 0), 1) for picture in pictures]), samples


def resized(width: int, height: int) -> Change:
    def change(pictures: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.stack([cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in pictures]), samples

    return change


def frames(pick: Callable[[int], Iterable[int]]) -> Change:
    """Frames by number, of a clip of so many; the sound stays."""

    def change(pictures: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return softened(pictures[list(pick(len(pictures)))], samples)

    return change


def of_pictures(change: Change, *options: str) -> Callable[[Desk], list[Command]]:
    """A kind whose real videos are in order, and whose generated ones are what ``change`` makes of them."""

    def make(desk: Desk) -> list[Command]:
        desk.write_real()
        desk.write("made", change)
        return [desk.score(*options), desk.check()]

    return make


def few_frames(desk: Desk) -> list[Command]:
    """As clips of GRID, which has leaderboards."""
    for part, change in (("real", unchanged), ("made", frames(lambda count: range(8)))):
        (desk.folder / part / "s1").mkdir(parents=True)
        for clip_id, talker in zip(("bbaf2n", "bbaf3s", "bbaf4p"), desk.talkers, strict=False):
            pictures, samples = change(talker.pictures, talker.samples)
            write_video(desk.folder / part / "s1" / f"{clip_id}.mp4", pictures, samples=samples, crf=20)
    grid = ["--dataset", "grid", "--data-root", str(desk.folder / "real"), "--split", "all", *HEAR]
    board = ["--board", str(desk.folder / "board"), "--trained-with", "none"]
    return [
        ["score", str(desk.folder / "made"), *grid],
        ["leaderboard", "add", str(desk.folder / "out" / "made"), *board],
    ]


def in_scene(pictures: np.ndarray, covered: range = range(0)) -> np.ndarray:
    """(T, 240, 360, 3): the face at the left of a blurred scene; ``covered`` frames show a grey plate instead."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 360, 3), np.uint8)
    scene = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), noise, 40, 210, cv2.NORM_MINMAX)
    shown = np.repeat(scene[None], len(pictures), axis=0)
    for number, picture in enumerate(pictures):
        shown[number, 16 : 16 + SIDE, 16 : 16 + SIDE] = 128 if number in covered else picture
    return shown


def cropped(desk: Desk) -> list[Command]:
    """A square crop of a square source, as portrait generators write it."""

    def real(pictures: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return in_scene(pictures)[:, :, :240], samples

    desk.write("real", real)
    desk.write("made", lambda p, s: (resized(240, 240)(real(p, s)[0][:, 8:184, 8:184], s)[0], s))
    return [desk.score(*WATCH)]


def cropped_close(desk: Desk) -> list[Command]:
    """The same, with a face that fills the frame before it is cropped."""
    desk.write_real()
    desk.write("made", lambda p, s: resized(SIDE, SIDE)(p[:, 10:110, 30:130], s))
    return [desk.score(*WATCH)]


def face_covered(desk: Desk) -> list[Command]:
    """The real face is covered for a third of the clip, and nobody moves what lies behind it."""
    covered = range(20, 40)
    for part, hidden in (("real", covered), ("whole", range(0))):
        desk.write(part, lambda p, s, hidden=hidden: (in_scene(p, hidden), s), 2)

    def made(pictures: np.ndarray, hidden: range) -> np.ndarray:
        """The face is blurred, the rest is the real video's."""
        return in_scene(softened(pictures, pictures)[0], hidden)

    desk.write("made", lambda p, s: (made(p, covered), s), 2)
    desk.write("made_whole", lambda p, s: (made(p, range(0)), s), 2)
    plain = desk.score(*WATCH, made="made_whole", real="whole")
    return [plain, desk.score(*WATCH)]


def no_face_generated(desk: Desk) -> list[Command]:
    desk.write("real", lambda p, s: (in_scene(p), s), 2)
    desk.write("made", lambda p, s: (in_scene(softened(p, s)[0], range(10, 30)), s), 2)
    return [desk.score(*WATCH, "--boxes-from", "generated")]


def several_people(desk: Desk) -> list[Command]:
    """Two people side by side."""
    other = desk.talkers[1].pictures

    def pair(pictures: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = min(len(pictures), len(other))
        return np.concatenate([pictures[:count], other[:count]], axis=2), samples

    desk.write("real", pair, 1)
    desk.write("made", lambda p, s: softened(*pair(p, s)), 1)
    return [desk.score(*WATCH)]


def fixed_window(desk: Desk) -> list[Command]:
    desk.write_real(resized(512, 512))
    desk.write("made", lambda p, s: softened(*resized(512, 512)(p, s)))
    return [desk.score("--metrics", "wer1/sound,lse_c/sound", *READ[2:], *HEAR[2:])]


def write_tracks(path: Path, talker: Talker, pictures_late: int) -> None:
    """An mp4 whose picture track starts so many frames after its sound, as ``ffmpeg -itsoffset`` writes it."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "20"})
        video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
        sound = out.add_stream("aac", rate=16000, layout="mono")
        for number, picture in enumerate(softened(talker.pictures, talker.samples)[0]):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number + pictures_late, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        heard = av.AudioFrame.from_ndarray(talker.samples[None].astype(np.int16), format="s16", layout="mono")
        heard.sample_rate, heard.pts, heard.time_base = 16000, 0, Fraction(1, 16000)
        out.mux(sound.encode(heard))
        out.mux(sound.encode())


def sound_first(desk: Desk) -> list[Command]:
    """The pictures are shown 5 frames after the sound that belongs to them."""
    desk.write_real()
    (desk.folder / "made").mkdir()
    for talker in desk.talkers[:3]:
        write_tracks(desk.folder / "made" / f"{talker.clip_id}.mp4", talker, 5)
    return [desk.check(), desk.score(*OFFSET)]


def truth_as_system(desk: Desk) -> list[Command]:
    desk.write_real()
    desk.write("made", unchanged)
    return [desk.score(*WATCH), desk.check()]


def misspelt_checkpoint(desk: Desk) -> list[Command]:
    desk.write_real()
    desk.write("made", softened)
    return [desk.score(*WATCH, "--trained-with", "avhubert-synthetc")]


def still(desk: Desk) -> list[Command]:
    """A photograph beside the speech."""
    desk.write_real(count=12)
    desk.write("made", lambda p, s: (np.repeat(p[:1], len(p), axis=0), s), 12)
    return [desk.score(*OFFSET)]


def jpeg_444(desk: Desk) -> list[Command]:
    path = desk.folder / "odd.mp4"  # write_video stores odd sizes as yuv444p
    write_video(path, np.random.default_rng(0).integers(0, 255, (3, 161, 160, 3), np.uint8))
    return [
        f"from pathlib import Path\n"
        f"from tlbench.media.jpeg import JpegRoundTrip\nfrom tlbench.media.video_reader import VideoReader\n"
        f"native = next(iter(VideoReader(Path({str(path)!r})).frames())).native[0]\n"
        f"jpeg = JpegRoundTrip().encode(native)\nat = jpeg.index(b'\\xff\\xc0')\n"
        f"factors = [(jpeg[at + 11 + 3 * k] >> 4, jpeg[at + 11 + 3 * k] & 15) for k in range(jpeg[at + 9])]\n"
        f"full = 'full' if len(set(factors)) == 1 else 'subsampled'\n"
        f"print('colour of', native.format.name, 'in the JPEG of paper is', full)"
    ]


def of_text(change: Callable[[str], str], *options: str) -> Callable[[Desk], list[Command]]:
    """Reading with clean transcripts, then with changed ones; the videos are the same."""

    def make(desk: Desk) -> list[Command]:
        desk.write_real(text=lambda text: text + " DON'T")
        desk.write("made", softened)
        changed = Desk(desk.folder / "changed", desk.talkers)
        changed.folder.mkdir()
        changed.write_real(text=lambda text: change(text + " DON'T"))
        return [desk.score(*options), desk.score(*options, real="changed/real")]

    return make


def wrong_alignment(desk: Desk) -> list[Command]:
    """GRID: each of two clips has the word times of the other."""
    words = {"bbaf2n": "lay red with x nine soon", "lrwx9s": "bin blue at f two now"}
    for part in ("real/s1", "real/alignments/s1", "made/s1"):
        (desk.folder / part).mkdir(parents=True)
    for (clip, text), talker in zip(words.items(), desk.talkers, strict=False):
        lines = [f"{n * 10000} {(n + 1) * 10000} {word}" for n, word in enumerate(["sil", *text.split(), "sil"])]
        (desk.folder / "real/alignments/s1" / f"{clip}.align").write_text("\n".join(lines) + "\n", "utf-8")
        write_video(desk.folder / "real/s1" / f"{clip}.mp4", talker.pictures, crf=10)
        write_video(desk.folder / "made/s1" / f"{clip}.mp4", softened(talker.pictures, talker.samples)[0])
    root = ["--dataset", "grid", "--data-root", str(desk.folder / "real"), "--split", "all"]
    return [["check", str(desk.folder / "made"), *root]]


def gif(desk: Desk) -> list[Command]:
    desk.write_real()
    (desk.folder / "made").mkdir()
    for talker in desk.talkers[:3]:
        with av.open(str(desk.folder / "made" / f"{talker.clip_id}.gif"), "w") as out:
            stream = out.add_stream("gif", rate=25)
            stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "rgb8"
            for picture in talker.pictures:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="rgb8")))
            out.mux(stream.encode())
    return [desk.score(*WATCH), desk.check()]


def no_video_at_all(content: bytes) -> Callable[[Desk], list[Command]]:
    def make(desk: Desk) -> list[Command]:
        desk.write_real()
        desk.write("made", softened)
        (desk.folder / "made" / f"{desk.talkers[0].clip_id}.mp4").write_bytes(content)
        return [desk.check()]

    return make


def broken_real(desk: Desk) -> list[Command]:
    desk.write_real()
    desk.write("made", softened)
    path = desk.folder / "real" / f"{desk.talkers[0].clip_id}.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return [desk.score(*WATCH)]


def no_transcripts(desk: Desk) -> list[Command]:
    desk.write("real", unchanged)
    desk.write("made", softened)
    return [desk.score(*READ)]


def of_sound(change: Callable[[np.ndarray], np.ndarray], *options: str) -> Callable[[Desk], list[Command]]:
    return of_pictures(lambda pictures, samples: (softened(pictures, samples)[0], change(samples)), *options)


def no_sound(desk: Desk) -> list[Command]:
    desk.write_real()
    (desk.folder / "made").mkdir()
    for talker in desk.talkers[:3]:
        pictures, _ = softened(talker.pictures, talker.samples)
        write_video(desk.folder / "made" / f"{talker.clip_id}.mp4", pictures, crf=20)
    return [desk.score(*HEAR), desk.check()]


def lone_string(desk: Desk) -> list[Command]:
    desk.write_real()
    desk.write("made", softened)
    made, real, out = (str(desk.folder / part) for part in ("made", "real", "out"))
    keep = f"out={out!r}, cache={str(desk.folder / 'cache')!r}, workers=1"
    return [
        f"import tlbench\nfrom tlbench.errors import TlbenchError\n"
        f"try:\n    table = tlbench.score({made!r}, 'folder', {real!r}, metrics='psnr/sound', {keep}).to_dataframe()\n"
        f"    print(*(f'{{m}} {{v:.2f}}' for m, v in zip(table['metric'], table['value'])))\n"
        f"except TlbenchError as error:\n    print(error)"
    ]


def other_reader(desk: Desk) -> list[Command]:
    desk.write_real()
    desk.write("made", softened)
    return [desk.score("--metrics", "wer1/sound", "--weights", "avhubert-grid", "--view", "avhubert=face-framed")]


def whole_good(desk: Desk) -> list[Command]:
    desk.write_real()
    desk.write("made", softened)
    return [desk.score("--metrics", "psnr/sound,wer1/sound,lse_c/sound", *READ[2:], *HEAR[2:]), desk.check()]


def default_track(desk: Desk) -> list[Command]:
    """A silent first sound track; the second is the speech, and marked as the default."""
    desk.write_real()
    desk.write("plain", softened)
    (desk.folder / "made").mkdir()
    for talker in desk.talkers[:3]:
        with av.open(str(desk.folder / "made" / f"{talker.clip_id}.mkv"), "w") as out:
            video = out.add_stream("libx264", rate=25, options={"crf": "20"})
            video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
            sounds = [out.add_stream("flac", rate=16000, layout="mono") for _ in range(2)]
            sounds[0].disposition = av.stream.Disposition(0)
            sounds[1].disposition = av.stream.Disposition.default
            for number, picture in enumerate(softened(talker.pictures, talker.samples)[0]):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(video.encode(frame))
            out.mux(video.encode())
            for sound, loud in zip(sounds, (0, 1), strict=True):
                samples = (talker.samples * loud).astype(np.int16)
                block = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
                block.sample_rate, block.pts, block.time_base = 16000, 0, Fraction(1, 16000)
                out.mux(sound.encode(block))
                out.mux(sound.encode())
    return [desk.score(*HEAR, made="plain"), desk.score(*HEAR)]


def mirrored_matrix(desk: Desk) -> list[Command]:
    """Pictures stored mirrored, and a display matrix that mirrors them back, as phones' front cameras write it."""
    desk.write_real()
    desk.write("plain", softened)
    desk.write("made", lambda pictures, samples: (softened(pictures, samples)[0][:, :, ::-1], samples))
    units = [-1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30]
    for path in (desk.folder / "made").iterdir():
        data = bytearray(path.read_bytes())
        place = data.index(b"tkhd") + 44
        data[place : place + 36] = b"".join(unit.to_bytes(4, "big", signed=True) for unit in units)
        path.write_bytes(data)
    return [desk.score(*WATCH, made="plain"), desk.score(*WATCH)]


def lrs2_column(desk: Desk) -> list[Command]:
    """A network that tlbench trained on something else, for a column of LRS2 that stands beside published values."""
    real = desk.folder / "real"
    for talker in desk.talkers[:3]:
        for part, change in (("real/main", unchanged), ("made", softened)):
            place = desk.folder / part / talker.clip_id
            place.mkdir(parents=True)
            pictures, samples = change(talker.pictures, talker.samples)
            write_video(place / "00001.mp4", pictures, samples=samples, crf=20)
        text = f"Text:  {talker.text}\nConf:  9\n"
        (real / "main" / talker.clip_id / "00001.txt").write_text(text, "utf-8")
    (real / "test.txt").write_text("".join(f"{talker.clip_id}/00001\n" for talker in desk.talkers[:3]), "utf-8")
    reader = ["--metrics", "wer1", "--weights", "avhubert-grid", "--view", "avhubert=face-framed"]
    return [["score", str(desk.folder / "made"), "--dataset", "lrs2", "--data-root", str(real), *reader]]


def all_metrics(desk: Desk) -> list[Command]:
    desk.write_real()
    desk.write("made", softened)
    return [desk.score("--metrics", "all")]


def of_grid(kind: str) -> Callable[[Desk], list[Command]]:
    """Real faces with a fault that `tlbench controls` puts in: what is asked is whether they count as in sync."""

    def make(desk: Desk) -> list[Command]:
        grid = ["--dataset", "grid", "--data-root", str(desk.grid), "--limit", "20"]
        write = ["controls", str(desk.folder), "--kinds", kind, *grid]
        main = "from tlbench.cli.main import main; main()"
        subprocess.run([sys.executable, "-c", main, *write], check=True, capture_output=True)
        network = ["--metrics", "in_sync/sound,lse_c/sound", "--weights", "syncnet-grid"]
        return [["score", str(desk.folder / kind), *grid, *network]]

    return make
