"""What a person sees of a run, without a run."""

import dataclasses
import io
import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.core import duration
from benchmark.runs import progress
from benchmark.training.callbacks import Epoch
from benchmark.training.settings import ENCODERS, PRESETS

RUN = SimpleNamespace(folder=SimpleNamespace(name="the-run"))
ROWS = {"test": range(10_000), "triggered": range(9_000), "others": None}
DATA = SimpleNamespace(data=SimpleNamespace(**ROWS), rows=np.arange(50_000))
ENTRY = Epoch(1, 1.5, 40.25, 12.0, 50.0, 10.0, 60)


@pytest.fixture
def started(monkeypatch, capsys):
    """Start a run of a preset where a training step of 128 images takes the given seconds; what it says so far."""

    def start(preset, step, device="cpu", history=()):
        clock = itertools.count(0, step)
        monkeypatch.setattr(progress.engines, "device", lambda: device)
        monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
        shown = progress.Progress()
        shown.on_start(SimpleNamespace(folder=RUN.folder, settings=(PRESETS | ENCODERS)[preset]), DATA, list(history))
        for _ in range(30):
            shown.on_rows(128)
        return shown, capsys.readouterr().err

    return start


def test_the_paper_s_network_without_a_gpu_is_told_at_once_and_then_measured(started):
    lines = started("paper", 5.12)[1].splitlines()
    assert lines[0] == "the-run: 25 epochs of 50,000 images, width 10, on cpu"
    assert lines[1] == "without a GPU this takes about 9.5 h; --preset small takes about 6 min"
    assert lines[2] == "about 15.6 h at 25 images/s; --preset small takes about 10 min"


def test_a_short_run_is_told_its_estimate_alone(started):
    lines = started("small", 0.128)[1].splitlines()
    assert lines[1:] == ["about 7 min at 1,000 images/s"], "448 s: 2,560 images are done"


def test_an_encoder_s_texts_are_told_by_that_name(started):
    lines = started("minilm", 2.56)[1].splitlines()
    assert lines == ["the-run: 1 epoch of 50,000 texts, minilm, on cpu", "about 19 min at 50 texts/s"]


def test_on_a_gpu_nothing_is_guessed(started):
    lines = started("paper", 0.004, "NVIDIA")[1].splitlines()
    assert lines[0].endswith("on NVIDIA") and lines[1:] == ["about 44 s at 32,000 images/s"]


def test_a_terminal_has_a_bar_within_the_epoch(started, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    shown, _ = started("small", 0.128)
    assert "epoch 1/8:" in screen.getvalue() and "run 7 min left" in screen.getvalue()
    shown._bar.refresh()
    assert "/50.0k" in screen.getvalue().rsplit("\r", 1)[-1], "the rows of the epoch, not of the run"
    ends = shown._ends()
    shown.on_rows(25_600)
    assert shown._ends() < ends - 20, "renewed within the epoch"
    shown.on_epoch(ENTRY, {})
    assert "epoch 2/8" in screen.getvalue().rsplit("\r", 1)[-1]
    shown.close()


def test_going_on_says_from_where(started):
    assert "from epoch 3" in started("small", 0.1, history=[{}, {}])[1].splitlines()[0]


def test_an_epoch_is_one_line(started, capsys):
    shown, _ = started("small", 0.1)
    shown.on_epoch(ENTRY, {})
    shown.on_epoch(dataclasses.replace(ENTRY, asr=None), {})
    shown.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "epoch  1/8  loss 1.5000  BA  40.2  ASR  12.0  60 s" and "ASR" not in lines[1]


def test_quiet(started, capsys):
    shown = progress.Progress(quiet=True)
    shown.on_start(SimpleNamespace(folder=RUN.folder, settings=PRESETS["paper"]), DATA, [])
    shown.on_rows(128)
    shown.on_epoch(ENTRY, {})
    shown.close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("seconds, words", [(3, "3 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (7200, "2.0 h")])
def test_durations(seconds, words):
    assert duration.duration(seconds) == words
