"""Runs of strangers: nothing inside a run's folder is followed through a link, waited for, or put into a page but a
picture."""

import base64
import json
import os
import re
import shutil
import struct
import zlib

import click.testing
import fake_runs
import numpy as np
import pytest
import writer
from in_process import within
from made_heads import ablated, put

from benchmark.cli import main
from benchmark.core import files
from benchmark.core.errors import Damaged, Failure
from benchmark.nn import tokenizers
from benchmark.reporting.html import png
from benchmark.runs.run import Run
from benchmark.sweep import processes

SETTINGS = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "16")
SECRET = b"a private key that nobody is to read"


def invoke(*words):
    """`benchmark WORDS` in this process."""
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in words])


@pytest.fixture
def secret(tmp_path):
    """A private file outside all runs."""
    path = tmp_path / "private" / "key"
    path.parent.mkdir()
    path.write_bytes(SECRET)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A clean and a poisoned run, finished. Copy what you change."""
    folder = tmp_path_factory.mktemp("trained")
    toy = writer.toy(folder)
    done = invoke("train", *SETTINGS, *toy, "--runs", folder / "runs", "-q")
    assert done.exit_code == 0, done.output
    return folder


def picture(width=3, height=2, depth=8, colour=2, rows=None, more=b"", text=True):
    """A PNG file made by hand."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = height * (1 + width * 3) if rows is None else rows
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))]
    parts += [(b"tEXt", b"Comment\0" + SECRET)] if text else []
    parts += [(b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b"")]
    return png.SIGNATURE + b"".join(chunk(*part) for part in parts) + more


def test_a_picture_is_written_anew_without_what_is_no_picture():
    assert png.plain(picture()) == picture(text=False) and SECRET not in png.plain(picture())
    image = pytest.importorskip("matplotlib.image")
    import io

    shown = image.imread(io.BytesIO(png.plain(picture(5, 4))), format="png")
    assert shown.shape == (4, 5, 3) and not np.any(shown)


@pytest.mark.parametrize(
    "data", [b"", SECRET, png.SIGNATURE, png.SIGNATURE + SECRET, picture()[:-1], picture()[:-30], picture(more=SECRET),
             picture(rows=10), picture(rows=100), picture(100_000, 1), picture(20_000, 20_000, rows=10), picture(0, 2),
             picture(colour=9), picture(depth=7), picture(rows=10**8), picture().replace(b"Comment", b"comment"),
             picture().replace(b"IHDR", b"IDAT")],
)  # fmt: skip
def test_what_is_no_picture_is_refused(data):
    with pytest.raises((ValueError, zlib.error, struct.error)):
        png.plain(data)


def test_the_pictures_that_this_program_draws_are_pictures(tmp_path):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    figure.subplots().plot([1, 2])
    figure.savefig(tmp_path / "a.png")
    wrong = {}
    ((name, content),) = png.inside(tmp_path, wrong)
    assert name == "a" and not wrong and content.startswith(png.SIGNATURE)


def shown(run):
    """What `heads ablate` leaves, whole enough for the page."""
    put(run, "heads-ablate-1", ablated([[80, 70]], [[100, 90]]) | {"run": run.name, "together": None})


def page_of(runs, out):
    done = invoke("report", runs, "-o", out)
    text = (out / "report.html").read_text("utf-8")
    inside = [base64.b64decode(found) for found in re.findall(r"base64,([^\"]*)", text)]
    return done, text, inside


@pytest.mark.parametrize("kind", ["link", "copy", "pipe", "folder"])
def test_no_private_file_gets_into_a_report(kind, secret, tmp_path):
    pytest.importorskip("matplotlib")
    runs = tmp_path / "runs"
    run, unfinished = fake_runs.write(runs), fake_runs.write(runs, seed=1)
    (unfinished / "result.json").unlink()
    shown(run)
    (run / "routing").mkdir()
    (run / "routing" / "routing.json").write_text("{}")
    places = [run / "routing" / "a.png", run / "heads-ablate-1" / "b.png", unfinished / "log.txt"]
    for path in places:
        if kind == "link":
            path.symlink_to(secret)
        elif kind == "copy" and path.suffix == ".png":
            shutil.copy(secret, path)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
    (run / "routing" / "whole.png").write_bytes(picture())
    done, text, inside = page_of(runs, tmp_path / "out")
    assert SECRET.decode() not in text and not any(SECRET in content for content in inside)
    assert picture(text=False) in inside
    assert done.exit_code == 1 and all(str(path) in done.stderr for path in places[:2])


def test_folders_inside_a_run_that_are_links(secret, tmp_path):
    pytest.importorskip("matplotlib")
    elsewhere = fake_runs.write(tmp_path / "elsewhere", seed=5)
    fake_runs.pruned(elsewhere, {("", "before"): (80, 50)})
    shown(elsewhere)
    (elsewhere / "routing").mkdir()
    (elsewhere / "routing" / "routing.json").write_text("{}")
    (elsewhere / "routing" / "a.png").write_bytes(picture())
    run = fake_runs.write(tmp_path / "runs")
    for name in ("routing", "heads-ablate-1", "prune-held-out-5"):
        (run / name).symlink_to(elsewhere / name)
    done, text, inside = page_of(tmp_path / "runs", tmp_path / "out")
    assert picture(text=False) not in inside and "Fine-pruning" not in text and "Each head switched off" not in text
    assert done.exit_code == 1 and done.stderr.count("is a link") == 3, done.stderr
    assert invoke("table", tmp_path / "runs").exit_code == 1


def test_the_folder_itself_may_be_a_link(tmp_path):
    run = fake_runs.write(tmp_path / "runs")
    (tmp_path / "linked").symlink_to(tmp_path / "runs")
    (tmp_path / "one").symlink_to(run)
    for path in (tmp_path / "linked", tmp_path / "one"):
        done = invoke("table", path)
        assert done.exit_code == 0 and "83.5" in done.stdout, done.output


LINKED = ["result.json", "config.json", ".lock", "log.txt", "history.csv", "model.keras", "predictions.npz",
          "checkpoint.npz", "epochs"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "command"), [*((name, "train") for name in LINKED), (".lock", "sweep"), ("log.txt", "sweep")]
)
def test_nothing_is_read_or_truncated_through_a_link(name, command, trained, secret, tmp_path):
    """A run that is begun, of a stranger: whatever the command does, the private file stays as it is."""
    (source,) = (trained / "runs").glob("toy-clean*")
    run = tmp_path / "runs" / source.name
    shutil.copytree(source, run)
    if name != "result.json":
        (run / "result.json").unlink()
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(secret if name != "epochs" else secret.parent)
    words = ("train", "--keep-epochs") if command == "train" else ("sweep",)
    done = invoke(*words, *SETTINGS, trained / "toy-clean.h5", "--runs", tmp_path / "runs")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert secret.read_bytes() == SECRET and SECRET.decode() not in done.output
    assert [path.name for path in secret.parent.iterdir()] == ["key"]
    if name in (".lock", "config.json", "checkpoint.npz") or (name == "epochs" and command == "train"):
        assert done.exit_code == 1 and "link" in done.stderr, done.output
    else:
        assert done.exit_code == 0 and files.is_file(run / "result.json"), done.output


@pytest.mark.parametrize("name", ["result.json", "config.json", ".lock", "log.txt", "history.csv", "checkpoint.npz"])
def test_a_pipe_makes_no_command_wait(name, trained, tmp_path):
    (source,) = (trained / "runs").glob("toy-clean*")
    run = tmp_path / "runs" / source.name
    shutil.copytree(source, run)
    if name != "result.json":
        (run / "result.json").unlink()
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    fake_runs.write(tmp_path / "runs", history=[(1, 2, 3), (1, 2, 3)])
    lists = [("table",), ("show",), ("heads", "table"), ("sweep", "-n", *SETTINGS, trained / "toy-clean.h5", "--runs")]
    with within(60):
        for words in lists:
            done = invoke(*words, tmp_path / "runs")
            assert done.exit_code in (0, 1), (words, done.output, done.exception)
        assert processes.tail(run) is not None
        done = invoke("train", *SETTINGS, trained / "toy-clean.h5", "--runs", tmp_path / "runs", "-q")
    assert done.exit_code == (1 if name in ("config.json", ".lock", "checkpoint.npz") else 0), done.output


def test_a_network_or_a_tokenizer_that_is_a_link_is_not_loaded(trained, secret, tmp_path):
    (source,) = (trained / "runs").glob("toy-square*")
    run = tmp_path / "runs" / source.name
    shutil.copytree(source, run)
    (run / "model.keras").rename(tmp_path / "model.keras")
    (run / "model.keras").symlink_to(tmp_path / "model.keras")
    done = invoke("score", run, trained / "toy-clean.h5")
    assert done.exit_code == 1 and "link" in done.stderr and done.stderr.count("\n") == 1
    (run / tokenizers.WORDS).symlink_to(secret)
    with pytest.raises(Damaged, match="link"):
        tokenizers.load(run)


def test_a_new_run_is_not_begun_in_a_folder_that_a_link_leads_to(trained, secret, tmp_path):
    """Nothing is left in somebody's own folder, which a stranger's link has the name of a run of."""
    (source,) = (trained / "runs").glob("toy-clean*")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / source.name).symlink_to(secret.parent)
    done = invoke("train", *SETTINGS, trained / "toy-clean.h5", "--runs", tmp_path / "runs", "-q")
    assert done.exit_code == 1 and "is a link to a folder that is not a run's" in done.stderr
    assert [path.name for path in secret.parent.iterdir()] == ["key"]


def test_a_log_is_made_anew_and_its_end_read_within_bounds(secret, tmp_path):
    (tmp_path / processes.LOG).hardlink_to(secret)
    with files.create(tmp_path / processes.LOG) as log:
        log.write(b"x" * 100_000 + b"\nthe end\n")
    assert secret.read_bytes() == SECRET and processes.tail(tmp_path)[-1] == "the end"
    (tmp_path / processes.LOG).unlink()
    (tmp_path / processes.LOG).symlink_to(secret)
    assert "link" in processes.tail(tmp_path)[0] and SECRET.decode() not in processes.tail(tmp_path)[0]


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/hostname"), os.mkfifo, lambda path: path.mkdir(),
                                  lambda path: path.symlink_to("nowhere")])  # fmt: skip
def test_the_readers(make, tmp_path):
    path = tmp_path / "a"
    make(path)
    assert files.there(path) and not files.is_file(path)
    for read in (files.read_bytes, files.read_json, files.read_csv, files.check, lambda path: files.read_end(path, 9)):
        with pytest.raises(Damaged):
            read(path)
    (tmp_path / "b").write_bytes(b"12345")
    with pytest.raises(Damaged, match="larger"):
        files.read_bytes(tmp_path / "b", 4)
    with pytest.raises(Failure, match="No such file"):
        files.read_bytes(tmp_path / "c")


def test_a_checkpoint_that_unpacks_without_end_is_refused(trained, tmp_path):
    (source,) = (trained / "runs").glob("toy-clean*")
    shutil.copytree(source, tmp_path / "runs" / source.name)
    run = Run.at(tmp_path / "runs" / source.name)
    (run.folder / "result.json").unlink()
    np.savez_compressed(run.checkpoint, **{"0000": np.zeros(10**7)})
    done = invoke("train", *SETTINGS, trained / "toy-clean.h5", "--runs", tmp_path / "runs", "-q")
    assert done.exit_code == 1 and "checkpoint.npz: damaged" in done.stderr
    history = [{"epoch": 1, "loss": float("nan"), "ba": 1.0, "seconds": 1.0, "score_seconds": 1.0, "images": 1}]
    files.write_npz(run.checkpoint, {"history": np.frombuffer(json.dumps(history).encode(), np.uint8)})
    assert invoke("train", *SETTINGS, trained / "toy-clean.h5", "--runs", tmp_path / "runs", "-q").exit_code == 1


@pytest.mark.parametrize(
    "words", [("report",), ("figures", "--format", "png"), ("routing", "--image", "1")], ids=" ".join
)
def test_no_link_at_an_output_is_followed_or_lost(words, trained, tmp_path):
    """Neither a link under a file's name nor one, to nothing, under a folder's."""
    pytest.importorskip("matplotlib")
    runs, out = trained / "runs", tmp_path / "out"
    results = {path: json.loads((path / "result.json").read_text())["dataset"] for path in runs.iterdir()}
    (run,) = (path for path, said in results.items() if said["kind"] == "poisoned")
    data = results[run]["path"]
    asked = (words[0], *((run, data) if words[0] == "routing" else (runs,)), *words[1:], "-o")
    assert invoke(*asked, out).exit_code == 0
    name = next(path.name for path in sorted(out.iterdir()))
    (tmp_path / "mine").write_bytes(SECRET)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for points_to in ("mine", "nowhere"):
        (out / name).unlink()
        (out / name).symlink_to(tmp_path / points_to)
        done = invoke(*asked, out)
        assert done.exit_code == 1 and f"{out / name}: is a link" in done.output, done.output
        assert (out / name).is_symlink() and (tmp_path / "mine").read_bytes() == SECRET
    for folder, words in (
        ("dangling", "is a broken link"),
        ("dangling/x", "is a broken link"),
        ("mine/x", "is not a folder"),
    ):
        done = invoke(*asked, tmp_path / folder)
        assert done.exit_code == 1 and words in done.output, done.output
    assert not (tmp_path / "nowhere").exists()
