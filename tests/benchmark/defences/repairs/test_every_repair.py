"""What holds for every repair: on a trained run by the command, and on every kind of network by its function."""

import json
from types import SimpleNamespace

import golden_network
import numpy as np
import pytest
from in_process import invoke

from benchmark.core.errors import Failure
from benchmark.defences import tuning
from benchmark.defences.catalogue import REPAIRS
from benchmark.defences.context import DefenceContext
from benchmark.defences.options import complete
from benchmark.format import dataset
from benchmark.format.dataset import Rows
from benchmark.nn import engines
from benchmark.training.settings import Settings

SHORT = {
    "fine-tuning": {"epochs": 1},
    "fine-pruning": {"rates": "0.2", "epochs": 1},
    "anp": {"steps": 2, "batch_size": 8},
    "clp": {},
    "nad": {"epochs": 1, "teacher_epochs": 1},
    "ft-sam": {"epochs": 1},
    "i-bau": {"rounds": 1, "batch_size": 16, "fixed_point": 1},
    "nc": {"search_epochs": 1, "epochs": 1},
}
"""Methods with the settings that they are tried with; `retrain` has tests of its own, and `heads` is for texts."""
ELSEWHERE = {"retrain", "heads"}
LAST = {"anp": "pruned", "clp": "pruned", "nad": "distilled", "i-bau": "unlearned"}
SIZES = {
    "pmoe": {"width": 1, "experts": 2, "top_k": 4},
    "pmoe-dense": {"width": 1, "experts": 2},
    "preact-resnet18": {"width": 2},
    "vit": {"width": 6},
    "moe-vit": {"width": 6, "experts": 2},
}


def test_every_repair_is_tried_here():
    assert set(SHORT) == set(REPAIRS) - ELSEWHERE


@pytest.mark.slow
def test_each_is_scored_and_kept_by_the_command(run):
    pytest.importorskip("matplotlib")
    engines.activate("tensorflow", threads=2)
    from benchmark.nn import model_files

    words = [f"{method}.{name}={value}" for method, given in SHORT.items() for name, value in given.items()]
    chosen = [word for method in SHORT for word in ("--method", method)]
    options = [word for one in words for word in ("--option", one)]
    done = invoke("repair", run, *chosen, *options, "--no-twin", "--json", "-q")
    assert done.exit_code == 0, done.output
    results = {one["defence"]: one for one in json.loads(done.stdout)}
    assert set(results) == set(SHORT)
    for method, result in results.items():
        (folder,) = run.glob(f"repair-{method}-*")
        last = result["steps"][-1]
        assert last["stage"] in (LAST.get(method, "fine-tuned"), "untouched") and (folder / last["model"]).is_file()
        assert result["clean"] == {"rows": 6, "are": "held out"}
        data = dataset.load(result["dataset"]["path"])
        predicted = engines.engine(model_files.load(folder / last["model"]), 0.0).predict(data.test.inputs)
        assert np.count_nonzero(predicted == data.test.labels) == last["scores"]["ba"]["count"]
    assert results["nc"]["pictures"] == ["triggers.png"]
    shown = invoke("repair", run, *chosen, *options, "--no-twin", "-q")
    assert shown.exit_code == 0 and all(method in shown.stdout for method in SHORT)


def context_of(name):
    engines.activate("tensorflow", threads=2)
    from benchmark.nn.networks import NETWORKS

    side = 6 if name == "golden" else 16
    images = np.random.default_rng(0).integers(0, 256, (20, side, side, 3)).astype("u1")
    clean, lines = Rows(images, np.arange(20) % 4), []

    def network():
        if name == "golden":
            return golden_network.network(golden_network.golden())
        return NETWORKS[name].build({"image_shape": (side, side, 3), "classes": 4, "seed": 1} | SIZES[name])

    context = SimpleNamespace(
        network=network,
        settings=Settings(width=1, top_k=4), clean=clean, seed=0, classes=4, class_names=list("abcd"),
        is_of_images=True, image_shape=(side, side, 3), log=lines.append, lines=lines,
    )  # fmt: skip
    context.split_clean = lambda share: DefenceContext.split_clean(context, share)
    return context


def stages(method, context, **given):
    spec = REPAIRS[method]
    return list(spec.repair(context, **complete(method, spec.options, SHORT[method] | given)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("method", sorted(set(SHORT) - {"clp"}))
def test_each_changes_each_network_and_leaves_numbers(method, name):
    context = context_of(name)
    found = stages(method, context)
    json.dumps([stage.findings for stage in found], allow_nan=False)
    if method == "anp" and name in ("pmoe", "moe-vit"):
        (shares, *_) = found[0].findings["load"].values()
        assert len(shares) == 2 and all(0 <= one <= 1 for one in shares)
    for stage in found:
        probabilities = np.asarray(stage.model(context.clean.inputs, training=False))
        assert np.isfinite(probabilities).all() and np.allclose(probabilities.sum(1), 1, atol=1e-4)
    if found[-1].name not in ("untouched", "pruned"):
        pairs = zip(context.network().get_weights(), found[-1].model.get_weights(), strict=True)
        assert any(not np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("method", ["anp", "clp"])
def test_the_same_again(method):
    first, second = (stages(method, context_of("golden"))[-1] for _ in range(2))
    assert first.findings == second.findings
    pairs = zip(first.model.get_weights(), second.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_anp_chooses_on_rows_that_it_does_not_learn_from():
    context = context_of("golden")
    (stage,) = stages("anp", context, tolerance=1.0)
    assert stage.findings["threshold"] == 0.9 and stage.findings["chosen_on"] == 4
    assert stage.findings["statistics"] == "batch", "there are no experts"
    (stage,) = stages("anp", context, threshold=0.0, statistics="moving")
    assert stage.findings["threshold"] == 0 and stage.findings["statistics"] == "moving"
    context.clean = Rows(context.clean.inputs[:1], context.clean.labels[:1])
    with pytest.raises(Failure, match="at least 2 clean rows"):
        stages("anp", context)


def test_anp_prunes_nothing_where_every_threshold_costs_too_much_and_says_so(monkeypatch):
    left = iter([0.9, *19 * [0.5]])
    monkeypatch.setattr(tuning, "Judge", lambda model, rows: SimpleNamespace(accuracy=lambda: next(left)))
    context = context_of("golden")
    (stage,) = stages("anp", context)
    assert stage.label == "none" and stage.findings["pruned"] == 0 and "nothing is pruned" in context.lines[-1]
    pairs = zip(context.network().get_weights(), stage.model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_clp_says_which_layers_are_too_small_to_have_an_outlier():
    context = context_of("preact-resnet18")
    stages("clp", context)
    (line,) = context.lines
    assert "layer1_0_bn1" in line and "layer3_0_bn2" in line and "layer4_0_bn2" not in line


@pytest.mark.parametrize("method", ["fine-tuning", "ft-sam", "nad"])
def test_a_training_that_diverges_is_one_line(method):
    with pytest.raises(Failure, match="the loss is .* in epoch .: try a smaller learning rate"):
        stages(method, context_of("golden"), learning_rate=1e30, epochs=3)


def test_nc_wants_three_classes():
    context = context_of("pmoe")
    context.classes = 2
    with pytest.raises(Failure, match="at least 3 classes"):
        stages("nc", context)
