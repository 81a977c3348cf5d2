"""Results of many runs read together: what stands beside each, and what is summed up over the seeds."""

import json
import math

import fake_defences
import fake_runs
import pytest

from benchmark.core import intervals
from benchmark.defences import over_runs, summaries
from benchmark.runs import groups, results


def collected(runs):
    found = results.gather([runs])
    return over_runs.collect(groups.group(found), found.wrong), found


@pytest.fixture
def three(tmp_path):
    """Three seeds of an attack and their clean twins: a detector with a cut, a repair and the control, on each."""
    for seed, (tpr, asr) in enumerate([(0.5, 10), (0.7, 20), (0.9, 60)]):
        clean = fake_runs.write(tmp_path, trigger=None, seed=seed, ba=85)
        run = fake_runs.write(tmp_path, seed=seed, ba=84, asr=95)
        fake_defences.detected(clean, tpr=None, flagged=0.02 * (seed + 1))
        fake_defences.detected(run, tpr=tpr, clean_run=clean.name, covers=0.2)
        for method, left in (("anp", asr), ("fine-tuning", 70)):
            fake_defences.repaired(clean, method, ((82, None),), before=(85, None))
            fake_defences.repaired(run, method, ((80, left),), clean_run=clean.name)
    return tmp_path


def test_a_group_is_one_method_on_one_attack_with_what_stands_beside(three):
    found, runs = collected(three)
    (spectral,) = found.detected
    assert [one.method for one in found.repaired] == ["fine-tuning", "anp"], "the control comes first; no clean rows"
    assert len(spectral.entries) == 3 and spectral.cell.trigger == "square" and spectral.whole is not spectral.cell
    assert [one.twin.flagged_share for one in spectral.entries] == pytest.approx([0.02, 0.04, 0.06])
    assert all(one.control.method == "fine-tuning" for group in found.repaired for one in group.entries)
    assert not runs.wrong


def test_scores_are_means_over_the_seeds_with_students_intervals(three):
    found, _ = collected(three)
    (cell,) = summaries.detected(found)
    summary = cell.scores["tpr_at_1"].summary
    half = intervals.student(2) * 20 / math.sqrt(3)
    assert summary.mean == pytest.approx(70) and summary.deviation == pytest.approx(20) and summary.over == "seeds"
    assert (summary.low, summary.high) == pytest.approx((70 - half, min(100, 70 + half)))
    assert cell.scores["tpr_at_1"].of == 600 and cell.scores["covers_at_1"].summary.mean == pytest.approx(20)
    assert cell.scores["twin_flagged"].summary.mean == pytest.approx(4)
    assert cell.scores["recall"].summary.mean == 80 and cell.scores["false_alarms"].summary.mean == pytest.approx(0.4)
    anp = next(one for one in summaries.repaired(found) if one.group.method == "anp")
    means = {name: score.summary.mean for name, score in anp.scores.items()}
    assert means["asr"] == pytest.approx(30) and means["ba"] == 80 and means["ba_lost"] == pytest.approx(4)
    assert means["control_asr"] == pytest.approx(70) and means["twin_ba_lost"] == pytest.approx(3)
    assert means["der"] == pytest.approx(100 * (0.65 - 0.04 + 1) / 2, abs=0.01) and anp.last


def test_one_seed_has_wilsons_interval_over_its_rows_and_areas_have_none(tmp_path):
    run = fake_runs.write(tmp_path, asr=90)
    fake_defences.detected(run, tpr=0.9)
    fake_defences.repaired(run, after=((80, 3),))
    found, _ = collected(tmp_path)
    scores = summaries.detected(found)[0].scores
    assert (scores["tpr_at_1"].summary.low, scores["tpr_at_1"].summary.high) == intervals.wilson(180, 200)
    assert scores["tpr_at_1"].summary.over == "images" and scores["auroc"].summary.over is None
    left = summaries.repaired(found)[0].scores
    assert (left["asr"].summary.low, left["asr"].summary.high) == intervals.wilson(270, 9000)
    assert "control_asr" not in left and "twin_ba" not in left and left["ba_lost"].summary.low is None


def test_a_difference_may_be_a_gain(tmp_path):
    for seed in range(2):
        run = fake_runs.write(tmp_path, seed=seed, ba=80)
        fake_defences.repaired(run, after=((81 + seed, 3),))
    found, _ = collected(tmp_path)
    lost = summaries.repaired(found)[0].scores["ba_lost"].summary
    assert lost.mean == pytest.approx(-1.5) and lost.low < -1.5 < 0


def test_other_settings_and_other_rows_are_other_groups_and_say_so(tmp_path):
    run = fake_runs.write(tmp_path)
    fake_defences.detected(run, settings={"expected": 0.01}, key="0")
    fake_defences.detected(run, settings={"expected": 0.02}, key="1")
    fake_defences.detected(run, settings={"expected": 0.02}, asked={"rows": 5000}, key="2")
    fake_defences.detected(run, "own-mine", settings={"cut": True}, key="3", code={"digest": "sha256:" + "ab" * 32})
    found, _ = collected(tmp_path)
    named = {group.named for group in found.detected}
    assert len(found.detected) == 4 and "own-mine (cut yes, code abababab)" in named
    assert any(one.endswith("5000 rows)") for one in named)


def test_the_control_is_on_as_many_rows_and_with_its_usual_settings(tmp_path):
    run = fake_runs.write(tmp_path)
    fake_defences.repaired(run, "anp", ((80, 1),), clean_rows=2000)
    fake_defences.repaired(run, "fine-tuning", ((80, 50),), clean_rows=100, asked={"clean_rows": 100}, key="0")
    found, _ = collected(tmp_path)
    anp = next(group for group in found.repaired if group.method == "anp")
    assert anp.entries[0].control is None
    fake_defences.repaired(run, "fine-tuning", ((80, 60),), settings={"epochs": 999}, key="1")
    fake_defences.repaired(run, "fine-tuning", ((80, 40),), key="2")
    found, _ = collected(tmp_path)
    anp = next(group for group in found.repaired if group.method == "anp")
    assert anp.entries[0].control.after.asr.percent == pytest.approx(40)


def test_every_stage_is_a_cell_and_the_last_is_the_result(tmp_path):
    run = fake_runs.write(tmp_path)
    fake_defences.repaired(run, "nc", ((80, 50), (79, 5)), stages=[("inverted", ""), ("unlearned", "0.2")])
    cells = summaries.repaired(collected(tmp_path)[0])
    assert [(one.stage, one.last) for one in cells] == [("inverted", False), ("unlearned 0.2", True)]


def test_the_result_is_each_run_s_own_last_stage_beside_that_of_its_twin(tmp_path):
    """A repair that ends early on one run: what it left there is its result, not a stage on the way elsewhere."""
    short, long = [("unlearned", "1")], [("unlearned", "1"), ("unlearned", "2"), ("unlearned", "3")]
    for seed, (of_run, of_twin) in enumerate([(short, long), (long, short)]):
        clean = fake_runs.write(tmp_path, trigger=None, seed=seed, ba=85)
        run = fake_runs.write(tmp_path, seed=seed, ba=84, asr=95)
        left = [(80 - number, 40 - 10 * number) for number in range(3)]
        clean_left = [(83 - number, None) for number in range(3)]
        fake_defences.repaired(clean, "own-x", clean_left[: len(of_twin)], before=(85, None), stages=of_twin)
        fake_defences.repaired(run, "own-x", left[: len(of_run)], stages=of_run, clean_run=clean.name)
    (cell,) = summaries.repaired(collected(tmp_path)[0])
    assert cell.last and cell.stage == "unlearned 1, 3"
    assert sorted(cell.scores["asr"].summary.values) == [20, 40]
    assert sorted(cell.scores["twin_ba"].summary.values) == [81, 83]


def test_a_stage_that_differs_over_the_seeds_is_called_by_all_of_its_names(tmp_path):
    stages = [[("pruned", "0.75")], [("pruned", "0.8")], [("pruned", "0.75")]]
    for seed, of_run in enumerate(stages):
        run = fake_runs.write(tmp_path, seed=seed)
        fake_defences.repaired(run, "anp", ((80, 3),), stages=of_run)
        fake_defences.repaired(run, "nc", ((80, 3),), stages=[("unlearned" if seed else "untouched", "")])
    cells = summaries.repaired(collected(tmp_path)[0])
    assert [one.stage for one in cells] == ["pruned 0.75, 0.8", "untouched or unlearned"]


def test_a_result_from_before_there_was_a_clean_run_stands_beside_it_none_the_less(tmp_path):
    """It is kept as it is when the command is run again, and only the clean run is made."""
    run = fake_runs.write(tmp_path)
    fake_defences.detected(run, clean_run=None)
    clean = fake_runs.write(tmp_path, trigger=None)
    fake_defences.detected(clean, tpr=None, flagged=0.03)
    (group,) = collected(tmp_path)[0].detected
    assert group.entries[0].twin.flagged_share == 0.03


def test_what_else_decided_a_result_keeps_it_apart(tmp_path):
    """Retrained without the rows that a detector flags: with other settings it flags others."""
    for seed, expected in enumerate((0.01, 0.02, 0.02)):
        run = fake_runs.write(tmp_path, seed=seed)
        by = {"detector": {"defence": "spectral", "settings": {"expected": expected}}}
        fake_defences.repaired(run, "retrain", settings={"detector": "spectral", "share": None}, depends=by)
    found, _ = collected(tmp_path)
    assert [len(group.entries) for group in found.repaired] == [1, 2]
    assert [group.settings for group in found.repaired] == [
        "detector spectral", "detector spectral, spectral expected 0.02"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["../outside", "/etc", "a/b", "", "absent"])
def test_a_twin_is_a_run_beside_and_nothing_else(tmp_path, name):
    outside = fake_runs.write(tmp_path, trigger=None)
    outside.rename(tmp_path / "outside")
    run = fake_runs.write(tmp_path / "runs")
    fake_defences.detected(tmp_path / "outside", tpr=None)
    fake_defences.detected(run, clean_run=name)
    found, runs = collected(tmp_path / "runs")
    assert found.detected[0].entries[0].twin is None and not runs.wrong


def test_what_is_damaged_is_named_and_the_rest_is_read(tmp_path):
    run = fake_runs.write(tmp_path)
    fake_defences.detected(run, "spectral")
    broken = fake_defences.detected(run, "flare")
    raw = json.loads((broken / "result.json").read_text())
    raw["measures"]["auroc"] = "much"
    (broken / "result.json").write_text(json.dumps(raw))
    found, runs = collected(tmp_path)
    assert [one.method for one in found.detected] == ["spectral"]
    assert list(runs.wrong) == [broken / "result.json"]


def test_a_clean_run_without_an_attack_beside_is_a_group_of_its_own(tmp_path):
    clean = fake_runs.write(tmp_path, trigger=None)
    fake_defences.detected(clean, tpr=None, flagged=0.03)
    (cell,) = summaries.detected(collected(tmp_path)[0])
    assert cell.group.cell.clean and set(cell.scores) == {"flagged"}


def test_the_rating_counts_no_gain():
    from benchmark.training.metrics import Scores, Share

    def scores(ba, asr):
        return Scores(Share(ba, 100), None if asr is None else Share(asr, 100))

    assert summaries.der(scores(90, 100), scores(85, 20)) == pytest.approx((0.8 - 0.05 + 1) / 2)
    assert summaries.der(scores(90, 20), scores(95, 60)) == 0.5
    assert summaries.der(scores(90, None), scores(90, None)) is None
