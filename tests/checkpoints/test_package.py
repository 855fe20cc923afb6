"""Packages: written completely or not at all, read back the same, and refused when a file has changed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tlbench.checkpoints.package import (
    ABOUT_NAME,
    WEIGHTS_NAME,
    Package,
    is_package,
    open_package,
    own_package,
    read_package,
    source_of,
    write_package,
)
from tlbench.errors import TlbenchError


@pytest.fixture
def package() -> Package:
    shared = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "net.weight": shared,
        "net.tied": shared,
        "net.turned": shared.T,
        "net.row": shared[1],
        "net.every_second": torch.arange(10)[::2],
        "net.half": torch.tensor([0.1, 65504.0], dtype=torch.float16),
        "net.steps": torch.tensor(7),
        "net.none": torch.empty(0, 3),
        "net.none_either": torch.empty(0, 5),
    }
    config = {"dims": {"width": 4}, "words": ["▁the", "ä"]}
    return Package("demo", tensors, config, {"tokens.model": b"\x00\xff"}, "demo.pt", "ab" * 32)


def same(one: Package, other: Package) -> bool:
    return (
        one.tensors.keys() == other.tensors.keys()
        and all(
            tensor.dtype == other.tensors[name].dtype and torch.equal(tensor, other.tensors[name])
            for name, tensor in one.tensors.items()
        )
        and (one.observer, one.config, dict(one.files), one.source_file, one.source_sha256)
        == (other.observer, other.config, dict(other.files), other.source_file, other.source_sha256)
    )


def test_a_package_comes_back_as_it_was(tmp_path: Path, package: Package) -> None:
    folder = tmp_path / "new" / "demo"
    write_package(package, folder)
    assert is_package(folder)
    assert same(read_package(folder), package)
    assert source_of(folder) == (package.source_file, package.source_sha256)
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]  # nothing unfinished lies about
    modes = {path.stat().st_mode for path in folder.iterdir()}
    assert len(modes) == 1  # whoever may read one of its files may read all


@pytest.mark.parametrize("half", [False, True])
def test_a_package_of_our_own_network_proves_its_configuration_too(
    tmp_path: Path, package: Package, half: bool
) -> None:
    folder = tmp_path / "demo"
    write_package(own_package(package, "mouth@1", {"seed": 1}, half=half), folder)
    assert read_package(folder).config["view"] == "mouth@1"
    about = json.loads((folder / ABOUT_NAME).read_text("utf-8"))
    about["config"]["dims"]["width"] = 4.5
    (folder / ABOUT_NAME).write_text(json.dumps(about), "utf-8")
    with pytest.raises(TlbenchError, match="is not the one that was written with the weights"):
        read_package(folder)


def test_a_package_is_never_written_over_and_never_half_written(
    tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "demo"

    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(TlbenchError, match="No space left"):
            write_package(package, folder)
    assert not list(tmp_path.iterdir())
    write_package(package, folder)
    with pytest.raises(TlbenchError, match="exists already"):
        write_package(package, folder)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "a\\b", ".hidden", "", "C:x", WEIGHTS_NAME, "x\n"])
def test_files_can_not_leave_the_folder(tmp_path: Path, package: Package, name: str) -> None:
    evil = Package("demo", package.tensors, {}, {name: b"x"})
    with pytest.raises(TlbenchError, match="not a plain file name"):
        write_package(evil, tmp_path / "demo")
    write_package(package, tmp_path / "demo")
    rewrite(tmp_path / "demo", lambda about: about["files"].update({name: "0" * 64}))
    with pytest.raises(TlbenchError, match="not a plain file name"):
        read_package(tmp_path / "demo")


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    about = json.loads((folder / ABOUT_NAME).read_text("utf-8"))
    change(about)
    (folder / ABOUT_NAME).write_text(json.dumps(about), "utf-8")


@pytest.mark.parametrize("name", [WEIGHTS_NAME, "tokens.model"])
def test_one_changed_byte_is_noticed(tmp_path: Path, package: Package, name: str) -> None:
    folder = tmp_path / "demo"
    write_package(package, folder)
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(TlbenchError, match=f"damaged, {name} has SHA-256") as caught:
        read_package(folder)
    assert "\n" not in str(caught.value)
    (folder / name).unlink()
    with pytest.raises(TlbenchError, match=f"{name} can't be read"):
        read_package(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda about: about.update(form=2), "has form 2, this version reads form 1"),
        (lambda about: about.pop("form"), "has form None"),
        (lambda about: about.pop("weights_sha256"), "lacks fields"),
        (lambda about: about.update(source=None), "lacks fields"),
        (lambda about: about.update(files=["a"]), "lacks fields"),
        (lambda about: about.update(config=3), "lacks fields"),
    ],
)
def test_a_package_json_of_another_make_is_refused(
    tmp_path: Path, package: Package, change: Callable[[dict[str, Any]], object], says: str
) -> None:
    write_package(package, tmp_path / "demo")
    rewrite(tmp_path / "demo", change)
    with pytest.raises(TlbenchError, match=says):
        read_package(tmp_path / "demo")


def test_what_is_no_json_is_refused(tmp_path: Path, package: Package) -> None:
    write_package(package, tmp_path / "demo")
    for content in ("{", "[]", "[" * 100_000):
        (tmp_path / "demo" / ABOUT_NAME).write_text(content, "utf-8")
        with pytest.raises(TlbenchError) as caught:
            read_package(tmp_path / "demo")
        assert "\n" not in str(caught.value)


def test_weights_that_match_their_hash_but_are_no_safetensors_are_refused(tmp_path: Path, package: Package) -> None:
    import hashlib

    write_package(package, tmp_path / "demo")
    (tmp_path / "demo" / WEIGHTS_NAME).write_bytes(b"junk")
    rewrite(tmp_path / "demo", lambda about: about.update(weights_sha256=hashlib.sha256(b"junk").hexdigest()))
    with pytest.raises(TlbenchError, match="not a safetensors file"):
        read_package(tmp_path / "demo")


def test_a_folder_is_read_and_a_file_is_given_to_the_observers_reader(tmp_path: Path, package: Package) -> None:
    write_package(package, tmp_path / "demo")
    (tmp_path / "demo.pt").touch()
    published = Package("demo", {})

    def read_published(path: Path) -> Package:
        assert path == tmp_path / "demo.pt"
        return published

    assert open_package(tmp_path / "demo.pt", read_published) is published
    assert same(open_package(tmp_path / "demo", read_published), package)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TlbenchError, match=f"has no {ABOUT_NAME}"):
        open_package(tmp_path / "empty", read_published)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of the size of files")
def test_a_disk_without_room_for_the_weights_is_one_line(tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from tlbench.checkpoints.package import Package, write_package\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_package(Package('mvm', {'a': torch.zeros(1000)}), Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "own")], capture_output=True, text=True)
    last = done.stderr.rstrip().splitlines()[-1]
    assert last.startswith(f"tlbench.errors.TlbenchError: package {tmp_path / 'own'}: can't be written (")
    assert list(tmp_path.iterdir()) == []
