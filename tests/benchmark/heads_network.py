"""A small encoder with random weights and texts for it, the same everywhere; as a script, what one backend gives."""

import json
import sys

import numpy as np

LAYERS, HEADS = 2, 3


def network(seed=0):
    """Two layers of three heads, 30 words, two classes."""
    from benchmark.nn.encoder import Encoder

    model = Encoder(2, 30, positions=64, width=12, depth=LAYERS, heads=HEADS, inner=16, seed=seed)
    model.build((None, None))
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        if variable.name not in ("gamma", "beta"):
            variable.assign(random.normal(0, 0.6, variable.shape).astype("f4"))
    return model


def texts(count=40, seed=0):
    """Random tokens of 5 to 14 a text, and labels."""
    from benchmark.nn.tokenizers import LENGTH, Tokens

    random = np.random.default_rng(seed)
    lengths = random.integers(5, 15, count)
    tokens = np.zeros((count, LENGTH), np.int32)
    for row, length in enumerate(lengths):
        tokens[row, :length] = [2, *random.integers(4, 30, length - 2), 3]
    return Tokens(tokens, lengths), random.integers(0, 2, count)


def computed(kind="row", metric="cosine") -> dict:
    """Losses, gradients by the mask, importance, and the losses of two epochs of tuning."""
    from benchmark.analysis.heads import losses, tuning
    from benchmark.nn import engines

    model, (tokens, labels) = network(), texts()
    heads = np.array([4, 1, 0])
    deviation = losses.Deviation(model, heads, metric, kind)
    usual = np.zeros((len(tokens), 3), np.float32), np.full((len(tokens), 3), 0.1, np.float32)
    ones = np.ones((LAYERS, HEADS), np.float32)
    step = engines.differentiated(model, [], losses.of_flagged(model, deviation, 0.3, 0.7, "rows"))
    even = losses.flat_prediction(labels, 2, 0.2)
    value, _, by_mask = step(ones, tokens.tokens[:8, :16], usual[0][:8], usual[1][:8], even[:8])
    weights = [variable for variable, _ in losses.slices(model, heads)]
    alone = engines.differentiated(model, weights, losses.of_clean(model))
    _, gradients, none = alone(None, tokens.tokens[:8, :16], labels[:8].astype(np.int32))
    flagged = tuning.Flagged(tokens, *usual, even)
    plan = tuning.Plan(heads, 0.1, 1.0, epochs=2, learning_rate=1e-3)
    return {
        "flagged": float(value),
        "by_weights": [float(np.abs(np.asarray(one)).sum()) for one in gradients],
        "without_point": none is None,
        "by_mask": np.asarray(by_mask).tolist(),
        "importance": losses.importance(model, tokens, labels, batch=16).tolist(),
        "tuned": list(tuning.tune(model, plan, tuning.Clean(tokens, labels), flagged, deviation, seed=0)),
    }


if __name__ == "__main__":
    from benchmark.nn import engines

    engines.activate(sys.argv[1])
    print(json.dumps(computed()))
