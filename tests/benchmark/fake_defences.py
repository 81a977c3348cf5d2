"""Results of detectors and repairs written by hand into the folders of runs: what tests of tables and pages read."""

import json

from fake_runs import share

POISONED, COVERS, CLEAN = 200, 50, 5_000
METHOD = {"spectral": {"expected": 0.01}, "fine-tuning": {"epochs": 10}}


def _common(run, kind, method, settings, asked, clean_run, clean_rows, seconds):
    trained = json.loads((run / "result.json").read_text())
    return {
        "result_version": 1, "kind": kind, "defence": method, "settings": settings, "asked": asked,
        "run": run.name, "dataset": trained["dataset"], "config": trained["config"], "clean_run": clean_run,
        "clean": {"rows": clean_rows, "are": "held out"}, "seconds": seconds,
    }  # fmt: skip


def _write(run, kind, method, raw, key):
    folder = run / f"{kind}-{method}-{key}"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "result.json").write_text(json.dumps(raw))
    return folder


def measures(tpr=0.9, auroc=0.95, cut=(0.5, 0.8, 0.004), rows=POISONED):
    """Measures with these figures; `cut`: precision, recall and false positives of the method's own, or None."""
    own = None
    if cut is not None:
        precision, recall, false = cut
        own = {"flagged": recall * rows / (precision or 1), "poisoned": recall * rows, "precision": precision,
               "recall": recall, "false_positives": false}  # fmt: skip
    many = {"flagged": rows, "poisoned": tpr * rows, "precision": tpr, "recall": tpr, "false_positives": 0.01}
    return {
        "auroc": auroc, "average_precision": auroc - 0.1, "tpr_at_fpr": {"0.01": tpr, "0.05": min(1.0, tpr + 0.05)},
        "own_cut": own, "as_many_as_poisoned": many,
    }  # fmt: skip


def detected(run, method="spectral", *, tpr=0.9, auroc=0.95, cut=(0.5, 0.8, 0.004), settings=None, asked=None,
             clean_run=None, flagged=0.01, covers=None, poisoned=POISONED, clean_rows=2000, seconds=3.0,
             key="00000000", **more):  # fmt: skip
    """A detector's result in a run's folder; `tpr` None: without truth, as of a sealed file or a clean one."""
    truth = tpr is not None
    raw = _common(run, "detect", method, settings or {}, asked or {}, clean_run, clean_rows, seconds) | {
        "rows": {
            "inspected": CLEAN + POISONED, "of": CLEAN + POISONED, "poisoned": poisoned if truth else 0,
            "covers": COVERS if covers is not None else 0, "flagged": 52 if flagged is not None else None,
            "flagged_share": flagged,
        },
        "measures": measures(tpr, auroc, cut) if truth else None,
        "covers": None if covers is None else measures(covers, 0.6, None, COVERS),
        "findings": {}, "pictures": [],
    } | more  # fmt: skip
    return _write(run, "detect", method, raw, key)


def repaired(run, method="anp", after=((90.0, 3.0),), *, before=None, stages=None, settings=None, asked=None,
             clean_run=None, clean_rows=2000, seconds=12.0, key="00000000", **more):  # fmt: skip
    """A repair's result in a run's folder; `after`: (BA, ASR) of each stage in percent, ASR None of a clean network."""
    trained = json.loads((run / "result.json").read_text())["scores"]
    first = trained if before is None else _scores(*before)
    steps = [{"stage": "before", "label": "", "scores": first}]
    names = stages or [("repaired", "")] * len(after)
    for (stage, label), (ba, asr) in zip(names, after, strict=True):
        scores = _scores(ba, asr)
        steps.append({"stage": stage, "label": label, "scores": scores, "seconds": seconds / len(after),
                      "model": f"{stage}.keras", "findings": {}})  # fmt: skip
    raw = _common(run, "repair", method, settings or {}, asked or {}, clean_run, clean_rows, seconds)
    return _write(run, "repair", method, raw | {"steps": steps, "pictures": []} | more, key)


def _scores(ba, asr, test=10_000, triggered=9_000):
    scores = {"ba": share(ba, test), "asr": None if asr is None else share(asr, triggered)}
    return scores if asr is None else scores | {"still_right": share(max(0.0, ba - asr), triggered)}
