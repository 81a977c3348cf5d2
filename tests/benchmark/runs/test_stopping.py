"""Stopping a training in time, and saying where it is, without a training."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmark.core import files
from benchmark.runs import position
from benchmark.runs.stopping import OutOfTime, StopInTime
from benchmark.training.callbacks import Epoch

TRAINING = SimpleNamespace(rows=np.arange(100))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def run_of(tmp_path, epochs=5):
    return SimpleNamespace(folder=tmp_path, settings=SimpleNamespace(epochs=epochs))


def epoch(number):
    return Epoch(number, 1.0, 50.0, None, 1.0, 1.0, 100)


def trained(stop, clock, number, blocks=(10.0,) * 4, scoring=2.0):
    """An epoch of four blocks of 25 rows."""
    for seconds in blocks:
        clock.now += seconds
        stop.on_rows(25)
    clock.now += scoring
    stop.on_epoch(epoch(number), {})


def test_it_stops_after_the_last_epoch_that_fits(tmp_path):
    clock = Clock()
    stop = StopInTime(150, clock)
    clock.now = 20.0  # the file was read
    stop.on_start(run_of(tmp_path), TRAINING, [])
    trained(stop, clock, 1)
    trained(stop, clock, 2)
    with pytest.raises(OutOfTime) as error:
        trained(stop, clock, 3)  # at 146
    assert error.value.epoch == 3 and stop.left() == pytest.approx(4)


def test_a_compilation_is_not_taken_for_the_pace(tmp_path):
    """The first epoch takes 130 seconds, 90 of them for the first rows; the second 42, which fit."""
    clock = Clock()
    stop = StopInTime(180, clock)
    stop.on_start(run_of(tmp_path), TRAINING, [])
    trained(stop, clock, 1, blocks=(100.0, 10.0, 10.0, 10.0), scoring=2.0)
    assert stop.left() == 48
    with pytest.raises(OutOfTime) as error:
        trained(stop, clock, 2)
    assert error.value.epoch == 2


def test_an_epoch_of_one_block_counts_whole(tmp_path):
    clock = Clock()
    stop = StopInTime(50, clock)
    stop.on_start(run_of(tmp_path), SimpleNamespace(rows=np.arange(25)), [])
    with pytest.raises(OutOfTime):
        trained(stop, clock, 1, blocks=(30.0,))


def test_a_run_that_is_over_is_not_stopped(tmp_path):
    clock = Clock()
    stop = StopInTime(10, clock)
    stop.on_start(run_of(tmp_path, epochs=1), TRAINING, [])
    trained(stop, clock, 1)
    stop.on_start(run_of(tmp_path, epochs=1), TRAINING, [epoch(1)])
    assert stop.left() < 0


def test_nothing_is_begun_when_the_time_is_up(tmp_path):
    clock = Clock()
    stop = StopInTime(10, clock)
    clock.now = 11.0
    with pytest.raises(OutOfTime) as error:
        stop.on_start(run_of(tmp_path), TRAINING, [epoch(1), epoch(2)])
    assert error.value.epoch == 2


def test_where_a_run_is_can_be_read_from_outside(tmp_path):
    clock = Clock()
    told = position.Reported(clock)
    assert position.read(tmp_path) is None
    told.on_start(run_of(tmp_path), TRAINING, [epoch(1)])
    assert position.read(tmp_path) == (2, 0, 100)
    told.on_rows(25)
    assert position.read(tmp_path) == (2, 25, 100)
    told.on_rows(25)
    assert position.read(tmp_path) == (2, 25, 100), "not more than once a second"
    clock.now += 1.0
    told.on_rows(25)
    assert position.read(tmp_path) == (2, 75, 100)
    told.on_epoch(epoch(2), {})
    assert position.read(tmp_path) == (3, 0, 100)
    told.close()
    assert list(tmp_path.iterdir()) == []
    told.close()


@pytest.mark.parametrize(
    "text",
    ["", "[1,2", "[0,0,5]", "[1,9,5]", "[1,-1,5]", "[1,1]", '["a",1,2]', "{}", "[1.5,1,2]", "[1, 2, 3]" + " " * 99],
)
def test_a_position_that_nobody_wrote_is_none(tmp_path, text):
    (tmp_path / position.NAME).write_text(text)
    assert position.read(tmp_path) is None


def test_a_link_in_its_place_is_neither_followed_nor_kept(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(json.dumps([1, 2, 3]))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / position.NAME).symlink_to(secret)
    assert position.read(tmp_path / "run") is None
    told = position.Reported()
    told.on_start(run_of(tmp_path / "run"), TRAINING, [])
    assert secret.read_text() == "[1, 2, 3]" and files.is_file(tmp_path / "run" / position.NAME)


def test_a_folder_in_its_place_ends_no_run(tmp_path):
    (tmp_path / position.NAME).mkdir()
    told = position.Reported()
    told.on_start(run_of(tmp_path), TRAINING, [])
    told.on_rows(25)
    told.close()
    position.remove(tmp_path)
    assert position.read(tmp_path) is None
