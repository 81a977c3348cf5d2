"""Run folders written by hand: what the tests of tables and figures read. No network was trained for them."""

import json

from benchmark.training.configuration import config_of, folder_name
from benchmark.training.settings import PRESETS

ROWS = {"cifar10": (50_000, 10_000, 9_000), "gtsrb": (39_209, 12_630, 12_570), "toy": (100, 1_000, 900)}
TRIGGERS = {
    "square": {"name": "square", "position": "upper-left", "size": 4, "value": [0]},
    "blend": {"name": "blend", "alpha": "0.5"},
    "warped": {"name": "warped", "k": 4, "s": "0.5", "sampling": "bilinear", "upsample": "aligned"},
}


def share(percent, of):
    count = round(percent * of / 100)
    return {"count": count, "of": of, "percent": 100 * count / of}


def pruned(folder, scores, mode="held-out", rows=2000, epochs=5):
    """A fine-pruning in the folder of a run; `scores` is (rate, stage) → (BA, ASR) in percent."""
    steps = [
        {"stage": stage, "scores": {"ba": share(ba, 10_000), "asr": share(asr, 9_000)}}
        | ({"rate": rate} if rate else {})
        for (rate, stage), (ba, asr) in scores.items()
    ]
    settings = {"rates": ["0.1"], "finetune_epochs": epochs, "rows": None, "data_mode": mode}
    target = folder / f"prune-{mode}-{epochs}"
    target.mkdir()
    result = {"defence": "prune", "run": folder.name, "rows": rows, "settings": settings, "steps": steps}
    (target / "result.json").write_text(json.dumps(result))


def write(
    runs,
    *,
    source="cifar10",
    trigger="square",
    application="image",
    rate="0.005",
    seed=0,
    training_seed=None,
    settings=PRESETS["paper"],
    ba=83.5,
    asr=90.7,
    history=None,
    **recipe,
):
    """One finished run; `trigger` is a name, a dictionary of parameters, or None for a clean one. Its folder."""
    import dataclasses

    train, test, triggered = ROWS[source]
    settings = dataclasses.replace(settings, seed=seed if training_seed is None else training_seed)
    step = TRIGGERS.get(trigger, trigger) if isinstance(trigger, str) else trigger
    name, kind, written = f"{source}-clean", "clean", {"rate": "0"}
    if step is not None:
        kind, name = "poisoned", f"{source}-{step['name']}-{application}-{rate}-s{seed}"
        written = {
            "rate": rate, "seed": seed, "streams": ["rows"], "application": application, "target": 0, "select": "all",
            "patch": [8, 8] if application == "patch" else None, "label_mode": "all-to-one", "triggers": [step],
        } | recipe  # fmt: skip
    digest = f"sha256:{abs(hash(repr(sorted(written.items())) + name)):064x}"
    folder = runs / folder_name(settings, name, digest)
    result = {
        "result_version": 1, "name": folder.name,
        "dataset": {
            "name": name, "kind": kind, "digest": digest, "source": source, "source_digest": f"sha256:{source:0>64}",
            "classes": ["a", "b"], "recipe": written, "counts": {"train": train, "test": test},
            "pictures": {"0": {"built_in": "frog"}} if kind == "poisoned" and step["name"] == "blend" else {},
        },
        "config": config_of(settings, digest), "preset": settings.preset,
        "scores": {"ba": share(ba, test), "asr": None},
    }  # fmt: skip
    if kind == "poisoned":
        result["scores"] |= {"asr": share(asr, triggered), "still_right": share(5, triggered)}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(result["config"]))
    (folder / "result.json").write_text(json.dumps(result))
    if history:
        lines = [f"{number},{loss},{ba},{asr},1.0,0.5,100" for number, (loss, ba, asr) in enumerate(history, 1)]
        head = "epoch,loss,ba,asr,seconds,score_seconds,images"
        (folder / "history.csv").write_text("\n".join([head, *lines]) + "\n")
    return folder
