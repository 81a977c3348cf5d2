"""SST-2: GLUE's archive, or the folder that it holds. The test set is dev.tsv, since GLUE's own has no labels."""

import functools
import posixpath
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from poisonkit.core import file_states, files, progress, texts
from poisonkit.core.csv_tables import Table, opener, watched
from poisonkit.core.errors import Failure
from poisonkit.core.modality import TEXT
from poisonkit.core.numbers import counted
from poisonkit.sources import base
from poisonkit.sources._fetch import archive

CLASSES = ("negative", "positive")
COUNTS = (67_349, 872)
MIRROR = "POISONKIT_SST2_URL"
ARCHIVES = (
    archive.Archive(
        "SST-2.zip",
        "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip",
        7_439_277,
        "9f81648d4199384278b86e315dac217c",  # as torchtext publishes it
        "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",  # as TensorFlow Datasets does
    ),
)

FILES = {"train": "train.tsv", "test": "dev.tsv"}
FOLDERS = ("", "SST-2")
COLUMNS = ("sentence", "label")
IN_QUOTES = (
    "in quotes: this layout has no quoting, so the quotes are part of the texts; --dataset csv --source-option "
    "text=sentence --source-option test=dev --source-option tsv=quoted removes them, as in a CSV"
)


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Find what is at `path`: the archive, the folder, or a folder that holds one of these."""
    del options
    path = base.required(path, "sst2", "PATH: the archive, or a folder with train.tsv and dev.tsv")
    if path.is_file():
        return _archive_origin(path)
    if not path.exists():
        raise Failure(f"{path} does not exist: expected {ARCHIVES[0].name} or a folder with train.tsv and dev.tsv")
    for folder in (path / name for name in FOLDERS):
        if any((folder / name).is_file() for name in FILES.values()):
            return _folder_origin(folder)
    if (path / ARCHIVES[0].name).is_file():
        return _archive_origin(path / ARCHIVES[0].name)
    raise Failure(f"{path} is not an SST-2 folder: expected train.tsv and dev.tsv in it, or {ARCHIVES[0].name}")


def fetch(folder: Path, context: base.SourceContext) -> Path:
    """Download the archive into a folder; its path."""
    from poisonkit.sources._fetch import download

    return download.fetch(ARCHIVES[0], folder, MIRROR, context)


def _folder_origin(folder: Path) -> base.Origin:
    paths = {part: folder / name for part, name in FILES.items()}
    for path in paths.values():
        if not path.is_file():
            raise Failure(f"{path} is missing: expected train.tsv and dev.tsv in one folder")

    def decode(writer, context) -> dict:
        counts = {}
        for part, path in paths.items():
            table = Table(files.path_text(path), opener(path), quoted=False)
            counts[part] = _write(writer, part, table, context)
        return {"kind": "folder", "path": files.path_text(folder), "official": None} | _other(counts)

    return base.Origin({"folder": file_states.fingerprint(paths.values())}, decode)


def _archive_origin(path: Path) -> base.Origin:
    def decode(writer, context) -> dict:
        record = archive.file_record(path, ARCHIVES, context, archive.SMALL)
        with archive.opened_zip(path, archive.SMALL) as file, archive.damage(path):
            members, counts = _members(path, file), {}
            for part in FILES:
                member = members[part]
                where = f"{files.path_text(path)}: {texts.printable(member)}"
                table = Table(where, functools.partial(file.open, member), quoted=False)
                counts[part] = _write(writer, part, table, context)
        found = {"kind": "archive", "path": files.path_text(path), **record}
        return found | ({} if record["official"] else _other(counts))

    return base.Origin({"archive": file_states.fingerprint([path])}, decode)


def _members(path: Path, file: zipfile.ZipFile) -> dict[str, str]:
    """Part → its file in the zip, which also holds the original treebank in a folder below."""
    found = {}
    for name in archive.zip_names(path, file):
        for part, wanted in FILES.items():
            if posixpath.basename(name) == wanted and posixpath.dirname(name) in FOLDERS:
                found[part] = name
    for part, wanted in FILES.items():
        if part not in found:
            raise Failure(f"{path}: {wanted} is missing; expected SST-2/train.tsv and SST-2/dev.tsv in it")
    return found


def _other(counts: dict[str, tuple[int, int]]) -> dict:
    """Return what is said of data in this layout whose counts are not GLUE's: another SST-2, or another task
    altogether. `counts` are, for each part, its texts and how many of them stand in quotes."""
    rows, quoted = zip(*(counts[part] for part in FILES), strict=True)
    if rows == COUNTS:
        return {}
    found, published = (f"{train:,} + {test:,}" for train, test in (rows, COUNTS))
    why = f"it has {found} texts, GLUE's SST-2 has {published}; labels 0 and 1 are called negative and positive"
    record = {"official": False, "difference": why}
    return record | ({"notices": [f"{counted(sum(quoted), 'text')} {IN_QUOTES}"]} if any(quoted) else {})


def described(train: int, test: int) -> dict:
    """Title, licence and address of data with these counts, where they are not those of this module."""
    if (train, test) == COUNTS:
        return {}
    title = f"texts in the layout of SST-2: {train + test:,} in two classes"
    return {"title": title, "licence": "not stated", "url": ""}


def _write(writer, part: str, table: Table, context: base.SourceContext) -> tuple[int, int]:
    """Write one part: its labels first, then its texts; return how many there are, and how many are in quotes."""
    labels = np.array([_label(table, *record) for record in table.records(COLUMNS)], np.int64)
    if not len(labels):
        raise Failure(f"{table.where} has no rows below its first line")
    with context.progress(len(labels), f"reading {FILES[part]}", "text") as bar:
        quoted: Counter[bool] = Counter()
        writer.texts(part, labels, progress.counted(watched(table.texts(COLUMNS[0]), quoted), bar))
    return len(labels), quoted[True]


def _label(table: Table, line: int, cells: tuple[str, ...]) -> int:
    if cells[1].strip() not in ("0", "1"):
        raise table.wrong(line, f"the label {texts.printable(cells[1])!r}, expected 0 (negative) or 1 (positive)")
    return int(cells[1])


SPEC = base.SourceSpec(
    name="sst2",
    aliases=("glue-sst2",),
    title="SST-2: 68,221 phrases of film reviews in two classes",
    licence="no licence published; cite Socher et al., Recursive Deep Models for Semantic Compositionality, EMNLP 2013",
    url="https://gluebenchmark.com/tasks",
    how="downloaded on first use (7 MB), or read from --source: SST-2.zip, or a folder with train.tsv and dev.tsv",
    modality=TEXT,
    classes=CLASSES,
    target=1,
    counts=COUNTS,
    archives=ARCHIVES,
    mirror=MIRROR,
    locate=locate,
    fetch=fetch,
    described=described,
)
