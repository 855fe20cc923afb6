"""The comment under a pull request of the leaderboards: only text of strangers, under the right one, made once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.test_project_files import ROOT, script

COMMENT = script("leaderboard_comment", ".ci")
WORKFLOWS = ROOT / ".github" / "workflows"
HEAD = "4f2c" * 10
BOT = {"login": "github-actions[bot]"}
# Answers as gh does from a file, and writes down what it was asked.
GH = """#!{python}
import json, os, sys
words = sys.argv[1:]
body = json.load(sys.stdin)["body"] if "--input" in words else None
with open(os.environ["LOG"], "a") as log:
    log.write(json.dumps([words, body]) + "\\n")
answers = json.load(open(os.environ["ANSWERS"]))
path = words[1].partition("?")[0]
if path not in answers and body is None:
    sys.exit("HTTP 404: Not Found")
print(json.dumps(answers.get(path, {{}})))
"""


class Service:
    """A hosting service of which only the answers to ``gh api`` are there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder, folder / "kept"
        self.kept.mkdir()
        (folder / "bin").mkdir()
        (folder / "bin" / "gh").write_text(GH.format(python=sys.executable))
        (folder / "bin" / "gh").chmod(0o755)
        self.keep("number.txt", "7\n")
        self.answers: dict[str, object] = {
            "repos/o/n/pulls/7": {"state": "open", "head": {"sha": HEAD}},
            "repos/o/n/pulls/7/files": [[{"filename": "leaderboards/lrs2/x.json"}]],
            "repos/o/n/issues/7/comments": [[]],
        }

    def keep(self, name: str, text: str) -> None:
        (self.kept / name).write_text(text, "utf-8")

    def post(self, conclusion: str = "failure") -> subprocess.CompletedProcess[str]:
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        environment = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "LOG": str(self.folder / "log"),
            "ANSWERS": str(self.folder / "answers.json"),
            "GITHUB_REPOSITORY": "o/n",
        }
        words = [str(self.kept), HEAD, conclusion, "https://example.org/run"]
        command = [sys.executable, str(ROOT / ".ci" / "post_leaderboard_comment.py"), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def written(self) -> list[tuple[str, str, str]]:
        """Method, path and text of each request that writes."""
        lines = (self.folder / "log").read_text().splitlines() if (self.folder / "log").exists() else []
        asked = [json.loads(line) for line in lines]
        return [(words[words.index("--method") + 1], words[1], body) for words, body in asked if body is not None]


@pytest.fixture
def service(tmp_path: Path) -> Service:
    if os.name == "nt":
        pytest.skip("the stand-in for gh is a script that Windows does not start; the job runs on Linux")
    return Service(tmp_path)


def test_the_comment_shows_what_the_check_said_and_nothing_ends_its_block() -> None:
    said = "leaderboards/lrs2/x.json: changed\n```\n# a heading by a stranger\n````"
    shown = COMMENT.comment("failure", said, "")
    assert "refused something" in shown
    assert f"`````text\n{said}\n`````" in shown
    assert "```text\n(no output)\n```" in shown
    assert "did not end (cancelled)" in COMMENT.comment("cancelled", "", "")
    assert "a\ufffdb" in COMMENT.comment("failure", "a\u202eb", "")  # it would turn what follows
    many = [f"file {number}" for number in range(1000)]
    assert len(COMMENT.comment("success", "x" * 10**6, "y" * 10**6, many)) < 65_536


def test_the_comment_is_made_once_and_then_replaced(service: Service) -> None:
    service.keep("check.txt", "leaderboards/lrs2/x.json: digest\n")
    assert service.post().stdout == "#7: comment made\n"
    ((method, path, body),) = service.written()
    assert (method, path) == ("POST", "repos/o/n/issues/7/comments")
    assert "```text\nleaderboards/lrs2/x.json: digest\n```" in body
    assert "[the run](https://example.org/run)" in body
    assert "outside" not in body
    by_a_stranger = {"id": 1, "user": {"login": "someone"}, "body": body}
    of_another_job = {"id": 2, "user": BOT, "body": "preview"}
    service.answers["repos/o/n/issues/7/comments"] = [
        [by_a_stranger],
        [of_another_job, {"id": 3, "user": BOT, "body": body}],
    ]
    assert service.post("success").stdout == "#7: comment replaced\n"
    method, path, body = service.written()[1]
    assert (method, path) == ("PATCH", "repos/o/n/issues/comments/3")
    assert "The records are valid" in body


def test_files_outside_of_the_leaderboards_are_named(service: Service) -> None:
    files = ["leaderboards/README.md", ".ci/leaderboard_comment.py", "tlbench/x.py"]
    service.answers["repos/o/n/pulls/7/files"] = [[{"filename": name}] for name in files]
    service.post("success")
    assert "```text\n.ci/leaderboard_comment.py\ntlbench/x.py\n```" in service.written()[0][2]


@pytest.mark.parametrize("number", ["", "0", "7; rm -rf /", "../../o/other/issues/1", "٧", "7" * 10])
def test_what_is_no_number_is_refused(service: Service, number: str) -> None:
    service.keep("number.txt", number)
    done = service.post()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "number.txt" in done.stderr
    assert not (service.folder / "log").exists()


@pytest.mark.parametrize(
    "answer", [{"state": "closed", "head": {"sha": HEAD}}, {"state": "open", "head": {"sha": "0"}}]
)
def test_another_pull_request_gets_no_comment(service: Service, answer: object) -> None:
    service.answers["repos/o/n/pulls/7"] = answer
    done = service.post()
    assert done.returncode == 0
    assert "no comment" in done.stdout
    assert service.written() == []


def test_a_link_is_not_followed_and_a_refusal_is_one_line(service: Service, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (service.kept / "check.txt").symlink_to(tmp_path / "secret")
    service.post()
    assert "secret" not in service.written()[0][2]
    del service.answers["repos/o/n/pulls/7"]
    done = service.post()
    assert (done.returncode, done.stderr) == (1, "gh api repos/o/n/pulls/7: HTTP 404: Not Found\n")


def test_what_runs_the_code_of_strangers_may_write_nothing() -> None:
    text = (WORKFLOWS / "leaderboard.yml").read_text("utf-8")
    assert "permissions:\n  contents: read\n" in text
    assert text.count("write") == text.count("may write")
    assert "name: leaderboard-comment\n" in text
    assert 'python .ci/leaderboard_comment.py "$OUTCOME"' in text
    assert (ROOT / ".github" / "PULL_REQUEST_TEMPLATE" / "leaderboard.md").is_file()


def test_what_may_write_runs_no_code_of_strangers() -> None:
    text = (WORKFLOWS / "leaderboard-comment.yml").read_text("utf-8")
    assert "permissions: {}\n" in text
    assert "workflows: [leaderboard]\n" in text
    checkout = text.partition("actions/checkout")[2].partition("      - uses:")[0]
    assert "ref:" not in checkout
    assert "path: ${{ runner.temp }}/kept" in text
    commands = [line for line in text.splitlines() if "- run: " in line]
    assert commands == [
        '      - run: python3 .ci/post_leaderboard_comment.py "$RUNNER_TEMP/kept" "$HEAD_SHA" "$CONCLUSION" "$RUN"'
    ]


@pytest.mark.skipif(shutil.which("zizmor") is None, reason="checking workflows needs zizmor (pip install zizmor)")
def test_zizmor_finds_no_fault_in_any_workflow() -> None:
    done = subprocess.run(
        ["zizmor", "--offline", "--no-progress", WORKFLOWS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
