"""The tables of docs/sealing.md: what an audit finds in challenges made by the real commands.

    python tests/perf/measure_sealing.py --cifar10 FOLDER -o docs/sealing.json [--scratch FOLDER] [--train 12000]

For every trigger, image level and per patch, and every level of camouflage it makes a data set of CIFAR-10's first
rows (a quadratic join of all 50,000 takes long; class sizes even), seals it and audits it with the key, and keeps of
each team the best probe's figures. What is there already is not made again, so that it may be stopped. Each cell keeps
the three commands that it comes from. `--seed 1` draws everything anew: rows, camouflage and order.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

TRIGGERS = {
    "square": ["--trigger", "square"],
    "blend": ["--trigger", "blend", "--blend-alpha", "0.2"],
    "warped": ["--trigger", "warped"],
    "sig": ["--trigger", "sig"],
}
PLACES = {"image": [], "patch": ["--per-patch"]}
LEVELS = ("none", "medium", "strong")
LABELS = {"clean-label": ["--label-mode", "clean-label"], "changed": []}
SEED = 6419283746501928374  # of the camouflage
SECRET = 3  # of the order


def subset(folder: Path, target: Path, train: int, test: int) -> None:
    """The first rows of every class of CIFAR-10, train / 10 and test / 10 of each, as an .npz."""
    arrays = {}
    for part, files, count in (
        ("train", [f"data_batch_{i}.bin" for i in range(1, 6)], train),
        ("test", ["test_batch.bin"], test),
    ):
        rows = np.concatenate([np.fromfile(folder / name, np.uint8).reshape(-1, 3073) for name in files])
        first = [np.flatnonzero(rows[:, 0] == label)[: count // 10] for label in range(10)]
        rows = rows[np.sort(np.concatenate(first))]
        images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays |= {f"x_{part}": np.ascontiguousarray(images), f"y_{part}": rows[:, 0].astype(np.int64)}
    np.savez(target, **arrays)


def run(command: list[str]) -> str:
    """What a command of ours says; 3 is "found"."""
    whole = [str(Path(sys.executable).with_name("poisonkit")), *command]
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(whole)}: {done.stderr}")
    return done.stdout


def commands(cell: tuple[str, str, str, str], source: Path, seed: int) -> list[list[str]]:
    """The three commands of a cell, in the folder of the scratch."""
    trigger, place, level, labels = cell
    name = "-".join(cell)
    made = ["make", "--dataset", "npz", "--source", source.name, *TRIGGERS[trigger], *PLACES[place], *LABELS[labels]]
    made += ["--rate", "0.01", "--seed", str(seed)]
    if level != "none":
        made += ["--camouflage", level, "--camouflage-seed", str(SEED + seed)]
    sealed = ["seal", f"{name}.h5", "-o", f"c-{name}.h5", "--key", f"c-{name}.key.h5", "--even-labels"]
    audited = ["audit", f"c-{name}.h5", "--key", f"c-{name}.key.h5", "--json"]
    return [
        [*made, "-o", f"{name}.h5", "--force"],
        [*sealed, "--secret-seed", str(SECRET + seed), "--force"],
        audited,
    ]


def measure(cell: tuple[str, str, str, str], source: Path, seed: int = 0) -> dict:
    """One cell: of each team the best probe, and every probe's figures."""
    start, asked = time.monotonic(), commands(cell, source, seed)
    for command in asked[:-1]:
        run(command)
    found = json.loads(run(asked[-1]))
    for path in Path().glob(f"*{'-'.join(cell)}*"):
        path.unlink()
    probes = {
        one["probe"]: [one["team"], round(one["auroc"], 3), round(one["tpr_at_1_percent_fpr"], 3)]
        for one in found["findings"]
        if one.get("auroc") is not None
    }
    best = {team: said["best"] for team, said in found["verdict"].items()}
    seconds = round(time.monotonic() - start)
    return {
        "cell": list(cell), "changed": found["changed"], "rows": found["training_rows"], "best": best,
        "probes": probes, "seconds": seconds, "commands": [" ".join(["poisonkit", *one]) for one in asked],
    }  # fmt: skip


def cells() -> list[tuple[str, str, str, str]]:
    """Every cell, the ones that the goals are about first."""
    first = [(t, p, "strong", "clean-label") for p in PLACES for t in ("warped", "blend")]
    first += [(t, "image", level, "changed") for t in ("warped", "blend") for level in LEVELS]
    every = [(t, p, level, "clean-label") for t in TRIGGERS for p in PLACES for level in LEVELS]
    return list(dict.fromkeys(first + every))


def table(measured: list[dict]) -> list[str]:
    """Markdown: a line for each trigger, place and labels, of each level what either team's best probe reaches."""
    there, lines = {tuple(one["cell"]): one["best"] for one in measured}, []
    for team, title in (("file", "the sealed file alone"), ("source", "the public source too")):
        head = f"| {title} | trigger on | labels | " + " | ".join(LEVELS) + " |"
        lines += ["", head, "|" + "---|" * (3 + len(LEVELS))]
        for trigger, place, labels in dict.fromkeys((t, p, labels) for t, p, _, labels in cells()):
            said = [_figures(there.get((trigger, place, level, labels)), team) for level in LEVELS]
            if any(text != "–" for text in said):
                lines.append(f"| {trigger} | {place} | {labels} | " + " | ".join(said) + " |")
    return lines[1:]


def _figures(best: dict | None, team: str) -> str:
    """AUROC / TPR at 1 % FPR of a team's best probe; whoever has the source has the file as well."""
    teams = ("file", "source") if team == "source" else ("file",)
    known = [best[one] for one in teams if best and best.get(one)]
    if not known:
        return "–"
    top = max(known, key=lambda one: one["auroc"])
    most = max(one["tpr_at_1_percent_fpr"] for one in known)
    return f"{top['auroc']:.2f} / {most:.2f}, {top['probe'].replace('by windows, npz', 'windows').replace(', npz', '')}"


def main() -> None:
    """Measure what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, required=True, help="folder of the binary version's batches")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=Path("sealing-scratch"))
    parser.add_argument("--train", type=int, default=8_000)
    parser.add_argument("--test", type=int, default=3_000)
    parser.add_argument("--only", default="", help="cells whose name, TRIGGER-PLACE-LEVEL-LABELS, has this in it")
    parser.add_argument("--seed", type=int, default=0, help="another draw of everything; its OUTPUT is another file")
    parser.add_argument("--table", action="store_true", help="only print what OUTPUT has, as the page's tables")
    given = parser.parse_args()
    output, folder = given.output.absolute(), given.cifar10.absolute()
    if given.table:
        print("\n".join(table(json.loads(output.read_text())["cells"])))
        return
    given.scratch.mkdir(parents=True, exist_ok=True)
    os.chdir(given.scratch)
    os.environ["POISONKIT_CACHE"] = str(Path("cache").absolute())
    source = Path(f"cifar10-{given.train}.npz")
    if not source.exists():
        subset(folder, source, given.train, given.test)
    done = (
        json.loads(output.read_text()) if output.exists() else {"train": given.train, "test": given.test, "cells": []}
    )
    there = {tuple(one["cell"]) for one in done["cells"]}
    for cell in [one for one in cells() if one not in there and given.only in "-".join(one)]:
        done["cells"].append(measure(cell, source, given.seed))
        output.write_text(json.dumps(done, indent=1) + "\n")
        print(cell, json.dumps(done["cells"][-1]["best"]), flush=True)


if __name__ == "__main__":
    main()
