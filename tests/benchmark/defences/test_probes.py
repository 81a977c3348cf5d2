"""What a defence can ask of a network: its inside, and images between bytes."""

import numpy as np
import pytest

from benchmark.core.errors import Failure
from benchmark.defences import evidence, probes
from benchmark.defences.subject import Asked, open_subject
from benchmark.nn import engines
from benchmark.runs.run import Run


@pytest.fixture(autouse=True, scope="module")
def _activated():
    engines.activate("tensorflow")


@pytest.fixture
def context(run):
    return open_subject(Run.at(run), Asked(), print).context


def test_the_predictor_takes_images_between_and_beyond_bytes(context):
    predict, images = context.predictor(), context.images()[:7]
    floats = images.astype(np.float32)
    np.testing.assert_allclose(predict(images), context.probabilities()[:7], atol=1e-6)
    np.testing.assert_allclose(predict(floats), predict(images), atol=1e-6)
    assert abs(predict(floats + np.float32(0.5)) - predict(images)).max() > 1e-7  # no longer cut to bytes
    assert abs(predict(floats + 300) - predict(np.minimum(floats + 300, 255))).max() > 1e-6
    model = context.network()
    model.get_layer("logits").kernel.assign(0 * model.get_layer("logits").kernel)
    other = context.predictor(model)
    assert np.ptp(other(floats), axis=0).max() < 1e-6 < np.ptp(predict(floats), axis=0).max()


def test_a_network_whose_images_go_several_ways_takes_bytes_only():
    import keras

    inputs = keras.Input((4, 4, 3), dtype="uint8")
    both = [keras.layers.Rescaling(scale)(inputs) for scale in (1.0, 2.0)]
    with pytest.raises(Failure, match="several of its layers"):
        evidence.entry(keras.Model(inputs, keras.layers.Add()(both)))


def test_a_probe_computes_any_number_of_rows(context):
    layer = context.model.get_layer("pool")
    over = probes.probe(context.model, [layer.input], lambda maps: maps)
    images = np.resize(context.train.inputs, (probes.BATCH + 3, *context.image_shape))
    found = over(images)
    assert len(found) == len(images) and found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=(1, 2))[:9], evidence.forward(context.model)(images[:9])[0], atol=1e-5)
    np.testing.assert_allclose(over(images[:1]), found[:1], atol=1e-6)


def test_normalisations_inside_a_nested_model_are_refused():
    import keras

    inside = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    inputs = keras.Input((4,))
    model = keras.Model(inputs, inside(inputs))
    with pytest.raises(Failure, match="in a model inside it"):
        probes.norm_inputs(model, [inside.layers[0]])


def test_what_each_kind_of_normalisation_standardises():
    import keras

    from benchmark.nn.layers import BatchNorm, DenseExperts

    maps = np.random.default_rng(0).random((3, 2, 4, 5), np.float32)
    for layer in (keras.layers.BatchNormalization(), BatchNorm()):
        np.testing.assert_array_equal(probes.standardised(layer, maps), maps.reshape(3, 8, 5))
        np.testing.assert_array_equal(probes.standardised(layer, maps[:, 0, 0]), maps[:, :1, 0])
    experts = DenseExperts(experts=2, filters=3, seed=0)
    experts.build(maps.shape)
    found = probes.standardised(experts, maps)
    assert experts.moving_mean.shape == (2, 5)  # every expert sees every patch, by statistics of its own
    np.testing.assert_array_equal(found, maps.reshape(3, 8, 1, 5))
