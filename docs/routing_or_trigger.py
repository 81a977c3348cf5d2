#!/usr/bin/env python3
"""Make docs/is-it-the-routing.md, "is it the routing, or only more trigger?", from results/routing-or-trigger.

    python docs/routing_or_trigger.py collect RUNS    # take finished runs over: result.json and history.csv, no paths
    python docs/routing_or_trigger.py                 # tables and figure of that page, and of results/README.md

The rule was decided before the first run. The gain of a network is its ASR with the trigger on every patch less its ASR
with the same number of trigger pixels in one place. Of the difference between the gains of pmoe and pmoe-dense, paired
by seed, a 95 % interval (Student's) above 0 says that it is the routing; one within ±10 points, that it is only more
trigger; anything else leaves it undecided.
"""

import re
import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from benchmark.core import intervals, plotting
from benchmark.core.intervals import Summary
from benchmark.runs import records, results
from benchmark.runs.result import RunResult

ROOT = Path(__file__).resolve().parents[1]
RUNS, PAGE = ROOT / "results" / "routing-or-trigger", ROOT / "docs" / "is-it-the-routing.md"
RESULTS = ROOT / "results" / "README.md"
NETWORKS = ("pmoe", "pmoe-dense", "preact-resnet18", "vit", "moe-vit")
ROUTED, CONTROL = "pmoe", "pmoe-dense"
WITHOUT = "preact-resnet18"
"""A network without experts, whose gain stands beside; the rule does not ask for it."""
MARGIN = 10.0
"""Points of ASR within which two gains count as the same."""
PLACES = {
    "every 8×8 patch": (8, 4),
    "one square of 16×16": (None, 16),
    "every 4×4 patch": (4, 2),
    "every 16×16 patch": (16, 8),
    "one square of 4×4": (None, 4),
}
"""Where the square is: side of the patches (None: the whole image), side of the square. All but the last have 256
trigger pixels an image."""
REPEATED, ALONE = "every 8×8 patch", "one square of 16×16"
FINER, COARSER = "every 4×4 patch", "every 16×16 patch"
STYLES = dict(zip(PLACES, (("#0072B2", "-", "s"), ("#D55E00", "--", "o"), ("#009E73", ":", "^"),
                           ("#882255", "-.", "D"), ("#555555", (0, (8, 3)), "v")), strict=True))  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A run: data set, network, poisoning rate, place of the trigger (None: clean) and seed, with BA and ASR."""

    dataset: str
    network: str
    rate: Fraction
    place: str | None
    seed: int
    ba: float
    asr: float | None


def point(result: RunResult) -> Point:
    """Return what the question asks of a run. StopIteration where its trigger is in none of the places."""
    recipe, place = result.dataset.recipe, None
    if not result.dataset.is_clean:
        (trigger,) = recipe.triggers
        key = (recipe.patch[0] if recipe.patch else None, trigger.parameters["size"])
        place = next(name for name, sides in PLACES.items() if sides == key)
    scores = result.scores
    return Point(
        result.dataset.source,
        result.config.settings.NETWORK,
        Fraction(recipe.rate),
        place,
        result.config.seed,
        scores.ba.percent or 0.0,
        scores.asr.percent if scores.asr else None,
    )


def read(folder: Path = RUNS) -> list[Point]:
    """Read all runs."""
    return [point(run.result) for run in results.gather([folder])]


def asrs(points: Iterable[Point], dataset: str, network: str, rate: Fraction, place: str) -> dict[int, float]:
    """Return the ASR of each seed, percent."""
    wanted = (dataset, network, rate, place)
    chosen = (one for one in points if (one.dataset, one.network, one.rate, one.place) == wanted)
    return {one.seed: one.asr for one in chosen if one.asr is not None}


def between(
    points: list[Point], dataset: str, network: str, rate: Fraction, place: str, other: str
) -> dict[int, float]:
    """Return by how many points of ASR a place is ahead of another, for each seed that has both runs."""
    first, second = (asrs(points, dataset, network, rate, one) for one in (place, other))
    return {seed: first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())}


def gains(points: list[Point], dataset: str, network: str, rate: Fraction) -> dict[int, float]:
    """Return the gain of each seed that has both runs, percentage points of ASR."""
    return between(points, dataset, network, rate, REPEATED, ALONE)


def verdict(difference: Summary | None) -> str:
    """Say what the difference of the gains decides, by the rule above."""
    if difference is None or difference.half is None:
        return "not yet: fewer than two pairs of seeds"
    low, high = difference.mean - difference.half, difference.mean + difference.half
    if low > 0:
        return "it is the routing"
    return "only more trigger" if low >= -MARGIN and high <= MARGIN else "undecided"


def answers(points: list[Point]) -> list[str]:
    """Return the table of gains: a line for each data set and rate."""
    networks = (ROUTED, CONTROL, WITHOUT)
    lines = [
        f"| data set | rate | {' | '.join(f'gain, {name}' for name in networks)} | {ROUTED} − {CONTROL}, paired | "
        "pairs | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for dataset, rate in sorted({(one.dataset, one.rate) for one in points if one.place}):
        routed, control, beside = (gains(points, dataset, network, rate) for network in networks)
        pairs = sorted(routed.keys() & control.keys())
        difference = intervals.summary([routed[seed] - control[seed] for seed in pairs], least=-200.0)
        cells = [spelled(intervals.summary(found.values(), least=-100.0)) for found in (routed, control, beside)]
        lines.append(
            f"| {dataset} | {percent(rate)} | {' | '.join(cells)} | {spelled(difference)} | {len(pairs)} | "
            f"{verdict(difference)} |"
        )
    return lines


def grids(points: list[Point]) -> list[str]:
    """Return the table of what other grids than the network's own do, paired by seed: a line a network and rate."""
    steps = ((FINER, REPEATED), (REPEATED, COARSER), (COARSER, ALONE))
    titles = " | ".join(f"{place} − {other}" for place, other in steps)
    lines = [f"| data set | network | rate | {titles} |", "|" + "---|" * (3 + len(steps))]
    kinds = {(one.dataset, one.network, one.rate) for one in points if one.place}
    for dataset, network, rate in sorted(kinds, key=lambda key: (key[0], NETWORKS.index(key[1]), key[2])):
        found = (between(points, dataset, network, rate, place, other).values() for place, other in steps)
        cells = [spelled(intervals.summary(one, least=-100.0)) for one in found]
        lines.append(f"| {dataset} | {network} | {percent(rate)} | {' | '.join(cells)} |")
    return lines


def table(points: list[Point]) -> list[str]:
    """Return the table of ASR, mean over the seeds with its interval: a line for each network, rate and place."""
    lines = ["| data set | network | BA, clean | rate | " + " | ".join(PLACES) + " |", "|" + "---|" * (4 + len(PLACES))]
    networks = sorted({(one.dataset, one.network) for one in points}, key=lambda key: (key[0], NETWORKS.index(key[1])))
    for dataset, network in networks:
        inside = [one for one in points if (one.dataset, one.network) == (dataset, network)]
        clean = intervals.summary(one.ba for one in inside if one.place is None)
        for rate in sorted({one.rate for one in inside if one.place}):
            cells = [
                spelled(intervals.summary(asrs(inside, dataset, network, rate, place).values())) for place in PLACES
            ]
            lines.append(f"| {dataset} | {network} | {spelled(clean)} | {percent(rate)} | {' | '.join(cells)} |")
    return lines


def spelled(summary: Summary | None) -> str:
    """Spell a mean and its interval; of a single seed there is none."""
    if summary is None:
        return "-"
    if summary.half is None:
        return f"{summary.mean:.1f} (one seed)"
    return f"{summary.mean:.1f} [{summary.low:.1f}, {summary.high:.1f}]"


def percent(rate: Fraction) -> str:
    """Spell a rate as a percentage."""
    return f"{float(100 * rate):g} %"


def drawn(points: list[Point]):
    """Yield the figure: ASR against the rate, one panel a network and a row a data set; single seeds as dots."""
    import matplotlib.pyplot as plt

    datasets = sorted({one.dataset for one in points})
    networks = [name for name in NETWORKS if any(one.network == name for one in points)]
    size = (3.1 * len(networks) + 0.4, 2.9 * len(datasets) + 1.0)
    figure, panels = plt.subplots(len(datasets), len(networks), figsize=size, squeeze=False, sharey=True,
                                  layout="constrained")  # fmt: skip
    for row, dataset in zip(panels, datasets, strict=True):
        for panel, network in zip(row, networks, strict=True):
            _panel(panel, [one for one in points if (one.dataset, one.network) == (dataset, network)])
            panel.set_title(f"{dataset}, {network}", fontsize=9)
        row[0].set_ylabel("ASR (%)")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    yield "is-it-the-routing", figure


def _panel(panel, points: list[Point]) -> None:
    for place, (colour, dashes, marker) in STYLES.items():
        found: dict[float, list[float]] = {}
        for one in points:
            if one.place == place and one.asr is not None:
                found.setdefault(float(100 * one.rate), []).append(one.asr)
        rates = sorted(found)
        means = [statistics.fmean(found[rate]) for rate in rates]
        panel.plot(
            rates, means, color=colour, linestyle=dashes, marker=marker, markersize=4, linewidth=1.3, label=place
        )
        for rate in rates:
            panel.plot([rate] * len(found[rate]), found[rate], ".", color=colour, markersize=3, alpha=0.6)
    panel.set_xscale("log")
    rates = sorted({float(100 * one.rate) for one in points if one.place})
    panel.set_xticks(rates, [f"{rate:g} %" for rate in rates])
    panel.minorticks_off()
    panel.set_ylim(-4, 104)
    panel.grid(alpha=0.3)


def page(text: str, points: list[Point]) -> str:
    """Return the page with its tables made anew."""
    for name, lines in (("answers", answers(points)), ("asr", table(points)), ("grids", grids(points))):
        pattern = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda found, lines=lines: "\n".join([found[1], *lines, "", found[2]]), text)
        if count != 1:
            raise SystemExit(f"{PAGE}: expected one table {name}, got {count}")
    return text


def results_page(text: str) -> str:
    """Return results/README.md with the table of these runs made anew."""
    command = "benchmark table results/routing-or-trigger --format markdown\n```\n\n"
    arguments = [sys.executable, "-m", "benchmark", "table", str(RUNS), "--format", "markdown"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    made = re.match(r"((?:[^|\n].*\n\n)?(?:\|.*\n)+)", done.stdout)
    pattern = re.compile(rf"({re.escape(command)})(?:[^|#\n].*\n\n)?(?:\|.*\n)*")
    text, count = pattern.subn(lambda found: found[1] + (made[1] if made else ""), text)
    if count != 1:
        raise SystemExit(f"{RESULTS}: expected the command once, got it {count} times")
    return text


def collect(runs: Path) -> None:
    """Copy the results of finished runs whose place is one of ours; of the paths in them only the names are kept."""
    for run in results.gather([runs]):
        point(run.result)
        target = RUNS / run.folder.name
        records.take_over(run.folder, target)
        print(target)


def main() -> None:
    """See the module."""
    if sys.argv[1:2] == ["collect"] and len(sys.argv) == 3:
        collect(Path(sys.argv[2]))
        return
    points = read()
    RESULTS.write_text(results_page(RESULTS.read_text("utf-8")), "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8"), points), "utf-8")
    plotting.save(drawn(points), PAGE.parent, ("png",))


if __name__ == "__main__":
    main()
