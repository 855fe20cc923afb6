"""The comment on a pull request of the leaderboards: what the check and the build of the tables said.

    python .ci/leaderboard_comment.py OUTCOME check.txt build.txt > comment.md

OUTCOME is that of the check's step: success, failure, skipped or cancelled.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

MOST = 20_000  # characters of one output; a comment has at most 65,536
MOST_NAMES = 20  # of other files that are named

WORDS = {
    "success": "The records are valid and the tables agree with them.",
    "failure": "The check refused something. Each line says what, and how to get on.",
}


def comment(outcome: str, check: str, build: str, others: Sequence[str] = (), run: str = "") -> str:
    """The comment as Markdown.

    ``others`` are files outside of the leaderboards that the pull request changes too, ``run`` is the run's address.
    """
    said = WORDS.get(outcome, f"The check did not end ({outcome}); see the log of the run.")
    parts = [f"**`tlbench leaderboard check`**: {said}", fenced(check)]
    parts += ["Files that `tlbench leaderboard build` changes:", fenced(build)]
    if others:
        named = "\n".join([*others[:MOST_NAMES], *(["..."] if len(others) > MOST_NAMES else [])])
        parts.append("**Files outside of `leaderboards/` are changed too**, and the check ran with those:")
        parts.append(fenced(named))
    where = f"[the run]({run})" if run else "this run"
    parts.append(f"The rebuilt tables are in the artifact `leaderboard-comment` of {where}.")
    return "\n\n".join(parts) + "\n"


def fenced(text: str) -> str:
    """A text as a code block, which nothing in the text can end. Characters that hide or turn others are replaced."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text.strip()[:MOST]) or "(no output)"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def main(words: list[str]) -> None:
    """Print the comment."""
    if len(words) != 3:
        sys.exit("usage: python .ci/leaderboard_comment.py OUTCOME check.txt build.txt")
    texts = [Path(name).read_text("utf-8") if Path(name).is_file() else "" for name in words[1:]]
    print(comment(words[0], *texts), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
