#!/usr/bin/env python3
"""Make the tables of docs/which-defences-work.md: what detectors find and repairs leave of each attack.

    python docs/which_defences_work.py commands signs | sh     # files, trainings, detectors, repairs: defences/signs
    python docs/which_defences_work.py commands gtsrb | sh     # the same on GTSRB: --source is the environment's GTSRB
    python docs/which_defences_work.py collect defences/signs/runs defences/gtsrb/runs
    python docs/which_defences_work.py                         # the tables, from results/defences

`signs`: every image attack, one seed. GTSRB: four attacks on the whole image and on every patch, three seeds. Clean
twins are trained with the same seeds, and every method is tried on them too.
"""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from attacks_at_work import ATTACKS

from benchmark.core import text_tables
from benchmark.core.intervals import Summary
from benchmark.defences import over_runs, summaries
from benchmark.defences import records as defended
from benchmark.defences.over_runs import Defended
from benchmark.reporting import cells as words
from benchmark.runs import records, results
from benchmark.runs.groups import Cell, group

ROOT = Path(__file__).resolve().parents[1]
RUNS, PAGE = ROOT / "results" / "defences", ROOT / "docs" / "which-defences-work.md"
DETECTORS = ("spectral", "activation-clustering", "scan", "mahalanobis", "loss", "routing")
"""Those that are tried on all rows of GTSRB."""
SAMPLED = ("strip", "scale-up", "ibd-psc", "beatrix", "flare")
"""Those that are tried there on SAMPLE rows, all poisoned ones among them; figures are weighted."""
SAMPLE = 5_000
OVERLAYS = " --option strip.overlays=25"
"""Of STRIP's overlays a quarter of what its paper has: with all of them it takes longer than all other detectors."""
REPAIRS = ("fine-tuning", "fine-pruning", "anp", "clp")
ONCE = (("confusion",), ("nc", "i-bau", "ft-sam"))
"""What is tried on one run alone, the square on every patch: detectors, repairs."""


@dataclass(frozen=True)
class Plan:
    """What is done on a data set: preset, rows held out, what else `make` needs, the options of each attack, seeds."""

    preset: str
    held_out: int
    source: str
    attacks: tuple[str, ...]
    seeds: tuple[int, ...]


EARLIER = (
    "--trigger square --rate 0.05",
    "--trigger square --per-patch --rate 0.05",
    "--trigger blend --blend-alpha 0.2 --rate 0.05",
    "--trigger blend --blend-alpha 0.2 --per-patch --rate 0.05",
    "--trigger warped --rate 0.05",
    "--trigger warped --per-patch --rate 0.05",
    "--trigger sig --label-mode clean-label --rate 0.05",
    "--trigger noise --rate 0.05",
    "--trigger sticker --rate 0.05",
)
"""The attacks that docs/attacks_at_work.py leaves out."""
_FOUR = (
    "--trigger square --rate 0.005",
    "--trigger warped --rate 0.05",
    "--trigger sig --label-mode clean-label --target index:2 --rate 0.05",
    "--trigger adaptive-blend --rate 0.003 --cover-rate 1x",
)
PLANS = {
    "signs": Plan("tiny", 300, "", (*EARLIER, *(attack.made_by("signs") for attack in ATTACKS)), (0,)),
    "gtsrb": Plan(
        "small",
        2000,
        ' --source "$GTSRB"',
        tuple(f"{attack}{patch}" for attack in _FOUR for patch in ("", " --per-patch")),
        (0, 1, 2),
    ),
}


def commands(dataset: str) -> list[str]:
    """Return the commands that make and train everything on one data set, and try the methods."""
    plan, folder = PLANS[dataset], f"defences/{dataset}"
    make = f"poisonkit make --dataset {dataset}{plan.source} -o {folder}/"
    lines = [f"{make} --rate 0"]
    lines += [f"{make} {attack} --seed {seed}" for attack in plan.attacks for seed in plan.seeds]
    lines += [
        f"benchmark train {folder}/*clean*.h5 --preset {plan.preset} --hold-out {plan.held_out} --threads 1 "
        f"--seed {seed} --runs {folder}/runs"
        for seed in plan.seeds
    ]
    lines += [
        f"benchmark train {folder}/*-s{seed}*.h5 --preset {plan.preset} --hold-out {plan.held_out} --threads 1 "
        f"--seed {seed} --runs {folder}/runs"
        for seed in plan.seeds
    ]
    return [*lines, *tried(f"{folder}/runs", whole=dataset == "signs")]


def tried(runs: str, whole: bool) -> list[str]:
    """Return the commands that try the methods on all runs of a folder; `whole`: every detector on all rows."""
    poisoned = f"{runs}/*[!n]--*"  # the clean twins are tried beside them
    if whole:
        lines = [f"benchmark detect {poisoned} --method all{OVERLAYS}"]
    else:
        lines = [
            f"benchmark detect {poisoned}{_named(DETECTORS)}",
            f"benchmark detect {poisoned}{_named(SAMPLED)}{OVERLAYS} --rows {SAMPLE}",
        ]
        one = f"{runs}/*-square-patch8-0.005-s0--*"
        lines += [f"benchmark detect {one}{_named(ONCE[0])}", f"benchmark repair {one}{_named(ONCE[1])}"]
    return [*lines, f"benchmark repair {poisoned}{_named(REPAIRS)}"]


def _named(methods: Iterable[str]) -> str:
    return "".join(f" --method {name}" for name in methods)


# ---------------------------------------------------------------- tables


def tables(found: Defended, dataset: str) -> dict[str, list[str]]:
    """Return the tables of a data set by name: `found`, TPR at 1 % FPR by attack and detector; `alarms`, what the
    methods' own cuts throw away of the clean twins; `left`, ASR and BA lost by attack and repair."""
    detected = [one for one in summaries.detected(found) if one.group.cell.dataset == dataset]
    repaired = [one for one in summaries.repaired(found) if one.group.cell.dataset == dataset and one.last]
    return {
        "found": matrix(
            [(attack(one.group.cell), one.group.named, shown(one.scores, "tpr_at_1")) for one in detected]
        ),
        "auroc": matrix(
            [(attack(one.group.cell), one.group.named, shown(one.scores, "auroc", 100)) for one in detected]
        ),
        "alarms": matrix(
            [("the clean file", one.group.named, shown(one.scores, "twin_flagged"))
             for one in sorted(detected, key=lambda one: len(one.group.entries)) if "twin_flagged" in one.scores],
            "network of",
        ),
        "left": matrix([
            (attack(one.group.cell), one.group.named,
             f"{shown(one.scores, 'asr')} / {shown(one.scores, 'ba_lost')}")
            for one in repaired
        ]),
    }  # fmt: skip


def attack(cell: Cell) -> str:
    """Name an attack: `square, 0.5 %, every patch`; with BA and ASR before."""
    place = {"patch": ", every patch", "image": ""}.get(cell.application, "")
    return f"{words.trigger(cell)}{place}, {words.rate(cell.rate)}"


def shown(scores: dict, name: str, per: float = 1) -> str:
    """Spell a score, `-` where there is none: the mean over the seeds, and their range where there are several."""
    if name not in scores:
        return "-"
    summary: Summary = scores[name].summary
    spell: Callable[[float], str] = (lambda value: f"{value / per:.3f}") if per != 1 else (lambda value: f"{value:.1f}")
    low, high = min(summary.values), max(summary.values)
    return spell(summary.mean) + (f" ({spell(low)}–{spell(high)})" if summary.seeds > 1 else "")


def matrix(entries: list[tuple[str, str, str]], heading: str = "attack") -> list[str]:
    """Return a Markdown table of (row, column, cell), the columns by their names; of an entry that is there twice the
    last. A sentence where there is none."""
    if not entries:
        return ["Nothing of this has been run."]
    rows, columns = list(dict.fromkeys(entry[0] for entry in entries)), sorted({entry[1] for entry in entries})
    values = {(row, column): cell for row, column, cell in entries}
    cells = [[row, *(values.get((row, one), "-") for one in columns)] for row in rows]
    return text_tables.render("markdown", [heading, *columns], cells, {heading}).splitlines()


def page(text: str, found: Defended) -> str:
    """Return the page with its tables made anew."""
    for dataset in PLANS:
        for name, lines in tables(found, dataset).items():
            pattern = re.compile(rf"(<!-- table {dataset} {name} -->\n).*?(<!-- end -->)", re.DOTALL)
            text, count = pattern.subn(lambda place, lines=lines: "\n".join([place[1], *lines, "", place[2]]), text)
            if count != 1:
                raise SystemExit(f"{PAGE}: expected the table {dataset} {name} once, got it {count} times")
    return text


def read(folder: Path = RUNS) -> Defended:
    """Read the committed results."""
    return over_runs.collect(group(results.gather([folder])))


def collect(folders: list[Path]) -> None:
    """Copy the results of finished runs and of the methods tried on them, if any were; of the paths in them only the
    names stay."""
    for run in results.gather(folders):
        if not any(run.folder.glob("*/result.json")):
            continue
        target = RUNS / run.folder.name
        records.take_over(run.folder, target)
        defended.take_over(run.folder, target)
        print(target)


def main() -> None:
    """See the module."""
    if sys.argv[1:2] == ["commands"] and sys.argv[2:] and sys.argv[2] in PLANS:
        print("\n".join(commands(sys.argv[2])))
    elif sys.argv[1:2] == ["collect"]:
        collect([Path(folder) for folder in sys.argv[2:]])
    else:
        PAGE.write_text(page(PAGE.read_text("utf-8"), read()), "utf-8")


if __name__ == "__main__":
    main()
