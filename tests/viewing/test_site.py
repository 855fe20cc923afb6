"""The pages of ``tlbench view``: what they answer, and what they refuse."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("flask", reason="the page of runs needs the extra `view` (flask, waitress)")

from flask.testing import FlaskClient

from tests.factories.results_factory import LEVEL, levels, result
from tlbench.errors import TlbenchError
from tlbench.viewing.pages import Pages
from tlbench.viewing.runs import Runs
from tlbench.viewing.server import serve_runs
from tlbench.viewing.site import make_site

NAME = "<script>alert(1)</script>"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tlbench.scoring.result_file.all_metrics", lambda: [LEVEL])
    for place, name in (("a", "a"), ("b", NAME)):
        result(levels([1.0, 2.0, 3.0]), name=name).write(tmp_path / "results" / place / "result.json")
    return tmp_path / "results"


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> FlaskClient:
    (tmp_path / "pages").mkdir()
    return make_site(Runs(folder), Pages(tmp_path / "pages")).test_client()


def test_the_list_escapes_names_and_loads_only_its_own(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert NAME not in answer.text
    assert "&lt;script&gt;" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert [run["id"] for run in client.get("/runs.json").get_json()] in (["a", "b"], ["b", "a"])


def test_reports_and_comparisons_are_made_in_a_sandbox_and_not_in_the_runs_folder(
    client: FlaskClient, folder: Path
) -> None:
    before = sorted(folder.rglob("*"))
    for address in ("/report?run=a", "/compare?a=a&b=b"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "tlbench report" in answer.text
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox allow-scripts;")
        assert "allow-same-origin" not in policy
    assert sorted(folder.rglob("*")) == before


def test_a_page_that_was_written_after_the_result_is_shown_and_an_older_one_is_not(
    client: FlaskClient, folder: Path
) -> None:
    page = folder / "a" / "report.html"
    page.write_text("mine")
    assert client.get("/report?run=a").text == "mine"
    os.utime(page, (1, 1))
    assert "tlbench report" in client.get("/report?run=a").text


@pytest.mark.parametrize(
    "address",
    [
        *("/report", "/report?run=none", "/report?run=../results/a", "/report?run=/etc/passwd", "/compare?a=a"),
        *("/nothing", "/static/../pages.py", "/static/%2e%2e/site.py", "/a/result.json"),
    ],
)
def test_what_is_no_run_is_not_there(client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


def test_nothing_can_be_sent_and_other_hosts_are_refused(client: FlaskClient) -> None:
    assert client.post("/").status_code == 405
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"Host": "localhost:8010"}).status_code == 200


def test_what_can_not_be_compared_is_one_line(client: FlaskClient) -> None:
    answer = client.get("/compare?a=a&b=a")
    assert answer.status_code == 422
    assert "can&#39;t be compared with itself" in answer.text


def test_a_taken_port_and_a_missing_folder_are_one_line(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TlbenchError, match=rf"can't listen on 127\.0\.0\.1 port {port} .*--port") as refused:
            serve_runs(folder, port, ready=print)
    assert "\n" not in str(refused.value)
    with pytest.raises(TlbenchError, match="there is no such folder"):
        serve_runs(folder / "none", 0, ready=print)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no Ctrl-C for one process")
def test_the_command_serves_until_ctrl_c_and_idle_connections_keep_nobody_out(folder: Path) -> None:
    words = [sys.executable, "-c", "from tlbench.cli.main import main; main()", "view", str(folder), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        line = served.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http"))
        port = int(address.rstrip("/").rpartition(":")[2])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(130)]  # waitress alone takes 100
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert b"Runs" in answer.read()
        for connection in idle:
            connection.close()
        served.send_signal(signal.SIGINT)
        _, err = served.communicate(timeout=60)
    assert (served.returncode, err) == (0, "stopped\n")
