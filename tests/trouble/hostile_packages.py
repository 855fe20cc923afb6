"""Hostile packages from a seed: dimensions, descriptions, headers and tensors that lie.

Each function changes a copy of a whole package; hashes are made to fit again, as a stranger would.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

ABOUT, WEIGHTS = "package.json", "weights.safetensors"
ABSURD: tuple[Any, ...] = (
    *(10**6, 10**12, 10**30, 2**31, 2**63, 0, -1, -(10**12), 7.5, 1e308, float("nan"), float("inf")),
    *("96", "", "x" * 10_000, True, None, [], [1] * 1000, {}, {"a": {"b": 1}}),
)


def about_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
    return found


def write_about(folder: Path, about: dict[str, Any]) -> None:
    about["weights_sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / ABOUT).write_text(json.dumps(about), "utf-8")


def absurd_dimension(folder: Path, rng: random.Random) -> str:
    """One dimension is huge, negative, of another type, or does not divide."""
    about = about_of(folder)
    dims = about["config"].get("dims") or about["config"]["generator"]
    name = rng.choice(sorted(dims))
    numbers = (3, 5, 7, 13, 1000, 5000)  # of the right type, and not what the tensors have
    wanted = rng.choice([*ABSURD, *numbers])
    if type(dims[name]) is bool and wanted in (True, False):
        wanted = 2
    if dims[name] == wanted or (isinstance(dims[name], float) and wanted in numbers):
        wanted = 10**12
    if name == "deepest" and wanted in (1000, 5000):  # an upper limit that the network does not reach
        wanted = 10**12
    before, dims[name] = dims[name], wanted
    write_about(folder, about)
    return f"{name} {before!r} to {wanted!r:.20}"


def many_absurd_dimensions(folder: Path, rng: random.Random) -> str:
    """Every dimension is wrong, some are missing, and there is an unknown one."""
    about = about_of(folder)
    dims = about["config"].get("dims") or about["config"]["generator"]
    for name in list(dims):
        if rng.random() < 0.3:
            del dims[name]
        else:
            dims[name] = rng.choice(ABSURD)
    if rng.random() < 0.5:
        dims[rng.choice(["width", "__class__", "self", "x" * 100_000])] = 1
    write_about(folder, about)
    return f"{len(dims)} dimensions"


def absurd_field(folder: Path, rng: random.Random) -> str:
    """A field of the description, or one deeper, is of another type or size."""
    about = about_of(folder)
    places = [about, about["config"], about["source"]]
    place = rng.choice([place for place in places if place])
    name = rng.choice([name for name in sorted(place) if name not in ("trained", "weights_sha256", "view")] or ["form"])
    place[name] = rng.choice([*ABSURD, ["a"] * 100_000, {str(n): "0" * 64 for n in range(1000)}, {"../x": "0" * 64}])
    if name in ("file", "sha256") and isinstance(place[name], str) and len(place[name]) < 200:
        place[name] = None  # another name of the file it was made of is no lie that anybody could see
    write_about(folder, about)
    return f"{name} is {place[name]!r:.20}"


def absurd_json(folder: Path, rng: random.Random) -> str:
    """The description is deep, long, has an enormous number, or is cut."""
    text = (folder / ABOUT).read_text("utf-8")
    inside = rng.choice(
        [
            *("[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000),
            *("[" + "[]," * 3_000_000 + "[]]", "[" + "{}," * 3_000_000 + "{}]", "[" + '"",' * 3_000_000 + '""]'),
            *("9" * 1_000_000, "1e" + "9" * 1_000_000, "-" * 1000, '"\\ud800"', "NaN", '"' + "x" * 9_000_000 + '"'),
        ]
    )
    where = rng.choice(['"form": ', '"observer": ', '"config": ', '"files": '])
    if where not in text:
        where = '"config":'
    cut = len(text) if rng.random() < 0.8 else rng.randrange(len(text))
    (folder / ABOUT).write_text(text.replace(where, f'{where}{inside}, "was": ', 1)[: cut + len(inside)], "utf-8")
    return f"{where}{inside[:12]}..."


def lying_header(folder: Path, rng: random.Random) -> str:
    """The header of the weights states other lengths, offsets, shapes or types than there are."""
    path = folder / WEIGHTS
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    what = rng.choice(["length", "offsets", "shape", "dtype", "overlap", "twice", "many", "cut", "spaces"])
    if what == "offsets":
        header[name]["data_offsets"][1] += rng.choice([1, 10**12, -4])
    elif what == "shape":
        header[name]["shape"] = rng.choice([[10**12], [2**63], [-1], [0], [1] * 100, ["a"]])
    elif what == "dtype":
        header[name]["dtype"] = rng.choice(["F64", "BOOL", "X9", 3, "I8"])
    elif what == "overlap":
        header[name]["data_offsets"] = [0, len(rest)]
    elif what == "many":
        empty = {"dtype": "F32", "shape": [0], "data_offsets": [len(rest), len(rest)]}
        header |= {f"more.{number}": empty for number in range(20_000)}
    text = json.dumps(header)
    if what == "twice":
        text = text[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}" + "}"
    if what == "spaces":
        text += " " * 50_000_000
    stated = len(text) if what != "length" else rng.choice([2**63, 2**40, 50 * 10**6, 0, 1, len(text) - 1])
    data = struct.pack("<Q", stated) + text.encode() + rest
    path.write_bytes(data[: rng.randrange(1, len(data))] if what == "cut" else data)
    write_about(folder, about_of(folder))
    return f"header: {what}"


def other_tensors(folder: Path, rng: random.Random) -> str:
    """A tensor is missing, renamed, of another shape or type, or there are thousands more."""
    tensors = load_file(folder / WEIGHTS)
    name = rng.choice([name for name in sorted(tensors) if not name.endswith("num_batches_tracked")])
    what = rng.choice(["missing", "renamed", "shape", "whole", "complex", "more", "none", "long name"])
    tensor = tensors.pop(name)
    if what == "renamed":
        tensors[name + "x"] = tensor
    elif what == "shape":
        tensors[name] = torch.zeros([*tensor.shape, 2])
    elif what == "whole":
        tensors[name] = torch.zeros(tensor.shape, dtype=torch.int32)
    elif what == "complex":
        tensors[name] = torch.zeros(tensor.shape, dtype=torch.complex64)
    elif what == "more":
        tensors |= {name: tensor, **{f"layers.{number}.weight": torch.zeros(1) for number in range(5000)}}
    elif what == "none":
        tensors = {}
    elif what == "long name":
        tensors["n" * 1_000_000] = tensor
    save_file(tensors, folder / WEIGHTS)
    write_about(folder, about_of(folder))
    return f"{what}: {name}"


def not_finite(folder: Path, rng: random.Random) -> str:
    """All weights, or those of one tensor, are NaN, infinite or the largest there are."""
    number = rng.choice(["nan", "inf", "max"])
    tensors = load_file(folder / WEIGHTS)
    floats = [name for name in sorted(tensors) if tensors[name].is_floating_point()]
    for name in floats:
        largest = torch.finfo(tensors[name].dtype).max
        tensors[name] = torch.full_like(tensors[name], largest if number == "max" else float(number))
    save_file(tensors, folder / WEIGHTS)
    write_about(folder, about_of(folder))
    return f"all weights {number}"


def flipped(folder: Path, rng: random.Random) -> str:
    """A few bytes of a file of the package are others."""
    path = rng.choice(sorted(path for path in folder.iterdir() if path.is_file()))
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 3, 50])):
        data[rng.randrange(min(len(data), rng.choice([200, len(data)])))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return f"{path.name} flipped"


HOSTILE: dict[str, Callable[[Path, random.Random], str]] = {
    "a dimension": absurd_dimension,
    "all dimensions": many_absurd_dimensions,
    "a field": absurd_field,
    "JSON": absurd_json,
    "header": lying_header,
    "tensors": other_tensors,
    "not finite": not_finite,
    "flipped": flipped,
}
