"""The report: one page with everything in it, nothing from outside in it that could do anything."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import browser
import click.testing
import fake_runs
import pytest
import writer

from benchmark.cli import main
from benchmark.reporting.html import page, report
from benchmark.training.settings import ENCODERS

pytest.importorskip("matplotlib")
VOID = {"meta", "img", "br"}


class Checker(HTMLParser):
    """Every tag is closed, and nothing is fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.data = [], set(), "", ""

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            assert not name.startswith("on") and not (value or "").startswith(("http", "//", "javascript")), (tag, name)
            if name == "src":
                assert value.startswith("data:image/")
            if name == "href" and value.startswith("data:"):
                assert value.startswith(("data:text/csv;charset=utf-8,", "data:application/json;charset=utf-8,"))
                assert "download" in dict(attributes)
        if tag == "script":
            assert attributes in ([], [("type", "application/json"), ("id", "board-data")])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["script"]:
            self.text += data
        elif data != page.SCRIPT:
            self.data += data


def checked(path: Path) -> Checker:
    found = Checker()
    found.feed(path.read_text("utf-8"))
    assert not found.open and not {"link", "iframe", "object", "form", "base"} & found.tags
    only = base64.b64encode(hashlib.sha256(page.SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{only}'"
    assert policy in path.read_text("utf-8")
    assert json.loads(found.data or "[]") is not None
    return found


def test_a_page_of_paper_cells(tmp_path):
    runs = tmp_path / "runs"
    for seed in range(3):
        fake_runs.write(runs, trigger=None, seed=seed, ba=85 + seed)
        for application, asr in (("image", 90), ("patch", 99)):
            fake_runs.write(
                runs, application=application, seed=seed, asr=asr + seed / 10, history=[(1, 80, 50), (0.5, 83, asr)]
            )
    found = checked(report.write([runs], tmp_path / "out"))
    for words in (
        "9 finished runs (3 of them clean",
        "Comparison with published results",
        "agrees",
        "95 % interval",
        "patch",
    ):
        assert words in found.text, words
    assert "benchmark train data/cifar10-clean.h5" in found.text and "Unfinished runs" not in found.text
    assert "svg" not in found.tags and found.text.count("All runs") == 2  # the heading, and the link to it


def test_texts_are_called_texts(tmp_path):
    runs = tmp_path / "runs"
    fake_runs.write(runs, settings=ENCODERS["minilm"], application="text")
    found = checked(report.write([runs], tmp_path / "out")).text
    assert "Backdoors in text encoders: cifar10" in found and "poisoned texts" in found and " texts/s" in found
    assert "images" not in found and "pMoE" not in found
    fake_runs.write(runs)
    found = checked(report.write([runs], tmp_path / "out")).text
    assert "Backdoors in pMoE and text encoders" in found and "clean test images and texts" in found


def test_names_from_outside_are_only_text(tmp_path):
    runs = tmp_path / "runs"
    folder = fake_runs.write(runs, application="image")
    result = json.loads((folder / "result.json").read_text())
    result["device"] = '<script>alert("x")</script>'
    (folder / "result.json").write_text(json.dumps(result))
    found = checked(report.write([runs], tmp_path / "out"))
    assert '<script>alert("x")</script>' in found.text and "alert" not in found.data


def test_what_did_not_finish_is_shown_with_its_log(tmp_path):
    runs = tmp_path / "runs"
    fake_runs.write(runs)
    broken = fake_runs.write(runs, seed=1)
    (broken / "result.json").unlink()
    (broken / "log.txt").write_text("benchmark: the loss is nan in epoch 2\n")
    found = checked(report.write([runs], tmp_path / "out"))
    assert "Unfinished runs" in found.text and "the loss is nan" in found.text


@pytest.mark.slow
def test_previews_defences_and_routing_of_real_runs(tmp_path):
    def invoke(*words):
        done = click.testing.CliRunner().invoke(main.main, [str(word) for word in words])
        assert done.exit_code == 0, done.output
        return done.stdout

    toy = writer.toy(tmp_path)
    settings = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "16", "--learning-rate", "0.01")
    invoke("train", *settings, "--hold-out", "30", *toy, "--runs", tmp_path / "runs", "-q")
    (run,) = (
        path
        for path in (tmp_path / "runs").iterdir()
        if "poisoned" in json.loads((path / "result.json").read_text())["dataset"]["kind"]
    )
    invoke("repair", run, "--method", "fine-pruning", "--option", "rates=0.5", "--option", "epochs=1")
    invoke("routing", run, toy[1])
    printed = invoke("report", tmp_path / "runs", "-o", tmp_path / "out")
    assert printed.strip() == str(tmp_path / "out" / "report.html")
    found = checked(tmp_path / "out" / "report.html")
    for words in ("Attack examples", "fine-tuned", "masked", "Expert routing", "overview"):
        assert words in found.text, words


@pytest.mark.parametrize("watched", [True, False])
def test_on_a_terminal_it_says_what_it_is_making(tmp_path, watched, monkeypatch):
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: watched, raising=False)
    fake_runs.write(tmp_path / "runs")
    words = ["report", str(tmp_path / "runs"), "-o", str(tmp_path / "report")]
    done = click.testing.CliRunner().invoke(main.main, words)
    assert done.exit_code == 0 and done.stdout.splitlines() == [str(tmp_path / "report/report.html")]
    assert ("Figures …" in done.stderr.splitlines()) is watched and (len(done.stderr) > 0) is watched


def test_without_a_finished_run(tmp_path):
    (tmp_path / "runs").mkdir()
    done = click.testing.CliRunner().invoke(main.main, ["report", str(tmp_path / "runs")])
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1 and "no finished run" in done.stderr


def many(folder: Path, count: int) -> Path:
    for seed in range(count // 4):
        for application in ("image", "patch"):
            for rate in ("0.005", "0.02"):
                fake_runs.write(folder / "runs", application=application, rate=rate, seed=seed, asr=90 + seed % 7)
    return report.write([folder / "runs"], folder / "out")


@pytest.mark.slow
@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium here")
def test_four_hundred_runs_open_at_once(tmp_path):
    """In a real browser: nothing on its console, nothing from the net, and within a second of a processor."""
    path = many(tmp_path, 400)
    checked(path)
    assert path.stat().st_size < 2_000_000
    with browser.page(tmp_path / "profile") as tab:
        tab.open(path)
        assert not tab.messages and all(url.startswith(("file:", "data:")) for url in tab.requests)
        assert tab.run("document.querySelectorAll('details').length") == 400
        assert tab.spent() < 1


def test_tables_have_as_many_cells_as_columns():
    text = page.table(["a", "b"], [["1", "<2>"]], left=1)
    assert text.count("<th") - text.count("<thead") == text.count("<td") == 2 and "&lt;2&gt;" in text
    assert re.findall(r'class="left">([^<]*)<', text) == ["a", "1"]


def test_an_interval_stands_under_its_mean_and_a_number_is_not_broken():
    told = page.table(["data set", "BA", "CAD"], [["cifar10 [v2]", "55.5 ± 8.9 [0.0, 100.0]", "<b>"]], 1)
    assert '<td class="left">cifar10 [v2]</td><td>55.5 ± 8.9<small>[0.0, 100.0]</small></td><td>&lt;b&gt;</td>' in told


@pytest.mark.slow
@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium here")
def test_no_table_of_results_needs_a_sideways_scroll(tmp_path, root):
    """At a width of 1280 pixels, for everything that is committed."""
    with browser.page(tmp_path / "profile") as tab:
        for name in ("signs", "width-1", "heads"):
            tab.open(report.write([root / "results" / name], tmp_path / name))
            far = tab.run("[...document.querySelectorAll('.wide')].map((box) => box.scrollWidth - box.clientWidth)")
            root_far = tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert far and max(far) <= 0 and root_far <= 0, (name, far, root_far)
