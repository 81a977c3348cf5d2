"""npz: everything in one NumPy file, for `np.load(…, allow_pickle=False)`, and for `make --dataset npz --source`.

| array | dtype, shape | what (data/FORMAT.md) |
|---|---|---|
| x_train, y_train | uint8 (N, H, W, C), int64 (N,) | the training set as the victim sees it |
| x_test, y_test | uint8 (T, H, W, C), int64 (T,) | the clean test set |
| classes | text (classes,) | names, where they are different and printable |
| x_triggered, y_triggered | uint8 (S, H, W, C), int64 (S,) | test images with the trigger, true labels |
| wanted, triggered_rows | int64 (S,) | the class that the attacker wants; rows in x_test |
| x_others, y_others, others_rows | as those of triggered | triggered images of non-source classes, if any |
| poisoned_rows, poisoned_role | int64 (P,), uint8 (P,) | the changed rows of x_train; 1 poisoned, 2 cover |
| poisoned_labels, poisoned_images | int64 (P,), uint8 (P, H, W, C) | their original labels and images |

Of texts, which NumPy has no plain array for, `x_train` is all bytes of UTF-8 one after the other, uint8, and
`x_train_offsets` int64 (N + 1,) says where each begins and the last one ends; so for `x_test`, `x_triggered`,
`x_others` and `poisoned_texts`. `poisoned_insertions`, `triggered_insertions`, `others_insertions` int64 (Q, 4) say
what was put where.

Beside the arrays stands `manifest.json`. Members are stored, not compressed, and carry no time: the same file gives the
same bytes. Source of the layout: `numpy.lib.format` (NEP 1).
"""

import json
import zipfile
from pathlib import Path

import numpy as np

from poisonkit.core import files
from poisonkit.exporters import base
from poisonkit.format import reader

VICTIM = {
    "x_train": "train/images",
    "y_train": "train/labels",
    "x_test": "test/images",
    "y_test": "test/labels",
}
TRUTH = {
    "x_triggered": "triggered/images",
    "y_triggered": "triggered/labels",
    "wanted": "triggered/wanted",
    "triggered_rows": "triggered/rows",
    "x_others": "others/images",
    "y_others": "others/labels",
    "others_rows": "others/rows",
    "poisoned_rows": "truth/rows",
    "poisoned_role": "truth/role",
    "poisoned_labels": "truth/labels",
    "poisoned_images": "truth/images",
}
TEXTS = {
    "poisoned_insertions": "truth/insertions",
    "triggered_insertions": "triggered/insertions",
    "others_insertions": "others/insertions",
}
"""What only a file of texts has."""
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


def write(data: reader.Reader, target: Path, context: base.ExportContext) -> None:
    """Write the arrays one after the other, rows in blocks."""
    names = arrays(data, context.truth)
    files.check_space(context.target, base.size(data))
    total = sum(base.rows(data, path) for path in names.values())
    with zipfile.ZipFile(target, "w") as file, context.progress(total, "writing arrays", "row") as bar:
        for name, path in names.items():
            (_texts if path.endswith("/texts") else _array)(data, path, name, file, bar)
        classes = data.manifest.source.classes
        if len(set(classes)) == len(classes) and all(name and name.isprintable() for name in classes):
            with _member(file, "classes.npy") as stream:
                array = np.array(classes)
                _header(stream, array.dtype.str, array.shape)
                stream.write(array.tobytes())
        if context.truth:
            with _member(file, "manifest.json") as stream:
                text = json.dumps(data.manifest.json, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
                stream.write(text.encode("utf-8"))


def arrays(data: reader.Reader, truth: bool) -> dict[str, str]:
    """Name in the .npz → path in the file."""
    names = VICTIM | (TRUTH | TEXTS if truth else {})
    if data.modality.is_text:
        names = {name.replace("_images", "_texts"): path.replace("/images", "/texts") for name, path in names.items()}
    return {name: path for name, path in names.items() if path in data}


def _array(data: reader.Reader, path: str, name: str, file: zipfile.ZipFile, bar) -> None:
    """Write one array as it is."""
    entry = data.manifest.arrays[path]
    with _member(file, f"{name}.npy") as stream:
        _header(stream, entry.dtype, entry.shape)
        for _, block in data.blocks(path):
            stream.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
            bar.update(len(block))


def _texts(data: reader.Reader, path: str, name: str, file: zipfile.ZipFile, bar) -> None:
    """Write one array of texts as two: their bytes, and where each begins."""
    lengths = [len(text.encode()) for _, block in data.blocks(path) for text in block]
    offsets = np.concatenate([np.zeros(1, "<i8"), np.cumsum(lengths, dtype="<i8")])
    with _member(file, f"{name}.npy") as stream:
        _header(stream, "|u1", (int(offsets[-1]),))
        for _, block in data.blocks(path):
            stream.write("".join(block).encode())
            bar.update(len(block))
    with _member(file, f"{name}_offsets.npy") as stream:
        _header(stream, "<i8", offsets.shape)
        stream.write(offsets.tobytes())


def _member(file: zipfile.ZipFile, name: str):
    """Open a new member to write to, with nothing in it that differs from one run or machine to the next."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.create_system, info.external_attr = 3, 0o644 << 16
    return file.open(info, "w", force_zip64=True)


def _header(stream, dtype: str, shape: tuple[int, ...]) -> None:
    description = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, description)


SPEC = base.ExportSpec(
    name="npz",
    aliases=("numpy",),
    help="one NumPy file, which `make --dataset npz` reads again",
    modality=None,
    suffix=".npz",
    options=("truth",),
    write=write,
)
