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
within a grey level. The toolbox has no equivalent of any other trigger: the set is filed under `badnet`, and what the
toolbox prints as ASR is not this attack's; use `triggered/` for that.

Source: vtu81/backdoor-toolbox, utils/tools.py (`IMG_Dataset`, `unpack_poisoned_train_set`), utils/supervisor.py
(`get_poison_set_dir`, `get_poison_transform`), config.py (`get_packet_for_debug`, `poison_seed`), create_clean_set.py,
poison_tool_box/badnet.py and blend.py.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poisonkit.core.errors import Failure
from poisonkit.core.stencil import ONE, Stencil
from poisonkit.exporters import base, torch_file
from poisonkit.format import reader
from poisonkit.poisoning import from_file

KNOWN = ("cifar10", "gtsrb")
ALL_TO_ONE = ("all-to-one", "clean-label")
"""The label modes in which every triggered image is to become the target, as its transforms take for granted."""


def check(data: reader.Reader) -> None:
    """`Failure` for what the toolbox has no place for."""
    if data.clean:
        raise Failure(f"{data.path}: is a clean file: backdoor-toolbox reads a poisoned set")
    if data.manifest.shape("train/images")[3] != 3:
        raise Failure(f"{data.path}: its images are grey, backdoor-toolbox reads RGB: --format imagefolder or npz")


def write(data: reader.Reader, target: Path, context: base.ExportContext) -> None:
    """Write the three sets and the trigger."""
    source = _plain(data.manifest.source.name)
    attack = attack_of(data)
    poisoned = target / "poisoned_train_set" / source / attack.folder
    clean = target / "clean_set" / source / "test_split"
    parts = [(poisoned, "train"), (clean, "test"), (target / "triggered", "triggered")]
    total = sum(base.rows(data, f"{part}/images") for _, part in parts)
    with context.progress(total, "writing pictures", "image") as bar:
        for folder, part in parts:
            (folder / "data").mkdir(parents=True)
            base.write_pictures(data, f"{part}/images", functools.partial(_numbered, folder / "data"), bar)
            torch_file.save_labels(folder / "labels", data[f"{part}/labels"])
    rows, role = data["truth/rows"], data["truth/role"]
    torch_file.save_rows(poisoned / "poison_indices", rows[role == 1])
    if (role == 2).any():
        torch_file.save_rows(poisoned / "cover_indices", rows[role == 2])
    torch_file.save_labels(target / "triggered" / "wanted", data["triggered/wanted"])
    torch_file.save_rows(target / "triggered" / "rows", data["triggered/rows"])
    attack.write_trigger(target / "triggers")
    base.write_json(target / "manifest.json", data.manifest.json)
    (target / "USE.txt").write_text("\n".join(_use(data, source, attack)) + "\n", encoding="utf-8")


def _numbered(folder: Path, row: int) -> Path:
    return folder / f"{row}.png"


def _plain(name: str) -> str:
    return base.class_folders([name])[0].removeprefix("0_")


@dataclass(frozen=True)
class Attack:
    """Under which of its own attacks the toolbox finds a set: the folder's name, the options that lead to it, and the
    trigger that it applies itself at test time (`picture`, with a `mask` where it replaces pixels; both None where the
    toolbox cannot make this trigger)."""

    folder: str
    options: str
    trigger: str
    picture: np.ndarray | None = None
    mask: np.ndarray | None = None

    @property
    def exact(self) -> bool:
        """Whether the toolbox's trigger is this file's."""
        return self.picture is not None

    def write_trigger(self, folder: Path) -> None:
        """Write the trigger as the toolbox looks for it: NAME.png, and mask_NAME.png where it replaces pixels."""
        if self.picture is None:
            return
        folder.mkdir()
        (folder / self.trigger).write_bytes(base.png(self.picture))
        if self.mask is not None:
            (folder / f"mask_{self.trigger}").write_bytes(base.png(self.mask))


def attack_of(data: reader.Reader) -> Attack:
    """Find the toolbox's attack for a file: `badnet`, or `blend` for a blend of one α."""
    recipe, built = data.manifest.recipe, from_file.own(data).built
    trigger = f"poisonkit_{data.manifest.dataset_digest.removeprefix('sha256:')[:8]}.png"
    rate = f"{float(recipe.rate):.3f}"
    one = built[0].train if len(built) == 1 and recipe.label_mode in ALL_TO_ONE and built[0].test is None else None
    stencil = one if isinstance(one, Stencil) else None
    if stencil is not None and (blended := _blended(stencil)):
        alpha, picture = blended
        return Attack(
            f"blend_{rate}_alpha={alpha}_trigger={trigger}_poison_seed=0",
            f"-poison_type blend -poison_rate {rate} -alpha {alpha} -trigger {trigger}",
            trigger,
            picture,
        )
    folder, options = f"badnet_{rate}_poison_seed=0", f"-poison_type badnet -poison_rate {rate}"
    if stencil is not None and (replaced := _replaced(stencil)):
        return Attack(folder, f"{options} -trigger {trigger}", trigger, *replaced)
    return Attack(folder, options, trigger)


def _replaced(stencil: Stencil) -> tuple[np.ndarray, np.ndarray] | None:
    """Picture and mask, (H, W, C) uint8, of a trigger that replaces whole pixels; None for any other."""
    mask = stencil.mask()
    if (mask != mask[..., :1]).any() or not (stencil.constant() | (mask == 0)).all():
        return None
    levels = ((stencil.bias + 16384) >> 15).clip(0, 255).astype(np.uint8)
    return levels * mask, mask * np.uint8(255)


def _blended(stencil: Stencil) -> tuple[str, np.ndarray] | None:
    """α, in three digits as the toolbox spells it, and the picture, (H, W, C) uint8, of a trigger that blends the whole
    image with one picture; None for any other."""
    weight = int(stencil.weights[0, 0, 0, 0])
    share = ONE - weight
    if not stencil.pointwise or (stencil.weights != weight).any() or not 0 < share < ONE:
        return None
    picture = ((stencil.bias + share // 2) // share).clip(0, 255).astype(np.uint8)
    return f"{share / ONE:.3f}", picture


def _use(data: reader.Reader, source: str, attack: Attack) -> list[str]:
    """USE.txt."""
    target, untargeted = data.manifest.recipe.target, data.manifest.recipe.label_mode == "untargeted"
    none = "any class but the true one" if untargeted else "every class has a target of its own"
    wanted = none if target is None else f"target class {target}"
    lines = [
        data.manifest.notice,
        "",
        "Copy these into a checkout of backdoor-toolbox (its config.py: poison_seed 0, record_poison_seed True).",
        f"The set: -dataset {source} {attack.options}; {wanted} (config.py: target_class).",
    ]
    if source not in KNOWN:
        lines.append(
            f"The toolbox has no data set {source!r}: rename the folders to one of its own with the same image shape."
        )
    if attack.exact:
        lines.append(f"Its trigger at test time is triggers/{attack.trigger}, which is this file's.")
    else:
        lines.append(
            "It cannot apply this trigger: the ASR that it prints is another attack's. Score on triggered/ instead."
        )
    lines.append("triggered/: tools.IMG_Dataset('triggered/data', 'triggered/wanted', transforms=data_transform)")
    return lines


SPEC = base.ExportSpec(
    name="backdoor-toolbox",
    help="a poisoned set as backdoor-toolbox reads it",
    check=check,
    write=write,
)
