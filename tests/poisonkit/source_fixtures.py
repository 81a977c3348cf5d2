"""Small data sets in the layouts that their own sites publish, and a web server on the loopback address."""

import http.server
import io
import pickle
import tarfile
import threading
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from poisonkit.poisoning import plan
from poisonkit.sources.image import cifar10

ROWS = 20
"""Rows in a batch of the small CIFAR-10; see `small_cifar`."""


@pytest.fixture
def small_cifar(monkeypatch):
    """CIFAR-10 with 20 rows in a batch instead of 10,000."""
    monkeypatch.setattr(cifar10, "ROWS", ROWS)


def cifar_batches(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Batch -> labels (ROWS,) uint8 and rows of planes (ROWS, 3072) uint8."""
    random = np.random.default_rng(seed)
    return {
        name: (random.integers(0, 10, ROWS).astype("u1"), random.integers(0, 256, (ROWS, 3072)).astype("u1"))
        for name in cifar10.BATCHES
    }


def cifar_files(batches, version: str = "binary") -> dict[str, bytes]:
    """Path -> contents, as the binary or the python version has them."""
    if version == "binary":
        files = {f"cifar-10-batches-bin/{n}.bin": np.hstack([y[:, None], x]).tobytes() for n, (y, x) in batches.items()}
        return files | {"cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}
    files = {
        f"cifar-10-batches-py/{n}": pickle.dumps({b"batch_label": b"a", b"labels": y.tolist(), b"data": x}, protocol=2)
        for n, (y, x) in batches.items()
    }
    return files | {"cifar-10-batches-py/batches.meta": pickle.dumps({b"label_names": [b"airplane"]}, protocol=2)}


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files below a folder; the folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    """Write files into a tar archive; its path."""
    with tarfile.open(path, mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """Write files into a zip archive; its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def png(image: np.ndarray) -> bytes:
    """An RGB image as a PNG file."""
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def ppm(image: np.ndarray) -> bytes:
    """An RGB image as a binary PPM file."""
    return b"P6\n%d %d\n255\n" % (image.shape[1], image.shape[0]) + image.tobytes()


def gtsrb_images(seed: int = 0, classes: int = 3, each: int = 4, test: int = 5):
    """Training images as {(class, track, number): image} and test images as {number: (class, image)}."""
    random = np.random.default_rng(seed)

    def image():
        return random.integers(0, 256, (*random.integers(15, 60, 2), 3)).astype("u1")

    train = {(c, k // 2, k % 2): image() for c in range(classes) for k in range(each)}
    return train, {k: (int(random.integers(0, classes)), image()) for k in range(test)}


HEADER = ["Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2"]


def table(separator: str, header: list[str], rows: list[list]) -> bytes:
    """A CSV file."""
    return "".join(separator.join(map(str, row)) + "\r\n" for row in [header, *rows]).encode()


def gtsrb_kaggle(train, test) -> dict[str, bytes]:
    """Kaggle's layout, its rows in another order than the official one."""
    files, rows = {}, {"Train": [], "Test": []}
    for (label, track, number), image in reversed(train.items()):
        path = f"Train/{label}/{label:05d}_{track:05d}_{number:05d}.png"
        files[path] = png(image)
        rows["Train"].append([image.shape[1], image.shape[0], 5, 5, 9, 9, label, path])
    for number, (label, image) in test.items():
        files[f"Test/{number:05d}.png"] = png(image)
        rows["Test"].append([image.shape[1], image.shape[0], 5, 5, 9, 9, label, f"Test/{number:05d}.png"])
    return files | {f"{part}.csv": table(",", [*HEADER, "ClassId", "Path"], rows[part]) for part in rows}


def gtsrb_official(train, test, folder: str = "Final_Training/Images") -> dict[str, dict[str, bytes]]:
    """The official archives: name -> {path: contents}."""
    images, tables = {}, {}
    for (label, track, number), image in train.items():
        name = f"{track:05d}_{number:05d}.ppm"
        images[f"GTSRB/{folder}/{label:05d}/{name}"] = ppm(image)
        tables.setdefault(label, []).append([name, image.shape[1], image.shape[0], 5, 5, 9, 9, label])
    header = ["Filename", *HEADER]
    for label, rows in tables.items():
        images[f"GTSRB/{folder}/{label:05d}/GT-{label:05d}.csv"] = table(";", [*header, "ClassId"], rows)
    rows = [[f"{k:05d}.ppm", i.shape[1], i.shape[0], 5, 5, 9, 9, label] for k, (label, i) in test.items()]
    tests = {f"GTSRB/Final_Test/Images/{k:05d}.ppm": ppm(image) for k, (_, image) in test.items()}
    tests["GTSRB/Final_Test/Images/GT-final_test.test.csv"] = table(";", header, [row[:-1] for row in rows])
    return {
        "GTSRB_Final_Training_Images.zip": images,
        "GTSRB_Final_Test_Images.zip": tests,
        "GTSRB_Final_Test_GT.zip": {"GT-final_test.csv": table(";", [*header, "ClassId"], rows)},
    }


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` (name -> bytes). `cut_after`: bytes of a reply before the connection drops, one number a
    request; `ranges`: whether it knows Range; `status`: codes to answer with first; `log`: (path, Range) asked for."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.cut_after, self.ranges, self.status, self.log = files, [], True, [], []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        pass  # a client that hangs up is what some tests are about


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.log.append((self.path, wanted))
        if server.status:
            return self.send_error(server.status.pop(0))
        data = server.files.get(self.path.rsplit("/", 1)[-1])
        if data is None:
            return self.send_error(404)
        start = int(wanted[len("bytes=") : -1]) if wanted and server.ranges else 0
        if start >= len(data) > 0 and start:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if wanted and server.ranges else 200)
        if wanted and server.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = start + server.cut_after.pop(0) if server.cut_after else len(data)
        self.wfile.write(data[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A function that starts a `Server`; it is stopped at the end."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = []

    def start(files: dict[str, bytes]) -> Server:
        one = Server(files)
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(one)
        return one

    yield start
    for one in running:
        one.shutdown()
        one.server_close()


def text_tables(path, names, rows=60):
    """Tables of texts with these labels, one after the other."""
    table = "text,label\n" + "".join(f"text number {i} here,{names[i % len(names)]}\n" for i in range(rows))
    return write_files(path, {"train.csv": table.encode(), "test.csv": table.encode()})


def record_of(source) -> dict:
    """What a manifest records of a source."""
    return plan.source_record(source).json
