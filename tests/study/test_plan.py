"""Who sees which clip: each once, each method equally often, nothing in an order that gives it away."""

from __future__ import annotations

from collections import Counter

import pytest

from tlbench.errors import TlbenchError
from tlbench.study.plan import Drawn, Trial, check_balance, draw_clips, plan_trials, words_like

CONDITIONS = ("wav2lip", "talklip", "ground-truth")
RATED = tuple(f"r{i}" for i in range(9))
READ = tuple(f"s{i}" for i in range(6))
DRAWN = Drawn(RATED, READ, {"x0": 2, "x1": 5})


def plans(participants: int = 6, seed: int = 0) -> list[list[Trial]]:
    return plan_trials(DRAWN, CONDITIONS, participants, {}, seed)


def test_everybody_sees_every_clip_once() -> None:
    for plan in plans():
        assert sorted(t.item.clip for t in plan) == sorted((*RATED, *READ, *DRAWN.checks))


def test_everybody_sees_every_condition_equally_often_in_both_parts() -> None:
    for plan in plans():
        assert set(Counter(t.item.condition for t in plan if t.item.task == "rate").values()) == {3}
        assert set(Counter(t.item.condition for t in plan if t.item.task == "read").values()) == {2}


def test_over_as_many_people_as_conditions_every_clip_is_seen_in_every_condition() -> None:
    seen = Counter((t.item.clip, t.item.condition) for plan in plans(6) for t in plan if t.item.task != "check")
    assert len(seen) == 15 * 3
    assert set(seen.values()) == {2}


def test_a_block_holds_each_condition_once_so_nobody_tires_on_one_method() -> None:
    for plan in plans():
        rated = [t.item.condition for t in plan if t.item.task == "rate"]
        assert all(set(rated[i : i + 3]) == set(CONDITIONS) for i in range(0, 9, 3))


def test_the_order_differs_from_person_to_person_and_follows_from_the_seed() -> None:
    assert plans(seed=4) == plans(seed=4)
    assert plans(seed=4) != plans(seed=5)
    orders = {tuple(t.item.clip for t in plan) for plan in plans(6)}
    assert len(orders) == 6


def test_checks_stand_between_the_rated_clips_and_never_first() -> None:
    places = [
        [i for i, t in enumerate(plan) if t.item.task == "check"] for seed in range(40) for plan in plans(3, seed)
    ]
    assert all(len(of) == 2 and of[0] > 0 and of[1] < len(RATED) + 2 for of in places)
    assert len({tuple(of) for of in places}) > 8  # nobody can know where
    assert all(of[1] - of[0] > 1 for of in places)


def test_one_clip_of_each_condition_bears_many_checks() -> None:
    drawn = Drawn(("a", "b", "c"), (), dict.fromkeys(("x", "y", "z"), 1))
    assert len(plan_trials(drawn, CONDITIONS, 1, {}, 0)[0]) == 6


def test_the_parts_share_no_clip() -> None:
    clips = [f"c{i:02d}" for i in range(20)]
    drawn = draw_clips(clips, clips[:10], 9, 6, 2, seed=1)
    used = [*drawn.rated, *drawn.read, *drawn.checks]
    assert len(set(used)) == len(used) == 17
    assert set(drawn.read) <= set(clips[:10])
    assert draw_clips(clips[::-1], clips[:10][::-1], 9, 6, 2, seed=1) == drawn


def test_too_few_clips_name_all_that_was_asked_for() -> None:
    with pytest.raises(TlbenchError, match=r"9 clips to rate, 6 others to read and 2 .* make 17, .* only 16 clips, 16"):
        draw_clips(RATED + READ + ("t",), RATED + READ + ("t",), 9, 6, 2, seed=0)
    with pytest.raises(TlbenchError, match="3 of them with words"):
        draw_clips([f"c{i}" for i in range(40)], ["c1", "c2", "c3"], 9, 6, 2, seed=0)


@pytest.mark.parametrize(("clips", "way_out"), [(2, "take 3 "), (10, "take 9 or 12 ")])
def test_clips_that_no_latin_square_shares_evenly_are_refused(clips: int, way_out: str) -> None:
    with pytest.raises(TlbenchError, match=way_out):
        check_balance(clips, CONDITIONS, "--clips")


def test_the_words_offered_look_alike_but_not_the_same() -> None:
    vocabulary = ["pat", "bat", "mat", "pad", "cat", "bad", "bats", "elephant", "university"]
    offered = words_like("bat", vocabulary, 4)
    assert offered[0] == "bat"
    assert not {"pat", "mat", "pad", "bad"} & set(offered)  # no eye tells these from bat
    assert {"bats", "cat"} <= set(offered)
    assert "university" not in offered


def test_a_vocabulary_of_lookalikes_offers_nothing_else() -> None:
    assert words_like("bat", ["bat", "pat", "mat"]) == ("bat",)
