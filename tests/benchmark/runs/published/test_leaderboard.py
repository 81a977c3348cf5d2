"""Tables of published figures that a user has: both layouts, and every way in which a file can be wrong."""

import os
import re
import subprocess
import sys
import time
from fractions import Fraction

import click.testing
import clone
import fake_runs
import pytest

from benchmark.cli import main
from benchmark.core.errors import Damaged, Usage
from benchmark.runs import published
from benchmark.runs.published import backdoorbench, leaderboard, registry
from benchmark.training.settings import PRESETS_OF

OURS = "dataset,network,attack,defence,rate,BA,ASR,RA"
SITE = ",dataset,backbone,attack_name,defense_name,ratio,test_acc,test_asr,test_ra"
ROW = "cifar10,preactresnet18,badnet,no defense,0.1,91.32,95.03,4.67"
SITE_ROW = "0,gtsrb,preactresnet18,badnet,no defense,0.001,0.9859857482185274,0.1268894192521877,0.8454254865646362"


def written(path, *lines, end="\n", encoding="utf-8"):
    path.write_bytes(("\n".join(lines) + end).encode(encoding, "surrogateescape"))
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "results.csv"


def table(runs, *words):
    """`benchmark table RUNS WORDS` in this process."""
    return click.testing.CliRunner().invoke(main.main, ["table", str(runs), *map(str, words)])


def test_the_columns_of_the_shipped_file(file):
    (row,) = leaderboard.read(written(file, "# a remark, of any length " + "x" * 5000, OURS, ROW))
    assert (row.dataset, row.network, row.attack, row.defence) == ("cifar10", "preactresnet18", "badnet", "no defense")
    assert row.rate == Fraction(1, 10) and row.scores == {"ba": 91.32, "asr": 95.03, "still_right": 4.67}


def test_the_columns_of_the_site_have_fractions_and_gaps(file):
    rows = leaderboard.read(
        written(
            file, SITE, SITE_ROW,
            "1,gtsrb,preactresnet18,badnet,ft,0.001,-1,-1.0,-1",
            "2,gtsrb,preactresnet18,badnet,fp,0.001,,,",
            "3,gtsrb,preactresnet18,badnet,fp,0.005,0.98,7.955449837027118e-05,",
        )
    )  # fmt: skip
    assert [row.scores for row in rows] == [{"ba": 98.6, "asr": 12.69, "still_right": 84.54}, {"ba": 98.0, "asr": 0.01}]


def test_both_layouts_give_the_same_figures(file, tmp_path):
    site = leaderboard.read(written(file, SITE, SITE_ROW))
    ours = leaderboard.read(
        written(tmp_path / "ours.csv", OURS, "gtsrb,preactresnet18,badnet,no defense,0.001,98.60,12.69,84.54")
    )
    assert site == ours and site[0] in leaderboard.read(registry.FOLDER / "backdoorbench.csv")


def test_windows_line_ends_a_byte_order_mark_more_columns_and_another_order(file):
    lines = ["﻿" + "more," + ",".join(reversed(OURS.split(","))), "=1+1," + ",".join(reversed(ROW.split(",")))]
    (row,) = leaderboard.read(written(file, *(line + "\r" for line in lines), end=""[:0] + "\n"))
    assert row.scores["ba"] == 91.32


BAD = {
    "empty": ([], r"line 1: expected the columns dataset,network,attack,defence,rate,BA,ASR,RA, or dataset,backbone"),
    "another table": (["a,b", "1,2"], r"line 1: expected the columns dataset,"),
    "no header": ([ROW], r"line 1: expected the columns dataset,"),
    "a column short": ([OURS.replace(",RA", ""), ROW], r"line 1: column RA is missing"),
    "a column twice": ([OURS + ",BA", ROW + ",1"], r"line 1: column BA stands twice"),
    "no rows": ([OURS], r"has no row with a score"),
    "no scores": ([SITE, "2,gtsrb,preactresnet18,badnet,fp,0.001,,,"], r"has no row with a score"),
    "cut in a row": ([OURS, ROW, "cifar10,preactresnet18,badnet,no"], r"line 3: expected 8 cells, got 4"),
    "a cell more": ([OURS, ROW + ",1"], r"line 2: expected 8 cells, got 9"),
    "an open quote": ([OURS, '"' + ROW], r"line 2: unexpected end of data"),
    "NaN": ([OURS, ROW.replace("91.32", "nan")], r"line 2: BA: expected a number, got 'nan'"),
    "infinite": ([OURS, ROW.replace("91.32", "1e999")], r"line 2: BA: expected a number, got '1e999'"),
    "above 100": (
        [OURS, ROW.replace("95.03", "100.01")],
        r"line 2: ASR: expected a number from 0 to 100, got '100.01'",
    ),
    "negative": ([OURS, ROW.replace("4.67", "-1")], r"line 2: RA: expected a number from 0 to 100, got '-1'"),
    "percent on the site": ([SITE, SITE_ROW.replace("0.98598", "98.6")], r"line 2: test_acc: expected .* 0 to 1, got"),
    "endless": ([OURS, ROW.replace("91.32", "9" * 900)], r"line 2: BA: expected a number, got '9{39}"),
    "endless rate": ([OURS, ROW.replace("0.1,", "1e-999999999,")], r"line 2: rate: expected a decimal such as 0.05"),
    "rate above 1": ([OURS, ROW.replace("0.1,", "10,")], r"line 2: rate: expected a decimal from 0 to 1"),
    "rate 0": ([OURS, ROW.replace("0.1,", "0.0,")], r"line 2: rate: expected a rate above 0"),
    "a long line": ([OURS, "x" * 1001], r"line 2: longer than 1000 characters"),
    "a long name": ([OURS, ROW.replace("badnet", "b" * 65)], r"line 2: attack: expected a name of letters"),
    "a formula": ([OURS, ROW.replace("badnet", "=HYPERLINK(1)")], r"line 2: attack: expected a name of letters"),
    "a link": ([OURS, ROW.replace("badnet", "[a](http://b)")], r"line 2: attack: expected a name of letters"),
    "mark-up": ([OURS, ROW.replace("cifar10", "<b>")], r"line 2: dataset: expected a name of letters"),
    "no name": ([OURS, ROW.replace("badnet", "")], r"line 2: attack: expected a name of letters"),
    "a control character": ([OURS, ROW.replace("badnet", "bad\x1bnet")], r"line 2: holds a character that cannot be"),
    "a turned name": ([OURS, ROW.replace("badnet", "bad\u202enet")], r"line 2: holds a character that cannot be"),
    "a line separator": ([OURS, ROW + "\u2028" + ROW], r"line 2: holds a character that cannot be"),
    "not UTF-8": ([OURS, ROW.replace("badnet", "bad\udcffnet")], r"line 2: not UTF-8"),
    "the same twice": (["# x", OURS, ROW, ROW.replace("91.32", "90")], r"line 4: the same cell as line 3"),
    "the same rate twice": ([OURS, ROW, ROW.replace("0.1,", "0.10,")], r"line 3: the same cell as line 2"),
    "no digest": ([OURS + ",picture", ROW + ",sha256:12"], r"line 2: picture: expected sha256: and 64 hexadecimal"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_in_one_line_with_its_number(name, tmp_path, file):
    lines, words = BAD[name]
    fake_runs.write(tmp_path / "runs")
    done = table(tmp_path / "runs", "--beside", written(file, *lines))
    assert (done.exit_code, done.stdout) == (1, "") and done.stderr.count("\n") == 1 and len(done.stderr) < 500
    assert re.match(rf"benchmark: {re.escape(str(file))}: {words}", done.stderr), done.stderr
    assert done.stderr.rstrip("\n").isprintable()


def test_a_file_that_was_cut_is_refused_even_where_its_last_line_is_whole(file):
    with pytest.raises(Damaged, match=r"line 2: its last line has no line end, so the file may have been cut"):
        leaderboard.read(written(file, OURS, ROW, end=""))


def test_a_file_that_is_too_large_is_not_read(file):
    with open(file, "wb") as stream:
        stream.truncate(leaderboard.MOST + 1)
    with pytest.raises(Damaged, match="larger than 16 MiB"):
        leaderboard.read(file)


def test_a_pipe_a_folder_and_nothing(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "gone")
    for name in ("pipe", "folder"):
        with pytest.raises(Damaged, match="is not a file"):
            leaderboard.read(tmp_path / f"{name}.csv")
    for name in ("none", "dangling"):
        with pytest.raises(Usage, match="no such file"):
            leaderboard.read(tmp_path / f"{name}.csv")
    (tmp_path / "link.csv").symlink_to(written(tmp_path / "results.csv", OURS, ROW))
    assert len(leaderboard.read(tmp_path / "link.csv")) == 1, "the user named it"


def test_a_whole_leaderboard_is_read_in_a_moment(file):
    rows = [
        f"{number},cifar10,net{number % 16},attack{number % 12},def{number},0.1,0.5,0.5,0.5" for number in range(15_360)
    ]
    start = time.perf_counter()
    assert len(leaderboard.read(written(file, SITE, *rows))) == 15_360
    assert time.perf_counter() - start < 5


def test_only_what_ours_can_be_compared_with_is_kept(file):
    rows = [
        ROW,
        ROW.replace("no defense", "ft"),
        ROW.replace("preactresnet18", "vit_b_16"),
        ROW.replace("badnet", "ssba"),
        ROW.replace("cifar10", "tiny"),
    ]
    found = backdoorbench.of_file(written(file, OURS, *rows))
    assert list(found.attacks()) == [("cifar10", "preact-resnet18", "square", "image", Fraction(1, 10))]
    assert found.remarks() == ["rows that ours can be compared with: 1 of 5 (on defences: 1)"]
    assert found.note == "one run, no interval" and found.name == "results.csv"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("paper",), "--beside: expected backdoorbench, badpatches, none or a file that ends in .csv, got 'paper'"),
        (("none", "badpatches"), "--beside none: expected nothing else beside it"),
        (("badpatches", "badpatches"), "--beside: 'badpatches' stands twice"),
        (("gone.csv",), "--beside: gone.csv: no such file"),
    ],
)
def test_what_is_no_source_is_a_usage_error(words, message, tmp_path):
    fake_runs.write(tmp_path)
    done = table(tmp_path, *(part for word in words for part in ("--beside", word)))
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"benchmark: {message}\n")


def test_the_help_names_every_source():
    for command in ("table", "figures", "report"):
        done = click.testing.CliRunner().invoke(main.main, [command, "--help"])
        said = " ".join(done.stdout.split())
        assert "--beside NAME|FILE.csv" in said and all(name in said for name in published.PUBLISHED)


SOURCE = """
from fractions import Fraction

from benchmark.runs.published.registry import Key, PublishedSpec, compare, register
from benchmark.training.settings import PRESETS

FIGURES = {Key("cifar10", "pmoe", "square", "image", Fraction("0.005")): {"asr": 12.0}}
OURS = register(
    PublishedSpec(
        name="somebody",
        title="Somebody",
        scores=("asr",),
        settings=lambda dataset: "theirs",
        attacks=lambda: FIGURES,
        deviations=lambda result, defended: compare(result, PRESETS["paper"], lambda dataset: [], defended),
    )
)
"""


def test_one_more_file_is_one_more_source(tmp_path, root):
    clone.with_file(root, tmp_path, "runs/published/somebody.py", SOURCE)
    fake_runs.write(tmp_path / "runs")
    done = clone.benchmark(tmp_path, "table", tmp_path / "runs", "--beside", "somebody", "--wide")
    assert done.returncode == 0, done.stderr
    assert re.search(r"ASR +90\.7.* +12\.0 +\+78\.7 +undecided", done.stdout)
    assert "somebody" in clone.benchmark(tmp_path, "table", "--help").stdout


@pytest.mark.parametrize(
    "name", ["$\\frac$.csv", "a\x1b[2J.csv", "\udcff.csv", "\u202egnp.csv", "=1+1.csv", "|`<b>.csv"]
)
def test_the_name_of_a_file_does_nothing_to_what_shows_it(name, tmp_path):
    fake_runs.write(tmp_path / "runs", settings=PRESETS_OF[backdoorbench.NETWORK]["backdoorbench-cifar10"], rate="0.1")
    file = os.fsencode(tmp_path / "") + b"/" + name.encode("utf-8", "surrogateescape")
    with open(file, "wb") as stream:
        stream.write(f"{OURS}\n{ROW}\n".encode())
    words = ("--beside", os.fsdecode(file), "--beside", "backdoorbench")
    for form in ("text", "markdown", "latex", "csv", "json"):
        done = table(tmp_path / "runs", *words, "--format", form)
        assert done.exit_code == 0, (form, done.output, done.exception)
        assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `report`)")
    for command in ("figures", "report"):
        asked = [command, str(tmp_path / "runs"), *words, "-o", str(tmp_path / command)]
        done = click.testing.CliRunner().invoke(main.main, asked)
        assert done.exit_code == 0, (command, done.output, done.exception)


def test_two_sources_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two sources"):
        registry.register(backdoorbench.BACKDOORBENCH)


def test_the_option_of_before_is_gone(tmp_path):
    fake_runs.write(tmp_path)
    words = [sys.executable, "-m", "benchmark", "table", str(tmp_path), "--paper"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--paper" in done.stderr and done.stderr.count("\n") == 1
