"""`tokenizer.json` from strangers: what makes the library panic, abort, hang or eat memory is one clear line."""

import base64
import json

import pytest
import small_encoder
import text_writer
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.core import child_process
from benchmark.core.errors import Failure
from benchmark.nn import tokenizer_sandbox, tokenizers


@pytest.fixture
def write(tmp_path):
    """`write(change)`: the path of a small encoder's tokenizer.json with a change made to it, and that folder."""

    def make(change):
        folder = small_encoder.write(tmp_path / "encoder")
        described = json.loads((folder / "tokenizer.json").read_text())
        text = change(described)
        (folder / "tokenizer.json").write_text(text if isinstance(text, str) else json.dumps(described))
        return folder / "tokenizer.json"

    return make


def _normalizer(**value):
    return lambda described: described.update(normalizer=value)


def _pre_tokenizer(**value):
    return lambda described: described.update(pre_tokenizer=value)


def _charsmap(data: bytes):
    return _normalizer(type="Precompiled", precompiled_charsmap=base64.b64encode(data).decode())


def _template(*pieces, **special):
    template = {"type": "TemplateProcessing", "single": list(pieces), "pair": [], "special_tokens": special}
    return lambda described: described.update(post_processor=template)


def _nested(depth: int):
    return lambda described: '{"normalizer": ' + '{"type": "Sequence", "normalizers": [' * depth + "]}" * depth + "}"


def _added(count: int):
    usual = dict.fromkeys(("single_word", "lstrip", "rstrip", "special"), False) | {"normalized": True}
    return lambda described: described.update(
        added_tokens=[{"id": 24 + number, "content": f"t{number}"} | usual for number in range(count)]
    )


_A = {"Sequence": {"id": "A", "type_id": 0}}
EXPANDING = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}
HOSTILE = {
    "aborts": (_charsmap(b"\xff" * 64), "not a tokenizer (the library that reads it crashed on it, signal 6"),
    "panics when loaded": (_charsmap(b"\x08\0\0\0" + b"\xff" * 64), "PanicException"),
    "panics on a text": (_template({"SpecialToken": {"id": "[NO]", "type_id": 0}}, _A), "PanicException"),
    "panics on any text": (_pre_tokenizer(type="FixedLength", length=0), "chunk size must be non-zero"),
    "fails on unknown words": (lambda d: d["model"].update(unk_token="[NOPE]"), "Missing [UNK] token"),
    "backtracks for ever": (
        _pre_tokenizer(type="Split", pattern={"Regex": "(x+x+)+y"}, behavior="Isolated", invert=False),
        "by a regular expression",
    ),
    "a regular expression deep inside": (
        _normalizer(
            type="Sequence", normalizers=[{"type": "Replace", "pattern": {"Regex": "("}, "content": ""}]
        ),
        "not a tokenizer",
    ),
    "hangs": (
        _normalizer(type="Replace", pattern={"String": ""}, content="x" * 100_000), "took over 2 s of processor time",
    ),
    "eats memory": (_normalizer(type="Sequence", normalizers=[EXPANDING] * 4), "could not be checked here (its check"),
    "a letter becomes many": (
        _normalizer(type="Replace", pattern={"String": "a"}, content="a " * 40), "makes over 16 tokens of a letter",
    ),
    "nested very deep": (_nested(100_000), "not a tokenizer (nested too deep)"),
    "nested deep": (_nested(400), "recursion limit exceeded"),
    "very many tokens": (_added(30_000), "adds 30,000 tokens to its model's own"),
    "frames by repetition": (_template(*[_A] * 1000), "of an empty text, expected [CLS] [SEP]"),
    "numbers beyond": (lambda d: json.dumps(d).replace('"a": 13', '"a": 1e999'), "number out of range"),
    "no object": (lambda d: "[]", "not a tokenizer"),
    "no text": (lambda d: "\x00\x01", "not a tokenizer"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_tokenizer_is_one_line(kind, write, monkeypatch):
    monkeypatch.setattr(child_process, "SECONDS", 2)
    change, words = HOSTILE[kind]
    path = write(change)
    with pytest.raises(Failure) as error:
        tokenizers.Pieces(path)
    line = str(error.value)
    assert words in line and line.startswith(f"{path}: ") and "\n" not in line and len(line) < 600, line


@pytest.mark.parametrize("kind", ["aborts", "panics on any text"])
def test_train_refuses_it_and_leaves_no_result(kind, write, tmp_path):
    path = write(HOSTILE[kind][0])
    toy = text_writer.toy(tmp_path, train=40, test=20)
    words = ["train", toy[1], "--encoder", path.parent, "--hold-out", "0", "--runs", tmp_path / "runs", "-q"]
    done = CliRunner().invoke(main.main, [str(word) for word in words])
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit), done.output
    assert done.stdout == "" and done.stderr.count("\n") == 1 and done.stderr.startswith(f"benchmark: {path}: ")
    assert not list(tmp_path.glob("runs/*/result.json"))


def test_what_padding_and_truncation_a_file_asks_for_is_not_done(write):
    asked = {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None}
    asked |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
    pieces = tokenizers.Pieces(write(lambda described: described.update(padding=asked)))
    assert pieces.pieces(["good film"]) == [[2, 4, 6, 3]]


def test_what_is_loaded_is_what_was_checked(write, monkeypatch):
    path = write(lambda described: None)
    real = child_process.call

    def replaced(*arguments):
        found = real(*arguments)
        path.write_text(path.read_text() + " ")
        return found

    monkeypatch.setattr(child_process, "call", replaced)
    with pytest.raises(Failure, match="changed while it was read"):
        tokenizer_sandbox.checked(path)


def test_a_panic_on_a_later_text_is_one_line(write, monkeypatch):
    class Panic(BaseException):
        """What the library raises is no Exception."""

    pieces = tokenizers.Pieces(write(lambda described: None))

    class Broken:
        def encode_batch(self, texts):
            raise Panic("index out of\nrange")

    monkeypatch.setattr(pieces, "_tokenizer", Broken())
    with pytest.raises(Failure, match="fails on a text \\(index out of range\\)"):
        pieces.pieces(["x"])
