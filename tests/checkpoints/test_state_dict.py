"""Checkpoint files are read without running code; messages name what does not fit."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from tlbench.checkpoints.state_dict import load_into, read_checkpoint, renamed
from tlbench.errors import TlbenchError


class Trap:
    """Would make a folder on being unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "legacy format"])
def test_a_state_dict_comes_back(tmp_path: Path, network: nn.Module, zipped: bool) -> None:
    file = tmp_path / "net.model"
    torch.save(network.state_dict(), file, _use_new_zipfile_serialization=zipped)
    state = read_checkpoint(file)
    assert list(state) == list(network.state_dict())
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


def test_a_saved_web_page_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "net.model"
    file.write_text("\n<!DOCTYPE html><html>Google Drive can't scan this file for viruses</html>")
    with pytest.raises(TlbenchError, match="web page"):
        read_checkpoint(file)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "legacy format"])
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_file_cut_short_is_one_line(tmp_path: Path, network: nn.Module, zipped: bool, share: float) -> None:
    file = tmp_path / "net.model"
    torch.save(network.state_dict(), file, _use_new_zipfile_serialization=zipped)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(TlbenchError, match="cut short") as caught:
        read_checkpoint(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\x00" * 600, b"RIFF....AVI LIST", b"\x80\x02}q\x00.", b"PK\x03\x04 not a zip"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "net.model"
    file.write_bytes(content)
    with pytest.raises(TlbenchError, match="not a checkpoint") as caught:
        read_checkpoint(file)
    assert "\n" not in str(caught.value)


def test_an_empty_or_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.model").touch()
    with pytest.raises(TlbenchError, match=r"empty\.model: the file is empty"):
        read_checkpoint(tmp_path / "empty.model")
    with pytest.raises(TlbenchError, match=r"absent\.model: can't be read"):
        read_checkpoint(tmp_path / "absent.model")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "legacy format"])
def test_code_in_a_checkpoint_is_named_and_not_run(tmp_path: Path, zipped: bool) -> None:
    file, trace = tmp_path / "net.model", tmp_path / "it ran"
    torch.save({"weight": Trap(trace)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(TlbenchError, match=r"holds (posix|nt)\.mkdir, which would run code") as caught:
        read_checkpoint(file)
    assert "\n" not in str(caught.value)
    assert not trace.exists()
    torch.load(file, weights_only=False)  # the trap is a real one
    assert trace.exists()


def test_a_bare_pickle_is_not_run(tmp_path: Path) -> None:
    file, trace = tmp_path / "net.model", tmp_path / "it ran"
    file.write_bytes(pickle.dumps(Trap(trace)))
    with pytest.raises(TlbenchError):
        read_checkpoint(file)
    assert not trace.exists()


def test_what_is_no_state_dict_is_refused(tmp_path: Path, network: nn.Module) -> None:
    file = tmp_path / "net.model"
    torch.save({"epoch": 3, "model": [network.state_dict()]}, file)
    with pytest.raises(TlbenchError, match="no plain state dict"):
        read_checkpoint(file)


def test_a_state_dict_inside_another_is_named(tmp_path: Path, network: nn.Module) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, path)
    with pytest.raises(TlbenchError, match=r"its tensors are in its entry 'state_dict'.*save that entry alone"):
        read_checkpoint(path)
    torch.save({0: network.state_dict()}, path)
    with pytest.raises(TlbenchError, match=r"its tensors are in its entry 0, so"):
        read_checkpoint(path)


def test_two_names_of_one_tensor_are_refused() -> None:
    state = {"module.a": torch.zeros(1), "b": torch.ones(1)}
    assert set(renamed(state, lambda name: name.removeprefix("module."), Path("w.pt"))) == {"a", "b"}
    with pytest.raises(TlbenchError, match=r"weights w\.pt: module\.a and a are one tensor by two names; keep the one"):
        renamed({**state, "a": torch.ones(1)}, lambda name: name.removeprefix("module."), Path("w.pt"))


def test_tensors_that_do_not_fit_are_named(network: nn.Module) -> None:
    state = dict(network.state_dict())
    del state["0.weight"]
    state["0.bias"] = torch.zeros(7)
    state["stray"] = torch.zeros(1)
    with pytest.raises(TlbenchError) as caught:
        load_into(network, state, "demo")
    message = str(caught.value)
    assert message.startswith("weights of demo: ")
    assert "1 missing (0.weight)" in message
    assert "1 unknown (stray)" in message
    assert "0.bias (7,) instead of (2,)" in message


def test_a_checkpoint_without_batch_counts_is_accepted(network: nn.Module) -> None:
    state = OrderedDict((k, v + 1) for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked"))
    load_into(network, state, "demo")
    assert torch.equal(network.state_dict()["0.weight"], state["0.weight"])


def test_half_precision_becomes_float32_in_the_network(tmp_path: Path, network: nn.Module) -> None:
    half = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in network.state_dict().items()
    }
    torch.save(half, tmp_path / "half.pt")
    state = read_checkpoint(tmp_path / "half.pt")
    assert state["0.weight"].dtype == torch.float16
    load_into(network, state, "demo")
    assert network.state_dict()["0.weight"].dtype == torch.float32
    assert torch.equal(network.state_dict()["0.weight"], half["0.weight"].float())


def test_a_file_that_holds_itself_is_refused(tmp_path: Path) -> None:
    endless: list[object] = []
    endless.append(endless)
    torch.save(endless, tmp_path / "endless.pt")
    with pytest.raises(TlbenchError, match=r"endless\.pt"):
        read_checkpoint(tmp_path / "endless.pt")


def test_damaged_numbers_are_noticed_where_the_format_can_tell(tmp_path: Path) -> None:
    torch.save({"weight": torch.full((64,), 1.5)}, tmp_path / "net.pt")
    raw = (tmp_path / "net.pt").read_bytes()
    (tmp_path / "net.pt").write_bytes(raw.replace(torch.full((3,), 1.5).numpy().tobytes(), b"x" * 12, 1))
    with pytest.raises(TlbenchError, match="are damaged") as caught:
        read_checkpoint(tmp_path / "net.pt")
    assert "\n" not in str(caught.value)


def test_names_out_of_a_file_can_not_break_the_line(network: nn.Module) -> None:
    with pytest.raises(TlbenchError) as caught:
        load_into(network, {**network.state_dict(), "evil\n\x1b[31m" + "x" * 500: torch.zeros(1)}, "demo")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250
