"""NAD: attention and distance of the reference, the maps that are compared, a step of distillation."""

import golden_network
import numpy as np
import pytest

from benchmark.nn import engines

engines.activate(golden_network.BACKEND, threads=2)

from benchmark.defences import tuning  # noqa: E402
from benchmark.defences.repairs import nad  # noqa: E402
from benchmark.format.dataset import Rows  # noqa: E402
from benchmark.nn.networks import NETWORKS  # noqa: E402

GOLDEN = golden_network.golden()


def test_attention_and_loss_are_the_references():
    found = {}
    for who in ("student", "teacher"):
        maps = golden_network.images(GOLDEN[f"nad.{who}"])
        found[who] = np.asarray(nad.attention(maps))
        np.testing.assert_allclose(found[who], GOLDEN[f"nad.attention_{who}"][:, 0], rtol=1e-5)
    assert float(nad.distance(found["student"], found["teacher"])) == pytest.approx(GOLDEN["nad.loss"], rel=1e-5)


def test_a_map_of_one_position_teaches_nothing():
    random = np.random.default_rng(0)
    one, other = (nad.attention(random.normal(size=(4, 1, 1, 512)).astype("f4")) for _ in range(2))
    assert float(nad.distance(one, other)) == pytest.approx(0, abs=1e-12)
    assert abs(GOLDEN["nad.loss_on_1x1"]) < 1e-12, "as the reference's first of three terms"


@pytest.mark.parametrize(("name", "sizes", "expected"), [
    ("preact-resnet18", {"width": 2}, ["layer2_1_add", "layer3_1_add", "layer4_1_add"]),
    ("pmoe", {"width": 1, "experts": 2, "top_k": 4}, ["block1_add", "block2_add", "experts"]),
    ("pmoe-dense", {"width": 1, "experts": 2}, ["block1_add", "block2_add", "experts"]),
    ("vit", {"width": 6}, ["block2", "block4", "block6"]),
])  # fmt: skip
def test_the_maps_that_are_compared(name, sizes, expected):
    model = NETWORKS[name].build({"image_shape": (16, 16, 3), "classes": 4, "seed": 1} | sizes)
    assert [layer.name for layer in nad.chosen_layers(model)] == expected


def test_distillation_draws_the_students_attention_to_the_teachers():
    rows = Rows(golden_network.images(GOLDEN["anp.images"]), GOLDEN["anp.labels"])
    teacher = golden_network.network(GOLDEN)
    apart = {}
    for betas in ((0.0, 0.0, 0.0), (500.0, 1000.0, 1000.0)):
        student = golden_network.network(GOLDEN)
        kernel = student.get_layer("c2").kernel
        kernel.assign(np.asarray(kernel) + np.random.default_rng(0).normal(size=kernel.shape) / 4)
        moving = np.asarray(student.get_layer("b2").moving_mean).copy()
        losses = nad.distil(student, teacher, rows, tuning.Plan(4, 0.01, 8, seed=1), betas)
        assert len(losses) == 4 and losses[-1] < losses[0]
        assert not np.array_equal(np.asarray(student.get_layer("b2").moving_mean), moving)
        ours, theirs = nad.looks(student)(rows.inputs), nad.looks(teacher)(rows.inputs)
        apart[betas] = float(sum(nad.distance(a, b) for a, b in zip(ours, theirs, strict=True)))
    plain, taught = apart.values()
    assert taught < 0.8 * plain
