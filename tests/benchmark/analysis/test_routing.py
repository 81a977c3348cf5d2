"""What is measured of the routing, each figure against a plain twin; the command and its pictures."""

import json
import os
import shutil

import click.testing
import numpy as np
import pytest
import writer
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.analysis.routing import measure
from benchmark.analysis.routing.measure import Routes
from benchmark.cli import main
from benchmark.format import dataset

RANDOM = np.random.default_rng(0)
SETTINGS = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "16", "--learning-rate", "0.01")


def routes(n=40, patches=16, experts=3, taken=4, seed=0) -> Routes:
    """Random gates, and the best of each taken."""
    gates = np.random.default_rng(seed).random((n, patches, experts)).astype(np.float32)
    rank = gates.argsort(1).argsort(1)
    return Routes(gates, rank >= patches - taken, (4, 4))


def test_cells_and_fields_of_a_square_in_the_corner():
    mask = np.zeros((32, 32), bool)
    mask[:4, :4] = True
    assert np.flatnonzero(measure.cells_with(mask, (8, 8))).tolist() == [0]
    fields = measure.fields_with(mask, (8, 8)).reshape(8, 8)
    assert np.array_equal(np.argwhere(fields), [[i, j] for i in range(3) for j in range(3)])  # centred on 3, 7, 11, ± 8


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(32, 32), (16, 16), (30, 32)]))
def test_cells_and_fields_against_every_pixel(seed, size):
    mask = np.random.default_rng(seed).random(size) < 0.01
    grid = (-(-size[0] // 4), -(-size[1] // 4))
    cells, fields = np.zeros(grid, bool), np.zeros(grid, bool)
    for y, x in np.argwhere(mask):
        cells[y // 4, x // 4] = True
        for i in range(grid[0]):
            for j in range(grid[1]):
                fields[i, j] |= abs(4 * i + 3 - y) <= 8 and abs(4 * j + 3 - x) <= 8
    assert np.array_equal(measure.cells_with(mask, grid), cells.reshape(-1))
    assert np.array_equal(measure.fields_with(mask, grid), fields.reshape(-1))


def test_frequency_and_overlap():
    found = routes()
    frequency, overlap = np.array(measure.frequency(found)), np.array(measure.overlap(found))
    assert frequency.shape == (3, 16) and np.allclose(frequency.sum(1), 4, atol=1e-4)
    for e in range(3):
        for p in range(16):
            assert frequency[e, p] == pytest.approx(sum(found.taken[i, p, e] for i in range(40)) / 40, abs=1e-6)
        for other in range(3):
            sets = [[set(np.flatnonzero(found.taken[i, :, k])) for k in (e, other)] for i in range(40)]
            expected = np.mean([len(a & b) / len(a | b) for a, b in sets])
            assert overlap[e, other] == pytest.approx(expected, abs=1e-6)


def test_how_often_a_trigger_is_taken():
    before, after = routes(seed=1), routes(seed=2)
    where = np.zeros(16, bool)
    where[[0, 5, 6]] = True
    found = measure.on_trigger(before, after, where)
    assert found.patches_there == 3 and found.by_chance == 4 * 3 / 16
    for name, one in (("clean", before), ("triggered", after)):
        for e in range(3):
            counts = [sum(one.taken[i, p, e] for p in (0, 5, 6)) for i in range(40)]
            assert getattr(found, name).patches[e] == pytest.approx(np.mean(counts), abs=1e-6)
            assert getattr(found, name).images[e] == pytest.approx(np.mean(np.array(counts) > 0), abs=1e-6)


def test_features_of_each_cell():
    images = RANDOM.integers(0, 256, (5, 16, 16, 3), np.uint8)
    found = measure.features(images, (4, 4))
    grey = images.astype(float).mean(-1)
    for n in range(5):
        for p in range(16):
            y, x = 4 * (p // 4), 4 * (p % 4)
            cell = grey[n, y : y + 4, x : x + 4]
            edges = [
                abs(grey[n, min(i + 1, 15), j] - grey[n, i, j]) + abs(grey[n, i, min(j + 1, 15)] - grey[n, i, j])
                for i in range(y, y + 4)
                for j in range(x, x + 4)
            ]
            assert found["brightness"][n, p] == pytest.approx(cell.mean())
            assert found["contrast"][n, p] == pytest.approx(cell.std())
            assert found["edges"][n, p] == pytest.approx(np.mean(edges))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=12))
def test_ranks_are_mean_ranks(values):
    (found,) = measure.ranks(np.array([values], float))
    ordered = sorted(values)
    expected = [np.mean([i for i, other in enumerate(ordered) if other == value]) for value in values]
    assert np.allclose(found, expected)


def test_correlation_is_one_where_the_gate_follows_the_feature_and_none_where_nothing_varies():
    images = RANDOM.integers(0, 256, (20, 16, 16, 3), np.uint8)
    bright = measure.features(images, (4, 4))["brightness"]
    found = routes(20)
    gates = np.stack([bright, -bright, np.ones_like(bright)], -1).astype(np.float32)
    result = measure.correlations(Routes(gates, found.taken, (4, 4)), images)["brightness"]
    assert [one.mean for one in result] == [pytest.approx(1), pytest.approx(-1), None]
    assert result[0].images == 20 and result[2].images == 0


def test_correlation_over_images_with_its_interval():
    images = RANDOM.integers(0, 256, (60, 16, 16, 3), np.uint8)
    found = routes(60)
    contrast = measure.features(images, (4, 4))["contrast"]
    each = [
        np.corrcoef(contrast[i].argsort().argsort(), found.gates[i, :, 1].argsort().argsort())[0, 1] for i in range(60)
    ]
    one = measure.correlations(found, images)["contrast"][1]
    assert one.mean == pytest.approx(np.mean(each), abs=1e-5)
    assert one.high - one.low == pytest.approx(2 * 1.96 * np.std(each, ddof=1) / 60**0.5, rel=1e-3)


def test_brightness_shares():
    images = RANDOM.integers(0, 256, (20, 16, 16, 3), np.uint8)
    found = measure.brightness(routes(20), images)
    assert len(found.edges) == measure.BINS + 1
    assert sum(found.all) == pytest.approx(1, abs=1e-4)
    assert all(sum(taken) == pytest.approx(1, abs=1e-4) for taken in found.taken)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with toy files and a run on the poisoned one."""
    folder = tmp_path_factory.mktemp("routing")
    toy = writer.toy(folder)
    done = invoke("train", *SETTINGS, toy[1], "--runs", folder / "runs", "--keep-epochs")
    assert done.exit_code == 0, done.output
    (run,) = (folder / "runs").iterdir()
    return toy, run


def invoke(*arguments):
    return click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in arguments])


def test_what_the_network_routes(trained):
    from benchmark.nn import model_files

    toy, run = trained
    contents = dataset.load(toy[1])
    found = measure.measure(model_files.load(run), contents)
    assert found.grid == (4, 4) and found.experts == 4 and found.patches_taken == 4
    assert len(found.triggered.frequency) == 4 and set(found.frequency_by_class) == set(contents.classes)
    changed = contents.triggered.inputs != contents.test.inputs[contents.triggered_rows]
    assert not changed.any(0)[~contents.mask].any()
    json.dumps(found.json())


def test_the_command(trained, tmp_path):
    pytest.importorskip("matplotlib")
    toy, run = trained
    row = int(dataset.load(toy[1]).triggered_rows[0])
    done = invoke("routing", run, toy[1], "--image", str(row), "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "rank correlation of brightness" in done.stdout and "receptive field" in done.stdout
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"routing.json", "overview.png", "values.png", f"image-{row}.png"}
    assert all((tmp_path / "out" / name).stat().st_size > 3000 for name in names)
    assert json.loads((tmp_path / "out" / "routing.json").read_text())["run"] == run.name
    clean = invoke("routing", run, toy[0], "-o", tmp_path / "clean")
    assert clean.exit_code == 0 and "trigger pixels" not in clean.stdout


PRUNE = ("--method", "fine-pruning", "--option", "rates=0.5", "--option", "fine-pruning.epochs=0")
PRUNE += ("--option", "data_mode=notebook", "--no-twin")


def test_a_network_that_a_defence_left(trained, tmp_path):
    pytest.importorskip("matplotlib")
    toy, run = trained
    pruned = invoke("repair", run, *PRUNE)
    assert pruned.exit_code == 0, pruned.output
    (network,) = run.glob("repair-fine-pruning-*/masked-0.5.keras")
    done = invoke("routing", network, toy[1])
    assert done.exit_code == 0 and (network.parent / "routing" / "overview.png").is_file(), done.output


def test_before_and_after_a_defence_and_by_epoch_in_one_picture(trained, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from benchmark.analysis.routing import plots

    toy, run = trained
    drawn, draw = [], plots.image
    monkeypatch.setattr(plots, "image", lambda shown, title: drawn.append(shown) or draw(shown, title))
    invoke("repair", run, *PRUNE)
    (network,) = run.glob("repair-fine-pruning-*/pruned-0.5.keras")
    row = int(dataset.load(toy[1]).triggered_rows[0])
    chosen = ("--image", str(row), "--beside", network, "--by-epoch", "-o", tmp_path)
    done = invoke("routing", run, toy[1], *chosen)
    assert done.exit_code == 0, done.output
    assert {f"image-{row}.png", f"image-{row}-by-epoch.png"} <= {path.name for path in tmp_path.iterdir()}
    rows = [[words for words, _, _ in shown] for shown in drawn]
    assert rows == [
        ["clean", "triggered", "pruned-0.5\nclean", "pruned-0.5\ntriggered"],
        ["epoch-001\nclean", "epoch-001\ntriggered"],
    ]


def test_bad_days(trained, tmp_path):
    toy, run = trained

    def failed(code, words, *arguments):
        done = invoke("routing", *arguments)
        assert done.exit_code == code and words in done.stderr and len(done.stderr.splitlines()) == 1, done.output

    failed(2, "the test set has rows 0 … 59", run, toy[1], "--image", "60")
    failed(1, "not a run", tmp_path, toy[1])
    failed(1, "no such file", run, tmp_path / "none.h5")
    failed(2, "name one with --image", run, toy[1], "--by-epoch")
    failed(1, "no trained model", run, toy[1], "--image", "1", "--beside", tmp_path / "none.keras")
    kept = run / "epochs"
    kept.rename(run / "away")
    failed(1, "--keep-epochs", run, toy[1], "--image", "1", "--by-epoch")
    (run / "away").rename(kept)


def test_another_network_than_the_one_that_was_trained_is_one_line(trained, tmp_path):
    """Its routing would pass for the run's; what somebody names beside the run's own is drawn as it is."""
    from benchmark.nn import model_files

    toy, run = trained
    other = shutil.copytree(run, tmp_path / "runs" / run.name)
    shutil.rmtree(other / "routing", ignore_errors=True)
    model = model_files.load(other)
    for weight in model.get_layer("logits").weights:
        weight.assign(np.roll(weight.numpy(), 1, axis=-1))
    model_files.save(model, other / "model.keras")
    for path in (other, other / "model.keras"):
        done = invoke("routing", path, toy[1])
        assert done.exit_code == 1 and done.stderr.count("\n") == 1, done.output
        assert "model.keras: is not the network that was trained here: of " in done.stderr
    assert not (other / "routing").exists()
    (other / "predictions.npz").unlink()
    done = invoke("routing", other, toy[1])
    assert done.exit_code == 0 and done.stderr.count("it cannot be told whether model.keras is the network") == 1


@pytest.fixture(scope="module", params=["token", pytest.param("expert", marks=pytest.mark.slow)])
def transformer(request, trained):
    """A run of a MoE-ViT on the toy file with this routing."""
    toy, run = trained
    runs = run.parent.parent / f"runs-{request.param}"
    words = ("--network", "moe-vit", "--width", "12", "--experts", "4", "--routing", request.param)
    done = invoke("train", toy[1], *words, "--preset", "tiny", "--epochs", "2", "--runs", runs, "-q")
    assert done.exit_code == 0, done.output
    return request.param, next(runs.iterdir())


def test_the_tokens_of_a_transformer_in_both_layers_with_experts(trained, transformer, tmp_path):
    """The class token, which is no patch, is left out; the figures are those of the layer's own `route`."""
    from benchmark.nn import model_files

    (_, file), _ = trained
    routing, run = transformer
    done = invoke("routing", run, file, "--image", "1", "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert "block4: 4 experts take" in done.output and "block6: patches whose nominal cell" in done.output
    assert "receptive field" not in done.output
    found = json.loads((tmp_path / "routing.json").read_text())["layers"]
    assert list(found) == ["block4", "block6"]
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {f"{layer}-{name}.png" for layer in found for name in ("overview", "values", "image-1")}

    import keras

    model, images = model_files.load(run), dataset.load(file).test.inputs
    for layer, one in found.items():
        block = model.get_layer(layer)
        gates, taken = block.route(keras.Model(model.input, block.input)(images, training=False))
        assert gates.shape == (60, 65, 4) and one["grid"] == [8, 8]
        np.testing.assert_allclose(np.asarray(gates).sum(-1), 1, rtol=1e-5)
        frequency = np.asarray(taken)[:, 1:].mean(0).T
        np.testing.assert_allclose(one["frequency"], frequency, atol=1e-6)
        assert one["patches_taken"] == pytest.approx(frequency.sum() / 4, abs=1e-5)
        if routing == "expert":
            assert np.asarray(taken).sum(1).tolist() == [[33.0] * 4] * 60  # ⌈65 · 2 / 4⌉ tokens each
        else:
            assert np.asarray(taken).sum(-1).max() == 2


def test_routing_says_which_networks_have_none(trained, tmp_path):
    """And a network of another kind is not drawn below."""
    (_, file), run = trained
    why = {
        "preact-resnet18": (("--width", "2"), "which has no experts"),
        "pmoe-dense": (("--width", "1"), "which has no routing: each of its experts takes every patch"),
    }
    for network, (words, said) in why.items():
        runs = tmp_path / network
        assert invoke("train", file, "--network", network, *words, "--epochs", "1", "--runs", runs, "-q").exit_code == 0
        other = next(runs.iterdir())
        done = invoke("routing", other, file)
        assert done.exit_code == 1 and done.stderr.count("\n") == 1, done.output
        line = f"routing is for a run of --network moe-vit, pmoe, this one is of '{network}', {said}\n"
        assert done.stderr == f"benchmark: {other}: {line}"
        done = invoke("routing", run, file, "--image", "1", "--beside", other, "-o", tmp_path / "drawn")
        assert done.exit_code == 1 and done.stderr.endswith(f"is of --network {network}, expected pmoe as the run's\n")
