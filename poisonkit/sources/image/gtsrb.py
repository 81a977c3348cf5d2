"""GTSRB, the German Traffic Sign Recognition Benchmark: the official archives, the folder they unpack to, and Kaggle's.

Every layout gives the same rows in the same order: training images by class and file name, test images by file name,
each the whole picture resized to 32 x 32.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from poisonkit.core import file_states
from poisonkit.core.errors import Failure
from poisonkit.core.files import path_text
from poisonkit.core.modality import IMAGE
from poisonkit.sources import base
from poisonkit.sources._data import gtsrb_tables
from poisonkit.sources._fetch import archive, file_tree

CLASSES = (
    "speed limit 20 km/h",
    "speed limit 30 km/h",
    "speed limit 50 km/h",
    "speed limit 60 km/h",
    "speed limit 70 km/h",
    "speed limit 80 km/h",
    "end of speed limit 80 km/h",
    "speed limit 100 km/h",
    "speed limit 120 km/h",
    "no passing",
    "no passing for vehicles over 3.5 t",
    "right of way at the next intersection",
    "priority road",
    "yield",
    "stop",
    "no vehicles",
    "no vehicles over 3.5 t",
    "no entry",
    "general caution",
    "dangerous curve to the left",
    "dangerous curve to the right",
    "double curve",
    "bumpy road",
    "slippery road",
    "road narrows on the right",
    "road work",
    "traffic signals",
    "pedestrians",
    "children crossing",
    "bicycles crossing",
    "beware of ice or snow",
    "wild animals crossing",
    "end of all speed and passing limits",
    "turn right ahead",
    "turn left ahead",
    "ahead only",
    "go straight or right",
    "go straight or left",
    "keep right",
    "keep left",
    "roundabout mandatory",
    "end of no passing",
    "end of no passing for vehicles over 3.5 t",
)
COUNTS = (39_209, 12_630)
SIDE = 32
SHAPE = (SIDE, SIDE, 3)
MIRROR = "POISONKIT_GTSRB_URL"
_HOST = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
ARCHIVES = (
    archive.Archive(
        "GTSRB_Final_Training_Images.zip",
        _HOST + "GTSRB_Final_Training_Images.zip",
        276_294_756,
        "f33fd80ac59bff73c82d25ab499e03a3",
    ),
    archive.Archive(
        "GTSRB_Final_Test_Images.zip",
        _HOST + "GTSRB_Final_Test_Images.zip",
        88_978_620,
        "c7e4e6327067d32654124b0fe9e82185",
        "48ba6fab7e877eb64eaf8de99035b0aaecfbc279bee23e35deca4ac1d0a837fa",
    ),
    archive.Archive(
        "GTSRB_Final_Test_GT.zip",
        _HOST + "GTSRB_Final_Test_GT.zip",
        99_620,
        "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
        "f94e5a7614d75845c74c04ddb26b8796b9e483f43541dd95dd5b726504e16d6d",
    ),
)
DOWNLOADED = ARCHIVES
# What torchvision downloads: the training images of the competition's first stage, 26,640 of the 39,209. Readable too.
FIRST_STAGE = archive.Archive(
    "GTSRB-Training_fixed.zip", _HOST + "GTSRB-Training_fixed.zip", 187_490_228, "513f3c79a4c5141765e10e952eaa2478"
)
STRIDE = 64  # images that a thread decodes in one go


def locate(path: Path | None, options: base.Options) -> base.Origin:
    """Find what is at `path`: a folder of the archives, the folder they unpack to, or Kaggle's folder or zip."""
    path = base.required(path, "gtsrb", "PATH: a folder or a zip file")
    if not path.exists():
        raise Failure(f"{path} does not exist: expected a folder or a zip file of GTSRB")
    archives = _archives(path)
    if archives:
        states = {"archives": file_states.fingerprint(archives)}
        return base.Origin(states, lambda *given: _from_archives(archives, *given))
    if path.is_file():
        return base.Origin({"archive": file_states.fingerprint([path])}, lambda *given: _from_archives([path], *given))
    tree = file_tree.Folder(path)

    def decode(writer, context) -> dict:
        difference = _decode(tree, writer, context)
        verdict = {"official": False, "difference": difference} if difference else {"official": None}
        return {"kind": "folder", "path": path_text(path), **verdict}

    return base.Origin({"folder": path_text(path), "files": tree.fingerprint()}, decode)


def described(train: int, test: int) -> dict:
    """Return the title of data with these counts, where it is not that of this module."""
    if (train, test) == COUNTS:
        return {}
    return {"title": f"photographs of traffic signs in the layout of GTSRB: {train + test:,} in 43 classes"}


def fetch(folder: Path, context: base.SourceContext) -> Path:
    """Download the three official archives; the folder that they then lie in."""
    from poisonkit.sources._fetch import download

    for wanted in DOWNLOADED:
        download.fetch(wanted, folder, MIRROR, context)
    return folder


def _archives(path: Path) -> list[Path]:
    """Return the official archives if `path` is their folder or one of them."""
    names = [known.name for known in (*ARCHIVES, FIRST_STAGE)]
    folder = path if path.is_dir() else path.parent
    if path.is_file() and path.name not in names:
        return []
    training = [folder / name for name in (names[0], FIRST_STAGE.name) if (folder / name).is_file()][:1]
    found = training + [folder / name for name in names[1:3] if (folder / name).is_file()]
    if found and len(found) < 3:
        missing = [name for name in names[:3] if name not in {item.name for item in found}]
        if training and training[0].name == FIRST_STAGE.name:
            missing.remove(names[0])
        raise Failure(f"{folder}: {' and '.join(missing)} is missing next to {found[0].name}")
    return found


def _from_archives(paths: list[Path], writer, context) -> dict:
    hashes = {path.name: archive.file_record(path, ARCHIVES, context, archive.LARGE) for path in paths}
    with file_tree.Zips(paths) as tree:
        difference = _decode(tree, writer, context)
    official = all(record["official"] for record in hashes.values())
    verdict = {"official": official and not difference} | ({"difference": difference} if difference else {})
    if len(paths) == 1:
        return {"kind": "archive", "path": path_text(paths[0]), "sha256": hashes[paths[0].name]["sha256"], **verdict}
    files = {name: record["sha256"] for name, record in hashes.items()}
    return {"kind": "archives", "path": path_text(paths[0].parent), "files": files, **verdict}


def _decode(tree, writer, context: base.SourceContext) -> str:
    """Write both parts; in what the counts differ from the official ones, "" if they do not."""
    from poisonkit.core import images as image_file  # OpenCV, which nothing but decoding needs

    image_file.quiet()
    train, test = gtsrb_tables.rows(tree, len(CLASSES), context.say)
    with (
        ThreadPoolExecutor(context.jobs) as pool,
        context.progress(len(train) + len(test), "decoding GTSRB", "image") as bar,
    ):
        for part, rows in (("train", train), ("test", test)):
            labels = np.array([row.label for row in rows], np.int64)
            with writer.part(part, labels, SHAPE) as target:
                for start, images in _images(tree, rows, pool, context.jobs, image_file.thumbnail):
                    target.write(start, images)
                    bar.update(len(images))
    if (len(train), len(test)) == COUNTS:
        return ""
    return f"it has {len(train)} + {len(test)} images, the published set has {COUNTS[0]} + {COUNTS[1]}"


def _images(tree, rows: list, pool: ThreadPoolExecutor, jobs: int, thumbnail):
    """Yield (first row, images (n, 32, 32, 3) uint8), in order; a thread takes `STRIDE` rows at once."""

    def decode(start: int) -> None:
        for i in range(start, min(start + STRIDE, len(chosen))):
            try:
                images[i] = thumbnail(tree.read(chosen[i].path), SIDE)
            except ValueError as error:
                raise Failure(f"{tree.where(chosen[i].path)}: {error}") from None

    block = STRIDE * jobs * 4
    for row in range(0, len(rows), block):
        chosen = rows[row : row + block]
        images = np.empty((len(chosen), *SHAPE), np.uint8)
        list(pool.map(decode, range(0, len(chosen), STRIDE)))
        yield row, images


SPEC = base.SourceSpec(
    name="gtsrb",
    aliases=("german-traffic-signs",),
    title="GTSRB: 51,839 photographs of German traffic signs in 43 classes",
    licence="no licence published; cite Stallkamp et al., Man vs. computer, Neural Networks 32, 2012",
    url="https://benchmark.ini.rub.de/gtsrb_dataset.html",
    how="downloaded on first use (365 MB), or read from --source: the archives' folder, what they unpack to, or "
    "Kaggle's",
    modality=IMAGE,
    classes=CLASSES,
    counts=COUNTS,
    shape=SHAPE,
    archives=ARCHIVES,
    mirror=MIRROR,
    locate=locate,
    fetch=fetch,
    described=described,
)
