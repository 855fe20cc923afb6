"""The static site: what is on its pages, that no name can run in them, and where they lie."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.factories.site_factory import NASTY, filed_run, make_leaderboards
from tlbench.cli.main import group
from tlbench.errors import TlbenchError
from tlbench.leaderboard import build as leaderboard
from tlbench.leaderboard.site import charts
from tlbench.leaderboard.site.charts import Axis, ChartPoint, place_labels, scatter, tag, ticks
from tlbench.leaderboard.site.dataset import cell, date_of, groups, pictures
from tlbench.leaderboard.site.front import front_card
from tlbench.leaderboard.site.page import site_pages
from tlbench.leaderboard.site.project import project_address
from tlbench.leaderboard.site.submit import EXAMPLE, submit_context
from tlbench.leaderboard.site.system import breakdowns
from tlbench.leaderboard.standings import Board, kind_of, make_board
from tlbench.leaderboard.submission import Computed, Published
from tlbench.leaderboard.submission_file import digest, parse_submission
from tlbench.metrics.catalogue import find_metric
from tlbench.metrics.protocol import Protocol
from tlbench.metrics.tally import HitTally
from tlbench.observing.clip_info import ClipInfo
from tlbench.scoring.breakdown import break_down
from tlbench.scoring.record import RECORDS_NAME, read_records
from tlbench.scoring.result import ClipScore, Result
from tlbench.scoring.result_file import load_result
from tlbench.statistics import IntervalSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_leaderboards(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def site(boards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "site"
    leaderboard.build(boards, folder)
    return folder


@pytest.fixture(scope="module")
def board(boards: Path) -> Board:
    return make_board("grid", leaderboard.read_dataset(boards / "grid"))


@pytest.fixture(scope="module")
def own_boards() -> dict[str, Board]:
    """The boards of this repository: to rank them takes seconds."""
    return {name: make_board(name, entries) for name, entries in leaderboard.read_board(ROOT / "leaderboards").items()}


class Parsed(HTMLParser):
    """Elements of a page and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def pages(site: Path) -> Iterator[tuple[Path, Parsed]]:
    for path in sorted(site.rglob("*.html")):
        yield path, Parsed(path.read_text("utf-8"))


# All pages


def test_there_is_a_page_per_data_set_and_per_record(site: Path, boards: Path) -> None:
    names = {path.stem for path in (boards / "grid").glob("*.json")}
    assert {path.stem for path in (site / "boards" / "grid").iterdir()} == names
    assert {path.name for path in site.glob("*.html")} == {"index.html", "paper-and-sound.html", "submit.html"}
    assert (site / "boards" / "grid.html").is_file()


def test_every_link_leads_to_a_page_of_the_site_or_to_an_address_of_a_record(site: Path) -> None:
    own = [project_address(label) for label in ("Documentation", "Repository")]
    elsewhere = {"https://example.org/p", *own, f"{project_address('Repository')}/compare/main...mine"}
    for path, page in pages(site):
        assert {str(link["href"]) for link in page.of("a")} >= set(own), "each page leads to the project"
        for link in page.of("a"):
            target, _, fragment = str(link["href"]).partition("#")
            if target.partition("?")[0] in elsewhere:
                continue
            there = (path.parent / target).resolve() if target else path
            assert there.is_file(), f"{path}: {link['href']}"
            if fragment:
                assert f'id="{fragment}"' in there.read_text("utf-8"), f"{path}: {link['href']}"


def test_a_page_loads_nothing_and_runs_its_own_scripts_only(site: Path) -> None:
    for path, page in pages(site):
        assert not page.of("img"), path
        assert all(link["href"] == "data:," for link in page.of("link"))
        assert len(page.of("script")) == 2
        assert all(not attributes for attributes in page.of("script"))
        policy = next(m["content"] for m in page.of("meta") if m.get("http-equiv") == "Content-Security-Policy")
        assert policy is not None
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert not [1 for _, attributes in page.elements for name in attributes if name.startswith("on")], path
        assert not [1 for _, attributes in page.elements if "style" in attributes], f"{path}: the policy forbids it"


def test_ids_stand_once_a_page_and_what_refers_to_one_finds_it(site: Path) -> None:
    for path, page in pages(site):
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids)), path
        for _, attributes in page.elements:
            for name in ("aria-labelledby", "aria-describedby", "for"):
                assert attributes.get(name) is None or attributes[name] in ids, (path, attributes)


def test_markup_in_a_name_stays_text_everywhere_it_is_shown(site: Path) -> None:
    shown = 0
    for path, page in pages(site):
        text = path.read_text("utf-8")
        assert "<script>document.title" not in text, path
        assert "<img" not in text, path
        assert "<i>too" not in text, path
        shown += NASTY in page.words or any(NASTY in words for words in page.words)
    assert shown >= 2  # its own page, and the data set's with its picture
    labels = [a.get("aria-label") or "" for _, p in pages(site) for a in p.of("a")]
    assert any(label.startswith(NASTY) for label in labels)


def test_the_same_records_give_the_same_site_and_a_second_build_writes_nothing(boards: Path, tmp_path: Path) -> None:
    first = leaderboard.build(boards, tmp_path / "s")
    assert len([path for path in first if path.suffix == ".html"]) == 4 + len(list((boards / "grid").glob("*.json")))
    assert leaderboard.build(boards, tmp_path / "s") == []


def test_pages_of_records_that_are_gone_are_deleted_and_other_files_are_not(boards: Path, tmp_path: Path) -> None:
    site = tmp_path / "s"
    leaderboard.build(boards, site)
    old, own = site / "boards" / "grid" / "gone.html", site / "boards" / "notes.html"
    record = old.with_suffix(".json")
    old.write_text((site / "index.html").read_text("utf-8"), "utf-8")
    record.write_text("{}", "utf-8")
    own.write_text("<p>mine</p>", "utf-8")
    assert leaderboard.build(boards, site) == [old, record]
    assert (old.exists(), record.exists(), own.exists()) == (False, False, True)


def test_a_folder_with_other_things_in_it_is_left_alone(boards: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", "utf-8")
    with pytest.raises(TlbenchError, match="is not a folder of an older site"):
        leaderboard.build(boards, tmp_path)
    with pytest.raises(TlbenchError, match="is not a folder of an older site"):
        leaderboard.build(boards, tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_command_writes_the_site(boards: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(group, ["leaderboard", "build", "--board", str(boards), "--site", str(tmp_path / "s")])
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "s" / "index.html") in done.stdout.splitlines()


# A data set's page


def test_rows_that_may_not_be_ranked_together_are_never_in_one_group(board: Board) -> None:
    for table in board.tables:
        for kind, _, entries in groups(table):
            assert {kind_of(entry.submission) for entry in entries} == {kind}
            standings = [table.standings[entry.file].get(table.leading) for entry in entries]
            assert len({None if one is None else one.protocol for one in standings}) == 1


def test_cells_have_value_rank_interval_and_the_mark_of_an_unfair_judge(site: Path) -> None:
    text = (site / "boards" / "grid.html").read_text("utf-8")
    row = re.search(r'<tr data-kind="computed">.{0,200}Reads as well.*?</tr>', text, re.DOTALL)
    assert row is not None
    rank, *cells, date, trained, links = re.findall(r"<td.*?</td>", row.group(), re.DOTALL)
    assert ['class="mark"' in cell for cell in cells] == [False, True, True, False, False]  # LSE-C, LSE-D: SyncNet
    assert re.search(r'data-rank="1"', cells[0])
    assert 'class="best"' in cells[0]
    assert rank == '<td class="rank">1<small class="line">tie of 2</small></td>'  # 20 clips can't tell 10 % from 12 %
    assert re.search(r"\[[0-9.]+, [0-9.]+\]", cells[0])
    assert date == '<td class="text date">2026-11-29</td>'
    assert "syncnet" in trained
    assert 'href="grid/reads-as-well.json" download' in links


@pytest.mark.parametrize(
    ("url", "date"),
    [
        ("https://arxiv.org/abs/2303.17480", "2023-03"),
        ("https://arxiv.org/pdf/0704.0001v2", "2007-04"),
        ("https://arxiv.org/abs/2313.17480", ""),  # no month
        ("https://arxiv.org/abs/cs/0112017", ""),
        ("https://example.org/abs/2303.17480", ""),
    ],
)
def test_the_date_of_a_papers_figures_is_the_month_of_its_number_on_arxiv(url: str, date: str) -> None:
    assert date_of(Published("x", "lrs2", "system", "a-paper", "A title", url, ())) == date


def test_every_row_of_this_repository_has_a_date(own_boards: dict[str, Board]) -> None:
    for board in own_boards.values():
        assert all(date_of(entry.submission) for entry in board.entries)


def test_bold_is_rank_1_where_another_is_worse(own_boards: dict[str, Board]) -> None:
    kinds = set()
    for table in (table for board in own_boards.values() for table in board.tables):
        for own in table.standings.values():
            for key, number in own.items():
                rivals = (rival[key] for rival in table.standings.values() if key in rival)
                ranks = {rival.rank for rival in rivals if rival.rank and rival.protocol == number.protocol}
                shown = cell(table, key, number)
                assert shown is not None
                assert shown["best"] is (number.rank == 1 and len(ranks) > 1)
                kinds.add((number.rank == 1, shown["best"]))
    assert kinds == {(True, True), (True, False), (False, False)}  # ties of all, too


def test_the_other_data_sets_of_the_page_submit_are_others_that_all_have() -> None:
    page = submit_context()
    assert f"--dataset {EXAMPLE} " in page["score"]
    assert {"lrw", "grid", "synthetic"} <= set(page["others"])
    assert not {EXAMPLE, "folder"} & set(page["others"])


def test_records_and_all_numbers_lie_next_to_the_pages(site: Path, boards: Path, board: Board) -> None:
    for path in (boards / "grid").glob("*.json"):
        assert (site / "boards" / "grid" / path.name).read_bytes() == path.read_bytes()
    rows = list(csv.DictReader((site / "boards" / "grid.csv").read_text("utf-8").splitlines()))
    assert len(rows) == sum(len(own) for table in board.tables for own in table.standings.values())
    (own,) = [row for row in rows if (row["system"], row["metric"]) == ("Reads well", "wer1/sound")]
    number = board.tables[0].standings["reads-well.json"]["wer1/sound"]
    assert (float(own["value"]), float(own["low"]), int(own["rank"])) == (number.value, number.low, number.rank)
    assert own["protocol"] == number.protocol


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_record_in_another_encoding_lies_next_to_the_pages_too(boards: Path, tmp_path: Path, encoding: str) -> None:
    shutil.copytree(boards, tmp_path / "boards")
    path = min((tmp_path / "boards" / "grid").glob("*.json"))
    text = path.read_text("utf-8")
    path.write_text(text, encoding)
    leaderboard.build(tmp_path / "boards", tmp_path / "site")
    assert (tmp_path / "site" / "boards" / "grid" / path.name).read_text("utf-8") == text


def test_ceilings_have_no_rank(site: Path) -> None:
    text = (site / "boards" / "grid.html").read_text("utf-8")
    rows = re.findall(r'<tr data-kind="ceilings and floors">.*?</tr>', text, re.DOTALL)
    assert len(rows) == 2
    assert not any("data-rank" in row for row in rows)


def test_every_column_is_explained(site: Path) -> None:
    page = Parsed((site / "boards" / "grid.html").read_text("utf-8"))
    described = [head["aria-describedby"] for head in page.of("th") if "aria-describedby" in head]
    assert len(described) == 5 + 3
    text = "".join(page.words)
    assert "Word errors of AV-HuBERT reading the lips" in text
    assert "lower is better" in text


def test_the_picture_has_a_labelled_link_for_every_system_with_both_numbers(site: Path) -> None:
    page = Parsed((site / "boards" / "grid.html").read_text("utf-8"))
    labels = [str(link.get("aria-label", "")) for link in page.of("a")]
    for name in ("Reads well", "Reads as well", "ground-truth", "Other boxes"):
        pattern = re.compile(rf"{name}: LSE-C \d+\.\d\d, WER1 \(%\) \d+\.\d\d")
        assert sum(bool(pattern.fullmatch(label)) for label in labels) == 2  # drawn for a desk and for a phone
    assert sum("Printed: PSNR (dB) 31.00, WER1 (%) 20.00" in label for label in labels) == 2


def test_no_picture_holds_points_made_in_different_ways(board: Board, site: Path) -> None:
    text = (site / "boards" / "grid.html").read_text("utf-8")
    for figure in re.findall(r"<figure>.*?</figure>", text, re.DOTALL):
        names = set(re.findall(r'aria-label="(Reads|Other|More|ground|Printed)', figure))
        assert names <= {"Reads", "ground"} or names <= {"Other", "More"} or names == {"Printed"}


# The front page, and how to submit


def test_the_front_page_ranks_the_systems_of_a_data_set_between_ceiling_and_floor(board: Board) -> None:
    card = front_card(board, "boards/")
    assert (card["kind"], card["arithmetic"], card["head"]["key"]) == ("computed", "sound", "wer1/sound")
    assert [row["name"] for row in card["rows"]] == ["Reads well", "Reads as well", NASTY]  # of one protocol
    assert [row["cell"]["rank"] for row in card["rows"]] == [1, 1, 3]
    assert card["rows"][0]["cell"]["interval"].startswith("[")
    assert [row["name"] for row in card["ends"]] == ["ground-truth"]
    assert card["rows"][0]["href"] == "boards/grid/reads-well.html"


def test_of_many_systems_the_front_page_shows_the_first_and_counts_the_rest(own_boards: dict[str, Board]) -> None:
    card = front_card(own_boards["lrs2"], "")
    assert [row["name"] for row in card["rows"]] == ["TalkLip (g+c)", "TalkLip (g)", "TalkLip (l+c)", "TalkLip (l)"]
    assert card["more"] == 5  # two of the eleven have no WER1
    assert card["kinds"] == [("published", 11), ("ceiling or floor", 1)]
    words = front_card(own_boards["synthetic-words"], "")
    assert (words["kind"], words["rows"][0]["name"]) == ("ceilings and floors", "ground-truth")


def test_the_commands_of_the_submit_page_are_commands() -> None:
    shown = submit_context()
    for text in (shown["score"], shown["add"], shown["check"]):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            assert words.pop(0) == "tlbench"
            command: click.Command = group
            while isinstance(command, click.Group):
                found = command.get_command(click.Context(command), words.pop(0))
                assert found is not None, line
                command = found
            command.make_parser(click.Context(command)).parse_args(words)


# A system's page


def test_a_computed_system_has_distributions_breakdowns_and_its_origin(site: Path) -> None:
    page = Parsed((site / "boards" / "grid" / "reads-well.html").read_text("utf-8"))
    text = " ".join(page.words)
    for heading in ("By the number of words in a clip", "By the length of the word", "By viseme", "All of it"):
        assert heading in text
    assert "<b>Linux</b>" in text
    charts = [str(svg.get("aria-label", "")) for svg in page.of("svg")]
    assert any(re.match(r"WER1 \(%\) of 20 clips: from 0\.00 to [0-9.]+, half of them within", said) for said in charts)
    assert any(re.match(r"PSNR \(dB\) of 20 clips", said) for said in charts)


def test_a_published_system_says_what_is_not_there(site: Path) -> None:
    text = (site / "boards" / "grid" / "published-printed.html").read_text("utf-8")
    assert "no interval, no distribution, no breakdown" in text
    assert "1 of 2" in text
    assert "Table &lt;1&gt;" in text


def test_a_record_filed_without_the_runs_records_says_what_would_give_the_breakdown(tmp_path: Path) -> None:
    run, board = tmp_path / "run", tmp_path / "boards"
    run.mkdir()
    filed_run(run, "Bare", 0.5, metrics=("wer1/sound", "psnr"))
    (run / RECORDS_NAME).unlink()
    leaderboard.add(run, board, trained_with=["none"])
    leaderboard.build(board, tmp_path / "site")
    text = (tmp_path / "site" / "boards" / "grid" / "bare.html").read_text("utf-8")
    assert "By the number of words in a clip" in text  # the clips' tallies have that
    assert "it was filed without the run&#39;s records.jsonl" in text
    assert "it was scored without VER" in text
    assert "No picture: no two systems have both numbers" in (tmp_path / "site/boards/grid.html").read_text("utf-8")


def lrw_like(words: Sequence[str], right: Sequence[int]) -> Computed:
    """A result of single words, read rightly or not."""
    metric = find_metric("acc/sound")
    clips = tuple(
        ClipScore(ClipInfo(f"c{i}", word=word), tallies={metric.key: HitTally(hit, 1)})
        for i, (word, hit) in enumerate(zip(words, right, strict=True))
    )
    place = {"dataset": "lrw", "split": "test", "decoding": "d", "view": "v@1", "weights_sha256": "0" * 64}
    protocols = {metric.key: Protocol.of(metric, **place)}
    made = Result("x", "lrw", "test", (metric,), protocols, clips, len(clips), {metric.key: None}, IntervalSettings())
    return Computed(made)


def test_clips_of_single_words_are_parted_by_word_by_its_length_and_by_its_visemes() -> None:
    lengths, seen, words = breakdowns(lrw_like(["ABOUT", "ABOUT", "FIVE", "SHOP"], [1, 0, 1, 0]))
    assert [(row["name"], row["count"], row["rate"]) for row in lengths["rows"]] == [
        ("4", "2", "50.0"),
        ("5", "2", "50.0"),
    ]
    rates = {row["name"]: (row["count"], row["rate"]) for row in seen["rows"]}
    assert rates["labiodental"] == ("1", "100.0")  # FIVE
    assert rates["palato-alveolar"] == ("1", "0.0")  # SHOP
    assert rates["bilabial"] == ("3", "33.3")  # ABOUT twice, SHOP
    assert [row["name"] for row in words["rows"]] == ["SHOP", "ABOUT", "FIVE"]


def test_of_hundreds_of_words_the_least_and_the_best_read_are_shown() -> None:
    names = [f"WORD{i:03d}" for i in range(100)]
    *_, words = breakdowns(lrw_like(names, [int(i > 20) for i in range(100)]))
    assert len(words["rows"]) == 16
    assert words["rows"][0]["rate"] == "0.0"
    assert words["rows"][-1]["rate"] == "100.0"
    assert "of 100 words" in words["note"]


# Breakdowns in records


def filed(tmp_path: Path, name: str = "Mine", wrong: float = 0.4) -> dict:  # type: ignore[type-arg]
    run = tmp_path / "run"
    run.mkdir()
    filed_run(run, name, wrong)
    return dict(json.loads(leaderboard.add(run, tmp_path / "boards", trained_with=["none"]).read_text("utf-8")))


def test_a_record_counts_words_by_length_and_visemes_and_holds_no_word(tmp_path: Path) -> None:
    data = filed(tmp_path)
    words = data["breakdown"]["words"]
    fields = data["result"]["metrics"]["wer1/sound"]["fields"]
    assert sum(said for said, _, _ in words.values()) == sum(fields["reference_length"])
    assert sum(wrong for _, wrong, _ in words.values()) == sum(fields["substitutions"])
    assert words["9"][0] == 4  # everybody, in every fifth of 20 clips
    assert set(data["breakdown"]["visemes"]) >= {"bilabial", "velar", "alveolar"}
    assert "nobody" not in json.dumps(data)


CHANGES = [
    (lambda b: b["words"]["5"].__setitem__(1, 0), "sums to"),
    (lambda b: b["visemes"].pop("velar"), "sums to"),
    (lambda b: b["words"].update({"13": [0, 0, 0]}), "not a length of a word"),
    (lambda b: b["words"].update({"05": [0, 0, 0]}), "not a length of a word"),
    (lambda b: b["visemes"].update({"<b>": [0, 0, 0]}), "not a viseme"),
    (lambda b: b["words"].update({"1": [1, 2, 3]}), "impossible"),
    (lambda b: b["words"].update({"1": [1, 2]}), "damaged breakdown"),
    (lambda b: b["words"].update({"1": [True, 0, 0]}), "damaged breakdown"),
    (lambda b: b.update(sentences=[]), "must have the fields words and visemes"),
]


def test_a_breakdown_that_the_clips_dont_give_is_refused(tmp_path: Path) -> None:
    text = json.dumps(filed(tmp_path))
    for change, said in CHANGES:
        data = json.loads(text)
        change(data["breakdown"])  # type: ignore[no-untyped-call]
        data["digest"] = digest(data)
        with pytest.raises(TlbenchError, match=said):
            parse_submission(data, [])


def test_records_of_another_run_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, wrong in (("a", 0.1), ("b", 0.9)):
        (tmp_path / name).mkdir()
        filed_run(tmp_path / name, name, wrong)
    (tmp_path / "a" / RECORDS_NAME).write_bytes((tmp_path / "b" / RECORDS_NAME).read_bytes())
    with pytest.raises(TlbenchError, match=r"records\.jsonl: clip .* they are of two runs") as caught:
        leaderboard.add(tmp_path / "a", tmp_path / "boards", trained_with=["none"])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "boards").exists()


def test_records_that_lack_clips_are_refused(tmp_path: Path) -> None:
    filed_run(tmp_path, "a", 0.1)
    records = list(read_records(tmp_path / RECORDS_NAME))
    result = load_result(tmp_path)
    with pytest.raises(TlbenchError, match="not among the records"):
        break_down(records[1:], result)


# Charts


def test_a_chart_escapes_names_and_keeps_markup_of_its_own() -> None:
    assert tag("text", {"class": '"><b>'}, "<i>&") == '<text class="&#34;&gt;&lt;b&gt;">&lt;i&gt;&amp;</text>'
    assert tag("g", {}, tag("text", {}, "<")) == "<g><text>&lt;</text></g>"


def test_ticks_are_round_and_inside() -> None:
    assert ticks(23.4, 116.3) == [40, 60, 80, 100]
    assert ticks(0.747, 0.876, 4) == [0.75, 0.8, 0.85]
    assert ticks(-1.0, 1.0) == [-1, -0.5, 0, 0.5, 1]


def circles(drawn: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle class="mark" cx="([-0-9.]+)" cy="([-0-9.]+)"', drawn)]


def test_better_is_right_and_up_whichever_way_the_numbers_run() -> None:
    points = [ChartPoint("good", "g", x=9.0, y=20.0), ChartPoint("bad", "b", x=5.0, y=90.0)]
    (good, bad) = circles(scatter(points, Axis("LSE-C", "", "higher", 2), Axis("WER1", "%", "lower", 2), 620, 430))
    assert good[0] > bad[0]
    assert good[1] < bad[1]  # pixels run down
    points = [ChartPoint("good", "g", x=6.0, y=90.0), ChartPoint("bad", "b", x=9.0, y=20.0)]
    (good, bad) = circles(scatter(points, Axis("LSE-D", "", "lower", 2), Axis("ACC", "%", "higher", 2), 340, 380))
    assert good[0] > bad[0]
    assert good[1] < bad[1]


def test_equal_numbers_are_drawn_too() -> None:
    axis = Axis("PSNR", "dB", "higher", 2)
    places = circles(
        scatter([ChartPoint("a", "a", 30.0, 30.0), ChartPoint("b", "b", 30.0, 30.0)], axis, axis, 340, 380)
    )
    assert all(56 <= x <= 326 and 14 <= y <= 332 for x, y in places)


def boxes_of(names: Sequence[str], labels: Sequence[tuple[float, float, str]]) -> list[tuple[float, ...]]:
    """Left, top, right and bottom of each name."""
    boxes = []
    for name, (x, y, anchor) in zip(names, labels, strict=True):
        lines = name.split("\n")
        width = 13 * 0.57 * max(map(len, lines))
        left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
        boxes.append((left, y - 10, left + width, y + 3 + 15 * (len(lines) - 1)))
    return boxes


def test_names_do_not_lie_on_each_other_where_there_is_room() -> None:
    places = [(100.0, 100.0), (104.0, 103.0), (98.0, 108.0), (330.0, 100.0)]
    names = ["TalkLip (g+c)", "TalkLip (g)", "Ground Truth", "at the edge\nof the frame"]
    boxes = boxes_of(names, place_labels(names, places, (0, 0, 340, 300)))
    for place, a in enumerate(boxes):
        assert a[0] >= 0
        assert a[2] <= 340
        for b in boxes[:place]:
            common = [min(a[side + 2], b[side + 2]) - max(a[side], b[side]) for side in (0, 1)]
            assert min(common) <= 1, (a, b)  # pixels


def test_no_name_is_cut_and_names_that_do_not_fit_are_numbered_and_listed() -> None:
    axis = Axis("SSIM", "", "higher", 2)
    long = "Base without lip and GAN loss, miniature, trained for longer"
    few = scatter([ChartPoint(long, "a", 1.0, 1.0), ChartPoint("b", "b", 2.0, 2.0)], axis, axis, 340, 380)
    lines = re.findall(r"<tspan[^>]*>(.*?)</tspan>", few)
    assert " ".join(lines) == f"{long} b"
    assert max(map(len, lines)) <= 16
    many = scatter([ChartPoint(f"{long} {i}", f"{i}", 1.0, 1.0) for i in range(20)], axis, axis, 340, 380)
    assert re.findall(r"<tspan[^>]*>(.*?)</tspan>", many) == [str(i) for i in range(1, 21)]
    text = " ".join(re.findall(r'<text class="name"[^>]*>([^<]*)</text>', many))
    assert all(f"{long} {i}" in text for i in range(20))
    height = re.search(r'height="(\d+)"', many)
    assert height is not None
    assert int(height[1]) > 380 + 20 * 15


@pytest.mark.parametrize("name", ["synthetic", "grid", "lrs2"])
def test_names_in_the_plots_of_this_repository_do_not_cover_each_other(
    name: str, own_boards: dict[str, Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Sequence[str], list[tuple[float, float, str]]]] = []

    def placed(
        names: Sequence[str], places: Sequence[tuple[float, float]], frame: tuple[float, float, float, float]
    ) -> list[tuple[float, float, str]]:
        drawn.append((names, place_labels(names, places, frame)))
        return drawn[-1][1]

    monkeypatch.setattr(charts, "place_labels", placed)
    for table in own_boards[name].tables:
        pictures(own_boards[name], table)
    assert drawn
    shown = [one for place, one in enumerate(drawn) if place + 1 == len(drawn) or drawn[place + 1][0][0] != "1"]
    for names, labels in shown:
        boxes = boxes_of(names, labels)
        for place, a in enumerate(boxes):
            for b in boxes[:place]:
                wide, high = (min(a[side + 2], b[side + 2]) - max(a[side], b[side]) for side in (0, 1))
                assert min(wide, high) <= 4, (names, a, b)  # pixels: between the lines, no letter is hidden


# The site of this repository


def test_the_papers_figures_have_their_pages(own_boards: dict[str, Board]) -> None:
    assert {"lrs2", "lrw", "talklip-user-study"} <= own_boards.keys()
    made = site_pages([own_boards[name] for name in ("grid", "lrs2", "lrw", "talklip-user-study")])
    assert "TalkLip (g+c): LSE-C 8.53, WER1 (%) 23.43" in made["index.html"]
    assert 'href="boards/lrs2/published-wav2lip.html"' in made["index.html"]
    assert "boards/lrs2/published-talklip-g-c.html" in made
    assert "TalkLip (g+c): LSE-C 8.53, WER1 (%) 23.43" in made["boards/lrs2.html"]
    assert "TalkLip (g+c): LSE-C" in made["boards/lrw.html"]
    assert "ACC" in made["boards/lrw.html"]
    assert "RI" in made["boards/talklip-user-study.html"]


def test_a_number_of_a_system_says_which_direction_is_better(site: Path) -> None:
    page = next((site / "boards").glob("*/*.html")).read_text("utf-8")
    tips = re.findall(r'<th scope="row" data-tip="([^"]*)"', page)
    assert tips
    assert all(tip.endswith(("is better.", "no direction.")) for tip in tips)
