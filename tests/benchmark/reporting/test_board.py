"""The board: attacks by defences, what it says in a sentence, and the page that shows it."""

import csv
import io
import itertools
import json
import re
import time
from fractions import Fraction

import fake_defences
import fake_runs
import many_results
import pytest

from benchmark.core.intervals import Summary
from benchmark.defences import over_runs, summaries
from benchmark.reporting import board as boards
from benchmark.reporting import finding
from benchmark.reporting.board import ALIVE, COSTLY, DETECTOR, GONE, NOTHING, REPAIR, Column, Spot
from benchmark.reporting.html.sections import SECTIONS, Content
from benchmark.reporting.published import Sources
from benchmark.runs import groups, results
from benchmark.runs.groups import Score
from benchmark.runs.published import PUBLISHED, DefendedKey, Key, PruningKey
from benchmark.training.settings import PRESETS


def built(runs, sources=()):
    found = results.gather([runs])
    cells = groups.group(found)
    defended = over_runs.collect(cells, found.wrong)
    return boards.build(cells, summaries.detected(defended), summaries.repaired(defended), sources)


def said(board):
    """The finding of its one network."""
    (network,) = board.networks
    return finding.sentences(board, network)


def score(mean, half=None):
    over = None if half is None else "seeds"
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return Score(Summary((mean,), mean, None, low, high, over, half))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three seeds of two attacks, at two rates the one: anp repairs all, plain fine-tuning none; a detector of each."""
    folder = tmp_path_factory.mktemp("runs")
    attacks = [("square", "image", "0.005"), ("square", "patch", "0.005"), ("warped", "image", "0.02")]
    for seed in range(3):
        clean = fake_runs.write(folder, trigger=None, seed=seed, ba=85)
        for number, (trigger, application, rate) in enumerate(attacks):
            run = fake_runs.write(folder, trigger=trigger, application=application, rate=rate, seed=seed, ba=84, asr=90)
            for method, left in (("anp", 2 + seed), ("fine-tuning", 60), ("clp", 8)):
                ba = 70 if method == "clp" else 82
                fake_defences.repaired(run, method, ((ba, left),), clean_run=clean.name)
            fake_defences.detected(run, "spectral", tpr=0.95 if number else 0.05, clean_run=clean.name)
            fake_defences.detected(run, "flare", tpr=0.5 + seed / 10)
        fake_defences.detected(clean, "spectral", tpr=None, flagged=0.04)
    return folder


def test_rows_are_attacks_and_columns_methods_with_the_control_first(runs):
    found = built(runs)
    assert [row.title for row in found.attacks] == ["square, whole image", "square, every patch", "warped, whole image"]
    titles = [(column.kind, column.title) for column in found.columns]
    assert titles == [
        *((REPAIR, name) for name in ("no defence", "fine-tuning", "anp", "clp")),
        *((DETECTOR, name) for name in ("flare", "spectral")),
    ]
    assert len(found.spots) == 3 * 6 and found.networks == ["pMoE (paper)"]
    anp = next(spot for spot in found.spots if spot.column.name == "anp")
    assert anp.main.mean == pytest.approx(3) and anp.mean("ba_lost") == pytest.approx(2) and anp.main.seeds == 3


@pytest.mark.parametrize(
    ("kind", "name", "mean", "others", "mark", "step"),
    [
        (REPAIR, "anp", 3.0, {"before_asr": 95, "ba_lost": 1}, GONE, 0),
        (REPAIR, "anp", 10.0, {"before_asr": 95, "ba_lost": 5}, GONE, 1),
        (REPAIR, "anp", 10.0, {"before_asr": 95, "ba_lost": 5.1}, COSTLY, 1),
        (REPAIR, "anp", 30.0, {"before_asr": 95, "ba_lost": 1}, "", 3),
        (REPAIR, "anp", 50.1, {"before_asr": 95, "ba_lost": 1}, ALIVE, 4),
        (REPAIR, "anp", 99.0, {"before_asr": 95, "ba_lost": 1}, ALIVE, 5),
        (REPAIR, "anp", 3.0, {"before_asr": 9}, NOTHING, 0),
        (REPAIR, "", 99.0, {}, "", 5),
        (REPAIR, "", 4.0, {}, NOTHING, 0),
        (DETECTOR, "scan", 90.0, {}, GONE, 1),
        (DETECTOR, "scan", 50.0, {}, "", 3),
        (DETECTOR, "scan", 9.9, {}, ALIVE, 5),
    ],
)
def test_marks_and_steps_say_how_much_gets_through(kind, name, mean, others, mark, step):
    scores = {key: score(value) for key, value in others.items()}
    spot = Spot(None, Column(kind, name), score(mean).summary, scores, None)
    assert (spot.mark, spot.step) == (mark, step)


def test_the_finding_is_in_words_with_what_it_rests_on(runs):
    repairs, detectors, attacks = said(built(runs))
    assert repairs[0].startswith(
        "anp does best of 3 repairs: it brings 3 of 3 attacks that worked to an ASR of at most 10 %"
    )
    assert "median ASR left 3.0 %, 3.0 to 3.0" in repairs[0]
    assert "plain fine-tuning, the control, does so for 0 of 3 (no clear difference: sign test" in repairs[0]
    assert repairs[0].endswith("p = 0.5, as the best of 2)."), "0.25 of anp by itself, which was chosen from two"
    assert repairs[1].startswith("9 runs; 95 % intervals over the seeds: half of them ±")
    assert detectors[0].startswith("spectral finds most of 2 detectors: on average 65.0 % of the poisoned rows at 1 %")
    assert "least (5.0 %) of square, whole image at 0.5 %" in detectors[0]
    assert "its own cut would throw away 4.0 % of the same data without any poison" in detectors[0]
    assert attacks[0] == (
        "Of 3 attacks, 3 work with an ASR of 50 % or more; the strongest is square, whole image at 0.5 % with 90.0 %."
    )


def test_the_best_of_many_repairs_is_not_clearly_better_for_being_the_best(tmp_path):
    """Six attacks that it repairs and the control does not: p = 0.03, but eight repairs had that chance."""
    for rate in ("0.001", "0.002", "0.005", "0.01", "0.02", "0.1"):
        run = fake_runs.write(tmp_path, rate=rate, asr=95)
        fake_defences.repaired(run, "fine-tuning", ((83, 60),))
        for number in range(8):
            fake_defences.repaired(run, f"own-{number}", ((83, 60 if number else 5),))
    words = said(built(tmp_path))[0][0]
    assert "own-0 does best of 9 repairs" in words
    assert words.endswith("(no clear difference: sign test over 6 attacks, p = 0.25, as the best of 8).")


def test_the_finding_of_one_seed_says_so_and_of_attacks_that_fail_too(tmp_path):
    fake_runs.write(tmp_path, asr=12)
    ((words, basis),) = said(built(tmp_path))
    assert words == "None of 1 attack works: the highest ASR is 12.0 %."
    assert basis == "1 run; every figure is of one seed, without an interval over seeds"


def test_a_method_that_was_tried_on_few_attacks_is_not_the_best(tmp_path):
    for rate in ("0.005", "0.01", "0.02"):
        run = fake_runs.write(tmp_path, rate=rate, asr=95)
        fake_defences.repaired(run, "anp", ((83, 9),))
    fake_defences.repaired(run, "nad", ((83, 0),))
    assert said(built(tmp_path))[0][0].startswith("anp is the only repair that was tried: it brings 3 of 3 attacks")


def test_where_no_repair_works_the_finding_says_that(tmp_path):
    run = fake_runs.write(tmp_path, asr=95)
    for method, after in (("anp", (60, 4)), ("nad", (80, 50))):
        fake_defences.repaired(run, method, (after,))
    fake_defences.detected(run, "scan", tpr=0.2)
    repairs, detectors, _ = said(built(tmp_path))
    assert repairs[0] == (
        "None of 2 repairs brings an attack that worked to an ASR of at most 10 % for at most 5 points of BA; the "
        "lowest ASR left is 4.0 %, by anp of square, whole image at 0.5 %."
    )
    assert detectors[0].startswith("scan is the only detector that was tried: 20.0 % of the poisoned rows at 1 % false")


def test_detectors_that_find_as_much_are_named_and_fewer_false_alarms_come_first(tmp_path):
    run, clean = fake_runs.write(tmp_path, asr=95), fake_runs.write(tmp_path, trigger=None)
    for method, flagged in (("mahalanobis", 0.04), ("scan", 0.0), ("routing", 0.02)):
        fake_defences.detected(run, method, tpr=1.0, clean_run=clean.name)
        fake_defences.detected(clean, method, tpr=None, flagged=flagged)
    fake_defences.detected(run, "spectral", tpr=0.5)
    words = said(built(tmp_path))[0][0]
    assert words.startswith("scan finds most of 4 detectors (mahalanobis and routing as many): 100.0 % of the poisoned")
    assert words.endswith("its own cut would throw away 0.0 % of the same data without any poison.")


@pytest.mark.parametrize(("more", "fewer"), [(0, 0), (3, 0), (1, 1), (5, 2), (0, 9), (12, 3)])
def test_the_sign_test_counts_all_outcomes_as_extreme(more, fewer):
    count, extreme = more + fewer, max(more, fewer)
    outcomes = [sum(signs) for signs in itertools.product((0, 1), repeat=count)]
    as_extreme = sum(max(one, count - one) >= extreme for one in outcomes)
    assert finding.sign_test(more, fewer) == pytest.approx(float(Fraction(as_extreme, len(outcomes))))


def test_published_figures_stand_beside_the_same_attack_alone(tmp_path):
    import dataclasses

    run = fake_runs.write(tmp_path, rate="0.005", settings=PRESETS["paper"])
    fake_defences.repaired(run, "anp", ((80, 3),))
    fake_defences.repaired(run, "own-mine-fix", ((80, 3),))
    plain = PUBLISHED["badpatches"]
    key = DefendedKey(Key("cifar10", "pmoe", "square", "image", Fraction("0.005")), "ANP")
    source = dataclasses.replace(plain, defended=lambda: {key: {"asr": 1.5, "ba": 88.0}})
    fake_defences.repaired(run, "fine-pruning", ((70, 50), (80, 40)), stages=[("pruned", "0.3"), ("fine-tuned", "0.3")])
    pruned = PruningKey(key.cell, "finetuned", Fraction("0.3"))
    source = dataclasses.replace(source, fine_pruning=lambda: {pruned: {"asr": 77.0, "ba": 80.0}})
    stages = {key.stage for key in plain.fine_pruning()}
    assert pruned.stage in stages, "as the paper's table has it"
    spots = {spot.column.name: spot.published for spot in built(tmp_path, [source]).spots}
    assert [one.asr for one in spots["fine-pruning"]] == [77.0]
    assert [one.asr for one in spots["anp"]] == [1.5] and not spots["own-mine-fix"]
    assert [(one.asr, one.source) for one in spots[""]] == [(90.7, "BadPatches")]


def test_a_fine_pruning_without_fine_tuning_stands_beside_no_figure_of_one_with_it(tmp_path):
    import dataclasses

    run = fake_runs.write(tmp_path, rate="0.005", settings=PRESETS["paper"])
    fake_defences.repaired(run, "fine-pruning", ((70, 50), (60, 40)), stages=[("pruned", "0.3"), ("masked", "0.3")])
    cell = Key("cifar10", "pmoe", "square", "image", Fraction("0.005"))
    pruned = PruningKey(cell, "finetuned", Fraction("0.3"))
    source = dataclasses.replace(
        PUBLISHED["badpatches"],
        fine_pruning=lambda: {pruned: {"asr": 77.0, "ba": 80.0}},
        defended=lambda: {DefendedKey(cell, "fp"): {"asr": 1.5, "ba": 88.0}},
    )
    spots = {spot.column.name: spot.published for spot in built(tmp_path, [source]).spots}
    assert spots["fine-pruning"] == ()


def test_results_of_two_versions_are_both_on_the_board(tmp_path):
    """The one was made before the method had one of its options: neither hides the other."""
    run = fake_runs.write(tmp_path, asr=95)
    fake_defences.repaired(run, "anp", ((83, 60),), settings={"steps": 2000}, key="0")
    fake_defences.repaired(run, "anp", ((83, 5),), settings={"steps": 2000, "project": True}, key="1")
    found = built(tmp_path)
    spots = {spot.column.settings: spot.main.mean for spot in found.spots if spot.column.name}
    assert len({(spot.attack, spot.column) for spot in found.spots}) == len(found.spots) == 3
    old, new = sorted(spots, key=lambda words: -spots[words])
    assert (spots[old], spots[new]) == (60, 5) and "project not recorded" in old and "project yes" in new


def test_csv_and_json_have_every_cell(runs):
    found = built(runs)
    rows = list(csv.DictReader(io.StringIO(boards.csv(found))))
    assert len(rows) == len(boards.records(found)) == 18
    row = next(row for row in rows if row["method"] == "anp" and row["rate"] == "2 %")
    assert (row["asr"], row["seeds"], row["interval_over"]) == ("3.0", "3", "seeds")
    assert float(row["asr_low"]) == pytest.approx(3 - 2.484, abs=0.01) and row["tpr_at_1"] == ""
    json.dumps(boards.records(found), allow_nan=False)


# ---------------------------------------------------------------- the page


def content(runs):
    found = results.gather([runs])
    return Content(found, groups.group(found), [runs], "no pictures", Sources(tuple(PUBLISHED.values())))


def test_without_a_script_all_is_there_as_tables(runs):
    made = content(runs)
    page = SECTIONS["What works"].build(made) + SECTIONS["Detectors and repairs"].build(made)
    page += SECTIONS["Results"].build(made) + SECTIONS["All runs"].build(made)
    assert page.count('<table class="board"') == 2 and page.count("data-cell=") == 18
    keys = re.findall(r' id="([\w-]+)"', page)
    assert len(keys) == len(set(keys)) and set(re.findall(r'href="#([\w-]+)"', page)) <= set(keys)
    assert '<b aria-hidden="true">✓</b>' in page and "All attacks: cifar10." in page
    assert '<span class="step0">0–5</span>' in page, "of repairs, the ASR that is left"
    assert '<span class="step0">95–100</span>' in page, "of detectors, the share that is found"
    cells = json.loads(re.search(r'id="board-data">(.*?)</script>', page)[1])
    assert [cell["kind"] for cell in cells].count("detector") == 6
    assert cells[0]["published"][0]["source"] == "BadPatches"


def test_nothing_from_outside_is_more_than_text(tmp_path):
    """A method's settings, a data set's label and a run's device are whatever a stranger wrote."""
    run = fake_runs.write(tmp_path)
    hostile = '</script><img src=x onerror=alert(1)>"&\u202e'
    fake_defences.repaired(run, "anp", ((80, 3),), settings={"x": hostile})
    fake_defences.detected(run, "spectral", settings={"=cmd": hostile})
    page = SECTIONS["What works"].build(content(tmp_path))
    assert "<img" not in page and "\u202e" not in page and page.count("</script>") == 1
    (data,) = re.findall(r'id="board-data">(.*?)</script>', page)
    assert any(hostile in cell["options"] for cell in json.loads(data))


def test_where_nothing_was_defended_the_page_says_so(tmp_path):
    fake_runs.write(tmp_path)
    page = SECTIONS["What works"].build(content(tmp_path))
    assert "No detector and no repair was tried" in page and "board" not in page.replace("board-", "")
    fake_runs.write(tmp_path / "clean", trigger=None)
    assert SECTIONS["What works"].build(content(tmp_path / "clean")) == ""


@pytest.mark.slow
def test_two_thousand_results_are_a_page_in_a_second(tmp_path):
    many_results.write(tmp_path)
    found = results.gather([tmp_path])
    start = time.process_time()
    made = Content(found, groups.group(found), [tmp_path], "no pictures", Sources(tuple(PUBLISHED.values())))
    pages = [SECTIONS[name].build(made) for name in ("What works", "Detectors and repairs", "Results", "All runs")]
    assert time.process_time() - start < 2, "a second of one core that does nothing else, and half of it is checks"
    assert sum(map(len, pages)) < 2_500_000
