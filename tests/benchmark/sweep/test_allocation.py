"""Sweeps whose time is limited, on a machine of which nothing is real: neither its clock nor its runs."""

import io
import json
import sys
from types import SimpleNamespace

import pytest
from pretend_runs import finish, manifest, names, planned

from benchmark.core import duration
from benchmark.runs import position
from benchmark.sweep import plan, sweep
from benchmark.sweep.estimates import START_UP, Estimates, earlier
from benchmark.sweep.progress import Overall


class Machine:
    """A clock, and an engine whose processes train by it: `start_up` seconds, then `epoch` seconds for each epoch.

    A process does what `benchmark train --stop-after` does: it ends after an epoch if no other would end in time.
    `deaf`: it never does.
    """

    def __init__(self, room=1, start_up=5.0, epoch=lambda task: 10.0, deaf=False):
        self.now, self.size, self.start_up, self.epoch, self.deaf = 0.0, room, start_up, epoch, deaf
        self.processes, self.log, self.stopped = {}, [], 0

    def clock(self):
        return self.now

    def sleep(self, _):
        self.now += 1.0

    @property
    def running(self):
        return list(self.processes)

    def room(self):
        return len(self.processes) < self.size

    def start(self, task):
        limits = [word.removeprefix("--stop-after=") for word in task.arguments if "--stop-after" in word]
        end = self.now + duration.parsed(limits[0]) if limits else float("inf")
        self.processes[task] = SimpleNamespace(begun=self.now + self.start_up, saved=task.saved(), end=end)
        self.log.append((self.now, names([task])[0]))

    def ended(self):
        over = [task for task, process in self.processes.items() if self._is_over(task, process)]
        for task in over:
            del self.processes[task]
        return [(task, None) for task in over]

    def _is_over(self, task, process):
        """Let a process do what it has done by now."""
        each = self.epoch(task)
        trained = max(0.0, self.now - process.begun) / each
        for number in range(1, task.epochs - process.saved + 1):
            if trained < number:
                break
            save(task, process.saved + number)
            left = process.end - (process.begun + number * each)
            if process.saved + number < task.epochs and left < each and not self.deaf:
                return True
        if process.saved + int(trained) >= task.epochs:
            finish(task)
            return True
        rows = int(task.rows * (trained % 1))
        place = position.Position(process.saved + int(trained) + 1, rows, task.rows)
        (task.folder / position.NAME).write_text(json.dumps(place))
        return False

    def stop(self):
        self.stopped += 1
        self.processes.clear()


def save(task, epochs):
    """Leave the history of so many epochs."""
    lines = "".join(f"{number}\n" for number in range(1, epochs + 1))
    (task.folder / "history.csv").write_text(f"epoch\n{lines}")


def go(machine, tasks, seconds, known=None):
    todo = plan.missing(tasks)
    allocation = None if seconds is None else sweep.Allocation(seconds, machine.now)
    watch = Overall(todo, len(tasks), quiet=True)
    run = sweep.Sweep(todo, machine, watch, allocation, known, machine.clock, machine.sleep)
    assert run.go() == {}
    return run


def poisoned(tmp_path, count, epochs=4, **more):
    return planned(tmp_path, *(manifest(f"{name}-s0", seed=0) for name in "abcdefgh"[:count]), epochs=epochs, **more)


def test_no_run_is_started_that_would_not_end_in_time(tmp_path):
    """A run takes 45 seconds: two end within 100, and nobody begins a third."""
    machine = Machine()
    run = go(machine, poisoned(tmp_path, 4), 100)
    assert [name for _, name in machine.log] == ["a-s0 t0", "b-s0 t0"] and run.made == set()
    assert names(run.left) == ["c-s0 t0", "d-s0 t0"] and machine.now < 100
    assert not any((task.folder / "history.csv").exists() for task in run.left)


def test_where_nothing_of_its_kind_ran_it_is_started_and_stopped_after_an_epoch(tmp_path):
    machine = Machine()
    tasks = poisoned(tmp_path, 2)
    run = go(machine, tasks, 38)
    assert [name for _, name in machine.log] == ["a-s0 t0"] and machine.now <= 38
    assert names(run.left) == ["a-s0 t0", "b-s0 t0"] and tasks[0].saved() == 3
    again = go(machine, tasks, 38)
    assert tasks[0].problem() is None and tasks[0].run.result is not None, "one epoch was left of it"
    assert names(again.left) == ["b-s0 t0"]
    after = go(machine, tasks, None)
    assert after.left == [] and all(task.run.result is not None for task in tasks)


def test_what_runs_tells_of_its_kind_before_it_has_ended(tmp_path):
    """The second place of the machine becomes free for a run of another kind, and then for one that takes as long as
    the one that is half done."""
    machine = Machine(room=2, epoch=lambda task: 20.0 if task.name[0] != "b" else 1.0)
    tasks = planned(tmp_path, *(manifest(f"{name}-s0", seed=0, source=name) for name in "ab"), epochs=5)
    tasks += planned(tmp_path, manifest("c-s0", seed=0, source="a"), epochs=5)
    run = go(machine, tasks, 112)
    assert machine.log == [(0.0, "a-s0 t0"), (0.0, "b-s0 t0")] and names(run.left) == ["c-s0 t0"]


def test_a_shorter_run_of_lower_rank_fills_the_time_that_is_left(tmp_path):
    machine = Machine(epoch=lambda task: 2.0 if "other" in task.name else 10.0)
    tasks = poisoned(tmp_path, 2) + planned(
        tmp_path, manifest("other1-s0", seed=0, source="x"), manifest("other2-s0", seed=0, source="x"), epochs=4
    )
    run = go(machine, tasks, 75)
    assert [name for _, name in machine.log] == ["a-s0 t0", "other1-s0 t0", "other2-s0 t0"]
    assert names(run.left) == ["b-s0 t0"]


def test_a_run_that_no_such_time_would_hold_goes_on_piece_by_piece(tmp_path):
    machine = Machine()
    (task,) = poisoned(tmp_path, 1, epochs=20)
    rounds = 0
    while plan.missing([task]):
        known = Estimates({task.kind: 10 / task.epoch_work})
        before = machine.now
        go(machine, [task], 60, known)
        assert machine.now - before <= 60
        rounds += 1
        assert rounds < 10
    assert rounds == 4, "five epochs of ten seconds each time"
    go(machine, poisoned(tmp_path, 2, epochs=20), 12, Estimates({task.kind: 10 / task.epoch_work}))
    assert len(machine.log) == 4, "where not even one epoch fits nothing is begun"


def test_one_whose_epoch_outlasts_the_time_is_killed_and_loses_that_epoch_alone(tmp_path):
    machine = Machine(deaf=True, epoch=lambda task: 60.0)
    tasks = poisoned(tmp_path, 2, epochs=3)
    run = go(machine, tasks, 70)
    assert 70 <= machine.now <= 71 and machine.stopped
    assert names(run.left) == ["a-s0 t0", "b-s0 t0"] and tasks[0].saved() == 1
    assert not list(tmp_path.glob(f"runs/*/{position.NAME}"))


def test_all_places_of_the_machine_are_used(tmp_path):
    machine = Machine(room=3)
    run = go(machine, poisoned(tmp_path, 7), 95)
    assert [when for when, _ in machine.log] == [0, 0, 0, 45, 45, 45] and names(run.left) == ["g-s0 t0"]


def test_a_clean_run_that_is_stopped_holds_nobody_back(tmp_path):
    """What it is compared with is made up for by the next sweep."""
    machine = Machine(epoch=lambda task: 30.0 if task.is_clean else 3.0)
    tasks = planned(tmp_path, manifest("clean", "clean"), manifest("a-s0", seed=0), epochs=4)
    run = go(machine, tasks, 80)
    assert [name for _, name in machine.log] == ["clean t0"], "it is of the same kind, which takes longer"
    assert names(run.left) == ["clean t0", "a-s0 t0"] and tasks[0].saved() == 2
    assert go(machine, tasks, None).left == []


def test_a_poisoned_run_that_is_wanted_first_is_compared_when_its_clean_run_has_ended(tmp_path):
    files = [tmp_path / f"{number}.h5" for number in range(2)]
    tasks = planned(
        tmp_path, manifest("clean", "clean"), manifest("a-s0", seed=0), ranks={files[0]: 1, files[1]: 0}
    )  # fmt: skip
    assert names(tasks) == ["a-s0 t0", "clean t0"] and tasks[0].after is None
    assert tasks[0].baseline == tasks[1].folder and tasks[1].baseline is None
    machine = Machine()
    plain = machine._is_over

    def is_over(task, process):
        over = plain(task, process)
        if over and task.is_clean:
            (task.folder / "model.keras").touch()  # so that there is something to compare with
        return over

    machine._is_over = is_over
    run = go(machine, tasks, None)
    assert [name for _, name in machine.log] == ["a-s0 t0", "clean t0", "a-s0 t0"]
    assert run.open == set() and run.left == []


def test_without_a_limit_a_process_is_told_of_none(tmp_path):
    machine = Machine()
    seen = []
    start = machine.start
    machine.start = lambda task: (seen.append(task.arguments), start(task))
    (task,) = poisoned(tmp_path, 1)
    go(machine, [task], None)
    assert seen == [task.arguments]
    (task,) = poisoned(tmp_path, 1, epochs=5)
    go(machine, [task], 500)
    assert seen[1] == (*task.arguments, "--stop-after=499.0s"), "a second to end in"


def test_start_up_training_and_end_are_learnt_apart(tmp_path):
    first, second = poisoned(tmp_path, 2)
    known = Estimates()
    assert known.needed(first) is None and known.left(first, 0.0) is None
    known.begun(first, 100.0)
    first.folder.mkdir(parents=True)
    for now, rows in ((107.0, 0), (108.0, 10), (109.0, 20), (113.0, 60)):
        (first.folder / position.NAME).write_text(json.dumps([1, rows, 100]))
        known.look(first, now)
    assert known.pace(first.kind) == pytest.approx(0.1) and known.start_up() == 8.0
    assert known.left(first, 113.0) == pytest.approx(34.0), "it is renewed within the epoch"
    assert known.left(first, 118.0) == pytest.approx(29.0)
    assert known.needed(second) == pytest.approx(8 + 40) and known.needed(second, epochs=1) == pytest.approx(18)
    save(first, 4)
    known.look(first, 147.0)
    known.ended(first, 150.0, True)
    assert known.needed(second) == pytest.approx(8 + 40 + 3, abs=0.2)
    second.folder.mkdir(parents=True)
    save(second, 3)
    assert known.needed(second) == pytest.approx(8 + 10 + 3, abs=0.2), "three epochs are behind it"
    assert known.needed(planned(tmp_path, manifest("x", seed=0, source="other"))[0]) is None


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_a_bar_within_the_epoch_of_each_run(tmp_path, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    tasks = poisoned(tmp_path, 2)
    watch = Overall(tasks, 2)
    for number, task in enumerate(tasks):
        task.folder.mkdir(parents=True)
        (task.folder / position.NAME).write_text(json.dumps([2, 25 + number, 100]))
        save(task, 1)
    watch.expect({tasks[0].folder: 65.0, tasks[1].folder: None})
    watch.tick(tasks)
    shown = screen.getvalue()
    assert "epoch 2/4  25%" in shown and "25/100, 65 s left" in shown and "epoch 2/4  26%" in shown
    finish(tasks[0])
    watch.done(tasks[0])
    watch.tick([tasks[1]])
    before = len(screen.getvalue())
    watch.tick([tasks[1]])
    after = screen.getvalue()[before:]
    assert "epoch 2/4  26%" in after and "a-s0--" not in after, "the bar of a run that has ended is gone"
    watch.close()


def test_where_there_is_no_terminal_there_are_lines_alone(tmp_path, capsys):
    tasks = poisoned(tmp_path, 1)
    watch = Overall(tasks, 1)
    watch.tick(tasks)
    finish(tasks[0])
    watch.done(tasks[0])
    watch.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tasks[0].name}: BA 50.0, ASR 50.0  (1 of 1 run)")


def test_a_run_too_quick_to_be_seen_tells_too(tmp_path):
    first, second = poisoned(tmp_path, 2)
    known = Estimates()
    known.begun(first, 0.0)
    known.ended(first, 12.0, True)
    assert known.needed(second) == pytest.approx(12.0)


def test_scored_rows_cost_a_third(tmp_path):
    one = manifest("a-s0", seed=0)
    (task,) = planned(tmp_path, one)
    assert (task.rows, task.scored, task.epoch_work) == (100, 0, 100)
    arrays = {f"{group}/labels": {"digest": "", "dtype": "<i8", "shape": [30]} for group in ("test", "triggered")}
    one.raw["arrays"] |= arrays
    (task,) = planned(tmp_path, type(one).of(one.raw))
    assert (task.scored, task.epoch_work, task.work) == (60, 120, 240)


def test_runs_before_this_sweep_tell_if_they_were_made_here(tmp_path):
    from benchmark.core import environment

    tasks = poisoned(tmp_path, 2)

    def results(**changes):
        finish(tasks[0])
        raw = dict(tasks[0].run.result.raw) | {
            "device": "cpu", "seconds": {"training": 30.0, "scoring": 10.0}, "environment": environment.record(),
        }  # fmt: skip
        return [type(tasks[0].run.result)(raw | changes)]

    assert earlier(results(), tasks, False) == {tasks[0].kind: pytest.approx(40 / 400)}
    known = Estimates(earlier(results(), tasks, False))
    assert known.needed(tasks[1]) == pytest.approx(START_UP + 40)
    assert earlier(results(), tasks, True) == {}, "made on a CPU"
    assert earlier(results(device="NVIDIA H100"), tasks, False) == {}
    assert earlier(results(environment={"platform": "elsewhere", "cpus": 1}), tasks, False) == {}
    assert earlier(results(seconds={}), tasks, False) == {}
