"""Hostile files of torch.save from a seed: zip files that lie or unpack to much, pickle bombs, code, shared numbers."""

from __future__ import annotations

import io
import os
import pickle
import random
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TRACE = "trace-of-foreign-code"  # a folder that foreign code would make where the command runs
STOP = b"."


class Trap:
    """Calls ``call`` when it is unpickled by who runs code."""

    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call[0], self._call[1:]


def text(letters: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(letters)) + letters


def named(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data if len(data) < 256 else b"\x8b" + struct.pack("<I", len(data)) + data


def storage(numel: int, key: str = "0", kind: str = "torch.FloatStorage") -> bytes:
    return b"(" + text(b"storage") + named(kind) + text(key.encode()) + text(b"cpu") + number(numel) + b"tQ"


def tensor(offset: int, shape: list[int], stride: list[int], numel: int = 10, key: str = "0") -> bytes:
    sizes, steps = (b"(" + b"".join(map(number, counts)) + b"t" for counts in (shape, stride))
    rebuilt = named("torch._utils._rebuild_tensor_v2") + b"(" + storage(numel, key) + number(offset)
    return rebuilt + sizes + steps + b"\x89}tR"


def state_dict(tensors: dict[str, bytes]) -> bytes:
    return b"\x80\x02}(" + b"".join(text(name.encode()) + one for name, one in tensors.items()) + b"u" + STOP


def zipped(path: Path, data: bytes, numbers: dict[str, bytes] | None = None, how: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        for key, content in (numbers if numbers is not None else {"0": b"\0" * 40}).items():
            archive.writestr(f"archive/data/{key}", content)


def bomb(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """A pickle that is small and makes much."""
    memo = b"q\x01"
    levels = rng.choice([30, 60, 1000])
    doubled = b")" + b"q\x00h\x00\x86" * levels
    copies = rng.choice([1000, 200_000, 1_000_000])
    long = text(b"x" * rng.choice([1000, 2**20]))
    items = b"".join(text(str(one).encode()) + b"K\x01" for one in range(2000))
    bombs = {
        "nested tuples": doubled + STOP,
        "a nested key": b"}" + doubled + b"K\x01s" + STOP,
        "nested dicts": b"}" + (b"q\x000}(" + text(b"a") + b"h\x00" + text(b"b") + b"h\x00u") * levels + STOP,
        "nested lists": b"]" + b"q\x000](h\x00h\x00e" * levels + STOP,
        "copies of text": b"](" + long + memo + b"h\x01" * copies + b"e" + STOP,
        "copies of bytes": b"](" + named("_codecs.encode") + memo + long + b"q\x02" + text(b"latin1") + b"q\x03"
        + b"h\x01h\x02h\x03\x87R" * min(copies, 100_000) + b"e" + STOP,
        "copies of bytes again": b"](" + named("_codecs.encode") + memo + long + b"q\x02" + text(b"latin1") + b"q\x03"
        + b"h\x01h\x02h\x03\x86R" * min(copies, 100_000) + b"e" + STOP,
        "copies of a dict": named("collections.OrderedDict") + memo + b"}(" + items + b"uq\x02]("
        + b"h\x01h\x02\x85R" * copies + b"e" + STOP,
        "empty lists": b"](" + b"]" * copies * 3 + b"e" + STOP,
        "empty dicts": b"](" + b"}" * copies * 3 + b"e" + STOP,
        "empty tuples in tuples": b"](" + b")\x85\x85" * copies + b"e" + STOP,
        "memos": b"N" + b"".join(b"r" + struct.pack("<I", one) for one in range(copies)) + STOP,
        "marks": b"(" * copies * 3 + b"N" + STOP,
        "names": b"](" + named("collections.OrderedDict") * (copies // 10) + b"e" + STOP,
        "storages": b"](" + b"".join(storage(1, str(one)) for one in range(copies // 20)) + b"e" + STOP,
        "a long number": number(1 << 8 * 120_000) + STOP,
        "deep": b"]" * copies + b"a" * (copies - 1) + STOP,
        "itself": b"]q\x00h\x00a" + STOP,
        "a long line": b"c" + b"a" * 3_000_000,
        "a text longer than the file": b"\x8d" + struct.pack("<Q", 2 ** rng.choice([33, 40, 62])) + b"abc" + STOP,
        "nothing, for long": b"N0" * copies * 5 + b"N" + STOP,
        "wide text": b"](" + text("\U0001f600".encode() + b"x" * 5_000_000) * 4 + b"e" + STOP,
    }  # fmt: skip
    name = rng.choice(sorted(bombs))
    zipped(path, b"\x80\x02" + bombs[name])
    return name


def absurd_tensor(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """Tensors whose offset, shape or stride is beyond their storage, or whose storage is beyond the file."""
    big = rng.choice([11, 10**6, 2**31, 2**40, 2**62, 2**63, 2**64, 2**100, -1, -(2**63)])
    offset, shape, stride, numel = 0, [10], [1], 10
    what = rng.choice(["offset", "shape", "stride", "numel", "empty", "negative", "expanded", "dimensions"])
    if what == "offset":
        offset = big
    elif what == "shape":
        shape = [big]
    elif what == "stride":
        stride = [big]
    elif what == "numel":
        numel, shape = big, [max(big, 0)]
    elif what == "empty":
        shape, stride = [0, big, abs(big)], [1, big, 1]
    elif what == "expanded":
        shape, stride = [abs(big), 10], [0, 1]
    elif what == "negative":
        shape, stride = [-1, -10], [1, 1]
    else:
        shape, stride = [1] * 100, [1] * 100
    zipped(path, state_dict({"weight": tensor(offset, shape, stride, numel)}))
    return f"{what} {big:.3g}"


def shared_numbers(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """Hundreds of large tensors that are one and the same block of the file."""
    count, numel = rng.choice([500, 5000]), 2**20
    one = b"q\x05".join([tensor(0, [numel], [1], numel), b""])
    names = [f"layer.{n}.weight" for n in range(count)] if rng.random() < 0.5 else [*whole][:count]
    entries = b"".join(text(name.encode()) + (one if number == 0 else b"h\x05") for number, name in enumerate(names))
    zipped(path, b"\x80\x02}(" + entries + b"u" + STOP, {"0": b"\0" * 4 * numel})
    return f"{len(names)} times 4 MB"


def zip_bomb(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """A packed member that unpacks to gigabytes, in steps; or one that states another size than it has."""
    if rng.random() < 0.5:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            place = rng.choice(["archive/data.pkl", "archive/data/0", "archive/byteorder"])
            with archive.open(place, "w", force_zip64=True) as member:
                for _ in range(rng.choice([100, 600])):
                    member.write(b"\0" * 2**20)
            if place != "archive/data.pkl":
                archive.writestr("archive/data.pkl", state_dict({"weight": tensor(0, [10], [1])}))
        return f"packed {place}"
    zipped(path, state_dict({"weight": tensor(0, [10], [1])}))
    data = bytearray(path.read_bytes())
    where = data.find(b"PK\1\2")
    for _ in range(rng.randrange(1, 4)):
        where = max(data.find(b"PK\1\2", where + 1), where)
    field = rng.choice([10, 16, 20, 24, 28, 30, 42])
    data[where + field : where + field + 4] = struct.pack("<I", rng.choice([0, 1, 2**31, 2**32 - 1, 2**32 - 2]))
    path.write_bytes(data)
    return f"field {field} of an entry"


def twin_names(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """Two entries of one name: readers do not agree on which of them counts."""
    harmless = state_dict({"weight": tensor(0, [10], [1])})
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # Python's, of the second entry
        for data in (harmless, pickle.dumps(Trap(os.mkdir, TRACE), 2)):
            archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", b"\0" * 40)
    return "data.pkl"


def large_table(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """A table of contents that states more than there is, or has hundreds of thousands of entries."""
    if rng.random() < 0.5:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", state_dict({}))
            for one in range(rng.choice([5_000, 12_000])):
                archive.writestr(f"archive/data/{one}", b"")
        return "many entries"
    zipped(path, state_dict({"weight": tensor(0, [10], [1])}))
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\5\6")
    field, size = rng.choice([(8, 2), (10, 2), (12, 4), (16, 4), (20, 2)])
    data[end + field : end + field + size] = rng.choice([b"\xff", b"\x7f", b"\0", b"\1"]) * size
    path.write_bytes(data)
    return f"field {field} of the end"


def code(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """Code in the pickle, by one of the ways that there are."""
    traps: dict[str, Any] = {
        "mkdir": Trap(os.mkdir, TRACE),
        "system": Trap(os.system, f"mkdir {TRACE}"),
        "eval": Trap(eval, f"__import__('os').mkdir({TRACE!r})"),
        "exec": Trap(exec, f"import os; os.mkdir({TRACE!r})"),
        "nested": Trap(pickle.loads, pickle.dumps(Trap(os.mkdir, TRACE))),
        "torch.load": Trap(torch.load, "elsewhere.pt"),
        "open": Trap(open, TRACE, "w"),
        "setattr": Trap(setattr, "os", "mkdir", None),
    }
    name = rng.choice(sorted(traps))
    content = rng.choice([traps[name], {"state_dict": OrderedDict(whole), "x": traps[name]}, {"weight": [traps[name]]}])
    torch.save(content, path, _use_new_zipfile_serialization=rng.random() < 0.5, pickle_protocol=rng.choice([2, 3, 4]))
    return name


def flipped(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """A whole file in either format of which a few bytes are others, or the end is missing."""
    held = io.BytesIO()
    torch.save({"state_dict": whole}, held, _use_new_zipfile_serialization=rng.random() < 0.5)
    data = bytearray(held.getvalue())
    if rng.random() < 0.3:
        path.write_bytes(data[: rng.randrange(1, len(data))])
        return "cut"
    span = rng.choice([100, 4000, len(data)])
    start = rng.choice([0, len(data) - span])
    for _ in range(rng.choice([1, 5, 50])):
        data[start + rng.randrange(span)] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return "flipped"


def legacy_lies(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """The older format with keys, lengths or bytes that are not there."""

    def dumped(value: Any) -> bytes:
        return pickle.dumps(value, 2)

    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    numel = rng.choice([10, 2**40, 2**63, 2**70])
    keys = rng.choice([["0"], ["0", "0"], [["0"]], [{}], "0", ["1"], [None], {"0": 1}, ["0"] * 100_000])
    head = dumped(0x1950A86A20F9469CFC6C) + dumped(1001) + dumped(system)
    body = state_dict({"weight": tensor(0, [10], [1], numel)}) + dumped(keys)
    path.write_bytes(head + body + struct.pack("<Q", numel % 2**64) + b"\0" * rng.choice([0, 39, 40]))
    return f"{numel:.3g} elements, keys {keys!r:.12}"


def fairseq(path: Path, whole: dict[str, Tensor], rng: random.Random) -> str:
    """A configuration of fairseq with 40,000 channels, a million positions, thousands of layers and the like."""
    encoder: dict[str, Any] = {
        **{"encoder_layers": 2, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 24, "encoder_attention_heads": 4},
        **{"layer_norm_first": True, "audio_feat_dim": 104, "conv_pos": 8, "conv_pos_groups": 4},
    }
    absurd = [40_000, 10**6, 10**12, 2**70, 0, -1, "96", 3.5, float("nan"), None, [], {}, True, 5000]
    name = rng.choice([*encoder, "modality_fuse", "activation_fn", "sub_encoder_layers", "resnet_relu_type"])
    encoder[name] = rng.choice(absurd)
    prefix = "feature_extractor"
    state = {
        f"{prefix}_audio.proj.weight": torch.zeros(16, 104),
        f"{prefix}_video.proj.weight": torch.zeros(16, 512),
        "encoder.pos_conv.0.weight_g": torch.zeros(1, 1, 8),
        "encoder.pos_conv.0.weight_v": torch.zeros(16, 4, 8),
        **{f"encoder.layers.{layer}.fc1.weight": torch.zeros(24, 16) for layer in range(2)},
    }
    content = {"model": state, "cfg": {"model": encoder, "task": rng.choice([{}, {"normalize": 7}, [], None])}}
    torch.save(content, path)
    return f"{name} {encoder[name]!r:.20}"


HOSTILE: dict[str, Callable[[Path, dict[str, Tensor], random.Random], str]] = {
    "pickle bomb": bomb,
    "absurd tensor": absurd_tensor,
    "shared numbers": shared_numbers,
    "zip bomb": zip_bomb,
    "two of a name": twin_names,
    "table of contents": large_table,
    "code": code,
    "flipped or cut": flipped,
    "older format": legacy_lies,
    "fairseq": fairseq,
}
