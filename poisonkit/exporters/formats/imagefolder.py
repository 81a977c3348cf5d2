"""imagefolder: a folder of PNGs, one folder a class, as torchvision's `ImageFolder` and Keras'
`image_dataset_from_directory` read it (and `make --dataset folder`).

    train/CLASS/ROW.png       what a victim trains on: the class is the label that it sees
    test/CLASS/ROW.png        the clean test set
    triggered/CLASS/ROW.png   test images with the trigger, under their true class; ROW is that of test/
    others/CLASS/ROW.png      the same of non-source classes, if the file has such
    originals/CLASS/ROW.png   the changed training images as they were, under their true class; ROW is that of train/
    truth.csv                 row, role, label, original_label, file, original: of every changed training image
    triggered.csv             row, label, wanted, file: of every triggered one
    classes.json              label, folder, name: of every class
    manifest.json             what was done

A file's name is its row and nothing else. Every class has its folder in every part, an empty one too, so that classes
have the same numbers everywhere: both readers number them by the sorted names of the folders.
With `--no-truth` there are `train/`, `test/` and `classes.json` alone.

Source: torchvision/datasets/folder.py (`find_classes`: sorted names of folders) in pytorch/vision;
keras/src/utils/dataset_utils.py (`index_directory`: the same) in keras-team/keras.
"""

import csv
import functools
from pathlib import Path

import numpy as np

from poisonkit.exporters import base
from poisonkit.format import reader

ROLES = {1: "poisoned", 2: "cover"}
KNOWN = (("triggered", "triggered", "test"), ("others", "others", "test"), ("originals", "truth", "train"))
"""Folder, group of arrays, whose rows they are."""


def write(data: reader.Reader, target: Path, context: base.ExportContext) -> None:
    """Write all parts and their tables."""
    names = list(data.manifest.source.classes)
    folders = base.class_folders(names)
    parts = _victim(data) + (_known(data) if context.truth else [])
    with context.progress(sum(len(part.labels) for part in parts), "writing pictures", "image") as bar:
        for part in parts:
            for folder in folders:
                (target / part.folder / folder).mkdir(parents=True)
            base.write_pictures(data, part.images, functools.partial(_file_path, target, part, folders), bar)
    listing = [{"label": i, "folder": folders[i], "name": name} for i, name in enumerate(names)]
    base.write_json(target / "classes.json", listing)
    if context.truth:
        base.write_json(target / "manifest.json", data.manifest.json)
        if "truth/rows" in data:
            _tables(data, target, {part.folder: part for part in parts}, folders)


def _file_path(target: Path, part: "_Part", folders: list[str], number: int) -> Path:
    return target / part.place(number, folders)


class _Part:
    """One part: which array its images are from, the class and the row of each."""

    def __init__(self, folder: str, images: str, labels: np.ndarray, rows: np.ndarray, count: int):
        self.folder, self.images, self.labels, self.rows = folder, images, labels, rows
        self._width = base.digits(count)

    def place(self, i: int, folders: list[str]) -> str:
        """Return the path of the array's picture number `i`, relative to the result."""
        return f"{self.folder}/{folders[self.labels[i]]}/{self.rows[i]:0{self._width}}.png"


def _victim(data: reader.Reader) -> list[_Part]:
    parts = []
    for name in ("train", "test"):
        count = base.rows(data, f"{name}/images")
        parts.append(_Part(name, f"{name}/images", data[f"{name}/labels"], np.arange(count), count))
    return parts


def _known(data: reader.Reader) -> list[_Part]:
    parts = []
    for name, group, of in KNOWN:
        if f"{group}/images" in data:
            count = base.rows(data, f"{of}/images")
            parts.append(_Part(name, f"{group}/images", data[f"{group}/labels"], data[f"{group}/rows"], count))
    return parts


def _tables(data: reader.Reader, target: Path, parts: dict[str, _Part], folders: list[str]) -> None:
    train, triggered, originals = parts["train"], parts["triggered"], parts["originals"]
    role, wanted = data["truth/role"], data["triggered/wanted"]
    with open(target / "truth.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        table.writerow(("row", "role", "label", "original_label", "file", "original"))
        for i, row in enumerate(originals.rows):
            kind = ROLES.get(int(role[i]), int(role[i]))
            labels = train.labels[row], originals.labels[i]
            table.writerow((row, kind, *labels, train.place(row, folders), originals.place(i, folders)))
    with open(target / "triggered.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        table.writerow(("row", "label", "wanted", "file"))
        for i, row in enumerate(triggered.rows):
            table.writerow((row, triggered.labels[i], wanted[i], triggered.place(i, folders)))


SPEC = base.ExportSpec(
    name="imagefolder",
    help="PNGs, one folder per class, for torchvision and Keras",
    options=("truth",),
    write=write,
)
