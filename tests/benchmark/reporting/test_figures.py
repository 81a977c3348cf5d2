"""Figures of runs that were written by hand: which there are, what is in them, and that they repeat themselves."""

import os
import subprocess
import sys
import types

import click.testing
import fake_runs
import pytest

from benchmark.cli import main
from benchmark.runs import groups, results
from benchmark.runs.published import badpatches
from benchmark.training.callbacks import Epoch
from benchmark.training.settings import PRESETS

pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `report`)")

from benchmark.reporting import figures  # noqa: E402


def invoke(*arguments):
    """`benchmark figures ARGUMENTS` in this process."""
    return click.testing.CliRunner().invoke(main.main, ["figures", *(os.fspath(word) for word in arguments)])


@pytest.fixture
def runs(tmp_path):
    """Two seeds of a clean cell, and of one trigger at two rates on whole images and on patches."""
    folder, history = tmp_path / "runs", [(2.0, 30, 1), (1.0, 60, 40), (0.5, 80, 90)]
    for seed in range(2):
        fake_runs.write(folder, trigger=None, seed=seed, ba=84 + seed, history=[(a, b, "") for a, b, _ in history])
        for application, asr in (("image", 30), ("patch", 95)):
            for rate in ("0.001", "0.005"):
                fake_runs.write(folder, application=application, rate=rate, seed=seed, asr=asr + seed, history=history)
    return folder


def drawn(runs, sources=(badpatches.BADPATCHES,)):
    return dict(figures.drawn(groups.group(results.gather([runs])), sources))


def lines(panel):
    """Label → (x, y) of the lines of a panel that have a label, error bars by their own."""
    named = {bar.get_label(): bar.lines[0] for bar in panel.containers}
    named |= {line.get_label(): line for line in panel.get_lines() if not line.get_label().startswith("_")}
    return {label: (list(line.get_xdata()), list(line.get_ydata())) for label, line in named.items()}


def test_the_points_are_the_means_and_the_paper_s(runs):
    (panel,) = drawn(runs)["asr-cifar10-paper"].axes
    found = lines(panel)
    assert found["whole image"] == ([0.1, 0.5], [pytest.approx(30.5, abs=0.01)] * 2)
    assert found["every patch"] == ([0.1, 0.5], [pytest.approx(95.5, abs=0.01)] * 2)
    assert found["BadPatches, every patch"][1][:3] == [72.7, 96.6, 95.1]
    assert panel.get_xscale() == "log" and panel.get_title() == "square"
    assert [text.get_text() for text in panel.get_xticklabels()] == ["0.01", "0.05", "0.1", "0.5", "2", "6", "10"]
    hollow = next(line for line in panel.get_lines() if line.get_label() == "BadPatches, every patch")
    assert hollow.get_markerfacecolor() == "none"
    assert "BadPatches" not in str(lines(drawn(runs, sources=())["asr-cifar10-paper"].axes[0]))


def test_bands_are_the_intervals(runs):
    (panel,) = drawn(runs)["asr-cifar10-paper"].axes
    found = [collection.get_paths()[0].get_extents() for collection in panel.collections[:4]]
    spans = {(round(box.y0, 1), round(box.y1, 1)) for box in found}
    assert (24.1, 36.9) in spans and (89.1, 100.0) in spans  # 30.5 ± 6.4, and 95.5 + 6.4 cut to 100


def test_every_line_differs_in_more_than_its_colour(runs):
    for size in (2, 16):
        fake_runs.write(runs, application="patch", patch=[size, size], history=[(2.0, 30, 1)])
    for figure in drawn(runs).values():
        for panel in figure.axes:
            named = [bar.lines[0] for bar in panel.containers]
            named += [line for line in panel.get_lines() if not line.get_label().startswith("_")]
            looks = [(str(line._dash_pattern), line.get_marker(), line.get_markerfacecolor() == "none",
                      line.get_linestyle()) for line in named]  # fmt: skip
            assert len(looks) == len(set(looks)) >= 2


def test_curves_are_means_over_the_seeds(runs):
    figure = drawn(runs)["curves-cifar10-paper"]
    asr, ba, loss = figure.axes
    assert lines(asr)["every patch, 0.5 %"] == ([1, 2, 3], [1, 40, 90]) and "clean model" not in lines(asr)
    assert lines(ba)["clean model"] == ([1, 2, 3], [30, 60, 80]) and lines(loss)["clean model"][1] == [2, 1, 0.5]
    assert len(lines(loss)) == 5


def test_runs_of_one_epoch_have_no_curve(tmp_path):
    fake_runs.write(tmp_path, history=[(2.0, 30, 1)])
    assert set(drawn(tmp_path)) == {"asr-cifar10-paper", "ba-cifar10-paper"}


def test_one_panel_a_trigger_and_one_figure_a_data_set_and_settings(runs):
    fake_runs.write(runs, trigger="blend")
    fake_runs.write(runs, source="gtsrb", settings=PRESETS["small"])
    found = drawn(runs)
    assert set(found) == {"asr-cifar10-paper", "ba-cifar10-paper", "curves-cifar10-paper",
                          "asr-gtsrb-small", "ba-gtsrb-small"}  # fmt: skip
    assert [panel.get_title() for panel in found["asr-cifar10-paper"].axes] == ["square", "blend"]
    assert "BadPatches: width 10, 25 epochs" in found["asr-gtsrb-small"].get_suptitle()


def test_variants_of_an_attack_are_lines_of_their_own(runs):
    for size in (2, 4, 16):
        fake_runs.write(runs, application="patch", patch=[size, size])
    labels = lines(drawn(runs)["asr-cifar10-paper"].axes[0])
    assert {f"every patch (patches of {size}×{size})" for size in (2, 4, 16)} < set(labels)


def test_the_files(runs, tmp_path):
    done = invoke(runs, "-o", tmp_path / "a")
    assert done.exit_code == 0, done.output
    names = [f"{name}-cifar10-paper.{form}" for name in ("asr", "ba", "curves") for form in ("png", "svg")]
    paths = [tmp_path / "a" / name for name in names]
    assert done.stdout.splitlines() == [str(path) for path in paths]
    for path in paths:
        assert path.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml") and path.stat().st_size > 10_000
    other = dict(os.environ, PYTHONHASHSEED="7", SOURCE_DATE_EPOCH="1")
    words = [sys.executable, "-m", "benchmark", "figures", str(runs), "-o", str(tmp_path / "b"), "--format", "svg"]
    subprocess.run(words, check=True, env=other, stdout=subprocess.DEVNULL)
    for path in (tmp_path / "b").iterdir():
        data = path.read_bytes()
        assert data == (tmp_path / "a" / path.name).read_bytes() and b"<dc:date>" not in data
    assert len(list((tmp_path / "b").iterdir())) == 3


def test_nothing_to_draw_and_nothing_to_draw_with(runs, tmp_path, monkeypatch):
    fake_runs.write(tmp_path / "clean", trigger=None)
    assert "nothing to draw" in invoke(tmp_path / "clean", "-o", tmp_path / "a").stderr
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = invoke(runs, "-o", tmp_path / "b")
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert 'pip install "poisonkit[report]"' in done.stderr and not (tmp_path / "b").exists()


@pytest.mark.parametrize("text", ["epoch,loss\n1,2\n", "epoch,loss,ba,asr\n1,x,3,4\n", "epoch,loss,ba,asr\n1\n"])
def test_a_damaged_history_is_named(text, tmp_path):
    (fake_runs.write(tmp_path / "runs") / "history.csv").write_text(text)
    done = invoke(tmp_path / "runs", "-o", tmp_path / "a")
    assert done.exit_code == 1 and "history.csv: cannot be read" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("column, value", [("epoch", -5), ("epoch", 1), ("epoch", 1e300), ("epoch", 2.5), ("ba", -1),
                                           ("asr", 101), ("seconds", 1e300)])  # fmt: skip
def test_an_edited_history_is_not_drawn(column, value, tmp_path):
    path = fake_runs.write(tmp_path / "runs", history=[(2, 30, 5), (1, 60, 50), (0.5, 80, 90)]) / "history.csv"
    head, *rows = path.read_text().splitlines()
    cells = dict(zip(head.split(","), rows[1].split(","), strict=True)) | {column: str(value)}
    path.write_text("\n".join([head, rows[0], ",".join(cells.values()), *rows[2:]]) + "\n")
    done = invoke(tmp_path / "runs", "-o", tmp_path / "a")
    assert done.exit_code == 1 and f"{path}: cannot be read" in done.stderr and done.stderr.count("\n") == 1


def test_a_history_that_a_spreadsheet_saved_is_read(tmp_path):
    """With a byte-order mark before its first column."""
    head = "epoch,loss,ba,asr,seconds,score_seconds,images"
    (tmp_path / "history.csv").write_bytes(f"\ufeff{head}\r\n1,1,1,1,1,1,1\r\n".encode())
    cell = types.SimpleNamespace(runs=[types.SimpleNamespace(folder=tmp_path)])
    assert figures._histories(cell, {}) == [[Epoch(1, 1.0, 1.0, 1.0, 1.0, 1.0, 1)]]


def test_pdf_is_the_same_to_the_last_byte(runs, tmp_path):
    for seed in ("1", "2"):
        words = [sys.executable, "-m", "benchmark", "figures", str(runs), "-o", str(tmp_path / seed), "--format", "pdf"]
        environment = dict(os.environ, PYTHONHASHSEED=seed)
        environment.pop("SOURCE_DATE_EPOCH", None)
        subprocess.run(words, check=True, env=environment, stdout=subprocess.DEVNULL)
    names = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert names == [f"{name}-cifar10-paper.pdf" for name in ("asr", "ba", "curves")]
    for name in names:
        content = (tmp_path / "1" / name).read_bytes()
        assert content.startswith(b"%PDF-") and b"CreationDate" not in content
        assert content == (tmp_path / "2" / name).read_bytes()


def test_titles_say_data_set_and_network(runs):
    titles = {name: figure.get_suptitle() for name, figure in drawn(runs, sources=()).items()}
    assert set(titles.values()) == {"cifar10, pMoE (paper)"}
