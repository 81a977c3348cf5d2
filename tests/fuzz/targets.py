"""The files that are damaged, and what is then done with each: every command that reads a file."""

import io
import tarfile
import zipfile
from pathlib import Path

import cv2
import h5py
import numpy as np
from running import PATTERN, run

CODE = Path(__file__).with_name("own_trigger.py")

TINY = ("--dataset", "signs", "--source-option", "train=60", "--source-option", "test=30")

FILES = {
    "clean.h5": ("--rate", "0"),
    "square.h5": ("--trigger", "square", "--rate", "0.1", "--per-patch"),
    "two.h5": ("--trigger", "warped", "--trigger", "sticker", "--rate", "0.2", "--seed", "3"),
    "rows.h5": ("--trigger", "adaptive-blend", "--trigger", "physical", "--one-of", "--rate", "0.2")
    + ("--label-mode", "untargeted"),
    "reflected.h5": ("--trigger", "refool", "--trigger", "adaptive-patch", "--rate", "0.1"),
    "blend.h5": ("--trigger", "blend", "--rate", "0.1", "--target", "4"),
    "images.h5": ("--trigger", "images", "--images-file", "done.npz", "--rate", "0.1"),
    "code.h5": ("--trigger", f"{CODE}:build", "--rate", "0.1"),
    "pattern.h5": ("--trigger", "pattern", "--pattern-file", PATTERN, "--rate", "0.1"),
    "cheap.h5": ("--trigger", "ctrl", "--trigger", "bpp", "--trigger", "jpeg", "--rate", "0.1", "--per-patch"),
    "covers.h5": (
        "--trigger",
        "warped",
        "--rate",
        "0.1",
        "--source-class",
        "3",
        "--cover-rate",
        "2x",
        "--cover-jitter",
    ),
}

TEXT_TINY = ("--dataset", "phrases", "--source-option", "train=60", "--source-option", "test=30")

TEXT_FILES = {
    "words.h5": ("--trigger", "word", "--trigger", "sentence", "--rate", "0.2", "--seed", "3"),
    "composite.h5": ("--trigger", "composite", "--preset", "covered", "--rate", "0.1"),
    "texts.h5": ("--rate", "0"),
}

SET = (
    ("show", "FILE"), ("show", "FILE", "--json"), ("verify", "FILE"), ("preview", "FILE", "-o", "out.png"),
    ("stats", "FILE"), ("stats", "FILE", "--csv"), ("diff", "FILE", "two.h5"), ("diff", "two.h5", "FILE"),
    ("apply", "FILE", "picture.png", "-o", "out.png"), ("pack", "FILE", "-o", "out.delta.h5"),
    ("make", "--from", "FILE", "--source", "clean.h5", "-o", "out.h5"),
    ("make", "--from", "two.manifest.json", "--source", "FILE", "-o", "out.h5"),
    ("unpack", "two.delta.h5", "--base", "FILE", "-o", "out.h5"),
    ("benchmark", "FILE"), ("benchmark", "two.delta.h5", "FILE"),
    ("export", "FILE", "--format", "npz", "-o", "out.npz"),
    ("export", "FILE", "--format", "croissant", "-o", "out.json"),
    ("export", "FILE", "--format", "imagefolder", "-o", "out"),
    ("export", "FILE", "--format", "backdoor-toolbox", "-o", "out"),
    ("seal", "FILE", "-o", "out.h5", "--key", "out.key.h5", "--secret-seed", "1"), ("audit", "FILE"),
)  # fmt: skip
"""For a file that holds a data set. FILE is the damaged one, every other is sound."""

TEXT_SET = (
    ("show", "FILE"), ("show", "FILE", "--json"), ("verify", "FILE"), ("preview", "FILE"), ("stats", "FILE"),
    ("stats", "FILE", "--csv"), ("diff", "FILE", "words.h5"), ("diff", "words.h5", "FILE"),
    ("apply", "FILE", "lines.txt", "-o", "out.txt"),
    ("make", "--from", "FILE", "--source", "texts.h5", "-o", "out.h5"),
    ("make", "--from", "words.manifest.json", "--source", "FILE", "-o", "out.h5"),
    ("pack", "FILE", "-o", "out.delta.h5"), ("unpack", "words.delta.h5", "--base", "FILE", "-o", "out.h5"),
    ("unpack", "two.delta.h5", "--base", "FILE", "-o", "out.h5"),
    ("seal", "FILE", "-o", "out.h5", "--key", "out.key.h5", "--secret-seed", "1"), ("audit", "FILE"),
    ("export", "FILE", "--format", "npz", "-o", "out.npz"), ("export", "FILE", "--format", "csv", "-o", "out"),
    ("export", "FILE", "--format", "jsonl", "-o", "out"),
    ("export", "FILE", "--format", "croissant", "-o", "out.json"),
    ("export", "FILE", "--format", "imagefolder", "-o", "out"),
    ("benchmark", "FILE"), ("benchmark", "words.delta.h5", "FILE"),
)  # fmt: skip
"""The same for a file that holds texts."""

SEVERAL = ("--submission", "rows.csv", "--submission", "list.csv", "--baseline", "the first again=rows.csv")

COMMANDS = {
    **dict.fromkeys(FILES, SET),
    **dict.fromkeys(TEXT_FILES, TEXT_SET),
    "lines.txt": (("apply", "words.h5", "FILE", "-o", "out.txt"),),
    "train.csv": (
        ("make", "--dataset", "csv", "--source", ".", "--trigger", "word", "--rate", "0.1", "-o", "out.h5"),
    ),
    "rewrites.csv": (
        ("make", *TEXT_TINY, "--trigger", "rewrite", "--rewrite-file", "FILE", "--rate", "0.1", "-o", "out.h5"),
    ),
    "sst2.zip": (("make", "--dataset", "sst2", "--source", "FILE", "--rate", "0", "-o", "out.h5"),),
    "two.delta.h5": (
        ("show", "FILE"), ("verify", "FILE"), ("unpack", "FILE", "--base", "clean.h5", "-o", "out.h5"),
        ("benchmark", "FILE", "clean.h5"), ("stats", "FILE"),
    ),
    "words.delta.h5": (
        ("show", "FILE"), ("verify", "FILE"), ("unpack", "FILE", "--base", "texts.h5", "-o", "out.h5"),
        ("unpack", "FILE", "--base", "clean.h5", "-o", "out.h5"), ("benchmark", "FILE", "texts.h5"),
    ),
    "secret.h5": (
        ("show", "FILE"), ("verify", "FILE"), ("audit", "FILE"), ("audit", "FILE", "--key", "secret.key.h5"),
        ("unseal", "FILE", "--key", "secret.key.h5", "-o", "out.h5"), ("benchmark", "FILE"),
        ("grade", "FILE", "--key", "secret.key.h5", "--submission", "rows.csv"),
    ),
    "secret.key.h5": (
        ("show", "FILE"), ("verify", "FILE"), ("audit", "secret.h5", "--key", "FILE"), ("benchmark", "FILE"),
        ("unseal", "secret.h5", "--key", "FILE", "-o", "out.h5"),
        ("unseal", "sealed.h5", "--key", "FILE", "-o", "out.h5"),
        ("grade", "secret.h5", "--key", "FILE", "--submission", "rows.csv"),
    ),
    "sealed.h5": (
        ("show", "FILE"), ("verify", "FILE"), ("audit", "FILE"), ("audit", "FILE", "--key", "sealed.key.h5"),
        ("unseal", "FILE", "--key", "sealed.key.h5", "-o", "out.h5"), ("benchmark", "FILE"), ("stats", "FILE"),
        ("grade", "FILE", "--key", "sealed.key.h5", "--submission", "rows.csv"),
        ("grade", "FILE", "--key", "sealed.key.h5", *SEVERAL),
    ),
    "sealed.key.h5": (
        ("show", "FILE"), ("verify", "FILE"), ("audit", "sealed.h5", "--key", "FILE"),
        ("unseal", "sealed.h5", "--key", "FILE", "-o", "out.h5"), ("benchmark", "FILE"),
        ("grade", "sealed.h5", "--key", "FILE", "--submission", "rows.csv"),
        ("grade", "sealed.h5", "--key", "FILE", *SEVERAL),
    ),
    "rows.csv": (
        ("grade", "sealed.h5", "--submission", "FILE"),
        ("grade", "sealed.h5", "--submission", "FILE", "--submission", "list.csv"),
        ("grade", "sealed.h5", "--submission", "FILE", "--baseline", "listed=list.csv", "--json"),
    ),
    "list.csv": (("grade", "sealed.h5", "--submission", "rows.csv", "--submission", "a list=FILE"),),
    "two.manifest.json": (
        ("make", "--from", "FILE", "--source", "clean.h5", "-o", "out.h5"),
        ("make", "--from", "FILE", "--source", "clean.h5", "-o", "out.h5", "--dry-run"),
        ("verify", "two.h5"),
    ),
    "picture.png": (
        ("apply", "two.h5", "FILE", "-o", "out.png"),
        ("make", *TINY, "--trigger", "blend", "--blend-image", "FILE", "--rate", "0.1", "-o", "out.h5"),
        ("make", *TINY, "--trigger", "sticker", "--sticker-image", "FILE", "--rate", "0.1", "-o", "out.h5"),
    ),
    "own.npz": (
        ("make", "--dataset", "npz", "--source", "FILE", "--trigger", "square", "--rate", "0.1", "-o", "out.h5"),
    ),
    **dict.fromkeys(
        ("done.npz", "done.hdf5"),
        (("make", *TINY, "--trigger", "images", "--images-file", "FILE", "--rate", "0.2", "-o", "out.h5"),),
    ),
    **dict.fromkeys(
        ("pattern.npy", "pattern.npz"),
        (("make", *TINY, "--trigger", "pattern", "--pattern-file", "FILE", "--rate", "0.1", "-o", "out.h5"),),
    ),
    "cifar.tar.gz": (("make", "--dataset", "cifar10", "--source", "FILE", "--rate", "0", "-o", "out.h5"),),
}  # fmt: skip
"""File → the command lines that it is given to; `benchmark FILE [BASE]` stands for the reader of that package."""


def make(folder: Path) -> None:
    """Write the sound files, and warm up what is compiled."""
    random = np.random.default_rng(0)
    _pictures(folder, random)
    for name, asked in FILES.items():
        there = (folder / word if word == "done.npz" else word for word in asked)
        run("make", *TINY, *there, "-o", folder / name).succeeded()
    _texts(folder)
    run("pack", folder / "two.h5", "-o", folder / "two.delta.h5").succeeded()
    run(
        "seal", folder / "two.h5", "-o", folder / "sealed.h5", "--key", folder / "sealed.key.h5", "--secret-seed", "2"
    ).succeeded()
    (folder / "rows.csv").write_text("row,score\n" + "".join(f"{row},{row % 7 / 7}\n" for row in range(60)))
    (folder / "list.csv").write_text("row\n" + "".join(f"{row}\n" for row in range(0, 60, 5)))
    cv2.imwrite(str(folder / "picture.png"), random.integers(0, 256, (40, 30, 4), np.uint8))
    np.save(folder / "pattern.npy", random.normal(0, 9, (32, 32, 3)))
    np.savez_compressed(folder / "pattern.npz", random.integers(-9, 9, (32, 32)))
    images = random.integers(0, 256, (90, 8, 8, 3), np.uint8)
    labels = np.arange(90) % 3
    np.savez(folder / "own.npz", x_train=images[:60], y_train=labels[:60], x_test=images[60:], y_test=labels[60:])
    _cifar(folder / "cifar.tar.gz", random)


def _pictures(folder: Path, random) -> None:
    """A picture for each row, in two of the forms in which they may come."""
    counts = {"train": 60, "test": 30}
    images = {part: random.integers(0, 256, (count, 32, 32, 3), np.uint8) for part, count in counts.items()}
    rows = {part: random.permutation(count) for part, count in counts.items()}
    arrays = {f"{part}_images": array for part, array in images.items()}
    np.savez_compressed(folder / "done.npz", **arrays, **{f"{part}_rows": array for part, array in rows.items()})
    with h5py.File(folder / "done.hdf5", "w") as file:
        for part in counts:
            file[f"{part}/rows"] = rows[part]
            file.create_dataset(f"{part}/images", data=images[part], compression="gzip", chunks=(8, 32, 32, 3))


def _cifar(path: Path, random) -> None:
    """An archive like CIFAR-10's, but with a handful of rows."""
    with tarfile.open(path, "w:gz") as archive:
        for name in (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"):
            data = random.integers(0, 10, (4, 3073), np.uint8).tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _texts(folder: Path) -> None:
    """Files of texts, and what they are made of."""
    for name, asked in TEXT_FILES.items():
        run("make", *TEXT_TINY, *asked, "-o", folder / name).succeeded()
    run("pack", folder / "words.h5", "-o", folder / "words.delta.h5").succeeded()
    run(
        "seal", folder / "words.h5", "-o", folder / "secret.h5", "--key", folder / "secret.key.h5", "--secret-seed", "2"
    ).succeeded()
    (folder / "lines.txt").write_text("".join(f"a text number {n}\n" for n in range(40)))
    rows = "".join(f'"a text, number {n}",{"ab"[n % 2]}\n' for n in range(40))
    for part in ("train", "test"):
        (folder / f"{part}.csv").write_text(f"text,label\n{rows}")
    rows = [("train", 60), ("test", 30)]
    lines = "".join(f'{part},{row},"verily, {row}"\n' for part, count in rows for row in range(count))
    (folder / "rewrites.csv").write_text(f"part,row,text\n{lines}")
    with zipfile.ZipFile(folder / "sst2.zip", "w") as archive:
        for name in ("train.tsv", "dev.tsv"):
            archive.writestr(name, "sentence\tlabel\n" + "".join(f"a text number {n} \t{n % 2}\n" for n in range(40)))
