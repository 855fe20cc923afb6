"""Puts the comment of ``leaderboard_comment.py`` under the pull request that a run of the leaderboards' check was for.

    GITHUB_REPOSITORY=OWNER/NAME python .ci/post_leaderboard_comment.py FOLDER HEAD_SHA CONCLUSION RUN

FOLDER has what the run kept: ``number.txt``, ``check.txt``, ``build.txt``. Strangers wrote the records, and can change
the workflow that ran, so all of it is only text, of limited size, in code blocks. The number of the pull request is
believed only if that pull request is open and its newest commit is HEAD_SHA. That comes from the event, as do the
run's CONCLUSION and its address RUN. Talks to the service by its command ``gh``. A comment made before is replaced.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from leaderboard_comment import comment

MARK = "<!-- what the check of the leaderboards said -->"
AUTHOR = "github-actions[bot]"  # whom the workflow's own token makes comments as
MOST_BYTES = 100_000  # that are read of a file of the run


def text_of(folder: Path, name: str) -> str:
    """The beginning of a file that the run kept; "" if it kept none. A link is not followed."""
    path = folder / name
    if path.is_symlink() or not path.is_file():
        return ""
    with open(path, "rb") as file:
        return file.read(MOST_BYTES).decode("utf-8", "replace")


def asked(path: str, *options: str, body: str | None = None) -> Any:
    """What the service's API answers, as data. Ends the program with its message if it refuses."""
    command = ["gh", "api", path, *options, *([] if body is None else ["--input", "-"])]
    sent = None if body is None else json.dumps({"body": body})
    done = subprocess.run(command, input=sent, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        sys.exit(f"gh api {path}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def all_of(path: str) -> list[dict[str, Any]]:
    """Every item of a list that the service gives by pages."""
    return [item for page in asked(f"{path}?per_page=100", "--paginate", "--slurp") for item in page]


def post(repository: str, folder: Path, head: str, conclusion: str, run: str) -> str:
    """Make or replace the comment; what was done, in one line."""
    number = text_of(folder, "number.txt").strip()
    if not re.fullmatch(r"[1-9]\d{0,8}", number, re.ASCII):
        sys.exit("number.txt: is not the number of a pull request; the run kept something else")
    place = f"repos/{repository}"
    pull = asked(f"{place}/pulls/{number}")
    if pull["state"] != "open" or pull["head"]["sha"] != head:
        return f"#{number} is closed, or its newest commit is not {head}: no comment"
    names = [file["filename"] for file in all_of(f"{place}/pulls/{number}/files")]
    others = [name for name in names if not name.startswith("leaderboards/")]
    made = comment(conclusion, text_of(folder, "check.txt"), text_of(folder, "build.txt"), others, run)
    body = f"{MARK}\n{made}"
    for before in all_of(f"{place}/issues/{number}/comments"):
        if before["user"]["login"] == AUTHOR and before["body"].startswith(MARK):
            asked(f"{place}/issues/comments/{before['id']}", "--method", "PATCH", body=body)
            return f"#{number}: comment replaced"
    asked(f"{place}/issues/{number}/comments", "--method", "POST", body=body)
    return f"#{number}: comment made"


def main(words: list[str]) -> None:
    """Post, and say so."""
    if len(words) != 4 or "GITHUB_REPOSITORY" not in os.environ:
        sys.exit("usage: GITHUB_REPOSITORY=... python .ci/post_leaderboard_comment.py FOLDER HEAD_SHA CONCLUSION RUN")
    print(post(os.environ["GITHUB_REPOSITORY"], Path(words[0]), *words[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
