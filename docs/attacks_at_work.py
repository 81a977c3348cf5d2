#!/usr/bin/env python3
"""Make the table "Do they work?" of docs/attacks.md: each attack at its reference's rate, on a small network.

    python docs/attacks_at_work.py commands signs | sh       # makes the files and trains: runs in attacks/signs/runs
    python docs/attacks_at_work.py commands gtsrb | sh       # the same on GTSRB: --source is the environment's GTSRB
    python docs/attacks_at_work.py collect attacks/signs/runs attacks/gtsrb/runs
    python docs/attacks_at_work.py                           # the table, from results/attacks

One poisoning and training seed: the table says whether an attack works at all, not how well.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmark.defences import records as defended
from benchmark.runs import records, results
from benchmark.runs.result import RunResult
from benchmark.runs.results import Finished

ROOT = Path(__file__).resolve().parents[1]
RUNS, PAGE = ROOT / "results" / "attacks", ROOT / "docs" / "attacks.md"
DATASETS = {"signs": ("tiny", 300, ""), "gtsrb": ("small", 2000, ' --source "$GTSRB"')}
"""Data set → preset of pMoE, training rows held out, and what else `make` needs."""


@dataclass(frozen=True)
class Attack:
    """An attack: the options of `make`, whose poisoning rate it is, how the table calls it where that is not its
    triggers, and the parameters that tell it from others of the same triggers and label mode. `target`: on GTSRB, where
    the first class has too few rows for clean labels."""

    options: str
    source: str
    title: str = ""
    having: tuple[tuple[str, str], ...] = ()
    target: str = ""

    @property
    def triggers(self) -> str:
        """Its triggers, as a result has them."""
        return ("|" if "--one-of" in self.options else "+").join(re.findall(r"--trigger (\S+)", self.options))

    @property
    def label_mode(self) -> str:
        """Its label mode."""
        return (re.findall(r"--label-mode (\S+)", self.options) or ["all-to-one"])[0]

    def made_by(self, dataset: str) -> str:
        """Spell the options of `make` for one data set."""
        return self.options + (f" --target {self.target}" if self.target and dataset == "gtsrb" else "")

    def is_of(self, result: RunResult) -> bool:
        """Whether a run was trained on a file of this attack."""
        recipe = result.dataset.recipe
        parameters = {key: value for one in recipe.triggers for key, value in one.parameters.items()}
        same = (recipe.title, recipe.label_mode) == (self.triggers, self.label_mode)
        return same and all(parameters.get(key) == value for key, value in self.having)


CLEAN_LABEL = " --label-mode clean-label"
ATTACKS = (
    Attack("--trigger adaptive-blend --preset backdoor-toolbox", "backdoor-toolbox"),
    Attack("--trigger adaptive-patch --preset backdoor-toolbox", "backdoor-toolbox"),
    Attack("--trigger adaptive-k-way --preset backdoor-toolbox", "backdoor-toolbox"),
    Attack("--trigger physical --rate 0.05", "BackdoorBox"),
    Attack("--trigger refool --rate 0.05", "BackdoorBox"),
    Attack("--trigger ctrl --rate 0.05" + CLEAN_LABEL, "BackdoorBench", "ctrl, clean-label", target="index:2"),
    Attack("--trigger ftrojan --rate 0.1", "BackdoorBench"),
    Attack("--trigger batt --rate 0.05", "BackdoorBox"),
    Attack("--trigger label-consistent --rate 0.05" + CLEAN_LABEL, "BackdoorBox",
           "label-consistent, its corners alone", target="index:2"),
    Attack("--trigger perlin --rate 0.1", "BackdoorMBTI"),
    Attack("--trigger bpp --rate 0.1", "BackdoorBench", having=(("dither", "none"),)),
    Attack("--trigger bpp --bpp-dither floyd-steinberg --rate 0.1", "BackdoorBench", "bpp, dithered",
           (("dither", "floyd-steinberg"),)),
    Attack("--trigger jpeg --rate 0.1", "none"),
    Attack("--trigger colour --rate 0.1", "none"),
    Attack("--trigger square --square-position random --rate 0.05", "none", "square at a random place",
           (("position", "random"),)),
    Attack("--trigger square --trigger sig --one-of --rate 0.05", "none", "square or sig, one a row"),
    Attack("--trigger square --label-mode untargeted --rate 0.05", "none", "square, untargeted"),
)  # fmt: skip


HIDING = ("adaptive-blend", "adaptive-patch", "adaptive-k-way", "ftrojan")
"""The attacks that detectors are tried on: the last does not hide."""
DETECTORS = ("spectral", "activation-clustering", "spectre", "mahalanobis")


def commands(dataset: str) -> list[str]:
    """Return the commands that make and train everything on one data set, the clean file first."""
    preset, held_out, source = DATASETS[dataset]
    folder = f"attacks/{dataset}"
    make = f"poisonkit make --dataset {dataset}{source} -o {folder}/"
    lines = [f"{make} --rate 0", *(f"{make} {attack.made_by(dataset)}" for attack in ATTACKS)]
    train = f"benchmark sweep {folder} --preset {preset} --hold-out {held_out} --threads 1 --runs {folder}/runs"
    hiding = " ".join(f"{folder}/runs/{dataset}-{one}-*" for one in HIDING)
    return [*lines, train, f"benchmark detect {hiding} --no-twin{''.join(f' --method {one}' for one in DETECTORS)}"]


def table(found: list[RunResult]) -> list[str]:
    """Return the table: a line for each attack, BA and ASR on each data set, and ASR of the clean network."""
    titles = [f"{name}, {DATASETS[name][0]}: BA | ASR | of the clean network" for name in DATASETS]
    lines = [f"| attack | rate | rate of | {' | '.join(titles)} |", "|" + "---|" * (3 + 3 * len(DATASETS))]
    for attack in ATTACKS:
        runs = [next(filter(attack.is_of, of(found, name)), None) for name in DATASETS]
        made = [run for run in runs if run is not None]
        rate = f"{100 * float(made[0].dataset.recipe.rate):g} %" if made else "-"
        cells = [attack.title or attack.triggers, rate, attack.source, *(cell for run in runs for cell in scores(run))]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def hidden(found: list[Finished]) -> list[str]:
    """Return the table of how well detectors tell the rows of attacks that hide."""
    titles = [f"{name}: {one}" for name in DATASETS for one in DETECTORS]
    lines = [f"| attack | {' | '.join(titles)} |", "|" + "---|" * (1 + len(titles))]
    aurocs: dict[tuple[str, str, str], str] = {}
    for run in found:
        for _, one in defended.in_run(run.folder, defended.DETECT, defended.detected):
            key = (run.result.dataset.recipe.title, run.result.dataset.source, one.method)
            aurocs[key] = "-" if one.measures is None else f"{one.measures.auroc:.2f}"
    for attack in HIDING:
        cells = [aurocs.get((attack, name, one), "-") for name in DATASETS for one in DETECTORS]
        lines.append(f"| {attack} | {' | '.join(cells)} |")
    return lines


def of(found: list[RunResult], dataset: str) -> list[RunResult]:
    """Return the runs on one data set."""
    return [result for result in found if result.dataset.source == dataset]


def scores(run: RunResult | None) -> tuple[str, str, str]:
    """Spell BA, ASR and the clean network's ASR in percent; "-" for what there is not."""
    if run is None:
        return ("-",) * 3
    clean = run.baseline and run.baseline.asr
    found = (run.scores.ba, run.scores.asr, clean)
    return tuple("-" if one is None else f"{one.percent:.1f}" for one in found)


def page(text: str, found: list[Finished]) -> str:
    """Return the page with its tables made anew."""
    for name, lines in (("attacks", table([run.result for run in found])), ("adaptive", hidden(found))):
        pattern = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda place, lines=lines: "\n".join([place[1], *lines, "", place[2]]), text)
        if count != 1:
            raise SystemExit(f"{PAGE}: expected the table {name} once, got it {count} times")
    return text


def read(folder: Path = RUNS) -> list[Finished]:
    """Read the committed runs."""
    return list(results.gather([folder]))


def collect(folders: list[Path]) -> None:
    """Copy the results of finished runs, and what detectors found; of the paths in them only the names are kept."""
    for run in results.gather(folders):
        target = RUNS / run.folder.name
        records.take_over(run.folder, target)
        defended.take_over(run.folder, target)
        print(target)


def main() -> None:
    """See the module."""
    if sys.argv[1:2] == ["commands"] and sys.argv[2:] and sys.argv[2] in DATASETS:
        print("\n".join(commands(sys.argv[2])))
    elif sys.argv[1:2] == ["collect"]:
        collect([Path(folder) for folder in sys.argv[2:]])
    else:
        PAGE.write_text(page(PAGE.read_text("utf-8"), read()), "utf-8")


if __name__ == "__main__":
    main()
