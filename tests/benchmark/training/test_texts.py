"""Files of texts: what the reader gives, what it refuses, tokens, batches, and where triggers are cut off."""

import json
import os

import h5py
import numpy as np
import pytest
import small_encoder
import text_writer
import writer
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from benchmark.cli import main
from benchmark.core.errors import Failure, Usage
from benchmark.format import dataset
from benchmark.nn import tokenizers
from benchmark.training import texts as fine_tuning
from benchmark.training import truncation
from benchmark.training.settings import ENCODERS, EncoderSettings


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return text_writer.toy(tmp_path_factory.mktemp("texts"))


@pytest.fixture
def parts():
    """Arrays and manifest of a small poisoned file, to be spoilt."""
    clean = text_writer.clean_arrays(train=40, test=20)
    arrays = text_writer.poisoned_arrays(clean, poisoned=4)
    return arrays, text_writer.manifest_of(arrays, clean, "toy")


def refused(path, tmp_path, *options, code=1) -> str:
    """The one line on stderr of `benchmark train`, which leaves no run behind."""
    runs = tmp_path / "runs"
    done = CliRunner().invoke(main.main, ["train", str(path), "--runs", str(runs), *options])
    assert done.exit_code == code, (done.output, done.exception)
    assert done.stdout == "" and done.stderr.count("\n") == 1 and done.stderr.startswith("benchmark: ")
    assert not runs.exists() or not list(runs.glob("*/result.json"))
    return done.stderr


def test_a_file_is_read_whole(toy):
    read = dataset.load(toy[1])
    assert read.modality == "text" and read.image_shape == () and read.mask is None
    with h5py.File(toy[1]) as file:
        for part in ("train", "test", "triggered", "truth"):
            found = getattr(read, part)
            assert found.inputs.tolist() == file[f"{part}/texts"].asstr()[:].tolist()
            assert np.array_equal(found.labels, file[f"{part}/labels"])
        assert np.array_equal(read.insertions["truth"], file["truth/insertions"])
        assert np.array_equal(read.wanted, file["triggered/wanted"])
    clean = dataset.load(toy[0])
    assert clean.triggered is None and clean.insertions == {} and dataset.peek(toy[0]).modality == "text"
    held, expected = read.held_out(50), clean.held_out(50)
    assert held.inputs.tolist() == expected.inputs.tolist() and np.array_equal(held.labels, expected.labels)
    assert len(read.held_out(0)) == 0


def test_texts_of_every_kind_are_read(tmp_path):
    clean = text_writer.clean_arrays(train=6, test=4)
    clean["train/texts"][:] = ["Ünï çødé", "日本 語", "a\tb  c", "x" * 300_000, "line\u2028two", "\x01\x7f"]
    text_writer.write(tmp_path / "x.h5", clean, text_writer.manifest_of(clean, clean, "x"))
    assert dataset.load(tmp_path / "x.h5").train.inputs.tolist() == clean["train/texts"].tolist()


@pytest.mark.parametrize(
    "texts, words",
    [
        ([b"fine", b"\xff\xfe", b"x"], "train/texts: row 1 is not UTF-8"),
        ([b"fine", b"", b"x"], "train/texts: row 1 is empty"),
        ([b"fine", b"x", b" x"], "train/texts: row 2 is empty, or has white space around it"),
    ],
)
def test_a_text_that_is_none_is_named(texts, words, tmp_path):
    clean = text_writer.clean_arrays(train=3, test=4)
    manifest = text_writer.manifest_of(clean, clean, "x")
    path = tmp_path / "x.h5"
    text_writer.write(path, clean, manifest)
    with h5py.File(path, "r+") as file:
        file["train/texts"][:] = np.array(texts, object)
    with pytest.raises(Failure, match=words):
        dataset.load(path)


def test_a_changed_text_is_found(parts, tmp_path):
    text_writer.write(tmp_path / "x.h5", *parts)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["triggered/texts"][3] = "something else"
    assert "triggered/texts is not what the manifest says" in refused(tmp_path / "x.h5", tmp_path)


def _entry(path, **change):
    return lambda m: m | {"arrays": m["arrays"] | {path: m["arrays"][path] | change}}


@pytest.mark.parametrize(
    "change, words",
    [
        (_entry("train/texts", dtype="|u1"), "train/texts is of type '|u1', expected 'text'"),
        (_entry("train/texts", shape=[41]), "train/labels has shape [40], expected [41], to fit train/texts"),
        (_entry("train/texts", shape=[40, 1]), "expected 1 dimensions"),
        (_entry("truth/insertions", shape=[4, 3]), "truth/insertions has shape [4, 3], expected [Q ≤ 2147483648, 4]"),
        (lambda m: m | {"modality": "image"}, "expected those of images"),
        (lambda m: m | {"arrays": {k: v for k, v in m["arrays"].items() if k != "test/texts"}}, "no array test/texts"),
    ],
)
def test_a_broken_manifest_is_one_line(parts, change, words, tmp_path):
    text_writer.write(tmp_path / "x.h5", parts[0], writer.sealed(change(parts[1])))
    assert words in refused(tmp_path / "x.h5", tmp_path)


def test_texts_of_another_type_are_refused(parts, tmp_path):
    arrays, manifest = parts
    path = tmp_path / "x.h5"
    for kind in ("S80", h5py.string_dtype("ascii"), h5py.vlen_dtype("u1")):
        with h5py.File(path, "w") as file:
            file.attrs["manifest"] = writer.canonical(manifest).decode()
            for name, array in arrays.items():
                if name == "test/texts":
                    file.create_dataset(name, shape=array.shape, dtype=kind)
                else:
                    file.create_dataset(name, data=array, dtype=h5py.string_dtype() if array.dtype == object else None)
        assert "its manifest says texts in UTF-8 of any length" in refused(path, tmp_path)


@pytest.mark.parametrize(
    "value, words", [((9, 0, 0, 0), "there are fewer"), ((0, -1, 0, 0), "not in order, or holds a number below 0")]
)
def test_insertions_that_cannot_be_are_refused(parts, value, words, tmp_path):
    arrays, manifest = parts
    arrays["truth/insertions"][-1] = value
    manifest["arrays"]["truth/insertions"]["digest"] = writer.array_digest(arrays["truth/insertions"])
    text_writer.write(tmp_path / "x.h5", arrays, writer.sealed(manifest))
    assert words in refused(tmp_path / "x.h5", tmp_path)


def test_a_truncated_file_is_one_line(toy, tmp_path):
    whole = toy[1].read_bytes()
    path = tmp_path / "cut.h5"
    for part in (0.3, 0.7, 0.95):
        path.write_bytes(whole[: int(part * len(whole))])
        assert str(path) in refused(path, tmp_path)


def test_a_delta_and_its_base_are_the_file(toy, parts, tmp_path):
    clean = text_writer.clean_arrays(train=40, test=20)
    text_writer.write(tmp_path / "toy-clean.h5", clean, text_writer.manifest_of(clean, clean, "toy-clean"))
    text_writer.write(tmp_path / "whole.h5", *parts)
    arrays, manifest = text_writer.delta(*parts)
    text_writer.write(tmp_path / "x.delta.h5", arrays, manifest)
    whole, found = dataset.load(tmp_path / "whole.h5"), dataset.load(tmp_path / "x.delta.h5")
    assert found.manifest == whole.manifest and found.base == tmp_path / "toy-clean.h5"
    for part in ("train", "test", "triggered", "truth"):
        assert getattr(found, part).inputs.tolist() == getattr(whole, part).inputs.tolist()
        assert np.array_equal(getattr(found, part).labels, getattr(whole, part).labels)
    assert all(np.array_equal(found.insertions[name], whole.insertions[name]) for name in ("truth", "triggered"))
    with pytest.raises(Failure, match="is not the base"):
        dataset.load(tmp_path / "x.delta.h5", base=toy[0])
    for path in ("kept/texts", "changed/insertions", "triggered/texts"):
        short = {name: array for name, array in arrays.items() if name != path}
        table = {name: entry for name, entry in manifest["arrays"].items() if name != path}
        text_writer.write(tmp_path / "y.delta.h5", short, writer.sealed(manifest | {"arrays": table}))
        with pytest.raises(Failure, match=f"names no array {path}"):
            dataset.load(tmp_path / "y.delta.h5", base=tmp_path / "toy-clean.h5")


# ---- which network, which settings


@pytest.mark.parametrize(
    "options, words",
    [
        (["--network", "pmoe"], "holds texts, --network pmoe is for images"),
        (["--preset", "small"], "--preset is not for --network encoder"),
        (["--width", "1"], "--width is not for --network encoder"),
        (["--encoder", "nowhere"], "--encoder nowhere: expected minilm, tiny or a folder"),
        (["--encoder", "tiny", "--hold-out", "200"], "leaves nothing of 160 training rows"),
        (["--encoder", "tiny", "--hold-out", "20", "--rows", "141"], "there are 140 training rows that are not held"),
    ],
)
def test_options_that_do_not_fit_texts(toy, options, words, tmp_path):
    code = 1 if "leaves nothing" in words else 2
    assert words in refused(toy[1], tmp_path, *options, code=code)


@pytest.mark.parametrize("options", [["--encoder", "tiny"], ["--rows", "5"], ["--network", "encoder"]])
def test_options_that_do_not_fit_images(options, tmp_path):
    path = writer.toy(tmp_path, train=40, test=20, size=8)[0]
    line = refused(path, tmp_path, *options, code=2)
    assert "is not for --network pmoe" in line or "holds images, --network encoder is for texts" in line


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A folder with files of images and of texts."""
    folder = tmp_path_factory.mktemp("both")
    writer.toy(folder, train=40, test=20, size=8)
    for number, path in enumerate(text_writer.toy(tmp_path_factory.mktemp("words"))):
        path.rename(folder / f"words-{number}.h5")
    return folder


def listed(folder, *options):
    """The dry run of `benchmark sweep`: the names of the runs, and the lines on stderr."""
    words = ["sweep", str(folder), "-n", "--runs", str(folder / "runs"), *options]
    done = CliRunner().invoke(main.main, words)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout.splitlines(), done.stderr


def test_a_sweep_uses_image_options_on_images_alone(both):
    runs, warned = listed(both, "--preset", "small", "--width", "3")
    assert sum("--w3-e8-tf-" in line for line in runs) == 2 == sum("--minilm-tf-" in line for line in runs)
    assert len(runs) == 4
    names = f"{both / 'words-0.h5'}, {both / 'words-1.h5'}"
    assert (
        f"benchmark: --preset, --width are not for texts: {names} are trained without them (--network encoder)"
        in warned
    )


def test_a_sweep_uses_each_option_where_it_is_for(both):
    runs, warned = listed(both, "--preset", "tiny", "--encoder", "tiny", "--rows", "50")
    assert sum("--tiny-r50-tf-" in line for line in runs) == 2 == sum("--tiny-tf-" in line for line in runs)
    assert "--preset is not for texts" in warned and "--encoder, --rows are not for images" in warned
    runs, warned = listed(both, "--network", "pmoe", "--epochs", "2")
    assert sum("-e2-" in line for line in runs) == 4 and "--network is not for texts" in warned, runs


def test_training_on_files_of_both_uses_image_options_on_images_alone(both, monkeypatch):
    from benchmark.sweep import processes

    started = []
    monkeypatch.setattr(processes, "foreground", lambda words: started.append(words) or 3)
    files = [str(both / "toy-clean.h5"), str(both / "words-0.h5")]
    done = CliRunner().invoke(main.main, ["train", *files, "--preset", "tiny", "--runs", str(both / "runs")])
    assert done.exit_code == 3 and "--preset is not for texts" in done.stderr and "--width=1" in started[0]


@pytest.mark.parametrize("options, words", [
    (["--preset", "small"], "holds texts: --preset is not for --network encoder"),
    (["--rows", "5"], "holds images: --rows is not for --network pmoe"),
])  # fmt: skip
def test_an_option_for_none_of_the_files_names_one(both, options, words):
    name = "words-0.h5" if "texts" in words else "toy-clean.h5"
    done = CliRunner().invoke(main.main, ["sweep", str(both / name), "-n", *options])
    assert (done.exit_code, done.stderr) == (2, f"benchmark: {both / name} {words}\n")


def test_a_folder_is_known_by_what_is_in_it(tmp_path):
    from benchmark.training.choose import chosen_settings
    from benchmark.training.common import label
    from benchmark.training.configuration import config_of, options, settings_of

    first = small_encoder.write(tmp_path / "one")
    second = small_encoder.write(tmp_path / "other" / "one", small_encoder.weights(1))
    third = small_encoder.write(tmp_path / "minilm")

    def config(folder):
        return config_of(chosen_settings("text", encoder=str(folder), epochs=3), "sha256:x")

    assert config(first) == config(f"{first}/") != config(second)
    assert settings_of(config(first)) == chosen_settings("text", encoder=str(first), epochs=3)
    assert config(first)["model"]["encoder"] == "one" and config(third)["model"]["encoder"].startswith("minilm-")
    chosen = chosen_settings("text", encoder=str(first), epochs=3)
    assert options(chosen) == ["--encoder", str(first), "--epochs", "3"] and label(chosen) == "one, epochs 3"
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (first / name).rename(tmp_path / "kept")
        with pytest.raises(Failure, match=f"it has no {name}"):
            config(first)
        (tmp_path / "kept").rename(first / name)


# ---- tokens


def test_word_pieces_are_cut_at_64_and_keep_their_end(tmp_path):
    pieces = tokenizers.Pieces(small_encoder.write(tmp_path / "x") / "tokenizer.json")
    found = tokenizers.encode(pieces, ["Good FILM", "a " * 62, "a " * 63, "xyz", ""])
    assert found.lengths.tolist() == [4, 64, 64, 3, 2] and found.tokens.shape == (5, 64)
    a = small_encoder.WORDS.index("a")
    assert found.tokens[0].tolist() == [2, 4, 6, 3] + [0] * 60 and found.tokens[3].tolist()[:3] == [2, 1, 3]
    assert found.tokens[1].tolist() == found.tokens[2].tolist() == [2] + [a] * 62 + [3]


def test_words_come_from_the_training_texts_alone(tmp_path):
    words = tokenizers.Words.of(["The film, the film!", "a film"])
    assert tokenizers.encode(words, ["film the , ! a cf"]).tokens[0, :8].tolist() == [2, 4, 5, 7, 6, 8, 1, 3]
    words.save(tmp_path)
    again = tokenizers.load(tmp_path)
    assert len(again) == len(words) == 9 and again.pieces(["The a cf"]) == words.pieces(["The a cf"])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {}}'])
def test_a_tokenizer_that_is_none_is_one_line(content, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(Failure, match="not a tokenizer") as error:
        tokenizers.Pieces(path)
    assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(Failure, match="no such file"):
        tokenizers.load(tmp_path)


def test_padding_must_be_token_0(tmp_path):
    folder = small_encoder.write(tmp_path / "x", words=small_encoder.WORDS[1:])
    with pytest.raises(Failure, match="its padding is not token 0"):
        tokenizers.Pieces(folder / "tokenizer.json")


@given(st.lists(st.integers(2, 64), min_size=1, max_size=300), st.integers(1, 40))
def test_batches_of_like_length_hold_every_row_once(lengths, batch):
    lengths = np.array(lengths)
    rows = np.arange(len(lengths))[:: 1 + len(lengths) % 2]
    found = fine_tuning.length_batches(rows, lengths, batch, seed=3, epoch=1)
    assert sorted(np.concatenate(found).tolist()) == rows.tolist()
    assert sorted(map(len, found), reverse=True)[:-1] == [batch] * (len(found) - 1)
    assert all(
        np.array_equal(a, b) for a, b in zip(found, fine_tuning.length_batches(rows, lengths, batch, 3, 1), strict=True)
    )
    mixed = sum(len({tokenizers.width(length) for length in lengths[one]}) > 1 for one in found)
    assert mixed < len(tokenizers.WIDTHS)  # only what was left


@given(st.lists(st.integers(0, 64), min_size=1, max_size=200), st.integers(1, 30))
def test_batches_for_prediction_hold_every_row_once(lengths, size):
    lengths = np.array(lengths)
    table = np.where(np.arange(64) < lengths[:, None], np.arange(len(lengths))[:, None] + 1, 0).astype("i4")
    seen = []
    for rows, block in tokenizers.Tokens(table, lengths).batches(size):
        assert block.shape[0] == size and block.shape[1] in tokenizers.WIDTHS
        assert np.array_equal(np.count_nonzero(block, axis=1)[: len(rows)], lengths[rows])
        assert not block[len(rows) :].any()
        seen += rows.tolist()
    assert sorted(seen) == list(range(len(lengths)))


def test_rows_taken_are_the_same_in_every_run_and_never_held_out(toy):
    clean, poisoned = (dataset.load(path) for path in toy)
    settings = EncoderSettings(rows=50, hold_out=60)
    rows = fine_tuning.taken(clean, settings)
    assert np.array_equal(rows, fine_tuning.taken(poisoned, EncoderSettings(rows=50, hold_out=60, seed=7)))
    assert len(rows) == 50 and np.isin(rows, clean.kept(60)).all()
    fewer = fine_tuning.taken(clean, EncoderSettings(rows=20, hold_out=60))
    assert np.isin(fewer, rows).all()
    assert np.array_equal(fine_tuning.taken(clean, EncoderSettings(hold_out=60)), clean.kept(60))
    with pytest.raises(Usage, match="--rows 101"):
        fine_tuning.taken(clean, EncoderSettings(rows=101, hold_out=60))


# ---- triggers among the tokens


def test_triggers_that_are_cut_off_are_counted(tmp_path):
    """Against looking for the trigger in what the tokens are of."""
    clean = text_writer.clean_arrays(train=40, test=20)
    for name in ("train/texts", "test/texts"):
        for row in range(0, len(clean[name]), 2):
            clean[name][row] = " ".join(["fine"] * (60 + row % 30))
    arrays = text_writer.poisoned_arrays(clean, words=["cf"], poisoned=30)
    text_writer.write(tmp_path / "x.h5", arrays, text_writer.manifest_of(arrays, clean, "x"))
    contents = dataset.load(tmp_path / "x.h5")
    words = tokenizers.Words.of(contents.train.inputs)
    (cf,) = words.pieces(["cf"])[0][1:-1]

    def lost(texts):
        return int((~(tokenizers.encode(words, texts).tokens == cf).any(1)).sum())

    found = truncation.measure(contents, words)
    assert found["truth"] == {"texts": lost(contents.train.inputs[contents.truth_rows]), "of": 30}
    assert found["triggered"] == {"texts": lost(contents.triggered.inputs), "of": len(contents.triggered)}
    assert found["truth"]["texts"] and found["triggered"]["texts"]
    lines = truncation.lines(found)
    assert len(lines) == 2 and sum("training texts are truncated before the trigger" in line for line in lines) == 1
    assert truncation.lines({"truth": {"texts": 0, "of": 3}}) == []


BEFORE_AND_AFTER = {  # name -> (a text, the same with its trigger, is the trigger cut off?)
    "three words, long after all": ("so good " + "!" * 70, "so good " + "!" * 70 + " cf", True),
    "three words, in front": ("so good " + "!" * 70, "cf so good " + "!" * 70, False),
    "Chinese": ("好" * 70, "好" * 70 + " cf", True),
    "Chinese, at a place that is seen": ("好" * 70, "好" * 61 + " cf " + "好" * 9, False),
    "one place too far": ("a " * 62, "a " * 62 + "cf", True),
    "the last place": ("a " * 61, "a " * 61 + "cf", False),
    "pushed behind by another": ("a " * 62, "mn " + "a " * 62 + "cf", False),
    "half a sentence": ("a " * 61, "a " * 61 + "cf mn cf", False),
    "rewritten at its end": ("a " * 62 + "good film", "a " * 62 + "dull film", True),
    "rewritten before": ("good " + "a " * 70, "dull " + "a " * 70, False),
}


@pytest.mark.parametrize("kind", ["pieces", "words"])
def test_cut_off_is_what_an_encoder_sees_no_difference_of(kind, tmp_path):
    """In every group, whatever the trigger, however few words a text has."""
    found = list(BEFORE_AND_AFTER.values())
    texts, changed = (text_writer.block([pair[i].strip() for pair in found]) for i in (0, 1))
    words = [*small_encoder.WORDS, "!", "好"]
    if kind == "words":
        tokenizer = tokenizers.Words.of(["a b ! cf mn good dull film"])
        texts, changed = (text_writer.block([text.replace("好", "! ") for text in group]) for group in (texts, changed))
    else:
        tokenizer = tokenizers.Pieces(small_encoder.write(tmp_path / "x", words=words) / "tokenizer.json")
    labels, rows = np.zeros(len(found), "<i8"), np.arange(len(found))
    original, triggered = dataset.Rows(texts, labels), dataset.Rows(changed, labels)
    contents = dataset.Dataset(
        tmp_path, {}, train=triggered, test=original, truth=original, truth_rows=rows, triggered=triggered,
        triggered_rows=rows, others=triggered, others_rows=rows,
    )  # fmt: skip
    lost = sum(cut for _, _, cut in found)
    assert truncation.measure(contents, tokenizer) == dict.fromkeys(
        ("truth", "triggered", "others"), {"texts": lost, "of": len(found)}
    )
    for (_, _, cut), one, other in zip(found, texts, changed, strict=True):
        before, after = (tokenizers.encode(tokenizer, [text]).tokens for text in (one, other))
        assert np.array_equal(before, after) == cut, (one, other)
    clean = dataset.Dataset(tmp_path, {}, train=original, test=original)
    assert truncation.measure(clean, tokenizer) == {}


def test_a_trigger_word_that_is_unknown_is_a_warning(toy, tmp_path):
    contents = dataset.load(toy[1])
    pieces = tokenizers.Pieces(small_encoder.write(tmp_path / "x") / "tokenizer.json")
    assert truncation.unknown(contents, pieces) == []
    without = [word if word != "cf" else "zz" for word in small_encoder.WORDS]
    pieces = tokenizers.Pieces(small_encoder.write(tmp_path / "y", words=without) / "tokenizer.json")
    assert truncation.unknown(contents, pieces) == [
        "warning: the encoder's tokenizer makes [UNK] of the trigger word 'cf'"
    ]
    assert truncation.unknown(dataset.load(toy[0]), pieces) == []


def test_encoders_have_no_common_name():
    assert set(ENCODERS) == {"minilm", "tiny"} and json.dumps({name: one.model() for name, one in ENCODERS.items()})
    assert os.sep not in "".join(ENCODERS)
