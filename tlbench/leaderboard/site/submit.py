"""The page that says how to add a system, with the commands as they are typed."""

from __future__ import annotations

from typing import Any

from tlbench.datasets.dataset import dataset_class, dataset_names
from tlbench.leaderboard.site.project import project_address

EXAMPLE = "lrs2"  # the data set of the commands
SCORE = f"""\
tlbench check out/mine --dataset {EXAMPLE} --data-root /data/mvlrs_v1
tlbench score out/mine --dataset {EXAMPLE} --data-root /data/mvlrs_v1 --controls all --out runs"""
ADD = """\
tlbench leaderboard add runs/mine --name "My system" --paper https://arxiv.org/abs/... --code https://... \\
    --trained-with none
tlbench leaderboard add runs/controls/ground-truth"""
CHECK = """\
tlbench leaderboard build
tlbench leaderboard check"""
PULL = f"""\
git switch --create mine
git add leaderboards
git commit --message "Leaderboard: My system on {EXAMPLE}"
git push --set-upstream origin mine"""


def submit_context() -> dict[str, Any]:
    """The page for the template."""
    return {
        "repository": project_address("Repository"),
        "others": [name for name in dataset_names() if name != EXAMPLE and not dataset_class(name).anonymous],
        "score": SCORE,
        "add": ADD,
        "check": CHECK,
        "pull": PULL,
    }
