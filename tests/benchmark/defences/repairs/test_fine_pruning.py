"""Fine-pruning: what is zero, in which order, what stays zero; the defences' rows; the command."""

import dataclasses
import json

import fake_runs
import numpy as np
import pytest
import writer
from in_process import invoke

from benchmark.core.errors import Failure, Usage
from benchmark.defences.repairs import fine_pruning
from benchmark.defences.repairs.fine_pruning import Defender
from benchmark.format import dataset
from benchmark.format.dataset import Rows
from benchmark.nn import engines
from benchmark.runs import context
from benchmark.runs.run import Run
from benchmark.training.settings import Settings

SETTINGS = ("--width", "1", "--epochs", "1", "--top-k", "4", "--batch-size", "16", "--learning-rate", "0.01")
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return writer.toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def case():
    """A network of 4 experts with 16 channels each on 16×16 images, its statistics and biases drawn at random."""
    engines.activate("tensorflow")
    from benchmark.nn.networks.pmoe import pmoe

    def network():
        model = pmoe((16, 16, 3), 4, width=1, top_k=4, seed=1)
        random = np.random.default_rng(2)
        for variable in model.variables:
            if variable.name in ("moving_mean", "bias", "beta"):
                variable.assign(random.normal(size=variable.shape))
        return model

    rows = Rows(RANDOM.integers(0, 256, (48, 16, 16, 3), np.uint8), RANDOM.integers(0, 4, 48))
    return Defender(network, Settings(width=1, top_k=4, batch_size=16, learning_rate=0.05), rows)


def test_the_order_is_that_of_the_mean_activity(case):
    import keras

    model = case.network()
    concatenated = keras.Model(model.input, model.get_layer("experts").output)(case.rows.inputs).numpy()
    layer = model.get_layer("head_bn")
    scale = layer.gamma.numpy() / np.sqrt(layer.moving_variance.numpy() + layer.epsilon)
    active = np.maximum((concatenated - layer.moving_mean.numpy()) * scale + layer.beta.numpy(), 0)
    mean = active.astype(np.float64).mean((0, 1, 2))
    order = fine_pruning.ranking(case)
    assert order.shape == (4, 16)
    for expert in range(4):
        assert sorted(order[expert]) == list(range(16))
        assert (np.diff(mean[expert * 16 :][:16][order[expert]]) >= -1e-5).all()


def test_equal_activity_is_ranked_by_index(case):
    def silent():
        model = case.network()
        model.get_layer("head_bn").gamma.assign(np.zeros(64))
        return model

    order = fine_pruning.ranking(Defender(silent, case.settings, case.rows))
    beta = np.maximum(case.network().get_layer("head_bn").beta.numpy(), 0).reshape(4, 16)
    assert np.array_equal(order, np.argsort(beta, 1, kind="stable"))


@pytest.mark.parametrize(("rate", "count"), [("0.1", 16), ("0.3", 48), ("0.001", 1), ("0.29", 46), ("0.999", 159)])
def test_how_many(rate, count):
    assert fine_pruning.pruned_count(rate, 160) == count


def test_zeros_where_they_belong_and_nowhere_else(case):
    model, before = case.network(), case.network().get_layer("experts")
    dead = fine_pruning.set_to_zero(model, fine_pruning.ranking(case)[:, :3])
    after = model.get_layer("experts")
    assert dead.sum(1).tolist() == [3, 3, 3, 3]
    for e in range(4):
        for c in range(16):
            expected = 0 if dead[e, c] else 1
            assert np.array_equal(after.kernel.numpy()[e, :, c], expected * before.kernel.numpy()[e, :, c])
            assert after.bias.numpy()[e, c] == expected * before.bias.numpy()[e, c]


def test_masking_takes_the_channel_out_behind_the_normalisation(case):
    import keras

    model = case.network()
    dead = np.zeros((4, 16), bool)
    dead[1, 5] = dead[3, 0] = True
    head = keras.Model(model.input, model.get_layer("head_relu").output)(case.rows.inputs).numpy()
    head[..., [21, 48]] = 0
    logits = model.get_layer("logits")
    expected = head.mean((1, 2)) @ logits.kernel.numpy() + logits.bias.numpy()
    found = keras.Model(model.input, fine_pruning.masked(model, dead).get_layer("logits").output)(
        case.rows.inputs
    ).numpy()
    assert np.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("hold", [True, False])
def test_pruned_channels_stay_zero_if_they_are_held(case, hold):
    model = case.network()
    dead = fine_pruning.set_to_zero(model, fine_pruning.ranking(case)[:, :3])
    alive = model.get_layer("experts").kernel.numpy().copy()
    fine_pruning.fine_tune(model, case, 2, dead if hold else None)
    experts = model.get_layer("experts")
    zero = (experts.kernel.numpy() == 0).all(1)
    assert np.array_equal(zero, dead) == hold
    assert not np.array_equal(experts.kernel.numpy(), alive)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_fine_tuning_is_with_the_training_s_own_optimizer_and_augmentation(case, optimizer, monkeypatch):
    momentum = {"momentum": 0.9} if optimizer == "sgd" else {}
    settings = dataclasses.replace(
        case.settings, optimizer=optimizer, weight_decay=5e-4, schedule="cosine", warmup_epochs=3, crop_padding=2,
        flip="horizontal", **momentum,
    )  # fmt: skip
    given, blocks = [], []

    class Engine:
        steps = 1

        def train(self, rows, width, draws):
            blocks.append((rows, draws))
            return np.zeros(len(rows))

    monkeypatch.setattr(engines, "engine", lambda model, *others: given.append(others[0]) or Engine())
    fine_pruning.fine_tune(case.network(), dataclasses.replace(case, settings=settings), 2, None)
    (made,) = given
    assert type(made).__name__ == {"sgd": "TorchSGD", "adamw": "AdamW"}[optimizer]
    assert getattr(made, "momentum", 0.9) == 0.9
    rates = [float(made._learning_rate(step)) for step in range(6)]
    assert rates == pytest.approx([0.05] * 3 + [0.025] * 3), "the cosine over these epochs"
    assert sorted(np.concatenate([rows.ravel() for rows, _ in blocks])) == sorted([*range(48)] * 2)
    assert all(draws.shape == (1, 16, 3) for _, draws in blocks)


def test_a_training_by_plain_sgd_is_gone_on_with_as_before(case, monkeypatch):
    """The committed results are of such: the learning rate alone, and no augmentation."""
    given, drawn = [], []

    class Engine:
        steps = 1

        def train(self, rows, width, draws):
            drawn.append(draws)
            return np.zeros(len(rows))

    monkeypatch.setattr(engines, "engine", lambda model, *others: given.append(others[0]) or Engine())
    fine_pruning.fine_tune(case.network(), case, 1, None)
    assert given == [0.05] and drawn == [None] * 3


def test_the_steps_in_order(case):
    stages = list(fine_pruning.prune(case, ["0.1", "0.5"], 1, hold=True))
    assert [stage.name for stage in stages] == 2 * ["pruned", "masked", "fine-tuned"]
    assert [stage.findings["channels"] for stage in stages] == 3 * [1] + 3 * [8]


@pytest.mark.parametrize(
    "text", ["", "x", "0", "1", "-0.1", "0.1,,0.2", "nan", "0.1;0.2", "100%", "%", "10%%", "1e-999999999"]
)
def test_rates_that_are_none(text):
    with pytest.raises(Usage, match="fine-pruning.rates"):
        fine_pruning.parse_rates(text)


def test_rates_in_one_spelling():
    assert fine_pruning.parse_rates("0.10, .2,0.1") == "0.1,0.2"
    assert fine_pruning.parse_rates("10%,0.1, 12.5 %,0.5%") == "0.1,0.125,0.005"


def test_held_out_rows_are_clean_and_the_notebooks_are_not(toy):
    contents = dataset.load(toy[1])
    settings = Settings(width=1, top_k=4, hold_out=60)
    job = Run.of("runs", contents.manifest, settings)
    held = context.defender_rows(job, contents, "held-out", None)
    clean = dataset.load(toy[0]).held_out(60)
    assert np.array_equal(held.inputs, clean.inputs) and np.array_equal(held.labels, clean.labels)
    notebook = context.defender_rows(job, contents, "notebook", None)
    assert np.array_equal(notebook.inputs, contents.train.inputs)
    assert np.array_equal(notebook.labels, dataset.load(toy[0]).train.labels)
    assert len(context.defender_rows(job, contents, "held-out", 7)) == 7
    without = Run.of("runs", contents.manifest, Settings(width=1, top_k=4))
    with pytest.raises(Failure, match="benchmark train .* --hold-out 24"):
        context.defender_rows(without, contents, "held-out", None)


def asked(run, *settings):
    options = [word for setting in settings for word in ("--option", setting)]
    return invoke("repair", run, "--method", "fine-pruning", "--option", "fine-tuning.epochs=1", "--no-twin", *options)


def test_the_command_its_folder_and_the_points_in_tables(run):
    done = asked(run, "rates=0.2", "fine-pruning.epochs=1")
    assert done.exit_code == 0, done.output
    (folder,) = run.glob("repair-fine-pruning-*")
    result = json.loads((folder / "result.json").read_text())
    assert [step["stage"] for step in result["steps"]] == ["before", "pruned", "masked", "fine-tuned"]
    assert {step["label"] for step in result["steps"][1:]} == {"0.2"}
    assert {"pruned-0.2.keras", "masked-0.2.keras", "fine-tuned-0.2.keras"} <= {one.name for one in folder.iterdir()}
    notebook = asked(run, "rates=0.2", "fine-pruning.epochs=0", "data_mode=notebook")
    assert notebook.exit_code == 0 and "fine-tuned 0.2" not in notebook.output
    table = invoke("table", run, "--wide").stdout
    assert "120 notebook, 0 epochs" in table and "6 held-out, 1 epoch " in table, "both, to compare"


@pytest.mark.slow
def test_results_of_the_former_command_stay_beside_new_ones(run):
    before = {("", "before"): (80, 50), ("0.1", "pruned"): (70, 10), ("0.1", "fine-tuned"): (75, 20)}
    fake_runs.pruned(run, before, rows=77, epochs=4)
    assert asked(run, "rates=0.3", "fine-pruning.epochs=0").exit_code == 0
    table = invoke("table", run, "--wide").stdout
    assert "77 held-out, 4 epochs" in table and "6 held-out, 0 epochs" in table
    (folder,) = run.glob("repair-fine-pruning-*")
    path = folder / "result.json"
    path.write_text(path.read_text().replace('"label": "0.3"', '"label": "much"'))
    done = invoke("table", run, "--wide")
    assert done.exit_code == 1 and str(path) in done.stderr and "77 held-out" in done.stdout


@pytest.mark.slow
def test_the_notebooks_rows_need_none_held_out_and_clean_ones_do(toy, tmp_path):
    assert invoke("train", *SETTINGS, "--hold-out", "0", toy[1], "--runs", tmp_path, "-q").exit_code == 0
    (run,) = tmp_path.iterdir()
    done = asked(run, "rates=0.2", "fine-pruning.epochs=0", "data_mode=notebook", "notebook_rows=50")
    assert done.exit_code == 0, done.output
    (folder,) = run.glob("repair-*")
    assert json.loads((folder / "result.json").read_text())["steps"][1]["findings"]["rows"] == 50
    done = asked(run, "rates=0.2")
    assert done.exit_code == 1 and "was trained on every row" in done.stderr.splitlines()[-1]


def test_rates_are_checked_before_anything_else(run, tmp_path):
    done = asked(tmp_path, "rates=2")
    assert done.exit_code == 2 and "--option fine-pruning.rates" in done.stderr and done.stderr.count("\n") == 1
