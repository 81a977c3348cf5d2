"""Results of the former `heads detect` and `align`, of the methods `heads`, and of `ablate`, made by hand."""

import json

RUN = {
    "run": "a-run",
    "shape": [1, 2],
    "dataset": {
        "name": "a",
        "kind": "poisoned",
        "source": "toy",
        "source_digest": "sha256:0",
        "recipe": {},
        "counts": {},
    },
    "config": {},
}
DETECTOR = {"metric": "cosine", "min_words": 5, "heads": 1, "threshold": None, "rows": None}
"""What all results have."""


def figures(auroc):
    return {"auroc": auroc, "tpr_1": 0.5, "tpr_5": 0.75, "precision_100": 0.9}


def detected(auroc, poisoned=8, falls=True, twin=True, suspect=False):
    """What `heads detect` left, of one layer of two heads; results before 2026-11-22 had no `controls_suspect`."""
    scores = {"rows": 10, "against": 10, "mahalanobis": figures(auroc), "second_pass": figures(auroc)}
    grids = {"auroc": [[0.1, 0.9]], "median_z": [[-3.0, 1.0]]}
    controls = {"trigger": scores | {"heads": grids}, "shuffled": scores | {"heads": grids}}
    controls = {"poisoned": controls} | ({"clean": controls} if twin else {})
    return (
        RUN
        | {
            "result_version": 1,
            "defence": "heads-detect",
            "settings": DETECTOR,
            "rows": {"held_out": 50, "suspect": 20, "too_short": 1, "poisoned": 10},
            "suspect": scores,
            "suspect_heads": grids,
            "flagged": {
                "mahalanobis": {"count": 10, "poisoned": poisoned},
                "second_pass": {"count": 10, "poisoned": 10},
            },
            "contaminated": [{"layer": 0, "head": 0, "median_z": -3.0, "auroc": 0.1}],
            "flagged_median_z": [[-3.0 if falls else 3.0, 1.0]],
            "controls": controls,
        }
        | ({"controls_suspect": controls} if suspect else {})
    )


def percent(value):
    return {"count": value, "of": 100, "percent": float(value)}


def aligned(*stages):
    """What `heads align` left: (name, BA, ASR, target class or None) each."""
    steps = []
    for name, ba, asr, rest in stages:
        scores = {"ba": percent(ba), "asr": percent(asr)} | ({} if rest is None else {"target_class": percent(rest)})
        steps.append({"stage": name, "scores": scores})
    chosen = {"contaminated": [[0, 1]], "important": [[0, 0]], "random": [[0, 0]]}
    rows, settings = {"clean": 10, "flagged": 5, "poisoned": None}, DETECTOR | {"lean": 0.5}
    written = {"result_version": 1, "defence": "heads-align", "settings": settings, "steps": steps}
    return RUN | chosen | written | {"rows": rows, "environment": {}}


def ablated(ba, asr):
    before = {"ba": percent(80), "asr": percent(100)}
    return RUN | {"result_version": 1, "defence": "heads-ablate", "settings": {"heads": []}, "before": before,
                  "shape": [len(ba), len(ba[0])], "off": {"ba": ba, "asr": asr}, "together": None}  # fmt: skip


def of_method(result):
    """The same as the detector or the repair `heads` leaves it: in the section `study`, its own part beside."""
    kind = {"heads-detect": "detect", "heads-align": "repair"}[result["defence"]]
    own = {"kind": kind, "defence": "heads", "settings": {"flag": "0.03"}, "rows": {"inspected": 21}, "steps": []}
    common = ("result_version", "run", "dataset", "config", "environment", "finished", "clean_run")
    study = {name: value for name, value in result.items() if name not in (*common, "defence")}
    return own | {name: value for name, value in result.items() if name in common} | {"study": study}


def put(run, name, result):
    (run / name).mkdir()
    (run / name / "result.json").write_text(json.dumps(result))
