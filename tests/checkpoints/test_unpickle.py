"""The pickle reader: known names become plain data, any other name ends the reading, and no code runs."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from tlbench.checkpoints.pickle_records import BrokenPickleError, Name, NotPlainDataError, Thing
from tlbench.checkpoints.torch_archive import open_archive
from tlbench.checkpoints.unpickle import Unpickler

TRACE = "it-ran"


class Trap:
    """Makes pickle call something."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call = call
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call, self.arguments


def read(raw: bytes, inert: tuple[str, ...] = (), mentioned: tuple[str, ...] = ()) -> Any:
    return Unpickler(inert, mentioned).read(io.BytesIO(raw))


def call(module: str, name: str, arguments: bytes) -> bytes:
    """A pickle that calls ``module.name`` with a tuple made by the instructions ``arguments``."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + arguments + b"R."


def text(words: str) -> bytes:
    return b"X" + len(words).to_bytes(4, "little") + words.encode()


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


nested_file = io.BytesIO()
torch.save(Trap(os.mkdir, TRACE), nested_file)

TRAPS = {
    "os.system": Trap(os.system, f"mkdir {TRACE}"),
    "eval": Trap(eval, f"__import__('os').mkdir({TRACE!r})"),
    "exec": Trap(exec, f"import os; os.mkdir({TRACE!r})"),
    "getattr": Trap(getattr, "", "upper"),
    "import": Trap(builtins.__import__, "antigravity"),
    "open": Trap(open, TRACE, "w"),
    "nested torch.load": Trap(torch.storage._load_from_bytes, nested_file.getvalue()),
    "nested pickle": Trap(pickle.loads, pickle.dumps(Trap(os.mkdir, TRACE))),
    "a trap inside a dict": {"model": OrderedDict(weight=[Trap(os.mkdir, TRACE)])},
    "a trap as a default factory": Trap(defaultdict, os.getcwd),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_nothing_a_pickle_calls_is_called(in_tmp: Path, trap: Any, protocol: int) -> None:
    raw = pickle.dumps(trap, protocol)
    with pytest.raises(NotPlainDataError) as caught:
        read(raw)
    assert str(caught.value)
    assert not list(in_tmp.iterdir())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "legacy format"])
def test_a_trap_in_a_checkpoint_does_not_run_though_torch_would_run_it(in_tmp: Path, zipped: bool) -> None:
    content = {"model": OrderedDict(weight=torch.zeros(3)), "task_state": Trap(os.mkdir, TRACE)}
    torch.save(content, "net.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(NotPlainDataError, match=r"^(posix|nt)\.mkdir$"):
        open_archive(Path("net.pt"), {"fairseq.data.dictionary.Dictionary"})
    assert not Path(TRACE).exists()
    torch.load("net.pt", weights_only=False)
    assert Path(TRACE).exists()  # the trap is a real one


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        # Names on the list, put to another use than the one they are on it for.
        (call("_codecs", "encode", text("uryyb") + text("rot13") + b"\x86"), NotPlainDataError),
        (call("_codecs", "encode", b"]" + text("latin1") + b"\x86"), NotPlainDataError),
        (call("typing", "Any", b")"), NotPlainDataError),
        (call("__builtin__", "dict", b")"), NotPlainDataError),
        (call("torch", "FloatStorage", b"K\x08\x85"), NotPlainDataError),
        (b"\x80\x02ccollections\nOrderedDict\n}" + text("update") + b"Nsb.", BrokenPickleError),
        (b"\x80\x02c_codecs\nencode\n}" + text("__call__") + b"Nsb.", BrokenPickleError),
        (b"\x80\x02ctyping\nAny\n)\x81.", NotPlainDataError),
        (b"\x80\x02cinert\nThing\n)\x81)R.", BrokenPickleError),  # an object is no function
        (b"\x80\x02]" + text("x") + b"b.", BrokenPickleError),
        # Other ways to reach a name.
        (b"\x80\x02(S'os'\nios\nsystem\n.", NotPlainDataError),
        (b"\x80\x02(cinert\nThing\no.", NotPlainDataError),
        (b"\x80\x02\x82\x01.", NotPlainDataError),
        (b"\x80\x02Pos.system\n.", NotPlainDataError),
        (b"\x80\x04" + text("os") + text("system") + b"\x93.", NotPlainDataError),
        (b"\x80\x04" + text("typing") + text("Any.__class__") + b"\x93.", NotPlainDataError),
        (b"\x80\x04" + text("a\nb") + text("x" * 500) + b"\x93.", NotPlainDataError),
        # Nonsense.
        (b"", BrokenPickleError),
        (b"\x80\x02K\x01", BrokenPickleError),
        (b"\x80\x02.", BrokenPickleError),
        (b"\x80\x02N)R.", BrokenPickleError),
        (b"\x80\x02h\x07.", BrokenPickleError),
        (b"\x80\x02}K\x01s.", BrokenPickleError),
        (b"\x80\x02}]K\x01s.", BrokenPickleError),
        (b"\x80\x02NK\x01a.", BrokenPickleError),
        (b"\x80\x02K\x01Q.", BrokenPickleError),
    ],
)
def test_abuse_ends_the_reading(raw: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        read(raw, ("inert.Thing",), ("typing.Any", "__builtin__.dict"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 120


def test_objects_on_the_list_become_records() -> None:
    raw = b"\x80\x02cinert\nThing\nK\x05\x85\x81}" + text("__class__") + b"ctyping\nAny\nsb."
    thing = read(raw, ("inert.Thing",), ("typing.Any",))
    assert thing == Thing("inert.Thing", (5,), {"__class__": Name("typing.Any")})
    assert type(thing) is Thing


@pytest.mark.parametrize("protocol", [2, 4])
def test_plain_data_comes_back_as_it_was(protocol: int) -> None:
    shared = [1, 2]
    content: dict[Any, Any] = {
        "numbers": [0, -1, 255, 70_000, 2**40, -(2**70), 0.1, True, None],
        "texts": ("", "ä▁", b"", b"\xff\x00") if protocol > 2 else ("", "ä▁", b"\xff\x00"),
        "twice": (shared, shared),
        "ordered": OrderedDict(a=1, b=()),
        3: {},
    }
    back = read(pickle.dumps(content, protocol))
    assert back == content
    assert back["twice"][0] is back["twice"][1]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(min_size=1),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(plain, st.sampled_from([2, 4, 5]))
def test_any_plain_data_comes_back(content: Any, protocol: int) -> None:
    assert read(pickle.dumps(content, protocol)) == content


@given(st.binary(max_size=60), st.integers(0, 200))
@example(b"S'\\c'\n.", 0)  # a text opcode at whose escape Python itself grumbles
def test_any_bytes_give_data_or_one_of_two_errors(noise: bytes, cut: int) -> None:
    raw = pickle.dumps({"a": [1, (2.5, "x")], "b": OrderedDict(c=b"yy")}, 2)
    for broken in (b"\x80\x02" + noise, raw[:cut] + noise + raw[cut:], raw[:cut]):
        with suppress(BrokenPickleError, NotPlainDataError):
            read(broken)


def archive_of(path: Path, data: bytes, storage: bytes = b"\x00" * 40, folder: str = "archive") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}/data.pkl", data)
        archive.writestr(f"{folder}/data/0", storage)
    return path


def tensor(offset: int, shape: tuple[int, ...], stride: tuple[int, ...], numel: int = 10, key: str = "0") -> bytes:
    def count(number: int) -> bytes:
        return b"J" + number.to_bytes(4, "little", signed=True)

    def counts(numbers: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(count, numbers)) + b"t"

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + count(numel) + b"tQ"
    arguments = b"(" + storage + count(offset) + counts(shape) + counts(stride) + b"\x89Nt"
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R."


def test_a_tensor_inside_its_storage_is_given(tmp_path: Path) -> None:
    numbers = torch.arange(10.0)
    archive = open_archive(archive_of(tmp_path / "a.pt", tensor(2, (2, 3), (4, 1)), numbers.numpy().tobytes()))
    assert torch.equal(archive.tensor(archive.tree), numbers[2:].as_strided((2, 3), (4, 1)))


@pytest.mark.parametrize(
    ("offset", "shape", "stride", "numel"),
    [
        (0, (11,), (1,), 10),
        (5, (6,), (1,), 10),
        (0, (2, 2), (9, 1), 10),
        (0, (10**6,), (0,), 10),  # one number, a million times
        (0, (3,), (-1,), 10),
        (-1, (1,), (1,), 10),
        (0, (2,), (1, 1), 10),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], numel: int
) -> None:
    with pytest.raises(BrokenPickleError):
        open_archive(archive_of(tmp_path / "a.pt", tensor(offset, shape, stride, numel)))


def test_numbers_that_are_not_in_the_file_are_missed(tmp_path: Path) -> None:
    for raw in (tensor(0, (12,), (1,), numel=12), tensor(0, (1,), (1,), key="../data.pkl")):
        archive = open_archive(archive_of(tmp_path / "a.pt", raw))
        with pytest.raises(BrokenPickleError, match="are not in the file"):
            archive.tensor(archive.tree)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    ],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "legacy format"])
def test_every_type_of_number_is_read(tmp_path: Path, dtype: torch.dtype, zipped: bool) -> None:
    content = {
        "flag": torch.ones(1, dtype=torch.uint8),  # of an odd length: what follows is not aligned in the older format
        "odd": (torch.arange(15).reshape(3, 5) % 7).to(dtype).T,
        "none": torch.empty(0, 4, dtype=dtype),
        "scalar": torch.tensor(1).to(dtype),
    }
    torch.save(content, tmp_path / "n.pt", _use_new_zipfile_serialization=zipped)
    archive = open_archive(tmp_path / "n.pt")
    for name, expected in content.items():
        found = archive.tensor(archive.tree[name])
        assert found.dtype == dtype or name == "flag"
        assert found.stride() == expected.stride()
        assert torch.equal(found, expected)


def test_tensors_that_share_numbers_go_on_sharing_them_and_the_file_is_not_written(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    torch.save({"whole": whole, "row": whole[2:4], "parameter": torch.nn.Parameter(whole)}, tmp_path / "s.pt")
    before = (tmp_path / "s.pt").read_bytes()
    archive = open_archive(tmp_path / "s.pt")
    found, row, parameter = (archive.tensor(archive.tree[name]) for name in ("whole", "row", "parameter"))
    found[2] = 99
    assert row[0] == parameter[2] == 99
    assert (tmp_path / "s.pt").read_bytes() == before


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """A damaged optimizer's state is of no concern, which proves that it is not looked at."""
    content = {"model": torch.full((64,), 1.5), "optimizer": torch.full((64,), 2.5)}
    torch.save(content, tmp_path / "m.pt")
    raw = (tmp_path / "m.pt").read_bytes()
    (tmp_path / "m.pt").write_bytes(raw.replace(torch.full((9,), 2.5).numpy().tobytes(), bytes(36), 1))
    archive = open_archive(tmp_path / "m.pt")
    assert torch.equal(archive.tensor(archive.tree["model"]), content["model"])
    with pytest.raises(BrokenPickleError, match="damaged"):
        archive.tensor(archive.tree["optimizer"])


def test_zip_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    raw = pickle.dumps({}, 2)
    packed, twice, big = tmp_path / "packed.pt", tmp_path / "twice.pt", tmp_path / "big.pt"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", raw * 50)
    for path, extra in ((twice, {"b/data.pkl": raw}), (big, {"archive/byteorder": b"big"})):
        archive_of(path, raw)
        with zipfile.ZipFile(path, "a") as archive:
            for name, content in extra.items():
                archive.writestr(name, content)
    for path in (packed, twice, big):
        with pytest.raises(BrokenPickleError):
            open_archive(path)
