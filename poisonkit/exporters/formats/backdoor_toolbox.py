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

For its own score the toolbox puts its *own* trigger on the test images. TYPE is the attack of its own whose trigger
there is this file's, or the nearest one, see `backdoor_toolbox_attacks`; USE.txt says which of the two it is. Where it
is not, what the toolbox prints as ASR is not this attack's; use `triggered/` for that.

Source: vtu81/backdoor-toolbox, utils/tools.py (`IMG_Dataset`, `unpack_poisoned_train_set`), utils/supervisor.py
(`get_poison_set_dir`, `get_poison_transform`), config.py (`get_packet_for_debug`, `poison_seed`), create_clean_set.py.
"""

import functools
from pathlib import Path

from poisonkit.core.errors import Failure
from poisonkit.exporters import base, torch_file
from poisonkit.exporters.backdoor_toolbox_attacks import Attack, attack_of
from poisonkit.format import reader

KNOWN = ("cifar10", "gtsrb")
NO_TARGET = {
    "untargeted": "any class but the true one",
    "all-to-all": "every class has a target of its own",
}
"""What is wanted in the label modes without one target."""


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
    if attack.picture is not None:
        _write_trigger(attack, target / "triggers")
    base.write_json(target / "manifest.json", data.manifest.json)
    (target / "USE.txt").write_text("\n".join(_use(data, source, attack)) + "\n", encoding="utf-8")


def _numbered(folder: Path, row: int) -> Path:
    return folder / f"{row}.png"


def _plain(name: str) -> str:
    return base.class_folders([name])[0].removeprefix("0_")


def _write_trigger(attack: Attack, folder: Path) -> None:
    """Write the trigger as the toolbox looks for it: NAME.png, and mask_NAME.png where it replaces pixels."""
    folder.mkdir()
    for name, picture in (("", attack.picture), ("mask_", attack.mask)):
        if picture is not None:
            (folder / f"{name}{attack.trigger}").write_bytes(base.png(picture))


def _use(data: reader.Reader, source: str, attack: Attack) -> list[str]:
    """USE.txt."""
    recipe = data.manifest.recipe
    wanted = NO_TARGET.get(recipe.label_mode, f"target class {recipe.target} (config.py: target_class)")
    lines = [
        data.manifest.notice,
        "",
        "Copy these into a checkout of backdoor-toolbox (its config.py: poison_seed 0, record_poison_seed True).",
        f"The set: -dataset {source} {attack.options}; {wanted}.",
        *(f"Set in config.py: {line}" for line in attack.config(source)),
    ]
    if source not in KNOWN:
        lines.append(
            f"The toolbox has no data set {source!r}: rename the folders to one of its own with the same image shape."
        )
    if not attack.exact:
        lines.append(
            "It cannot apply this trigger: the ASR that it prints is another attack's. Score on triggered/ instead."
        )
    elif attack.picture is None:
        lines.append(f"Its trigger at test time is its own, which is this file's, {attack.agreement}.")
    else:
        lines.append(
            f"Its trigger at test time is triggers/{attack.trigger}, which is this file's, {attack.agreement}."
        )
    if recipe.label_mode == "untargeted":
        lines.append(
            "It has no untargeted attack. Each triggered image that is not classified as its label in triggered/labels "
            "counts as a success; triggered/wanted has one of the other classes, drawn for the row."
        )
    lines.append("triggered/: tools.IMG_Dataset('triggered/data', 'triggered/wanted', transforms=data_transform)")
    return lines


SPEC = base.ExportSpec(
    name="backdoor-toolbox",
    help="a poisoned set as backdoor-toolbox reads it",
    check=check,
    write=write,
)
