"""Two thousand results in the folders of runs that were written by hand."""

import itertools

import fake_defences
import fake_runs

from benchmark.training.settings import PRESETS

RATES = ("0.001", "0.005", "0.01", "0.02", "0.1", "0.2")


def write(folder):
    """36 attacks of three seeds, on two networks; ten detectors and nine repairs on each: 2,052 results."""
    count = 0
    for seed, trigger, application, rate in itertools.product(range(3), fake_runs.TRIGGERS, ("image", "patch"), RATES):
        settings = PRESETS["small" if rate == "0.2" else "paper"]
        attack = {"trigger": trigger, "application": application, "rate": rate, "seed": seed}
        run = fake_runs.write(folder, **attack, asr=90, settings=settings)
        for number in range(10):
            fake_defences.detected(run, f"detector-{number}", tpr=(count % 101) / 100)
            count += 1
        for number in range(9):
            fake_defences.repaired(run, f"repair-{number}", ((80, count % 101),))
            count += 1
    assert count == 2052
