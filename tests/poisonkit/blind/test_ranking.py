"""A ranking of several submissions: names, order, intervals, what is not in order, the table, the command, Python."""

import io
import json
import sys
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import poisonkit as pk
from poisonkit.blind import ranking, ranking_table, submissions
from poisonkit.blind.grade import Truth
from poisonkit.blind.submissions import Entry
from poisonkit.core import intervals
from poisonkit.core.errors import Usage

ROWS = 400


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 60)


@pytest.fixture
def exercise(tmp_path, monkeypatch):
    """A truth without a sealed file: of 400 rows 40 were changed, 10 of them cover rows; and the folder for CSVs."""
    monkeypatch.chdir(tmp_path)
    changed, cover = np.arange(ROWS) < 40, np.arange(ROWS) < 10
    truth = Truth("challenge-01234567", "sha256:00", changed, cover)
    monkeypatch.setattr(Truth, "open", classmethod(lambda cls, path, key: truth))
    return truth


def write(name, scores):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("row,score\n" + "".join(f"{row},{float(score)!r}\n" for row, score in enumerate(scores)))
    return Path(name)


def list_of(name, rows):
    Path(name).write_text("row\n" + "".join(f"{row}\n" for row in rows))
    return Path(name)


def noisy(truth, shift, seed):
    return np.random.default_rng(seed).normal(size=ROWS) + shift * truth.changed


def rank(*entries):
    return ranking.rank(
        Path("c.h5"), None, [one if isinstance(one, Entry) else Entry.unnamed(Path(one)) for one in entries]
    )


# ---- names


@pytest.mark.parametrize(
    ("text", "name", "path"),
    [
        ("team-b.csv", "team-b", "team-b.csv"),
        ("Team B=team-b.csv", "Team B", "team-b.csv"),
        ("Team B=-", "Team B", "-"),
        ("-", "standard input", "-"),
        ("run/detect-flare-12345678/scores.csv", "detect-flare-12345678", "run/detect-flare-12345678/scores.csv"),
        ("run/x/../y/scores.csv", "y", "run/x/../y/scores.csv"),
        ("there=1.csv", "there=1", "there=1.csv"),
        ("a=b=c.csv", "a", "b=c.csv"),
        ("a\x1b[31m\n\u202e=b.csv", "a?[31m??", "b.csv"),
        (" é =b.csv", "é", "b.csv"),
        ("no-end", "no-end", "no-end"),
    ],
)
def test_what_an_option_names(tmp_path, monkeypatch, text, name, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there=1.csv").touch()
    found = Entry.typed(text)
    assert (found.name, str(found.path)) == (name, path)


def test_a_file_of_detect_in_the_folder_itself(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert Entry.typed("scores.csv").name == "mine"


@pytest.mark.parametrize("text", ["", "a=", "=b.csv", "  =b.csv", "\x00\x00=\x00"[:1] + "="])
def test_names_that_are_none(text):
    with pytest.raises(Usage, match="CSV|NAME=FILE"):
        Entry.typed(text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a.csv", "b.csv"], ["a", "b"]),
        (["x/a.csv", "y/a.csv", "b.csv"], ["x/a", "y/a", "b"]),
        (["p/x/a.csv", "q/x/a.csv"], ["p/x/a", "q/x/a"]),
        (["r1/detect-flare-1/scores.csv", "r2/detect-flare-1/scores.csv"], ["r1/detect-flare-1", "r2/detect-flare-1"]),
        (["a.csv", "a.csv", "a.csv"], ["a", "a (2)", "a (3)"]),
        (["a=x.csv", "y/a.csv"], ["a", "y/a"]),
        (["a.csv", "a.txt"], ["a", "a (2)"]),
        (["a.csv", "a.csv", "a (2).csv"], ["a", "a (2)", "HERE/a (2)"]),
    ],
)
def test_no_two_have_one_name(tmp_path, monkeypatch, given, expected):
    monkeypatch.chdir(tmp_path)
    found = submissions.distinct(Entry.typed(text) for text in given)
    assert [one.name.replace(tmp_path.name, "HERE") for one in found] == expected


@given(
    st.lists(
        st.sampled_from(
            ["a.csv", "x/a.csv", "y/a.csv", "a=1.csv", "a (2)=2.csv", "x/a=3.csv", "a.txt", "a (2).csv", "-"]
        )
    )
)
def test_whatever_is_given_has_names_of_its_own(given):
    try:
        found = submissions.distinct(Entry.typed(text) for text in given)
    except Usage:
        chosen = [text.split("=")[0] for text in given if "=" in text]
        assert len(set(chosen)) < len(chosen) or given.count("-") > 1
    else:
        assert len({one.name for one in found}) == len(found) == len(given)


# ---- the ranking


def test_the_best_is_first_whatever_the_order(exercise):
    paths = [write(f"{name}.csv", noisy(exercise, shift, seed)) for name, shift, seed in
             (("good", 3, 1), ("fair", 1.5, 2), ("poor", 0, 3))]  # fmt: skip
    found, turned = rank(*paths), rank(*reversed(paths))
    assert [one.name for one in found] == ["good", "fair", "poor"] and [one.rank for one in found] == [1, 2, 3]
    assert turned == found, "intervals too"
    alone = rank(paths[1]).submissions[0]
    assert alone.tpr_at_1_percent_fpr_interval == found.submissions[1].tpr_at_1_percent_fpr_interval
    for one in found:
        for name in ("auroc", "tpr_at_1_percent_fpr", "tpr_at_5_percent_fpr"):
            low, high = getattr(one, f"{name}_interval")
            assert 0 <= low <= getattr(one, name) <= high <= 1 and low < high
    assert found.submissions[0].behind is None and not found.submissions[1].behind.within_noise
    assert found.chance.auroc_range[0] < found.submissions[2].auroc < found.chance.auroc_range[1]


def test_a_measure_is_that_of_one_submission_alone(exercise):
    path = write("a.csv", noisy(exercise, 2, 1))
    from poisonkit.blind import grade

    one, alone = rank(path).submissions[0], grade.grade(Path("c.h5"), None, path)
    for name in ("submitted", "auroc", "average_precision", "tpr_at_1_percent_fpr", "best_f1", "listed"):
        assert getattr(one, name) == alone[name]


def test_neighbours_that_cannot_be_told_apart(exercise):
    shared = noisy(exercise, 2, 1)
    write("a.csv", shared), write("b.csv", shared + 0.01 * noisy(exercise, 0, 2)), write("c.csv", np.exp(shared))
    first, second, third = rank("a.csv", "b.csv", "c.csv")
    assert second.behind.within_noise and third.behind.within_noise
    same = {one.name: one for one in (first, second, third)}
    assert same["a"].rank == same["c"].rank, "a rising map of the scores is the same ranking of rows"
    low, high = second.behind.interval
    wide = first.auroc_interval[1] - first.auroc_interval[0]
    assert high - low < wide / 4, "they are compared row by row, not as two draws"


def test_rows_alone_stand_by_their_balanced_accuracy(exercise):
    write("a.csv", noisy(exercise, 5, 1))
    list_of("b.csv", [*range(30), *range(100, 110)])
    scored, listed = rank("a.csv", "b.csv")
    assert listed.auroc == pytest.approx((30 / 40 + 350 / 360) / 2) and scored.listed is None
    assert listed.tpr_at_1_percent_fpr is listed.tpr_at_5_percent_fpr_interval is listed.best_f1 is None
    assert (listed.listed["precision"], listed.listed["recall"]) == (0.75, 0.75)
    assert listed.listed["recall_interval"] == intervals.wilson(0.75, 40)
    nothing, _ = rank(list_of("none.csv", []), "b.csv").submissions[::-1]
    assert nothing.auroc == 0.5 and nothing.listed["precision"] is nothing.listed["precision_interval"] is None


def test_cover_rows_are_changed_rows(exercise):
    write("all.csv", exercise.changed)
    write("poisoned.csv", exercise.changed & ~exercise.cover)
    found = {one.name: one for one in rank("all.csv", "poisoned.csv")}
    assert found["all"].auroc == 1 and found["poisoned"].auroc == pytest.approx(1 - 0.25 / 2)
    assert found["poisoned"].auroc_without_cover == 1
    ranked = rank("all.csv")
    assert (ranked.changed, ranked.poisoned, ranked.cover) == (40, 30, 10)
    assert "both kinds count as found" in str(ranked)


def test_one_that_is_not_in_order_loses_the_others_nothing(exercise):
    write("a.csv", noisy(exercise, 2, 1))
    Path("b.csv").write_text("1\n1\n")
    found = rank("a.csv", "b.csv", "none.csv")
    assert [one.name for one in found] == ["a"]
    assert [(one.name, one.problem) for one in found.failed] == [
        ("b", "b.csv: line 2: row 1 was on line 1 already"),
        ("none", "none.csv: No such file or directory"),
    ]
    nothing = rank("b.csv", "none.csv")
    assert not len(nothing) and len(nothing.failed) == 2 and "name" not in str(nothing)


@pytest.mark.parametrize("changed", [False, True])
def test_where_there_is_nothing_to_tell_apart(exercise, changed, monkeypatch):
    truth = Truth("challenge-01234567", "sha256:00", np.full(ROWS, changed), np.zeros(ROWS, bool))
    monkeypatch.setattr(Truth, "open", classmethod(lambda cls, path, key: truth))
    write("a.csv", range(ROWS))
    list_of("b.csv", range(4))
    found = rank("a.csv", "b.csv")
    assert found.chance is None and all(
        one.rank is one.auroc is one.auroc_interval is one.behind is None for one in found
    )
    assert ("every" if changed else "no") + " row was changed" in str(found)
    json.dumps(found.record(), allow_nan=False)


def test_one_changed_row(exercise, monkeypatch):
    truth = Truth("challenge-01234567", "sha256:00", np.arange(ROWS) < 1, np.zeros(ROWS, bool))
    monkeypatch.setattr(Truth, "open", classmethod(lambda cls, path, key: truth))
    found = rank(write("a.csv", truth.changed), write("b.csv", ~truth.changed), write("c.csv", np.zeros(ROWS)))
    assert [one.auroc for one in found] == [1, 0.5, 0]
    assert all(one.behind.within_noise for one in found.submissions[1:])
    json.dumps(found.record(), allow_nan=False)


# ---- the table


def columns(line):
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in line)


def test_the_table_fits_a_window_and_says_what_its_signs_mean(exercise):
    for name, shift in (("a", 2), ("b", 1.9), ("upside", -3)):
        write(f"{name}.csv", noisy(exercise, shift, 1))
    list_of("rows.csv", range(0, ROWS, 2))
    entries = [
        Entry.named("長" * 80, Path("a.csv")), Entry.named("x" * 300, Path("b.csv"), baseline=True),
        Entry.named("e\u0301" * 40, Path("rows.csv")), Entry.unnamed(Path("upside.csv")),
    ]  # fmt: skip
    ranked = rank(*entries)
    printed = str(ranked).splitlines()
    assert max(map(columns, printed)) <= 100
    title = next(line for line in printed if "AUROC [95 %]" in line)
    at = title.index("AUROC")
    begins = printed.index(title) + 1
    for line in printed[begins : begins + 5]:
        start = next(place for place in range(len(line)) if columns(line[:place]) == at)
        assert line[start:].lstrip("\u0301")[:2] in ("0.", "1."), line
    places = {word: next(n for n, line in enumerate(printed) if word in line) for word in ("chance", "upside", "…")}
    assert places["…"] < places["chance"] < places["upside"]
    legend = "\n".join(printed[begins + 5 :])
    assert "* a baseline" in legend and "balanced accuracy" in legend and "upside: worse than chance" in legend
    assert any(line.endswith("200 rows: precision 0.100, recall 0.500") for line in printed)
    assert [columns(ranking_table.fitted(one.name, 26)) <= 26 for one in ranked] == [True] * 4


@given(st.text(max_size=60), st.integers(3, 30))
def test_a_name_that_is_cut_fits(text, width):
    text = "".join(letter for letter in text if letter.isprintable())
    cut = ranking_table.fitted(text, width)
    assert ranking_table.width(cut) <= width and (cut == text or "…" in cut)


# ---- the command


@pytest.fixture
def sealed(poisonkit, library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    poisonkit("seal", library("source-specific"), "-o", "c.h5", "--key", "c.key.h5", "--secret-seed", "3").succeeded()
    truth = Truth.open(Path("c.h5"), Path("c.key.h5"))
    random = np.random.default_rng(0)
    for name, shift in (("a", 3), ("b", 1), ("flare", 2)):
        rows = random.normal(size=len(truth.changed)) + shift * truth.changed
        folder = f"run/detect-{name}-01234567"
        write(f"{folder}/scores.csv" if name == "flare" else f"{name}.csv", rows)
    return truth


def test_the_command_ranks(poisonkit, sealed):
    asked = ("grade", "c.h5", "--submission", "Team A=a.csv", "--submission", "b.csv", "--baseline")
    asked = (*asked, "run/detect-flare-01234567/scores.csv")
    out = poisonkit(*asked).succeeded().lines
    (line,) = (line for line in out if "detect-flare-01234567 *" in line)
    assert any(line.startswith("answer") and "(10 poisoned, 20 cover)" in line for line in out)
    found = json.loads(poisonkit(*asked, "--json").succeeded().out)
    assert found["ranked_by"] == "auroc" and found["commitment"] == sealed.commitment and found["failed"] == []
    names = [(one["rank"], one["name"], one["baseline"]) for one in found["submissions"]]
    assert names == [(1, "Team A", False), (2, "detect-flare-01234567", True), (3, "b", False)]
    assert found["submissions"][0]["path"] == "a.csv" and found["submissions"][0]["behind"] is None
    assert found["submissions"][1]["behind"].keys() == {"difference", "interval", "within_noise"}
    assert found["chance"]["auroc"] == 0.5 and 0 <= found["submissions"][0]["auroc_without_cover"] <= 1


def test_one_submission_is_graded_as_ever(poisonkit, sealed):
    found = json.loads(poisonkit("grade", "c.h5", "--submission", "Team A=a.csv", "--json").succeeded().out)
    assert list(found) == [
        "challenge", "commitment", "rows", "changed", "poisoned", "cover", "submitted", "auroc", "average_precision",
        "tpr_at_1_percent_fpr", "best_f1", "at_threshold", "listed",
    ]  # fmt: skip
    plain = poisonkit("grade", "c.h5", "--submission", "a.csv").succeeded()
    assert (
        plain.lines[2].startswith("AUROC  ") and poisonkit("grade", "c.h5", "--submission", "A=a.csv").out == plain.out
    )


def test_what_is_wrong_with_a_submission_stands_on_one_line_and_the_others_are_ranked(poisonkit, sealed):
    Path("bad.csv").write_text("row\n1\nx\n")
    asked = ("grade", "c.h5", "--submission", "a.csv", "--submission", "bad.csv", "--submission", "none.csv")
    done = poisonkit(*asked)
    assert done.code == 1 and any(line.lstrip().startswith("1  a ") for line in done.lines)
    assert done.errors[0].startswith("poisonkit: bad: bad.csv: line 3: 'x' is not a row number")
    assert done.errors[1] == "poisonkit: none: none.csv: No such file or directory" and len(done.errors) == 2
    found = json.loads(poisonkit(*asked, "--json").out)
    assert [one["name"] for one in found["failed"]] == ["bad", "none"]
    poisonkit("grade", "c.h5", "--submission", "bad.csv").failed(1, "bad.csv: line 3")


def test_what_is_no_ranking(poisonkit, sealed):
    two = ("grade", "c.h5", "--submission", "a.csv", "--submission")
    poisonkit("grade", "c.h5").failed(2, "--submission")
    poisonkit(*two, "").failed(2, "--submission: expected CSV or NAME=CSV")
    poisonkit(*two, "b=").failed(2, "--submission: expected CSV or NAME=CSV, got 'b='")
    poisonkit(*two, "b.csv", "--baseline", "b=").failed(2, "--baseline: expected CSV or NAME=CSV")
    poisonkit(*two, "b.csv", "--threshold", "1").failed(2, "--threshold", "one at a time")
    poisonkit(*two, "x=b.csv", "--baseline", "x=a.csv").failed(2, "two submissions are named 'x'")
    poisonkit("grade", "c.h5", "--submission", "-", "--submission", "y=-").failed(2, "standard input")


def test_one_may_come_from_standard_input(poisonkit, sealed, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(Path("a.csv").read_text()))
    asked = ("grade", "c.h5", "--submission", "-", "--submission", "b.csv", "--json")
    found = json.loads(poisonkit(*asked).succeeded().out)
    assert [one["name"] for one in found["submissions"]] == ["standard input", "b"]


# ---- Python


def test_python_ranks_lists_and_dicts(sealed):
    found = pk.grade(
        "c.h5", {"Team A": "a.csv", "b": Path("b.csv")}, baselines=["run/detect-flare-01234567/scores.csv"]
    )
    assert isinstance(found, pk.Ranking) and [one.name for one in found] == ["Team A", "detect-flare-01234567", "b"]
    assert [one.name for one in pk.grade("c.h5", ["a.csv"], "c.key.h5")] == ["a"]
    assert [one.name for one in pk.grade("c.h5", "b.csv", baselines={"flare": "a.csv"})] == ["flare", "b"]
    assert pk.grade("c.h5", "a.csv")["auroc"] == found.submissions[0].auroc


def test_python_says_what_is_wrong(sealed):
    with pytest.warns(UserWarning, match="none: none.csv: No such file") as caught:
        assert len(pk.grade("c.h5", ["a.csv", "none.csv"])) == 1
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for wrong in ([], {}, 5, {"a": 1}, {1: "a.csv"}, [None], {" ": "a.csv"}):
            with pytest.raises(pk.Usage):
                pk.grade("c.h5", wrong)
        with pytest.raises(pk.Usage, match="baselines: expected a path, or a list"):
            pk.grade("c.h5", "a.csv", baselines="b.csv")
        with pytest.raises(pk.Usage, match="threshold: each submission"):
            pk.grade("c.h5", ["a.csv", "b.csv"], threshold=1.0)
