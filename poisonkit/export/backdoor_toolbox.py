"""backdoor-toolbox: a poisoned set as vtu81/backdoor-toolbox reads it, laid out as in its checkout.

    poisoned_train_set/DATASET/TYPE_RATE_poison_seed=0/
        data/ROW.png              the training set
        labels                    torch.LongTensor (N,), as the victim sees them
        poison_indices            list of the poisoned rows
        cover_indices             list of the cover rows, where there are any
    clean_set/DATASET/test_split/
        data/ROW.png, labels      the clean test set
    triggered/
        data/ROW.png              the triggered test images, numbered from 0
        labels, wanted            their true and their wanted classes; rows: their rows in the test set
    triggers/NAME.png, mask_NAME.png    the trigger, where the toolbox can apply it itself
    USE.txt                       which options of the toolbox find all this
    manifest.json                 what was done

Copy it all into a checkout. The toolbox has two layouts of a poisoned set, a folder `data` of PNGs and one tensor
`imgs` of float32; this is the first, which it still reads (four times smaller, and without losses).

For its own score the toolbox puts its *own* trigger on the test images. TYPE is `badnet` where our trigger replaces
pixels (square, an opaque sticker): then its trigger is ours, from `triggers/`. It is `blend` for a blend of one α,
within a grey level. Every other trigger has no twin there: the set stands under `badnet`, and what the toolbox prints
as ASR is not this attack's; `triggered/` is there for that.

Source: vtu81/backdoor-toolbox, utils/tools.py (`IMG_Dataset`, `unpack_poisoned_train_set`), utils/supervisor.py
(`get_poison_set_dir`, `get_poison_transform`), config.py (`get_packet_for_debug`, `poison_seed`), create_clean_set.py,
poison_tool_box/badnet.py and blend.py.
"""

from pathlib import Path

import numpy as np

from poisonkit.core.errors import Failure
from poisonkit.export import base, torch_file
from poisonkit.format import reader

SUMMARY = "a poisoned set as backdoor-toolbox reads it"
FOLDER = True
OPTIONS = ()
KNOWN = ("cifar10", "gtsrb")
ALL_TO_ONE = ("all-to-one", "clean-label")
"""The label modes in which every triggered image is to become the target, as its transforms take for granted."""


def default(data: reader.Reader) -> str:
    """The result's name."""
    return data.path.name.removesuffix(".h5") + "-backdoor-toolbox"


def check(data: reader.Reader) -> None:
    """`Failure` for what the toolbox has no place for."""
    if data.clean:
        raise Failure(f"{data.path}: is a clean file: backdoor-toolbox reads a poisoned set")
    if data.manifest["arrays"]["train/images"]["shape"][3] != 3:
        raise Failure(f"{data.path}: its images are grey, backdoor-toolbox reads RGB: --format imagefolder or npz")


def write(data: reader.Reader, target: Path, context: base.Context) -> None:
    """Write the three sets and the trigger."""
    source = _plain(data.manifest["source"]["name"])
    kind = _Kind(data)
    poisoned = target / "poisoned_train_set" / source / kind.folder
    clean = target / "clean_set" / source / "test_split"
    parts = [(poisoned, "train"), (clean, "test"), (target / "triggered", "triggered")]
    total = sum(base.rows(data, f"{part}/images") for _, part in parts)
    with context.progress(total, "writing pictures", "image") as bar:
        for folder, part in parts:
            (folder / "data").mkdir(parents=True)
            base.write_pictures(data, f"{part}/images", lambda i, at=folder / "data": at / f"{i}.png", bar)
            torch_file.save_labels(folder / "labels", data[f"{part}/labels"])
    rows, role = data["truth/rows"], data["truth/role"]
    torch_file.save_rows(poisoned / "poison_indices", rows[role == 1])
    if (role == 2).any():
        torch_file.save_rows(poisoned / "cover_indices", rows[role == 2])
    torch_file.save_labels(target / "triggered" / "wanted", data["triggered/wanted"])
    torch_file.save_rows(target / "triggered" / "rows", data["triggered/rows"])
    kind.write_trigger(target / "triggers")
    base.write_json(target / "manifest.json", data.manifest)
    (target / "USE.txt").write_text("\n".join(_use(data, source, kind)) + "\n", encoding="utf-8")


def _plain(name: str) -> str:
    return base.class_folders([name])[0].removeprefix("0_")


class _Kind:
    """Under which of its attacks the toolbox finds a set: `folder`, `options`, and whether its trigger is ours."""

    def __init__(self, data: reader.Reader):
        recipe, stencils = data.manifest["recipe"], data.stencils()
        self.picture = self.mask = None
        self.trigger = f"poisonkit_{data.manifest['dataset_digest'].removeprefix('sha256:')[:8]}.png"
        rate = f"{float(recipe['rate']):.3f}"
        self.name, self.exact, alpha = "badnet", False, None
        if len(stencils) == 1 and recipe["label_mode"] in ALL_TO_ONE:
            self._picture_of(stencils[0])
            alpha = self._alpha(recipe["triggers"][0], stencils[0])
        self.options = f"-poison_type {self.name} -poison_rate {rate}"
        self.folder = f"{self.name}_{rate}"
        if alpha is not None:
            self.options += f" -alpha {alpha}"
            self.folder += f"_alpha={alpha}_trigger={self.trigger}"
        if self.exact:
            self.options += f" -trigger {self.trigger}"
        self.folder += "_poison_seed=0"

    def _picture_of(self, stencil) -> None:
        """A trigger that replaces whole pixels: what by, and where."""
        mask, fixed = stencil.mask(), stencil.constant()
        if (mask == mask[..., :1]).all() and (fixed | (mask == 0)).all():
            levels = ((stencil.bias + 16384) >> 15).clip(0, 255).astype(np.uint8)
            self.picture, self.mask, self.exact = levels * mask, mask * np.uint8(255), True

    def _alpha(self, parameters: dict, stencil) -> str | None:
        """α of a trigger that blends the whole image with one picture, in three digits as the toolbox spells it."""
        weight = stencil.weights[0, 0, 0, 0]
        if self.exact or parameters["name"] != "blend" or not stencil.pointwise or (stencil.weights != weight).any():
            return None
        share = 32768 - int(weight)
        if not 0 < share < 32768:
            return None
        self.picture = ((stencil.bias + share // 2) // share).clip(0, 255).astype(np.uint8)
        self.name, self.exact = "blend", True
        return f"{share / 32768:.3f}"

    def write_trigger(self, folder: Path) -> None:
        """The trigger as the toolbox looks for it: NAME.png, and mask_NAME.png where it replaces pixels."""
        if self.picture is None:
            return
        folder.mkdir()
        (folder / self.trigger).write_bytes(base.png(self.picture))
        if self.mask is not None:
            (folder / f"mask_{self.trigger}").write_bytes(base.png(self.mask))


def _use(data: reader.Reader, source: str, kind: _Kind) -> list[str]:
    """USE.txt."""
    target = data.manifest["recipe"]["target"]
    wanted = "every class has a target of its own" if target is None else f"target class {target}"
    lines = [
        data.manifest["notice"],
        "",
        "Copy these into a checkout of backdoor-toolbox (its config.py: poison_seed 0, record_poison_seed True).",
        f"The set: -dataset {source} {kind.options}; {wanted} (config.py: target_class).",
    ]
    if source not in KNOWN:
        lines.append(
            f"The toolbox knows no data set {source!r}: rename the folders to one of its own of the same shape."
        )
    if kind.exact:
        lines.append(f"Its trigger at test time is triggers/{kind.trigger}, which is this file's.")
    else:
        lines.append("It cannot make this trigger: the ASR that it prints is another's. Score on triggered/ instead.")
    lines.append("triggered/: tools.IMG_Dataset('triggered/data', 'triggered/wanted', transforms=data_transform)")
    return lines
