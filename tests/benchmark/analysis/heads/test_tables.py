"""`benchmark heads table` and the tables over several runs, on results made by hand."""

import json
import os

import click.testing
import fake_runs
import pytest
from made_heads import DETECTOR, ablated, aligned, detected, of_method, percent, put

from benchmark.analysis.heads import results as stored
from benchmark.analysis.heads import tables
from benchmark.cli import main
from benchmark.reporting.html.registry import Content
from benchmark.reporting.html.sections import heads
from benchmark.runs import results


def typed(*results):
    """Return results as they are read."""
    return tuple(map(stored.of, results))


def test_the_mean_over_runs_is_of_those_that_differ_in_their_seeds_alone():
    """A mean over two attacks, or over an attack and a clean run, says nothing of either."""
    made = [detected(auroc) for auroc in (0.9, 0.8, 0.5)]
    for result, seed, rate in zip(made, (0, 1, 0), ("0.01", "0.01", "0.05"), strict=True):
        result["config"] = {"seed": seed}
        result["dataset"] = result["dataset"] | {"recipe": {"rate": rate, "seed": seed}}
    assert "over 2 runs: mean and 95 % interval" in tables.report(typed(*made[:2]))
    assert "over" not in tables.report(typed(*made[1:]))
    text = tables.report(typed(*made))
    assert "over 2 runs of a and its other seeds: mean" in text and "over 3" not in text and "0.850 [" in text


def test_means_and_intervals_of_a_detection():
    found = tables.ranking(typed(detected(0.9, poisoned=6), detected(0.8)))
    columns, rows = found.columns, found.rows
    assert columns[-1] == "of the flagged" and [row[:2] for row in rows][0] == ["suspect file", "Mahalanobis"]
    assert rows[0][2] == "0.850 [0.215, 1.000]"  # Student's factor of one degree of freedom is 12.7
    assert rows[0][-1] == "0.700 [0.000, 1.000]" and rows[1][-1] == "1.000 [1.000, 1.000]" and rows[2][-1] == ""


def test_one_run_has_no_interval_and_no_clean_twin():
    found = tables.control_table(typed(detected(0.9), detected(0.9, twin=False)), texts="controls")
    assert found.columns == ["test texts", "Mahalanobis, poisoned", "second pass, poisoned"]
    found = tables.control_table(typed(detected(0.9)), texts="controls")
    assert len(found.columns) == 5
    assert found.rows == [
        ["the trigger", *["0.900"] * 4],
        ["words shuffled", *["0.900"] * 4],
    ]


def test_controls_of_suspect_texts_are_shown_where_all_runs_have_them():
    both = typed(detected(0.9, suspect=True), detected(0.8, suspect=True))
    assert [table.columns[0] for table in tables.tables(both)] == [
        "texts", "test texts", "texts of the suspect file", "head",
    ]  # fmt: skip
    first = [table.columns[0] for table in tables.tables((both[0], *typed(detected(0.8))))]
    assert first == ["texts", "test texts", "head"]


def test_heads_say_in_how_many_runs_and_which_way():
    rows = tables.contaminated_heads(typed(detected(0.9), detected(0.8, falls=False), detected(0.7))).rows
    assert rows == [["(0, 0)", "3 of 3", "falls in 2", "-1.0", "0.100 [0.100, 0.100]", "0.100 [0.100, 0.100]"]]
    assert tables.contaminated_heads(typed(detected(0.9))).rows[0][2] == "falls"


def test_an_alignment_over_seeds_has_the_stages_that_all_have():
    one = aligned(("untouched", 80, 100, 100), ("aligned", 82, 10, 90), ("only here", 1, 1, 1))
    other = aligned(("untouched", 80, 100, 100), ("aligned", 80, 14, 80))
    found = tables.alignment(typed(one, other))
    columns, rows = found.columns, found.rows
    assert columns == ["variant", "BA", "change", "ASR", "target class"] and len(rows) == 2
    assert [cell.split()[0] for cell in rows[1][1:]] == ["81.0", "1.0", "12.0", "85.0"]
    assert tables.alignment(typed(aligned(("untouched", 80, 100, None)))).columns[-1] == "ASR"


def test_an_ablation_over_seeds_ranks_by_the_mean_change_of_asr():
    found = tables.ablation(typed(ablated([[80, 70]], [[100, 90]]), ablated([[79, 60]], [[100, 70]])))
    assert found.columns == ["head", "BA, change", "ASR, change"]
    assert [row[0] for row in found.rows] == ["lowest of all", "(0, 1)", "(0, 0)"]
    assert [cell.split()[0] for cell in found.rows[0][1:]] == ["-15.0", "-20.0"] and found.rows[1][2].startswith(
        "-20.0 "
    )


def test_heads_that_leave_asr_as_it_is_are_ranked_by_what_they_cost():
    result = ablated([[80, 79.5], [77, 82]], [[100, 100], [100, 100]])
    named = [row[0] for row in tables.ablation(typed(result), most=3).rows]
    assert named == ["lowest of all", "(1, 0)", "(1, 1)", "(0, 1)"]
    found = tables.ablation(typed(result), detailed=True, most=1)
    columns, rows = found.columns, found.rows
    assert columns == ["head", "BA", "change", "ASR", "change"]
    assert rows[1:] == [["lowest of all", "77.0", "-3.0", "100.0", "+0.0"], ["(1, 0)", "77.0", "-3.0", "100.0", "+0.0"]]


def test_an_ablation_of_a_clean_run_knows_no_asr():
    result = ablated([[80, 79]], [[None, None]])
    result["before"]["asr"] = None
    assert tables.ablation(typed(result)).columns == ["head", "BA, change"]
    both = {"together": {"ba": percent(70), "asr": None}, "settings": {"heads": [[0, 0], [0, 1]]}}
    found = tables.ablation(typed(result | both), detailed=True)
    columns, rows = found.columns, found.rows
    assert columns == ["head", "BA", "change"] and rows[1] == ["(0, 0) (0, 1)", "70.0", "-10.0"]


@pytest.fixture
def runs(tmp_path):
    """Two poisoned runs that differ in their seeds, and a clean one."""
    folder = tmp_path / "runs"
    made = [fake_runs.write(folder, seed=seed) for seed in (0, 1)]
    for run, auroc in zip(made, (0.9, 0.8), strict=True):
        put(run, "heads-detect-1", detected(auroc))
        put(run, "heads-align-1", aligned(("untouched", 80, 100, None)))
    return folder


def table(*arguments):
    return click.testing.CliRunner().invoke(main.main, ["heads", "table", *map(os.fspath, arguments)])


@pytest.mark.parametrize(("form", "sign"), [("text", "Detection: "), ("markdown", "### "), ("latex", "% Detection")])
def test_the_command_sums_up_what_differs_in_seeds_alone(runs, form, sign):
    shown = table(runs, "--format", form)
    assert shown.exit_code == 0 and shown.stdout.startswith(sign)
    assert " ".join(shown.stdout.split()).count("2 runs") == 2 and "0.850" in shown.stdout


def test_tables_fit_a_window(runs):
    """Where a table is too wide, its columns stand in parts below one another, each with its labels."""
    narrow, wide = table(runs).stdout, table(runs, "--wide").stdout
    assert max(map(len, narrow.splitlines())) <= 100 < max(map(len, wide.splitlines()))
    assert narrow.count("words shuffled") == 2 and wide.count("words shuffled") == 1
    assert sorted(set(narrow.split())) == sorted(set(wide.split()))


def test_one_run_is_one_run(tmp_path):
    put(fake_runs.write(tmp_path), "heads-detect-1", detected(0.9))
    assert table(tmp_path).stdout.splitlines()[0].endswith(", 1 run")


def test_of_a_detection_before_and_after_there_was_a_clean_twin_the_latter_is_shown(tmp_path):
    run = fake_runs.write(tmp_path)
    put(run, "heads-detect-1", detected(0.81) | {"clean_run": "a", "finished": "2026-01-02"})
    put(run, "heads-detect-2", detected(0.91) | {"clean_run": "b", "finished": "2026-01-03"})
    put(run, "heads-detect-3", detected(0.71, twin=False) | {"clean_run": None, "finished": "2026-01-04"})
    put(run, "heads-detect-4", detected(0.61) | {"settings": DETECTOR | {"metric": "pearson"}, "clean_run": None})
    assert [where.name for where, _ in stored.in_run(run)] == ["heads-detect-2", "heads-detect-4"]
    shown = table(tmp_path).stdout
    assert "0.910" in shown and "0.710" not in shown and "0.810" not in shown and shown.count(", 1 run") == 2


def test_what_the_methods_leave_is_shown_with_what_the_commands_before_them_left(runs):
    new = fake_runs.write(runs, seed=2)
    put(new, "detect-heads-1", of_method(detected(0.7)))
    put(new, "repair-heads-1", of_method(aligned(("untouched", 50, 100, None))))
    shown = " ".join(table(runs).stdout.split())
    assert shown.count("3 runs") == 2 and "0.800" in shown and "70.0" in shown, "means of all three"
    page = heads.build(Content(results.gather([runs]), []))
    assert page.count("3 runs") == 2 and "<td>50.0</td>" in page


def test_of_a_clean_twin_there_is_no_study_to_show(runs):
    twin = fake_runs.write(runs, seed=3)
    bare = {name: value for name, value in of_method(detected(0.7)).items() if name != "study"}
    put(twin, "detect-heads-1", bare)
    errors = {}
    assert stored.in_run(twin, errors) == [] and not errors


def test_settings_that_someone_edited_into_no_json_are_named(tmp_path):
    put(fake_runs.write(tmp_path), "heads-detect-1", detected(0.9) | {"settings": {"threshold": float("nan")}})
    done = table(tmp_path)
    assert done.exit_code == 1 and done.stderr.count("\n") == 1 and "heads-detect-1/result.json" in done.stderr
    assert "NaN" in done.stderr and "heads-detect-1/result.json" in done.stdout


def test_a_title_leaves_out_what_was_not_asked_for(tmp_path):
    put(fake_runs.write(tmp_path), "heads-ablate-1", ablated([[80, 70]], [[100, 90]]) | {"settings": {"heads": []}})
    title, below, *_ = table(tmp_path).stdout.splitlines()
    assert title == "Ablation: cifar10, square at 0.5 %, pMoE (paper), 1 run" and not below


def test_the_page_has_it_and_outlives_a_broken_result(runs, tmp_path):
    found = results.gather([runs])
    shown = heads.build(Content(found, []))
    assert "2 runs" in shown and "<td>0.850<small>[0.215, 1.000]</small></td>" in shown
    (path,) = list(runs.glob("*/heads-detect-1/result.json"))[:1]
    path.write_text(json.dumps(detected(0.9) | {"flagged": 3}))
    assert path.parent.parent.name not in heads.build(Content(found, []))
    assert found.wrong == {path: f"{path}: not a result that can be shown"}


def test_bad_days(runs, tmp_path):
    assert table(tmp_path / "none").exit_code == 2
    bare = tmp_path / "bare"
    fake_runs.write(bare, seed=0)
    empty = table(bare)
    assert empty.exit_code == 1 and "no result on attention heads" in empty.stderr
    (path,) = list(runs.glob("*/heads-detect-1/result.json"))[:1]
    path.write_text(json.dumps(detected(0.9) | {"flagged": 3}))
    broken = table(runs)
    assert broken.exit_code == 1 and str(path) in broken.stderr and len(broken.stderr.splitlines()) == 1


@pytest.mark.parametrize("make", [lambda: detected(0.9, suspect=True), lambda: aligned(("a", 80, 100, 90)),
                                  lambda: ablated([[80, 70]], [[100, 90]])])  # fmt: skip
@pytest.mark.parametrize("value", ["x", -1, None, [[]], {}, 1e999])
def test_whatever_is_wrong_in_a_result_is_found_when_it_is_read(make, value, tmp_path):
    """Or it is shown: runs are passed on, and edited."""
    (tmp_path / "heads-x").mkdir()
    for place in list(places(make())):
        edited = json.loads(json.dumps(make()))
        holder = edited
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = value
        (tmp_path / "heads-x" / "result.json").write_text(json.dumps(edited))
        errors = {}
        result = stored.read(tmp_path / "heads-x", errors)
        assert (result is None) == bool(errors)
        if result is not None:
            tables.report([result])
            tables.report([result, result])


def places(value, above=()):
    """Yield where something is in a result, but in the configurations and the data set, by the keys that lead there."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        if key not in ("dataset", "config", "settings", "environment"):
            yield (*above, key)
            yield from places(one, (*above, key))
