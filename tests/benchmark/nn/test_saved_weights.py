"""`.keras` files and checkpoints from strangers: nothing in them is carried out or written, each is one clear line.

Runs with TensorFlow, or with JAX where that alone is installed (as beside the oldest Keras that is allowed).
"""

import base64
import io
import json
import marshal
import shutil
import zipfile
from importlib.util import find_spec

import h5py
import numpy as np
import pytest
import writer
from click.testing import CliRunner

from benchmark.cli import main
from benchmark.core import files
from benchmark.core.errors import Failure
from benchmark.nn import engines, saved_weights

BACKEND = "tensorflow" if find_spec("tensorflow") else "jax"
engines.activate(BACKEND, threads=2)
TRAINED = ("--width=1", "--experts=2", "--top-k=4", "--epochs=1", "--batch-size=32", "--hold-out=20")


def invoke(*words):
    return CliRunner().invoke(main.main, [str(word) for word in words])


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return writer.toy(tmp_path_factory.mktemp("toy"), train=80, test=40, size=16)


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """The folder of a run of the poisoned file."""
    runs = tmp_path_factory.mktemp("runs")
    done = invoke("train", toy[1], "--preset=tiny", *TRAINED, f"--backend={BACKEND}", "--runs", runs, "-q")
    assert done.exit_code == 0, done.output
    return next(runs.glob("*/result.json")).parent


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "runs" / trained.name)


def refused(run, *words) -> str:
    """The one line of loading a run's network, which changes nothing beside it."""
    from benchmark.nn import model_files

    before = sorted(run.parent.parent.rglob("*"))
    with pytest.raises(Failure) as error:
        model_files.load(run)
    line = str(error.value)
    assert "\n" not in line and len(line) < 900, line
    assert sorted(run.parent.parent.rglob("*")) == before
    for word in words:
        assert word in line, line
    return line


def members(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, contents, **options) -> None:
    """Write (name, bytes) pairs as an archive."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in contents.items() if isinstance(contents, dict) else contents:
            archive.writestr(name, data)


# ---- foreign descriptions: what Keras would build, import or call


def _lambda(marker) -> dict:
    code = compile(f"open({str(marker)!r}, 'w').write('x')", "evil", "eval")
    described = [base64.b64encode(marshal.dumps(code)).decode(), None, None]
    function = {"class_name": "__lambda__", "config": {"code": described[0], "defaults": None, "closure": None}}
    return {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "a", "function": function}}


def _called(module, name, registered=None, /, **config):
    def make(marker) -> dict:
        filled = {
            key: value.format(marker=marker) if isinstance(value, str) else value for key, value in config.items()
        }
        return {"module": module, "class_name": name, "registered_name": registered, "config": filled}

    return make


FOREIGN = {
    "a Lambda layer": _lambda,
    "keras.utils.get_file": _called(
        "keras.utils", "get_file", fname="{marker}", origin="file:///etc/hostname", cache_dir="/"
    ),
    "a function by its name": lambda marker: {
        "module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function",
    },
    "a module's path": _called("subprocess", "Popen", args=["touch", "{marker}"]),
    "os.system": _called("os", "system", command="touch {marker}"),
    "a registered name": _called(None, "Evil", "evil>Evil", path="{marker}"),
    "TorchModuleWrapper": _called("keras.layers", "TorchModuleWrapper", module="{marker}"),
    "StringLookup": _called("keras.layers", "StringLookup", vocabulary="/etc/passwd"),
    "a TFSMLayer": _called("keras.layers", "TFSMLayer", filepath="{marker}"),
    "a config of enable_unsafe_deserialization": _called("keras.config", "enable_unsafe_deserialization"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("where", ["whole", "in a layer"])
def test_a_foreign_description_is_refused_and_never_followed(kind, where, run, toy, tmp_path):
    marker = tmp_path / "marker"
    contents = members(run / "model.keras")
    described = json.loads(contents["config.json"])
    foreign = FOREIGN[kind](marker)
    if where == "whole":
        described = foreign
    else:
        described["config"]["layers"][2]["config"]["kernel_initializer"] = foreign
    pack(run / "model.keras", contents | {"config.json": json.dumps(described)})
    refused(run, "config.json describes", "never made use of")
    assert not marker.exists()


def test_the_description_is_not_what_is_built(run, toy):
    """Sizes are the run's: a description of other ones changes nothing, nor does one that is empty."""
    contents = members(run / "model.keras")
    expected = invoke("score", run, toy[1], "--json").stdout
    described = json.loads(contents["config.json"])
    for layer in described["config"]["layers"]:
        layer["config"]["units"] = layer["config"]["filters"] = 1 << 40
    for text in (json.dumps(described), "{}", "[]", "null"):
        pack(run / "model.keras", contents | {"config.json": text})
        assert invoke("score", run, toy[1], "--json").stdout == expected != ""


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff\xfe\x00"])
def test_a_description_that_is_none_is_one_line(text, run, toy):
    pack(run / "model.keras", members(run / "model.keras") | {"config.json": text})
    refused(run, "not a model: its config.json cannot be read")


# ---- the archive


def _bomb(name):
    def make(path, contents):
        pack(path, contents | {name: bytes(64 << 20)}, compression=zipfile.ZIP_DEFLATED)

    return make


def _named(name):
    return lambda path, contents: pack(path, contents | {name: b"x"})


def _link(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("model.weights.h5")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
        archive.writestr("config.json", contents["config.json"])


def _twice(path, contents):
    pack(path, [*contents.items(), ("model.weights.h5", contents["model.weights.h5"])])


def _without(path, contents):
    pack(path, {name: data for name, data in contents.items() if name != "model.weights.h5"})


def _cut(path, contents):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _larger(path, contents):
    """The directory says that the weights are 1 TB."""
    pack(path, contents)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"model.weights.h5"))
    data[at + 20 : at + 28] = b"\xfe\xff\xff\xff" * 2
    path.write_bytes(data)


ARCHIVES = {
    "zip bomb of weights": (_bomb("model.weights.h5"), "is compressed"),
    "zip bomb of a description": (_bomb("config.json"), "is compressed"),
    "path up": (_named("../../evil"), "holds '../../evil'"),
    "absolute path": (_named("/tmp/evil"), "holds '/tmp/evil'"),
    "asset": (_named("assets/layer/vocabulary.txt"), "holds 'assets/layer"),
    "pickle": (_named("data.pkl"), "holds 'data.pkl'"),
    "many members": (lambda p, c: pack(p, c | {f"m{i}": b"" for i in range(5000)}), "holds 'm0'"),
    "link": (_link, "cannot be read"),
    "same name twice": (_twice, "twice"),
    "no weights": (_without, "holds no model.weights.h5"),
    "cut": (_cut, "not a model"),
    "a size that is a lie": (_larger, "not a model"),
    "no archive": (lambda path, _: path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR."), "not a model"),
    "HDF5 itself": (lambda path, c: path.write_bytes(c["model.weights.h5"]), "not a model"),
    "empty": (lambda path, _: path.write_bytes(b""), "not a model"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_crafted_archive_is_one_line(kind, run, toy):
    make, words = ARCHIVES[kind]
    make(run / "model.keras", members(run / "model.keras"))
    refused(run, str(run / "model.keras"), words)


# ---- the HDF5 file in it

STEM = "layers/conv2d/vars/0"


def _external_link(file, folder):
    with h5py.File(folder / "private.h5", "w") as other:
        other["secret"] = np.zeros((3, 3, 3, 16), "f4")
    del file[STEM]
    file[STEM] = h5py.ExternalLink(str(folder / "private.h5"), "secret")


def _soft_link(file, _):
    values = file[STEM][()]
    del file[STEM]
    file["elsewhere"] = values
    file[STEM] = h5py.SoftLink("/elsewhere")


def _external_storage(file, folder):
    (folder / "private.bin").write_bytes(bytes(4 * 3 * 3 * 3 * 16))
    del file[STEM]
    file.create_dataset(STEM, (3, 3, 3, 16), "<f4", external=[(str(folder / "private.bin"), 0, h5py.h5f.UNLIMITED)])


def _virtual(file, folder):
    with h5py.File(folder / "private.h5", "w") as other:
        other["secret"] = np.zeros((3, 3, 3, 16), "f4")
    del file[STEM]
    layout = h5py.VirtualLayout((3, 3, 3, 16), "<f4")
    layout[:] = h5py.VirtualSource(str(folder / "private.h5"), "secret", (3, 3, 3, 16))
    file.create_virtual_dataset(STEM, layout)


def _instead(**how):
    def make(file, _):
        del file[STEM]
        file.create_dataset(STEM, **how)

    return make


def _gone(file, _):
    del file[STEM]


def _more(file, _):
    file["layers/conv2d/vars/7"] = np.zeros(3, "f4")


def _elsewhere(file, _):
    file.move("layers/conv2d", "layers/other")


def _swapped(file, _):
    file.move("layers/conv2d/vars/0", "layers/conv2d/vars/9")


def _cycle(file, _):
    file["layers/conv2d/loop"] = file["layers"]


def _many(file, _):
    for number in range(20_001):
        file.create_group(f"layers/g{number}")


def _same_bytes(file, _):
    for number in range(3000):
        file[f"layers/d{number}"] = file["layers/patch_mo_e/vars/1"]


def _not_finite(file, _):
    file[STEM][...] = np.nan


def _attribute(file, _):
    file["layers"].attrs["layer_names"] = np.array([b"x"])


WEIGHTS = {
    "external link": (_external_link, "holds a link at 'layers/conv2d/vars/0'"),
    "soft link": (_soft_link, "holds a link at"),
    "external storage": (_external_storage, "keeps its data in another file"),
    "virtual": (_virtual, "keeps its data in another file"),
    "absurd shape": (_instead(shape=(1 << 20, 1 << 20), dtype="<f4", chunks=(64, 64)), "is chunked"),
    "absurd shape, nothing written": (_instead(shape=(1 << 20, 1 << 20), dtype="<f4"), "reaches beyond the end"),
    "compressed": (_instead(data=np.zeros((3, 3, 3, 16), "f4"), compression="gzip"), "is chunked, filtered"),
    "float64": (_instead(data=np.zeros((3, 3, 3, 16))), "is of type '<f8', expected '<f4'"),
    "texts": (_instead(data=["a"] * 3), "is of type '|O'"),
    "pickled objects": (_instead(data=np.void(b"\x80\x04cos\nsystem\n.")), "is of type '|V"),
    "references": (_instead(shape=(2,), dtype=h5py.ref_dtype), "is of type '|O'"),
    "scalar": (_instead(data=np.float32(1)), "its weights are not those of its run's network"),
    "another shape": (_instead(data=np.zeros((3, 3, 3, 17), "f4")), "not those of its run's network"),
    "one missing": (_gone, "not those of its run's network"),
    "one too many": (_more, "not those of its run's network"),
    "under another name": (_elsewhere, "do not fit its network"),
    "one under another name": (_swapped, "not fit its network"),
    "hard links in a circle": (_cycle, "nested too deep"),
    "very many groups": (_many, "holds too much"),
    "the same bytes again and again": (_same_bytes, "overlap"),
    "not a number": (_not_finite, "not finite everywhere"),
    "attribute": (_attribute, "has an attribute 'layer_names'"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_crafted_weights_are_one_line(kind, run, toy, tmp_path):
    change, words = WEIGHTS[kind]
    contents = members(run / "model.keras")
    data = io.BytesIO(contents["model.weights.h5"])
    with h5py.File(data, "r+") as file:
        change(file, tmp_path)
    pack(run / "model.keras", contents | {"model.weights.h5": data.getvalue()})
    refused(run, words)


def test_damaged_weights_are_one_line(run, toy):
    contents = members(run / "model.keras")
    whole = contents["model.weights.h5"]
    for data in (b"", whole[:2000], b"\x89HDF\r\n\x1a\n" + bytes(3000), whole[: len(whole) // 2]):
        pack(run / "model.keras", contents | {"model.weights.h5": data})
        refused(run, "cannot be read")


# ---- the run's own files


@pytest.mark.parametrize(
    "change, words",
    [
        ({"width": 1 << 19}, "width"),
        ({"width": 10**30}, "a number beyond 64 bits"),
        ({"width": "1"}, "width"),
        ({"width": True}, "width"),
        ({"experts": 3}, "is a network of experts 3, its run is of 2"),
        ({"top_k": 17}, "top_k is 17, of 16 patches"),
        ({"classes": 3}, "is a network of classes 3"),
        ({"image_shape": [16, 16]}, "image_shape is [16, 16]"),
        ({"image_shape": [1 << 40, 16, 3]}, "image_shape"),
        ({"image_shape": [16, 16, 1]}, "not those of its run's network"),
    ],
)
def test_sizes_that_cannot_be_are_refused_before_anything_is_built(change, words, run, toy, monkeypatch):
    result = files.read_json(run / "result.json")
    result["network"] |= change
    (run / "result.json").write_text(json.dumps(result))
    refused(run, words)


def test_a_network_larger_than_its_weights_is_not_built(run, toy, monkeypatch):
    from benchmark.nn import model_files

    for name in ("config.json", "result.json"):
        found = files.read_json(run / name)
        (found if name == "config.json" else found["config"])["model"]["width"] = 1000
        if name == "result.json":
            found["network"]["width"] = 1000
        (run / name).write_text(json.dumps(found))
    monkeypatch.setattr(model_files, "build", lambda sizes: pytest.fail(f"built {sizes}"))
    assert "too few for a network of" in refused(run)


def test_a_run_of_an_earlier_version_still_loads(run, toy):
    """Its result.json does not say `network`: the sizes are the numbers of the saved file's description."""
    expected = invoke("score", run, toy[1], "--json").stdout
    result = files.read_json(run / "result.json")
    assert result.pop("network") == {"image_shape": [16, 16, 3], "classes": 4, "width": 1, "experts": 2, "top_k": 4}
    (run / "result.json").write_text(json.dumps(result))
    assert invoke("score", run, toy[1], "--json").stdout == expected != ""
    contents = members(run / "model.keras")
    pack(run / "model.keras", {name: data for name, data in contents.items() if name != "config.json"})
    refused(run, "neither a run's result.json nor the file records the size")


def test_an_encoder_of_an_earlier_version_still_loads(tmp_path):
    """What the first versions wrote of an encoder, without the newer settings."""
    from benchmark.nn import encoder, model_files

    model = encoder.Encoder(2, 30, 64, 12, 2, 3, 20, dropout=0.2, epsilon=1e-5)
    model.build((None, None))
    model_files.save(model, tmp_path / "model.keras")
    contents = members(tmp_path / "model.keras")
    described = json.loads(contents["config.json"])
    for name in ("attention_dropout", "classifier_dropout", "activation"):
        del described["config"][name]
    pack(tmp_path / "model.keras", contents | {"config.json": json.dumps(described)})
    found = model_files.load(tmp_path)
    assert found.sizes == model.sizes and found.sizes["epsilon"] == 1e-5 and found.sizes["attention_dropout"] == 0.2
    tokens = np.array([[2, 4, 5, 3, 0]], "i4")
    np.testing.assert_array_equal(np.asarray(found(tokens)), np.asarray(model(tokens)))


# ---- every command that loads a network


@pytest.mark.parametrize("command", ["score", "routing", "routing --beside", "repair", "train of another"])
def test_every_command_refuses_it(command, run, toy, tmp_path):
    marker = tmp_path / "marker"
    contents = members(run / "model.keras")
    good = shutil.copy(run / "model.keras", run / "good.keras")
    described = json.loads(contents["config.json"])
    described["config"]["layers"].append(_lambda(marker))
    pack(run / "model.keras", contents | {"config.json": json.dumps(described)})
    words = {
        "score": ["score", run, toy[1]],
        "routing": ["routing", run, toy[1]],
        "routing --beside": ["routing", good, toy[1], "--image", "0", "--beside", run],
        "repair": ["repair", run, "--method", "fine-pruning"],
        "train of another": ["train", toy[1], "--preset=tiny", *TRAINED, f"--backend={BACKEND}", "--seed=1", "-q"],
    }[command]
    if command == "train of another":
        result = files.read_json(run / "result.json")
        result["dataset"] |= {"kind": "clean", "name": "toy-clean", "recipe": {"rate": "0"}}
        (run / "result.json").write_text(json.dumps(result))
        words += ["--runs", run.parent, "--baseline", run]
    if "routing" in command:
        pytest.importorskip("matplotlib")
    done = invoke(*words)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit), done.output
    last = done.stderr.splitlines()[-1]
    assert last.startswith("benchmark: ") and "config.json describes 'keras.layers.Lambda'" in last
    assert not marker.exists()


def test_nothing_loads_a_network_but_by_its_weights(root):
    """One place in the package builds and fills networks."""
    for path in sorted((root / "benchmark").rglob("*.py")):
        text = path.read_text()
        for name in ("load_model", "deserialize", "from_config", "model_from_json", "pickle.load", "allow_pickle=True"):
            assert name not in text, (path, name)
        assert "load_weights" not in text or path.relative_to(root).as_posix() == "benchmark/nn/model_files.py"


# ---- checkpoints


def _checkpoint(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("kind", ["pickle", "bomb", "absurd header", "other dtype", "history", "no archive", "empty"])
def test_a_crafted_checkpoint_is_one_line(kind, toy, tmp_path):
    from benchmark.format import dataset
    from benchmark.runs.run import Run
    from benchmark.training.settings import Settings

    marker = tmp_path / "marker"
    settings = Settings(
        width=1, experts=2, top_k=4, epochs=2, batch_size=32, learning_rate=0.2, hold_out=20, backend=BACKEND
    )
    job = Run.of(tmp_path / "runs", dataset.peek(toy[1]), settings)
    job.create()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)})
    evil = np.empty(1, object)
    evil[0] = Evil(marker)
    if kind == "absurd header":
        pack(job.checkpoint, {"0000.npy": header.getvalue()})
    elif kind == "bomb":
        compressed = io.BytesIO()
        np.savez_compressed(compressed, **{"0000": np.zeros(16 << 20, "f4")})
        job.checkpoint.write_bytes(compressed.getvalue())
    else:
        text = np.frombuffer(b'[{"epoch": 1, "loss": "x"}]', "u1")
        job.checkpoint.write_bytes({
            "pickle": lambda: _checkpoint(**{"0000": evil}),
            "other dtype": lambda: _checkpoint(**{f"{i:04d}": np.zeros(3, "c16") for i in range(90)}, history=text),
            "history": lambda: _checkpoint(**{f"{i:04d}": np.zeros(3, "f4") for i in range(90)}, history=text),
            "no archive": lambda: b"\x80\x04cos\nsystem\n.",
            "empty": lambda: b"",
        }[kind]())  # fmt: skip
    options = ["--width=1", "--experts=2", "--top-k=4", "--epochs=2", "--batch-size=32", "--hold-out=20"]
    done = invoke(
        "train", toy[1], "--preset=tiny", *options, "--learning-rate=0.2", f"--backend={BACKEND}", "--runs",
        tmp_path / "runs", "-q",
    )  # fmt: skip
    assert done.exit_code == 1 and done.stderr.count("\n") == 1, done.output
    assert "checkpoint.npz: damaged" in done.stderr and "delete it to train the run from its start" in done.stderr
    assert not marker.exists() and saved_weights.run_of(job.folder) == job.folder
