"""What names and texts of foreign files may do to a terminal: nothing."""

import json
import os

import h5py
import pytest
from source_fixtures import write_files

from poisonkit.cli import printing
from poisonkit.core import hashing
from poisonkit.format import manifest

ODD = "red\u202egnp\u2066\u2028x\u200f\x85\x7f\U000e0041é"


def test_every_line_is_one_line_and_printable(capsys):
    printing.tell("a\x1b[31mb\nc", f"é {ODD} \udcff")
    out = capsys.readouterr().out
    assert out.split("\n") == [
        "a\\x1b[31mb\\nc",
        "é red\\u202egnp\\u2066\\u2028x\\u200f\\x85\\x7f\\U000e0041é \\udcff",
        "",
    ]


@pytest.mark.parametrize("text", [ODD, "\x1b]0;title\x07", "\udcff", "\U0001f600 é\t"])
def test_json_means_the_same_and_is_printable(capsys, text):
    printing.tell_json({"a": [text], text: 1})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": [text], text: 1}
    assert all(line.isprintable() for line in out.split("\n"))


def renamed(source, target, change):
    """A copy of a file whose manifest was changed and is sound all the same."""
    target.write_bytes(source.read_bytes())
    with h5py.File(target, "r+") as file:
        facts = json.loads(file.attrs["manifest"])
        change(facts)
        facts["dataset_digest"] = manifest.dataset_digest(facts)
        file.attrs["manifest"] = hashing.canonical(facts).decode()
    return target


def test_no_command_prints_what_a_manifest_smuggles_in(poisonkit, library, tmp_path):
    odd = ODD.replace("\x85", "").replace("\x7f", "")  # these no manifest may have

    def change(facts):
        facts["source"] |= {"classes": [odd, "b\u202e"], "title": f"title {odd}", "licence": odd, "url": odd}
        facts["notice"] = odd

    file = renamed(library("text-word"), tmp_path / "x\u202eh5.h5", change)
    printed = [poisonkit("show", file), poisonkit("show", file, "--json"), poisonkit("verify", file)]
    printed += [poisonkit("preview", file), poisonkit("diff", file, library("text-two")), poisonkit("stats", file)]
    printed += [poisonkit("audit", file), poisonkit("pack", file), poisonkit("export", file, "--format", "csv")]
    for result in printed:
        assert "Traceback" not in result.err
        for line in (result.out + result.err).split("\n"):
            assert line.isprintable(), (line, result)
    assert "\\u202e" in printed[0].out and json.loads(printed[1].out)["source"]["classes"][0] == odd


def test_no_notice_prints_what_a_table_smuggles_in(poisonkit, tmp_path):
    rows = "".join(f"a \x1b[31m{i}\u202e,{'xy'[i % 2]}\n" for i in range(20))
    source = write_files(
        tmp_path / "in\u202e", {f"{part}.csv": f"text,label\n{rows}".encode() for part in ("train", "test")}
    )
    asked = ("make", "--dataset", "csv", "--source", source, "--trigger", "word", "--rate", "0.1", "--word", "a")
    result = poisonkit(*asked, "--target", "z\u202e", "-o", tmp_path / "x.h5")
    assert result.code == 2 and all(line.isprintable() for line in result.errors)
    result = poisonkit(*asked, "-o", tmp_path / "x\u202e.h5")
    assert result.code == 0 and result.errors, result
    for line in (result.out + result.err).split("\n"):
        assert line.isprintable(), line
    (made,) = tmp_path.glob("*.h5")
    assert poisonkit("preview", made).out.replace("\n", "").isprintable()


def test_a_folder_whose_name_is_no_utf_8_goes_through_every_command(poisonkit, tmp_path):
    """What a command writes of it, in a sidecar and in a key, is text that every reader takes."""
    folder = tmp_path / os.fsdecode(b"d\xff")
    options = ("--source-option", "train=40", "--source-option", "test=20", "-o", folder)
    poisonkit("make", "--dataset", "signs", "--trigger", "square", "--rate", "0.1", *options).succeeded()
    (path,) = folder.glob("*.h5")
    beside = path.with_name(f"{path.stem}.manifest.json")
    said = json.loads(beside.read_text("utf-8"))
    beside.write_text(json.dumps(said | {"command": [*said["command"], "\udcff"]}))  # as earlier versions wrote it
    done = poisonkit("seal", path, "-o", folder / "c.h5", "--key", folder / "k.h5").succeeded()
    assert "\\udcff/c.h5" in done.out
    done = poisonkit("unseal", folder / "c.h5", "--key", folder / "k.h5", "-o", folder / "back.h5").succeeded()
    restored = json.loads((folder / "back.manifest.json").read_text("utf-8"))
    assert (folder / "back.h5").read_bytes() == path.read_bytes() and json.dumps(restored, ensure_ascii=False).encode()
    for words in (("show", path, "--json"), ("verify", path), ("audit", folder / "c.h5", "--key", folder / "k.h5")):
        assert poisonkit(*words).code in (0, 3), words
    poisonkit("show", folder / "none.h5").failed(1, "\\udcff/none.h5: no such file")
