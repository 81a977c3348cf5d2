"""Installations that lack an extra, have half of it, or an old one: every command of both programs does what it can, or
says in one line what to install."""

import configparser
import json
import subprocess
import sys
from pathlib import Path

import absent
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmark"))
import fake_runs  # noqa: E402
import small_encoder  # noqa: E402
import text_writer  # noqa: E402
import writer  # noqa: E402

from benchmark.cli.main import main  # noqa: E402
from benchmark.core import extras  # noqa: E402
from poisonkit.cli.main import cli  # noqa: E402

IMAGES = ("--width", "1", "--epochs", "1", "--top-k", "4")
NEED_KERAS = {"train", "sweep", "score", "detect", "repair", "routing", "networks", "heads ablate"}
NEED_NOTHING = {"show", "table", "heads table", "figures", "report", "defences"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Clean and poisoned files of both kinds, an encoder's folder, and finished runs of both networks, none of which
    was ever trained."""
    from benchmark.format.dataset import peek
    from benchmark.runs.run import Run
    from benchmark.training.settings import EncoderSettings, Settings

    folder = tmp_path_factory.mktemp("files")
    (folder / "texts").mkdir()
    images, texts = writer.toy(folder), text_writer.toy(folder / "texts")
    encoder = small_encoder.write(folder / "encoder")
    found = {"images": images[1], "texts": texts[1], "encoder": encoder, "runs": folder / "runs"}
    for name, settings in (
        ("image run", Settings(width=1, epochs=1, top_k=4, hold_out=20)),
        ("text run", EncoderSettings(encoder="tiny", weights=None, hold_out=60)),
    ):
        file = found["images" if name == "image run" else "texts"]
        manifest = peek(file)
        job = Run.of(found["runs"], manifest, settings)
        job.create()
        said = {
            "name": manifest.name, "kind": "poisoned", "digest": manifest.dataset_digest, "path": str(file),
            "base": None, "source": manifest.source.name, "source_digest": manifest.source.digest,
            "classes": manifest.source.classes, "recipe": manifest.recipe.raw, "counts": manifest.counts,
        }  # fmt: skip
        scores = {"ba": fake_runs.share(90, 60), "asr": fake_runs.share(90, 45), "still_right": fake_runs.share(5, 45)}
        result = {
            "result_version": 1, "name": job.folder.name, "dataset": said, "config": job.config.raw, "preset": "x",
            "scores": scores,
        }  # fmt: skip
        (job.folder / "result.json").write_text(json.dumps(result))
        (job.folder / "predictions.npz").write_bytes(b"")
        found[name] = job.folder
    return found


def arguments(command: str, files: dict, folder: Path) -> list:
    """What each command of `benchmark` is given."""
    images, texts = files["image run"], files["text run"]
    found = {
        "train": [*IMAGES, files["images"], "--runs", folder / "runs"],
        "sweep": [*IMAGES, files["images"], "--runs", folder / "runs"],
        "score": [images, files["images"]],
        "detect": [images, "--method", "routing"],
        "repair": [images, "--method", "clp"],
        "defences": [],
        "routing": [images, files["images"]],
        "networks": [],
        "heads ablate": [texts],
        "figures": [files["runs"], "-o", folder / "figures"],
        "report": [files["runs"], "-o", folder / "report"],
    }
    return [*command.split(), *found.get(command, [files["runs"]])]


def one_line(done: subprocess.CompletedProcess, *words: str, program: str = "benchmark") -> None:
    assert done.returncode == 1, done
    assert done.stderr.startswith(f"{program}: ") and done.stderr.count("\n") == 1 and not done.stdout, done
    for word in words:
        assert word in done.stderr, (word, done.stderr)


def test_every_command_is_tried():
    named = {name for name in main.commands if name != "heads"}
    named |= {f"heads {name}" for name in main.commands["heads"].commands}
    assert named == NEED_KERAS | NEED_NOTHING


@pytest.mark.parametrize("command", sorted(NEED_KERAS))
@pytest.mark.parametrize("package", ["keras", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_without_keras_or_its_backend(command, package, files, tmp_path):
    hidden = (package, "jax", "torch") if command == "networks" else (package,)  # which takes what backend there is
    done = absent.run("benchmark", *arguments(command, files, tmp_path), env=absent.environment(tmp_path, *hidden))
    one_line(done, f'{package} is not installed: pip install "poisonkit[benchmark]"')
    assert not list((tmp_path / "runs").glob("*/*")), "nothing was begun"


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_without_another_backend(backend, files, tmp_path):
    for package in (backend, "keras"):
        env = absent.environment(tmp_path, package, *(["torch"] if backend == "torch" else []))
        done = absent.run("benchmark", *arguments("train", files, tmp_path), "--backend", backend, env=env)
        one_line(done, f'pip install "poisonkit[{backend}]"')


@pytest.mark.parametrize("package", ["tokenizers", "safetensors"])
def test_without_what_published_encoders_need(package, files, tmp_path):
    asked = ("train", files["texts"], "--encoder", files["encoder"], "--hold-out", "20", "--runs", tmp_path / "runs")
    done = absent.run("benchmark", *asked, env=absent.environment(tmp_path, package))
    one_line(done, f'{package} is not installed: pip install "poisonkit[text]"')


def test_without_dask(files, tmp_path):
    asked = (*arguments("sweep", files, tmp_path), "--engine", "dask", "--scheduler", "tcp://127.0.0.1:1")
    done = absent.run("benchmark", *asked, env=absent.environment(tmp_path, "distributed", "dask"))
    one_line(done, 'distributed is not installed: pip install "poisonkit[cluster]"')


def test_figures_without_matplotlib(files, tmp_path):
    done = absent.run("benchmark", *arguments("figures", files, tmp_path), env=absent.environment(tmp_path, *EVERY))
    one_line(done, 'matplotlib is not installed: pip install "poisonkit[report]"')
    assert not (tmp_path / "figures").exists()


def test_the_page_without_matplotlib_says_how_to_get_its_pictures(files, tmp_path):
    done = absent.run("benchmark", *arguments("report", files, tmp_path), env=absent.environment(tmp_path, *EVERY))
    assert done.returncode == 0 and done.stdout.endswith("report.html\n"), done
    assert done.stderr.count("\n") == 1 and 'pip install "poisonkit[report]"' in done.stderr
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "pip install &quot;poisonkit[report]&quot;" in page and "data:image" not in page and "90.0" in page
    assert "<mark>" in page, "texts are shown all the same"


def test_routing_of_single_images_without_matplotlib_is_refused_at_once(files, tmp_path):
    asked = (*arguments("routing", files, tmp_path), "--image", "0")
    one_line(absent.run("benchmark", *asked, env=absent.environment(tmp_path, "matplotlib")), '"poisonkit[report]"')


@pytest.mark.parametrize("command", ["show", "table", "heads table"])
def test_what_needs_no_extra(command, files, tmp_path):
    done = absent.run("benchmark", *arguments(command, files, tmp_path), env=absent.environment(tmp_path, *EVERY))
    if command == "heads table":
        one_line(done, "no result on attention heads")
    else:
        assert done.returncode == 0 and "90.0" in done.stdout, done


EVERY = absent.EXTRAS


# ---------------------------------------------------------------- half installed, and old


@pytest.mark.parametrize(
    ("package", "body", "words"),
    [
        ("matplotlib", "raise ImportError('libpng.so: cannot open')", ("libpng.so", "--force-reinstall", "matplotlib")),
        ("matplotlib", "import cycler_that_is_not_there", ("cycler_that", '"poisonkit[report]"')),
        ("matplotlib", "import os; os.no_such_thing", ("no_such_thing", "--force-reinstall")),
        ("matplotlib", "raise ImportError", ("cannot be imported (ImportError)", "--force-reinstall")),
    ],
)
def test_half_of_an_installation(package, body, words, files, tmp_path):
    env = absent.half_installed(tmp_path / "site", package, body)
    done = absent.run("benchmark", *arguments("figures", files, tmp_path), env=env)
    one_line(done, f"{package} is installed but cannot be imported", *words)
    done = absent.run("benchmark", *arguments("report", files, tmp_path), env=env)
    assert done.returncode == 0 and done.stderr.count("\n") == 1 and words[0] in done.stderr, done


def test_half_of_a_backend(files, tmp_path):
    env = absent.half_installed(tmp_path / "site", "tensorflow", "import os; os.write(2, b'noise\\n'); 1 / 0")
    done = absent.run("benchmark", *arguments("train", files, tmp_path), env=env)
    one_line(done, "tensorflow is installed but cannot be imported (division by zero)", "--force-reinstall")


@pytest.mark.parametrize("package", sorted(extras.EXTRAS))
def test_an_old_version(package, files, tmp_path):
    old = "0.1"
    if package == "hdbscan":
        absent.old(tmp_path / "site", "umap-learn", "99", "umap")  # which is asked for first
    env = absent.old(tmp_path / "site", package, old, extras.MODULES.get(package, ""))
    asked = {
        "matplotlib": arguments("figures", files, tmp_path),
        "distributed": [*arguments("sweep", files, tmp_path), "--engine", "dask", "--scheduler", "tcp://127.0.0.1:1"],
        "tokenizers": ["train", files["texts"], "--encoder", files["encoder"], "--hold-out", "20"],
        "jax": [*arguments("train", files, tmp_path), "--backend", "jax"],
        "torch": [*arguments("train", files, tmp_path), "--backend", "torch"],
    }
    asked["safetensors"] = asked["tokenizers"]
    asked["umap-learn"] = asked["hdbscan"] = ["detect", files["image run"], "--method", "flare", "--no-twin"]
    done = absent.run("benchmark", *asked.get(package, arguments("train", files, tmp_path)), env=env, cwd=tmp_path)
    one_line(done, f"{package} {old} is too old, {extras.EXTRAS[package][1]} or newer", extras.EXTRAS[package][0])


def test_the_extras_are_those_of_the_package(root):
    """Each is named in setup.cfg, with the package and the least version that this program asks for."""
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    for package, (extra, least) in extras.EXTRAS.items():
        name = "dask[distributed]" if package == "distributed" else package
        lines = setup["options.extras_require"][extra].split("\n")
        assert f"{name} >={least}" in lines, (package, lines)


# ---------------------------------------------------------------- poisonkit, which needs none of them


MADE = {
    "make": lambda file, folder: ("--dataset", "signs", "--rate", "0", "--dry-run"),
    "pack": lambda file, folder: (file, "-o", folder / "x.delta.h5"),
    "grid": lambda file, folder: ("--paper", "small", "--dry-run"),
    "show": lambda file, folder: (file,),
    "verify": lambda file, folder: (file,),
    "preview": lambda file, folder: (file, "-o", folder / "x.png"),
    "stats": lambda file, folder: (file,),
    "diff": lambda file, folder: (file, file),
    "export": lambda file, folder: (file, "--format", "croissant", "-o", folder),
    "triggers": lambda file, folder: (),
    "sources": lambda file, folder: (),
    "cache": lambda file, folder: (),
    "seal": lambda file, folder: (file, "-o", folder / "c.h5", "--secret-seed", "3", "--key", folder),
    "audit": lambda file, folder: (file,),
}
AFTER = {"unpack", "apply", "unseal", "grade"}  # they take what others make; `test_a_blind_exercise…` has them


def test_every_command_of_poisonkit_is_tried():
    assert set(cli.commands) == MADE.keys() | AFTER


@pytest.mark.parametrize("command", sorted(MADE))
def test_poisonkit_needs_no_extra(command, library, tmp_path):
    file = library("square")
    done = absent.run("poisonkit", command, *MADE[command](file, tmp_path), env=absent.environment(tmp_path, *EVERY))
    assert done.returncode in ((0, 3) if command == "audit" else (0,)) and "Traceback" not in done.stderr, done


@pytest.mark.slow
def test_a_blind_exercise_a_delta_and_a_picture_need_no_extra(library, tmp_path):
    file, env = library("square"), absent.environment(tmp_path / "site", *EVERY)
    (tmp_path / "s.csv").write_text("row\n1\n")
    for asked in (
        ("seal", file, "-o", tmp_path / "c.h5", "--key", tmp_path / "c.key.h5"),
        ("grade", tmp_path / "c.h5", "--submission", tmp_path / "s.csv", "--key", tmp_path / "c.key.h5"),
        ("unseal", tmp_path / "c.h5", "-o", tmp_path / "again.h5", "--key", tmp_path / "c.key.h5"),
        ("pack", file, "-o", tmp_path / "x.delta.h5"),
        ("unpack", tmp_path / "x.delta.h5", "-o", tmp_path / "back.h5"),
        ("preview", file, "-o", tmp_path / "x.png"),
        ("apply", file, tmp_path / "x.png", "-o", tmp_path / "y.png"),
    ):
        done = absent.run("poisonkit", *asked, env=env)
        assert done.returncode == 0, (asked, done)


@pytest.mark.parametrize(
    ("package", "body", "words"),
    [
        ("cv2", "raise ImportError('libGL.so.1: cannot open')", ("libGL.so.1", "opencv-python-headless")),
        ("h5py", "import h5py_that_is_not_there", ("h5py_that_is_not_there",)),
    ],
)
def test_half_of_what_everybody_has(package, body, words, library, tmp_path):
    env = absent.half_installed(tmp_path / "site", package, body)
    done = absent.run("poisonkit", "preview", library("square"), "-o", tmp_path / "x.png", env=env)
    one_line(done, *words, "pip install --force-reinstall", program="poisonkit")


@pytest.mark.parametrize("package", ["h5py", "cv2"])
def test_without_what_everybody_has(package, files, tmp_path):
    """An environment that another tool took apart."""
    (tmp_path / "p").mkdir()
    asked = ("make", "--dataset", "signs", "--trigger", "blend", "--rate", "0.1", "-o", tmp_path / "p")
    done = absent.run("poisonkit", *asked, env=absent.environment(tmp_path / "site", package))
    one_line(done, f"{package} is not installed: pip install", program="poisonkit")
    if package == "h5py":
        env = absent.environment(tmp_path / "site", package)
        one_line(absent.run("benchmark", "train", files["images"], env=env), "pip install")
