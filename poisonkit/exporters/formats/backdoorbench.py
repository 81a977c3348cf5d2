"""backdoorbench: the folders of a BackdoorBench attack, and a script that makes its `attack_result.pt`.

    bd_train_dataset/LABEL/ROW.png   the changed training images: LABEL is the true class, ROW that of the training set
    bd_test_dataset/LABEL/ROW.png    the triggered test images; ROW is that of the test set
    states.json                      what its data sets store besides the pictures: rows, labels, roles
    attack_result.py                 run it in a checkout of BackdoorBench: it makes attack_result.pt from all this
    manifest.json                    what was done

What BackdoorBench's defences load, `attack_result.pt`, is a pickle that torch writes and that must hold the weights of
a model of its own making. poisonkit writes no pickle and trains no such model, so the script does it there, where both
are at home: it takes the weights that you trained on these rows, or untrained ones for defences that train from
scratch.

BackdoorBench keeps only what was changed and takes all other rows from its own copy of the data set, by row number. So
a data set must be one that it knows, in the official order (`KNOWN`). It resizes GTSRB's clean images itself, with
another interpolation than ours.

Source: SCLBD/BackdoorBench, utils/save_load_attack.py (`save_attack_result`, `load_attack_result`) and
utils/bd_dataset_v2.py (`poisonedCLSDataContainer.setitem`: the paths; `retrieve_state`: the states).
"""

from pathlib import Path

import numpy as np

from poisonkit.core.errors import Failure
from poisonkit.exporters import base
from poisonkit.format import reader

KNOWN = {"cifar10": (50_000, 10_000), "gtsrb": (39_209, 12_630)}
SCRIPT = "backdoorbench_script.py"


def check(data: reader.Reader) -> None:
    """`Failure` for what BackdoorBench has no place for."""
    if data.clean:
        raise Failure(f"{data.path}: is a clean file: BackdoorBench stores only changed rows")
    source = data.manifest.source.name
    if source not in KNOWN:
        raise Failure(
            f"{data.path}: BackdoorBench takes clean rows from its own copy of the data set, and does not have "
            f"{source!r:.40} (it has {', '.join(KNOWN)}): --format imagefolder or npz"
        )
    sizes = tuple(base.rows(data, f"{part}/images") for part in ("train", "test"))
    if sizes != KNOWN[source]:
        raise Failure(f"{data.path}: has {sizes[0]} + {sizes[1]} rows, BackdoorBench's {source} {KNOWN[source]}")


def counts(data: reader.Reader, _truth: bool) -> str:
    """Return what is written, in words."""
    changed, triggered = base.rows(data, "truth/images"), base.rows(data, "triggered/images")
    return f"{changed:,} changed training rows, {triggered:,} triggered"


def write(data: reader.Reader, target: Path, context: base.ExportContext) -> None:
    """Write the pictures of the changed rows, the states and the script."""
    train, triggered = data["truth/rows"], data["triggered/rows"]
    now = data["train/labels"]
    train_state = _state("bd_train_dataset", train, now[train], data["truth/labels"], data["truth/role"])
    test_state = _state("bd_test_dataset", triggered, data["triggered/wanted"], data["triggered/labels"])
    for state in (train_state, test_state):
        for label in sorted({entry["original_label"] for entry in state["changed"]}):
            (target / state["folder"] / str(label)).mkdir(parents=True)
    with context.progress(len(train) + len(triggered), "writing pictures", "image") as bar:
        places = {entry["row"]: target / entry["file"] for entry in train_state["changed"]}
        base.write_pictures(data, "train/images", places.__getitem__, bar, chosen=train)
        files = [target / entry["file"] for entry in test_state["changed"]]
        base.write_pictures(data, "triggered/images", files.__getitem__, bar)
    counts = {part: base.rows(data, f"{part}/images") for part in ("train", "test")}
    states = {
        "notice": data.manifest.notice,
        "dataset": data.manifest.source.name,
        "dataset_digest": data.manifest.dataset_digest,
        "classes": len(data.manifest.source.classes),
        "image_shape": list(data.manifest.shape("train/images")[1:]),
        "train": train_state | {"rows": counts["train"]},
        "test": test_state | {"rows": counts["test"]},
    }
    base.write_json(target / "states.json", states)
    base.write_json(target / "manifest.json", data.manifest.json)
    script = Path(__file__).parents[1].joinpath(SCRIPT).read_bytes()
    (target / "attack_result.py").write_bytes(script)


def _state(folder: str, rows: np.ndarray, labels: np.ndarray, originals: np.ndarray, role=None) -> dict:
    """Return what one of its data sets keeps of each changed row; role 1 is poisoned, 2 a cover row."""
    role = np.ones(len(rows), np.uint8) if role is None else role
    changed = [
        {
            "row": int(row),
            "label": int(label),
            "original_label": int(original),
            "role": int(kind),
            "file": f"{folder}/{int(original)}/{int(row)}.png",
        }
        for row, label, original, kind in zip(rows, labels, originals, role, strict=True)
    ]
    return {"folder": folder, "changed": changed}


SPEC = base.ExportSpec(
    name="backdoorbench",
    help="the folders of a BackdoorBench attack, with a script that makes its attack_result.pt",
    check=check,
    counts=counts,
    write=write,
)
