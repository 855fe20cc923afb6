"""TorchScript files: their tensors are read by the names of a state dict, and their code is not run."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.factories.script_files import save_script
from tlbench.checkpoints.script_file import read_script
from tlbench.errors import TlbenchError


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(self.first(x).mean((2, 3)))
        return found


@pytest.fixture
def script(tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    module = Small()
    return save_script(module, torch.rand(1, 3, 5, 5), tmp_path / "small.pt"), dict(module.state_dict())


def test_tensors_have_the_names_and_numbers_of_the_state_dict(script: tuple[Path, dict[str, Tensor]]) -> None:
    path, state = script
    found = read_script(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_code_that_does_not_compile_makes_no_difference(script: tuple[Path, dict[str, Tensor]]) -> None:
    """So it is not run."""
    path, state = script
    changed = path.with_name("changed.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        codes = 0
        for info in old.infolist():
            is_code = "/code/" in info.filename
            codes += is_code
            new.writestr(info, b"raise SystemExit" if is_code else old.read(info))
    assert codes > 0
    assert read_script(changed).keys() == state.keys()


def test_a_plain_state_dict_is_read_too(tmp_path: Path) -> None:
    torch.save({"a.b": torch.ones(2)}, tmp_path / "plain.pt")
    assert read_script(tmp_path / "plain.pt").keys() == {"a.b"}


def test_other_names_are_refused(tmp_path: Path) -> None:
    import os

    class Runs:
        def __reduce__(self) -> tuple[object, ...]:
            return os.getcwd, ()

    torch.save({"a": Runs()}, tmp_path / "bad.pt")
    with pytest.raises(TlbenchError, match="would run code"):
        read_script(tmp_path / "bad.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(TlbenchError, match="another model's file"):
        read_script(tmp_path / "list.pt")
    (tmp_path / "cut.pt").write_bytes(b"PK\3\4 no")
    with pytest.raises(TlbenchError, match="not a checkpoint"):
        read_script(tmp_path / "cut.pt")
