"""Two processes that write under one name at once, a link that has the name, and what no `--force` may remove: whoever
comes second is told, and nothing is lost."""

import os
import shutil
import subprocess
import threading

import cv2
import numpy as np
import pytest
from running import SMALL, TEXT_SMALL

from poisonkit.core import files
from poisonkit.core.errors import Failure
from poisonkit.exporters import marks
from poisonkit.exporters.registry import FORMATS

FOLDERS = [form.name for form in FORMATS if form.suffix is None and form.name not in ("csv", "jsonl", "backdoorbench")]


# ---- `store.replacing`


@pytest.mark.parametrize("links", (True, False))
def test_what_got_the_name_meanwhile_is_not_replaced(tmp_path, monkeypatch, links):
    if not links:  # FAT, and some network file systems

        def link(*_):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
    target, sidecar = tmp_path / "x.h5", tmp_path / "x.manifest.json"
    with (
        pytest.raises(files.Taken, match="written by another process meanwhile"),
        files.atomic_write(target, sidecar, new=True) as temporary,
    ):
        temporary.write_text("mine")
        target.write_text("theirs")
        sidecar.write_text("of theirs")
    assert target.read_text() == "theirs" and sidecar.read_text() == "of theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.h5", "x.manifest.json"]
    target.unlink()
    with files.atomic_write(target, sidecar, new=True) as temporary:
        temporary.write_text("mine")
    assert target.read_text() == "mine" and [path.name for path in tmp_path.iterdir()] == ["x.h5"]


def test_many_at_once_and_one_of_them_wins(tmp_path):
    def write(number: int) -> None:
        temporary = tmp_path / f"{number}"
        temporary.write_text(f"{number}")
        start.wait()
        try:
            files.claim(temporary, tmp_path / "x")
            won.append(number)
        except files.Taken:
            lost.append(number)

    won, lost, start = [], [], threading.Barrier(8)
    threads = [threading.Thread(target=write, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and len(lost) == 7 and (tmp_path / "x").read_text() == f"{won[0]}"


# ---- the commands


@pytest.fixture
def meanwhile(monkeypatch):
    """`meanwhile(copy)`: `copy(target)` is called just before the next file gets its name, as by another process."""

    def arrange(copy):
        claim = files.claim

        def late(temporary, target):
            monkeypatch.setattr(files, "claim", claim)
            copy(target)
            claim(temporary, target)

        monkeypatch.setattr(files, "claim", late)

    return arrange


def test_make_into_one_name_at_once(poisonkit, library, tmp_path, meanwhile):
    """Another recipe: one line, and the other's file stays. The same recipe: it lies there already."""
    target = tmp_path / "x.h5"
    asked = ("make", *SMALL, "--trigger", "blend", "--rate", "0.1", "-o", target)
    meanwhile(lambda path: shutil.copy(library("square"), path))
    poisonkit(*asked).failed(1, "x.h5", "made from a different recipe", "choose another -o, or use --force")
    assert target.read_bytes() == library("square").read_bytes() and os.listdir(tmp_path) == ["x.h5"]
    target.unlink()
    meanwhile(lambda path: shutil.copy(library("blend"), path))
    assert poisonkit(*asked).succeeded().lines == [f"{target} already exists and verifies; nothing to do"]
    assert sorted(os.listdir(tmp_path)) == ["x.h5", "x.manifest.json"]
    target.unlink()
    meanwhile(lambda path: path.write_bytes(b"no data set"))
    poisonkit(*asked).failed(1, "x.h5", "already exists", "--force")
    assert target.read_bytes() == b"no data set"
    poisonkit(*asked, "--force").succeeded()
    assert target.read_bytes() == library("blend").read_bytes()


@pytest.mark.slow
def test_two_real_processes_make_into_one_name(poisonkit, tmp_path):
    """Whatever the moment, one of them wrote and the other says that it did not."""
    for attempt in range(6):
        target = tmp_path / f"{attempt}.h5"
        commands = [
            poisonkit.command("make", *SMALL, "--trigger", name, "--rate", "0.1", "-o", target)
            for name in ("square", "blend")
        ]
        both = [subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for one in commands]
        ended = [(*process.communicate(), process.returncode) for process in both]
        assert sorted(code for *_, code in ended) == [0, 1], ended
        (said,) = (err for _, err, code in ended if code)
        assert "made from a different recipe" in said and len(said.splitlines()) == 1
        assert poisonkit("verify", target).code == 0


def test_unpack_and_unseal_at_once(poisonkit, library, tmp_path, meanwhile):
    poisonkit("pack", library("square"), "-o", tmp_path / "d.delta.h5").succeeded()
    target = tmp_path / "out.h5"
    asked = ("unpack", tmp_path / "d.delta.h5", "--base", library("clean"), "-o", target)
    meanwhile(lambda path: shutil.copy(library("blend"), path))
    poisonkit(*asked).failed(1, "out.h5", "different recipe")
    assert target.read_bytes() == library("blend").read_bytes()
    target.unlink()
    meanwhile(lambda path: shutil.copy(library("square"), path))
    assert "already exists" in poisonkit(*asked).succeeded().out
    key = tmp_path / "c.key.h5"
    poisonkit("seal", library("square"), "-o", tmp_path / "c.h5", "--key", key).succeeded()
    target.unlink()
    meanwhile(lambda path: shutil.copy(library("blend"), path))
    poisonkit("unseal", tmp_path / "c.h5", "--key", key, "-o", target).failed(1, "out.h5", "different recipe")
    assert target.read_bytes() == library("blend").read_bytes()


def test_pack_replaces_nothing_but_the_same_file_s_delta(poisonkit, library, tmp_path, meanwhile):
    target = tmp_path / "x.delta.h5"
    asked = ("pack", library("square"), "-o", target)
    meanwhile(lambda path: path.write_bytes(b"theirs"))
    poisonkit(*asked).failed(1, "x.delta.h5", "another process", "--force")
    assert target.read_bytes() == b"theirs"
    poisonkit(*asked).failed(1, "x.delta.h5", "already exists and is not square.h5's delta", "--force")
    assert target.read_bytes() == b"theirs"
    poisonkit(*asked, "--force").succeeded()
    made = target.read_bytes()
    poisonkit(*asked).succeeded()
    assert target.read_bytes() == made
    poisonkit("pack", library("blend"), "-o", target).failed(1, "is not blend.h5's delta")
    assert target.read_bytes() == made


def test_two_grids_in_one_folder(poisonkit, tmp_path, meanwhile):
    grid = tmp_path / "g.toml"
    grid.write_text('dataset = "signs"\ntriggers = ["square"]\nimage = ["0.01"]\n')
    poisonkit("grid", grid, "-o", tmp_path / "first").succeeded()
    (made,) = (tmp_path / "first").glob("*.delta.h5")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    (tmp_path / "second" / made.name).unlink()
    meanwhile(lambda path: shutil.copy(made, path))
    poisonkit("grid", grid, "-o", tmp_path / "second").succeeded()
    (tmp_path / "second" / made.name).unlink()
    meanwhile(lambda path: path.write_bytes(b"theirs"))
    poisonkit("grid", grid, "-o", tmp_path / "second").failed(1, made.name)
    assert (tmp_path / "second" / made.name).read_bytes() == b"theirs"


def test_a_list_that_may_be_rewritten_by_now_is_not_replaced(poisonkit, tmp_path, meanwhile):
    target = tmp_path / "x.csv"
    asked = ("make", *TEXT_SMALL, "--trigger", "rewrite", "--rate", "0.1", "--rewrite-list", target)
    meanwhile(lambda path: path.write_bytes(b"theirs"))
    poisonkit(*asked).failed(1, "x.csv", "another process")
    poisonkit(*asked).failed(1, "x.csv", "already exists", "--force")
    assert target.read_bytes() == b"theirs" and os.listdir(tmp_path) == ["x.csv"]
    poisonkit(*asked, "--force").succeeded()
    assert target.read_bytes().startswith(b'"part","row","text"')


@pytest.mark.parametrize("name", ("c.h5", "c.key.h5"))
def test_seal_into_one_name_at_once(poisonkit, library, tmp_path, meanwhile, name):
    """Whichever of its two files somebody else has written by then, the other one does not stay behind."""
    asked = ("seal", library("square"), "-o", tmp_path / "c.h5", "--key", tmp_path / "c.key.h5")
    if name == "c.h5":  # the key has its name first
        meanwhile(lambda path: meanwhile(lambda path: path.write_bytes(b"theirs")))
    else:
        meanwhile(lambda path: path.write_bytes(b"theirs"))
    poisonkit(*asked).failed(1, name, "another process")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"theirs"}


@pytest.mark.parametrize("name", ("npz", "croissant"))
def test_export_to_one_file_at_once(poisonkit, library, tmp_path, meanwhile, name):
    target = tmp_path / f"x{FORMATS[name].suffix}"
    meanwhile(lambda path: path.write_bytes(b"theirs"))
    asked = ("export", library("square"), "--format", name, "-o", target)
    poisonkit(*asked).failed(1, target.name, "another process")
    assert target.read_bytes() == b"theirs" and os.listdir(tmp_path) == [target.name]
    poisonkit(*asked, "--force").succeeded()


@pytest.mark.parametrize("what", ("folder", "file", "empty"))
def test_export_to_one_folder_at_once(poisonkit, library, tmp_path, monkeypatch, what):
    """Finished between the look at the start and the rename at the end."""
    target, write = tmp_path / "x", marks.write

    def late(folder, form):
        write(folder, form)
        if what == "file":
            target.write_text("theirs")
        else:
            target.mkdir()
            if what == "folder":
                (target / "theirs").write_text("theirs")

    monkeypatch.setattr(marks, "write", late)
    result = poisonkit("export", library("square"), "--format", "imagefolder", "-o", target)
    if what == "empty":
        result.succeeded()
        return
    result.failed(1, "x", "another process")
    found = target if what == "file" else target / "theirs"
    assert found.read_text() == "theirs" and len(list(tmp_path.rglob("*"))) == (1 if what == "file" else 2)


# ---- --force of an export


def test_force_removes_no_file_of_the_user_s(poisonkit, library, tmp_path):
    for name in FOLDERS:
        target = tmp_path / name
        asked = ("export", library("square"), "--format", name, "-o", target)
        poisonkit(*asked).succeeded()
        poisonkit(*asked, "--force").succeeded()
        folder = next(path for path in (target, *target.rglob("*")) if path.is_dir() and path != target)
        (folder / "notes.txt").write_text("years of work")
        poisonkit(*asked, "--force").failed(
            1, name, "contains files that the export did not write", "notes.txt", "move them away"
        )
        assert (folder / "notes.txt").read_text() == "years of work"
        (folder / "notes.txt").unlink()
        poisonkit(*asked, "--force").succeeded()


def test_force_removes_no_file_that_was_changed_and_no_link(poisonkit, library, tmp_path):
    target = tmp_path / "x"
    asked = ("export", library("square"), "--format", "imagefolder", "-o", target)
    poisonkit(*asked).succeeded()
    for change in ("edited", "link", "folder link"):
        path = target / "classes.json" if change == "edited" else target / "link"
        before = path.read_bytes() if change == "edited" else None
        if change == "edited":
            path.write_text("mine now")
        else:
            path.symlink_to(tmp_path if change == "folder link" else library("square"))
        poisonkit(*asked, "--force").failed(1, "did not write", path.name)
        assert path.read_text() == "mine now" if change == "edited" else path.is_symlink()
        path.unlink()
        if before is not None:
            path.write_bytes(before)
    poisonkit(*asked, "--force").succeeded()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_the_user_puts_there_during_the_export_stays(poisonkit, library, tmp_path, monkeypatch):
    target, write = tmp_path / "x", marks.write
    asked = ("export", library("square"), "--format", "imagefolder", "-o", target)
    poisonkit(*asked).succeeded()

    def late(folder, form):
        write(folder, form)
        (target / "notes.txt").write_text("years of work")

    monkeypatch.setattr(marks, "write", late)
    poisonkit(*asked, "--force").failed(1, "notes.txt")
    assert (target / "notes.txt").read_text() == "years of work" and (target / "classes.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_export_of_an_older_version_is_not_removed(poisonkit, library, tmp_path):
    target = tmp_path / "x"
    asked = ("export", library("square"), "--format", "imagefolder", "-o", target)
    poisonkit(*asked).succeeded()
    (target / marks.MARK).write_text("imagefolder\n")
    poisonkit(*asked, "--force").failed(1, "of an older version", "delete it yourself")
    assert (target / "classes.json").is_file()


# ---- links


WRITERS = {
    "make": (("make", *SMALL, "--trigger", "square", "--rate", "0.1"), "x.h5"),
    "make --from": (("make", "--from", "SQUARE"), "x.h5"),
    "pack": (("pack", "SQUARE"), "x.delta.h5"),
    "unpack": (("unpack", "DELTA", "--base", "CLEAN"), "x.h5"),
    "seal": (("seal", "SQUARE"), "x.h5"),
    "preview": (("preview", "SQUARE"), "x.png"),
    "text preview": (("preview", "WORD"), "x.txt"),
    "apply": (("apply", "SQUARE", "PICTURE"), "x.png"),
    "text apply": (("apply", "WORD", "TEXTS"), "x.txt"),
    "npz": (("export", "SQUARE", "--format", "npz"), "x.npz"),
    "croissant": (("export", "SQUARE", "--format", "croissant"), "x.json"),
    "imagefolder": (("export", "SQUARE", "--format", "imagefolder"), "x"),
    "csv": (("export", "WORD", "--format", "csv"), "x"),
    "rewrite list": (("make", *TEXT_SMALL, "--trigger", "rewrite", "--rate", "0.1", "--rewrite-list"), "x.csv"),
}


@pytest.mark.parametrize("force", (False, True))
@pytest.mark.parametrize("points_to", ("nothing", "a file", "a folder"))
@pytest.mark.parametrize("writer", WRITERS)
def test_a_link_at_the_output_is_refused_and_stays(poisonkit, library, tmp_path, writer, points_to, force):
    """Neither the link nor what it points to is replaced, with `--force` or without, and nothing is made through it."""
    command, name = WRITERS[writer]
    link, there = tmp_path / name, tmp_path / "elsewhere" / "precious"
    there.parent.mkdir()
    if points_to == "a file":
        there.write_text("years of work")
    elif points_to == "a folder":
        there.mkdir()
    link.symlink_to(there)
    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "t.txt").write_text("a text\n")
    given = {"SQUARE": library("square"), "WORD": library("text-word"), "CLEAN": library("clean")}
    given |= {"PICTURE": tmp_path / "p.png", "TEXTS": tmp_path / "t.txt", "DELTA": tmp_path / "d.delta.h5"}
    if "DELTA" in command:
        poisonkit("pack", library("square"), "-o", given["DELTA"]).succeeded()
    arguments = [given.get(word, word) for word in command]
    forced = ["--force"] if force and command[0] not in ("preview", "apply") else []
    output = [] if command[-1] == "--rewrite-list" else ["-o"]
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    result = poisonkit(*arguments, *output, link, *forced)
    if points_to == "a folder" and name in ("x.npz", "x.json"):
        result.succeeded()  # a folder that is named through a link is a folder: the file goes into it
        return
    result.failed(1, name)
    assert any(words in result.err for words in ("is a link", "already exists", "lies there", "is a folder")), result
    assert link.is_symlink() and os.readlink(link) == os.fspath(there)
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    if points_to == "a file":
        assert there.read_text() == "years of work"


def test_a_file_that_is_named_through_a_link_still_does(poisonkit, library, tmp_path):
    """The same file lies there already: nothing has to be written."""
    (tmp_path / "x.h5").symlink_to(library("square"))
    asked = ("make", *SMALL, "--trigger", "square", "--rate", "0.1", "-o", tmp_path / "x.h5")
    assert "already exists" in poisonkit(*asked).succeeded().out


def test_a_folder_may_be_a_link(poisonkit, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "real")
    poisonkit("make", *SMALL, "--rate", "0", "-o", tmp_path / "data").succeeded()
    assert len(list((tmp_path / "real").glob("*.h5"))) == 1
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for command in (("make", *SMALL, "--rate", "0"), ("grid", "--paper", "small")):
        result = poisonkit(*command, "-o", tmp_path / "dangling").failed(1, "dangling")
        assert "is a broken link" in result.err and not (tmp_path / "nowhere").exists()


def test_what_replaces_says_so_in_one_line(tmp_path):
    (tmp_path / "x").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Failure, match="x: is a link: name the place itself"), files.atomic_write(tmp_path / "x"):
        pytest.fail("not reached")
