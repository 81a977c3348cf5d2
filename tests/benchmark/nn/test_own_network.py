"""A network of one's own: a function in a file is trained, scored and shown as ours are, and executed only where it is
named."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import writer
from in_process import invoke, outcome

from benchmark.core.errors import Failure, Usage
from benchmark.nn import own, own_guard
from benchmark.runs import records

PLAIN = """
import keras
from keras import layers


def build(image_shape, classes, seed):
    return keras.Sequential([
        keras.Input(image_shape, dtype="uint8"),
        layers.Rescaling(1 / 255),
        layers.Conv2D(6, 3, strides=2, activation="relu"),
        layers.Dropout(0.2),
        layers.BatchNormalization(momentum=0.5),
        layers.Flatten(),
        layers.Dense(classes, activation="softmax"),
    ])
"""
QUICK = ("--epochs", "2", "--batch-size", "20", "-q")


@pytest.fixture
def files(tmp_path):
    """A clean and a poisoned data set, and a file with a network."""
    writer.toy(tmp_path)
    (tmp_path / "my_network.py").write_text(PLAIN)
    own._NAMED.clear()
    return tmp_path


def trained(files, *more, network="my_network.py:build", data="toy-square-0.1-s0.h5", code=0):
    words = ("train", files / data, "--network", f"{files / network}", "--runs", files / "runs", *QUICK, *more)
    done = invoke(*words)
    assert done.exit_code == code, (done.output, done.exception)
    return done


def run_of(files, data="toy-square-0.1-s0"):
    (folder,) = (files / "runs").glob(f"{data}--*")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A clean and a poisoned run of such a network, whose file is gone since."""
    folder = tmp_path_factory.mktemp("own")
    writer.toy(folder)
    (folder / "my_network.py").write_text(PLAIN)
    for data in ("toy-clean.h5", "toy-square-0.1-s0.h5"):
        trained(folder, "--hold-out", "20", data=data)
    (folder / "my_network.py").unlink()
    own._NAMED.clear()
    return folder


@pytest.fixture(autouse=True)
def nothing_named():
    """No test lets another's code be executed."""
    own._NAMED.clear()


def test_the_run_says_which_code_it_is_of_and_keeps_a_copy(runs):
    folder = run_of(runs)
    assert folder.name.startswith("toy-square-0.1-s0--my-network-build-e2-")
    digest = "sha256:" + hashlib.sha256(PLAIN.encode()).hexdigest()
    config = json.loads((folder / "config.json").read_text())
    assert config["model"] == {"name": "own", "file": "my_network.py", "function": "build", "digest": digest}
    assert (folder / "network.py").read_text() == PLAIN and not (folder / "network.py").stat().st_mode & 0o111
    result = json.loads((folder / "result.json").read_text())
    assert records.is_result(result) and result["network"]["image_shape"] == [16, 16, 3]
    assert result["baseline"]["how"] == "same seed" and result["baseline"]["asr"]["of"] == 45


def test_tables_figures_and_the_report_need_no_code(runs, tmp_path):
    network = "my_network.py:build " + hashlib.sha256(PLAIN.encode()).hexdigest()[:8]
    table = invoke("table", runs / "runs")
    assert table.exit_code == 0 and f"settings: {network}, epochs 2, batch size 20, hold out 20" in table.stdout
    assert invoke("show", runs / "runs").exit_code == 0
    figures = invoke("figures", runs / "runs", "-o", tmp_path / "figures", "--format", "svg")
    assert figures.exit_code == 0, figures.output
    report = invoke("report", runs / "runs", "-o", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert report.exit_code == 0 and network in page and "--network FILE.py:FUNCTION" in page
    assert not own._NAMED


PRUNE = ("--method", "fine-pruning")


@pytest.mark.parametrize("command", ["score", "repair"])
def test_what_executes_the_code_wants_it_named_and_says_what_to_read_first(runs, command, tmp_path):
    folder, data = run_of(runs), runs / "toy-square-0.1-s0.h5"
    words = ("score", folder, data) if command == "score" else ("repair", folder, *PRUNE)
    before = sorted(folder.rglob("*"))
    done = invoke(*words)
    copy = folder / "network.py"
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert f"{folder}: its network is code of its own" in done.stderr
    assert f"read {copy}, then add --network {copy}:build" in done.stderr
    other = tmp_path / "other.py"
    other.write_text(PLAIN + "\n# changed\n")
    done = invoke(*words, "--network", f"{other}:build")
    assert done.exit_code == 1 and f"{other} is another file" in done.stderr
    assert sorted(folder.rglob("*")) == before


def test_a_run_is_scored_with_its_own_copy(runs):
    folder = run_of(runs)
    words = ("score", folder, runs / "toy-square-0.1-s0.h5", "--network", f"{folder / 'network.py'}:build", "--json")
    done = invoke(*words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["scores"] == json.loads((folder / "result.json").read_text())["scores"]


def test_it_is_fine_pruned_by_the_inputs_of_its_last_layer(runs, tmp_path):
    shutil.copytree(run_of(runs), tmp_path / run_of(runs).name)
    folder = tmp_path / run_of(runs).name
    settings = ("--option", "rates=0.5", "--option", "epochs=1", "--no-twin")
    done = invoke("repair", folder, *PRUNE, *settings, "--network", f"{folder / 'network.py'}:build", "--json")
    assert done.exit_code == 0, done.output
    control, result = json.loads(done.stdout)
    assert control["defence"] == "fine-tuning"
    assert [step["stage"] for step in result["steps"]] == ["before", "pruned", "fine-tuned"]
    assert result["steps"][1]["findings"]["channels"] == 147  # half of 7·7·6
    assert (next(folder.glob("repair-fine-pruning-*")) / "pruned-0.5.keras").is_file()


def test_routing_and_heads_say_why_not(runs):
    folder = run_of(runs)
    for words in (
        ("routing", folder, runs / "toy-square-0.1-s0.h5"),
        ("detect", folder, "--method", "heads", "--network", f"{folder / 'network.py'}:build"),
    ):
        done = invoke(*words)
        assert done.exit_code == 1 and done.stderr.count("\n") == 1, done.output
        if words[0] == "routing":
            said = "this one is of code of its own, my_network.py:build, which does not say in which layers experts"
            assert said in done.stderr
    assert "heads: this run's model has no attention heads" in done.stderr


def test_advice_names_the_code(runs, tmp_path):
    folder = tmp_path / "alone" / run_of(runs).name
    shutil.copytree(run_of(runs), folder)
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | {"baseline": None}))
    shown = invoke("show", folder).stdout
    assert "no CAD yet; the clean model it needs: " in shown and "--network FILE.py:FUNCTION --epochs 2" in shown
    assert "FILE.py:FUNCTION: the network's code, my_network.py:build " in shown
    (folder / "result.json").unlink()
    done = invoke("show", folder)
    assert done.exit_code == 1 and "not finished; to finish it: benchmark train" in done.stderr


BUILD = "import keras\nfrom keras import layers, ops\n\n\ndef build(image_shape, classes, seed):\n"
MODEL = (
    "    images = keras.Input(image_shape, dtype='uint8')\n"
    + "    flat = layers.Flatten()(layers.Rescaling(1/255)(images))\n"
)
BAD = {
    "syntax": ("def build(:\n", ":1: SyntaxError: "),
    "import": ("import no_such_package\n", ":1: ModuleNotFoundError: No module named 'no_such_package' (the file can"),
    "raises": (BUILD + "    raise ValueError('of\\nmany lines')\n", ":6: ValueError: of many lines"),
    "deep": (BUILD + "    return layers.Dense('many')\n", ":6: "),
    "exits": ("raise SystemExit(3)\n", ":1: SystemExit: 3"),
    "no function": ("x = 1\n", ": has no function 'build'"),
    "not callable": ("build = 3\n", ": has no function 'build'"),
    "other parameters": ("def build(image_shape):\n    pass\n", ": TypeError: build() takes 1 positional argument"),
    "nothing": (BUILD + "    pass\n", ":build: returned NoneType, expected a keras.Model"),
    "a layer": (BUILD + "    return layers.Dense(classes)\n", ":build: returned Dense, expected a keras.Model"),
    "floats": (
        BUILD + "    x = keras.Input(image_shape)\n    return keras.Model(x, layers.Dense(4)(layers.Flatten()(x)))\n",
        ":build: takes float32, expected uint8 images from 0 to 255: keras.Input(",
    ),
    "another shape": (
        BUILD + "    x = keras.Input((8, 8, 3), dtype='uint8')\n    return keras.Model(x, layers.Flatten()(x))\n",
        ":build: takes inputs of shape (8, 8, 3), expected (16, 16, 3)",
    ),
    "two inputs": (
        BUILD + MODEL + "    two = keras.Input((1,))\n    return keras.Model([images, two], layers.Dense(4)(flat))\n",
        ":build: takes 2 inputs, expected one, the images",
    ),
    "two outputs": (
        BUILD + MODEL + "    return keras.Model(images, [flat, layers.Dense(classes)(flat)])\n",
        ":build: returns several outputs, expected one, (n, 4)",
    ),
    "other classes": (
        BUILD + MODEL + "    return keras.Model(images, layers.Dense(10)(flat))\n",
        ":build: its output is of shape ('n', 10), expected ('n', 4)",
    ),
    "a map": (
        BUILD + MODEL + "    return keras.Model(images, layers.Conv2D(4, 3)(images))\n",
        ":build: its output is of shape ('n', 14, 14, 4), expected ('n', 4)",
    ),
    "nan": (
        BUILD + MODEL + "    return keras.Model(images, ops.log(layers.Dense(classes)(flat) * 0 - 1))\n",
        ":build: its outputs are not finite on random images",
    ),
    "a sigmoid": (
        BUILD + MODEL + "    return keras.Model(images, layers.Dense(classes, activation='sigmoid')(flat))\n",
        ":build: ends in values from 0 to 1 that do not sum to 1, expected logits or a softmax",
    ),
    "a name that is taken": (
        BUILD + MODEL + "    flat = layers.Dense(5, name='logits')(flat)\n"
        "    return keras.Model(images, layers.Dense(4)(flat))\n",
        ":build: a layer that is not its last is called 'logits': give it another name",
    ),
    "no weights": (
        BUILD + MODEL + "    return keras.Model(images, flat[:, :4])\n",
        ":build: has no weight that can be trained",
    ),
    "whole numbers": (
        BUILD + "    class Counting(layers.Layer):\n"
        "        def build(self, shape):\n"
        "            self.seen = self.add_weight(shape=(), dtype='int32', trainable=False)\n"
        "        def call(self, x):\n"
        "            return x\n" + MODEL + "    return keras.Model(images, layers.Dense(4)(Counting()(flat)))\n",
        "is of type int32, expected float32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_network_is_one_line_and_leaves_nothing(files, case):
    code, words = BAD[case]
    (files / "my_network.py").write_text(code)
    done = trained(files, code=2 if "has no function" in words else 1)
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"benchmark: {files / 'my_network.py'}") and words in done.stderr
    assert not list((files / "runs").glob("*"))


@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("build", "os._exit(0)"),
        pytest.param("build", "os.execv('/bin/true', ['true'])", marks=pytest.mark.slow),
        ("build", "os.execl('/bin/true', 'true')"),
        pytest.param("call", "os._exit(0)", marks=pytest.mark.slow),
        pytest.param("call", "__import__('posix')._exit(0)", marks=pytest.mark.slow),
    ],
)
def test_code_that_would_end_the_process_ends_no_training_as_if_all_were_done(files, where, call):
    layer = (
        "class Ending(layers.Layer):\n    def call(self, x, training=None):\n"
        f"        {call if where == 'call' else 'pass'}\n        return x\n"
    )
    code = "import os\n" + BUILD.replace("\n\n\ndef", f"\n\n{layer}\ndef")
    ending = call if where == "build" else "pass"
    code += f"    {ending}\n{MODEL}    return keras.Model(images, layers.Dense(classes)(Ending()(flat)))\n"
    (files / "my_network.py").write_text(code)
    words = ["train", files / "toy-clean.h5", "--network", f"{files / 'my_network.py'}:build", *QUICK]
    command = [sys.executable, "-m", "benchmark", *map(str, words), "--runs", str(files / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1 and "ends the process" in done.stderr, done
    assert done.stderr.count("\n") == 1 and not list((files / "runs").glob("*"))


def test_what_the_code_forks_may_end(files):
    code = "import os\npid = os.fork()\nif not pid:\n    os._exit(7)\n"
    code += "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7\n" + PLAIN
    (files / "my_network.py").write_text(code)
    source = own.named(f"{files / 'my_network.py'}:build")
    ends = __import__("os")._exit
    with own_guard.running(source):
        assert callable(own.executed(source)["build"]) and __import__("os")._exit is not ends
    assert __import__("os")._exit is ends


def test_a_fork_that_goes_on_ends_and_the_folder_stays(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import os\nfirst = os.getpid()\nos.fork()\nos.chdir('/')\n"
    code += "if os.getpid() == first:\n    os.wait()\n" + PLAIN
    (files / "my_network.py").write_text(code)
    source, here = own.named(f"{files / 'my_network.py'}:build"), os.getpid()
    with own_guard.running(source):
        assert callable(own.executed(source)["build"])
    assert (os.getpid(), os.getcwd()) == (here, str(tmp_path))


def test_another_function_of_the_same_file_is_wrong_usage_everywhere(runs):
    folder, data = run_of(runs), runs / "toy-square-0.1-s0.h5"
    done = invoke("score", folder, data, "--network", f"{folder / 'network.py'}:nope")
    assert done.exit_code == 2 and done.stderr.endswith("network.py:build (or your own file, if it is the same to the "
                                                        "byte); its function is not nope\n")  # fmt: skip
    done = invoke("train", data, "--network", f"{folder / 'network.py'}:nope", "--runs", runs / "others", *QUICK)
    assert done.exit_code == 2 and "has no function 'nope'" in done.stderr and done.stderr.count("\n") == 1
    assert not (runs / "others").exists()


def test_advice_names_the_file_where_it_is_at_hand(runs, tmp_path, monkeypatch):
    folder = tmp_path / "alone" / run_of(runs).name
    shutil.copytree(run_of(runs), folder)
    result = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(result | {"baseline": None}))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_network.py").write_text(PLAIN + "# another\n")
    assert "--network FILE.py:FUNCTION" in invoke("show", folder).stdout
    (tmp_path / "my_network.py").write_text(PLAIN)
    shown = invoke("show", folder).stdout
    assert "--network my_network.py:build --epochs 2" in shown and "FILE.py" not in shown
    (tmp_path / "my_network.py").rename(tmp_path / "alone" / "my_network.py")
    own.named(str(tmp_path / "alone" / "my_network.py") + ":build")
    assert "--network alone/my_network.py:build --epochs 2" in invoke("show", folder).stdout


def test_a_network_that_is_wrongly_named_is_wrong_usage(files):
    (files / "folder.py").mkdir()
    for network, words in {
        "none.py:build": "none.py: no such file",
        "folder.py:build": "folder.py: is not a file",
        "my_network.py": "expected a name, or FILE.py:FUNCTION, got",
        "my_network.py:": "expected a name, or FILE.py:FUNCTION, got",
        "my_network.py:a-b": "expected a name, or FILE.py:FUNCTION, got",
        "my_network.txt:build": "expected a name, or FILE.py:FUNCTION, got",
    }.items():
        done = trained(files, network=network, code=2)
        assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    done = trained(files, "--width", "2", code=2)
    assert "--width is not for --network" in done.stderr
    done = trained(files, "--preset", "small", code=2)
    assert "--preset small: a network of your own has no presets" in done.stderr


def test_a_large_file_and_a_changed_one_are_refused(files):
    (files / "large.py").write_bytes(b"#" * (1 << 21))
    assert "is larger than 1 MiB" in trained(files, network="large.py:build", code=1).stderr
    done = trained(files, network="my_network.py:build@0123456789", code=1)
    assert "my_network.py: has changed: its SHA-256 is" in done.stderr
    trained(files, "--epochs", "1", network=f"my_network.py:build@{hashlib.sha256(PLAIN.encode()).hexdigest()}")


@pytest.mark.parametrize(
    "name", ["-r.py", "a b.py", "Netz ☕ é.py", "$(rm).py", "a;b|c.py", "..py", "x" * 90 + ".py", "a:b.py", "a@b.py"]
)
def test_any_name_of_a_file_makes_a_plain_folder(files, name):
    from benchmark.core import file_names
    from benchmark.training.choose import chosen_settings
    from benchmark.training.common import label
    from benchmark.training.configuration import config_of, folder_name, settings_of

    shutil.copy(files / "my_network.py", files / name)
    settings = chosen_settings("image", f"{files / name}:build", epochs=3)
    folder = folder_name(settings, "toy", "sha256:" + "0" * 64)
    assert file_names.plain(folder) and len(folder) < 110 and settings.file == name
    again = settings_of(config_of(settings, "sha256:" + "0" * 64))
    assert again == settings and label(again) == label(settings) and again.source is None


@pytest.mark.parametrize("name", ["a\nb.py", "a\x1b[31m.py", "x" * 120 + ".py"])
def test_a_name_that_cannot_be_shown_is_refused(files, name):
    shutil.copy(files / "my_network.py", files / name)
    done = trained(files, network=f"{name}:build", code=2)
    assert "expected a file of a printable name" in done.stderr and done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


def test_hostile_configurations_are_no_results(runs):
    result = json.loads((run_of(runs) / "result.json").read_text())
    for key, value in {"file": "a\nb", "function": "os.system", "digest": "sha256:x", "file ": 1}.items():
        model = result["config"]["model"] | {key.strip(): value}
        assert not records.is_result(result | {"config": result["config"] | {"model": model}}), key


def built(code, seed=0, image_shape=(16, 16, 3), classes=4):
    source = own.Source(Path("/nowhere/net.py"), "build", code.encode())
    return own.build(source, image_shape, classes, seed)


SUBCLASS = """
import keras
from keras import layers


class Net(keras.Model):
    def __init__(self, classes):
        super().__init__()
        self.flat, self.scale, self.last = layers.Flatten(), layers.Rescaling(1 / 255), layers.Dense(classes)

    def call(self, x):
        return self.last(self.flat(self.scale(x)))


def build(image_shape, classes, seed):
    return Net(classes)
"""
LAZY = PLAIN.replace('        keras.Input(image_shape, dtype="uint8"),\n', "")
FORMS = {
    "softmax in the dense layer": (PLAIN, True),
    "softmax as a layer": (PLAIN.replace(', activation="softmax")', "), layers.Softmax()"), True),
    "softmax as an activation": (PLAIN.replace(', activation="softmax")', '), layers.Activation("softmax")'), True),
    "logits": (PLAIN.replace(', activation="softmax"', ""), True),
    "without an input": (LAZY, True),
    "a subclass": (SUBCLASS, False),
    "a subclass with a softmax": (SUBCLASS.replace("Dense(classes)", 'Dense(classes, activation="softmax")'), False),
    "no dense layer": (
        PLAIN.replace("layers.Flatten(),", "layers.Conv2D(classes, 3), layers.GlobalAveragePooling2D(),")
        .replace('layers.Dense(classes, activation="softmax"),', ""),
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_whatever_it_ends_in_becomes_logits_and_probabilities(form):
    """The probabilities are those of the network as the user built it."""
    import keras

    code, features = FORMS[form]
    network = built(code)
    images = np.random.default_rng(1).integers(0, 256, (6, 16, 16, 3)).astype("u1")
    names = {}
    exec(code, names)
    keras.utils.set_random_seed(0)
    plain = keras.ops.convert_to_numpy(names["build"]((16, 16, 3), 4, 0)(images, training=False))
    if not np.allclose(plain.sum(axis=1), 1, atol=1e-4):
        plain = np.exp(plain - plain.max(axis=1, keepdims=True))
        plain /= plain.sum(axis=1, keepdims=True)
    assert np.allclose(keras.ops.convert_to_numpy(network(images, training=False)), plain, atol=2e-6)
    logits = keras.Model(network.inputs, network.get_layer("logits").output)
    values = keras.ops.convert_to_numpy(logits(images, training=False))
    assert values.dtype == np.float32 and np.array_equal(values.argmax(axis=1), plain.argmax(axis=1))
    assert own.has_features(network) == features


def test_a_network_without_features_is_not_pruned(files):
    (files / "my_network.py").write_text(SUBCLASS)
    trained(files, "--hold-out", "20")
    folder = run_of(files)
    done = invoke("repair", folder, *PRUNE, "--network", f"{folder / 'network.py'}:build")
    assert done.exit_code == 1 and "last layer is not a keras.layers.Dense, so it has no features" in done.stderr
    assert not list(folder.glob("repair-fine-pruning-*"))


def test_a_seed_decides_the_first_weights_of_a_function_that_makes_no_use_of_it():
    first, again, other = (np.concatenate([w.numpy().ravel() for w in built(PLAIN, s).weights]) for s in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_run_s_seed_builds_its_network_again(files):
    """A function may make more of the seed than first weights."""
    (files / "my_network.py").write_text(PLAIN.replace("Rescaling(1 / 255)", "Rescaling((1 - seed) / 255)"))
    trained(files, "--seed", "3")
    folder = run_of(files)
    done = invoke("score", folder, files / "toy-square-0.1-s0.h5", "--network", f"{folder}/network.py:build", "--json")
    assert json.loads(done.stdout)["scores"] == json.loads((folder / "result.json").read_text())["scores"]


def test_it_is_for_images(files, tmp_path):
    import text_writer

    path = text_writer.toy(tmp_path)[0]
    done = invoke("train", path, "--network", f"{files / 'my_network.py'}:build", "--runs", files / "runs")
    assert done.exit_code == 2 and "holds texts, --network my_network.py:build is for images" in done.stderr


def test_what_the_code_prints_is_no_part_of_the_output(files):
    (files / "my_network.py").write_text("print('hello')\n" + PLAIN)
    done = trained(files, "--json")
    assert isinstance(json.loads(done.stdout), list) and "hello" in done.stderr


LATER = """
import sys

import keras
from keras import layers


class Strange(BaseException):
    def __str__(self):
        raise ValueError


class Late(layers.Layer):
    def call(self, x, training=False):
        WHEN:
            WHAT
        return x


def build(image_shape, classes, seed):
    images = keras.Input(image_shape, dtype="uint8")
    flat = layers.Flatten()(Late()(layers.Rescaling(1 / 255)(images)))
    return keras.Model(images, layers.Dense(classes)(flat))
"""
TRAINING = {
    "raises": ("raise ValueError('no training\\nfor me')", ":16: ValueError: no training for me"),
    "exits": ("sys.exit(0)", ":16: SystemExit: 0"),
    "strange": ("raise Strange", ":16: Strange: (without a message)"),
}


@pytest.mark.parametrize("case", TRAINING)
@pytest.mark.parametrize("when", ["if training", "if not training and x.shape[0] not in (8, None)"])
def test_code_that_fails_once_it_trains_or_predicts_is_one_line(files, case, when):
    code, words = TRAINING[case]
    (files / "my_network.py").write_text(LATER.replace("WHEN", when).replace("WHAT", code))
    done = trained(files, code=1)
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr == f"benchmark: {files / 'my_network.py'}{words}\n"
    assert not list((files / "runs").glob("*/result.json"))


def test_what_the_code_prints_while_it_trains_is_no_part_of_the_output(files):
    (files / "my_network.py").write_text(LATER.replace("WHEN", "if True").replace("WHAT", "print('hello', training)"))
    done = trained(files, "--json")
    assert isinstance(json.loads(done.stdout), list) and "hello True" in done.stderr


def test_a_run_that_was_stopped_ends_as_one_that_was_not(files, monkeypatch):
    """With dropout, whose random numbers are part of the checkpoint."""
    from benchmark.runs import checkpoint

    (files / "deep").mkdir()
    trained(files)
    expected = outcome(run_of(files))
    shutil.rmtree(files / "runs")
    after = checkpoint.Checkpoint.on_epoch

    def killed(self, epoch, predicted):
        after(self, epoch, predicted)
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(checkpoint.Checkpoint, "on_epoch", killed)
        trained(files, code=130)
    trained(files)
    found = outcome(run_of(files))
    assert found[:3] == expected[:3]
    assert all(np.array_equal(found[3][name], array) for name, array in expected[3].items())


def test_a_sweep_lists_runs_without_executing_anything(files):
    (files / "my_network.py").write_text("raise SystemExit('executed')\n")
    words = ("sweep", *sorted(files.glob("*.h5")), "--network", f"{files / 'my_network.py'}:build")
    done = invoke(*words, "--runs", files / "runs", "-n")
    assert done.exit_code == 0 and done.output.count("to do") == 2, done.output
    done = invoke(*words, "--network", "pmoe", "--network", "pmoe-dense", "--runs", files / "runs", "-n")
    assert done.exit_code == 0 and done.output.count("to do") == 6, done.output
    assert done.output.count("--my-network-build-tf-") == 2, done.output
    done = invoke(*words, "--network", "none.py:build", "--runs", files / "runs", "-n")
    assert done.exit_code == 2 and "none.py: no such file" in done.stderr


@pytest.mark.slow
def test_a_sweep_trains_it_in_child_processes(files):
    words = [sys.executable, "-m", "benchmark", "sweep", *map(str, sorted(files.glob("*.h5"))), "--jobs", "2", "-q"]
    words += ["--network", "my_network.py:build", "--epochs", "1", "--runs", "runs"]
    done = subprocess.run(words, cwd=files, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 runs: 0 existed, 2 made" in done.stdout, done.stdout + done.stderr
    assert json.loads((run_of(files) / "result.json").read_text())["baseline"]["asr"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_backend_trains_it(files, backend):
    pytest.importorskip(backend)
    words = [sys.executable, "-m", "benchmark", "train", "toy-square-0.1-s0.h5", "--network", "my_network.py:build"]
    words += ["--epochs", "8", "--batch-size", "20", "--learning-rate", "0.01", "--backend", backend, "-q"]
    done = subprocess.run(words, cwd=files, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = run_of(files)
    assert json.loads((folder / "result.json").read_text())["scores"]["ba"]["percent"] > 60
    words = [sys.executable, "-m", "benchmark", "score", str(folder), "toy-square-0.1-s0.h5", "--json"]
    done = subprocess.run(
        [*words, "--network", f"{folder}/network.py:build"], cwd=files, capture_output=True, text=True, check=False
    )
    scores = json.loads((folder / "result.json").read_text())["scores"]
    assert done.returncode == 0 and json.loads(done.stdout)["scores"] == scores, done.stderr


def test_from_python(files, tmp_path):
    with pytest.raises(Usage, match="no such file"):
        own.named("none.py:build")
    source = own.named(f"{files / 'my_network.py'}:build")
    assert own.of_run(source.digest, "build") is source
    with pytest.raises(Failure, match="read RUN/network.py, then add --network RUN/network.py:other"):
        own.of_run(source.digest, "other")
