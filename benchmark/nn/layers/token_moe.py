"""`TokenMoE`: a sparse mixture of experts over the tokens of an image (V-MoE)."""

import math
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from benchmark.core import random_streams
from benchmark.nn.initial_weights import Normal

MULTIPLE = 4  # of which a capacity is


class Routed(NamedTuple):
    """Where the tokens of a batch go: `pick` (batch, experts, capacity, tokens), 1 where a place of an expert has a
    token; `combine` (batch, tokens, experts), the weight of an expert's output, 0 where it did not get the token."""

    pick: object
    combine: object


def capacity(tokens: int, k: int, factor: float, experts: int) -> int:
    """Return the places of an expert: ⌈tokens · k · factor / experts⌉, up to the next multiple of 4."""
    return -(-math.ceil(tokens * k * factor / experts) // MULTIPLE) * MULTIPLE


def top_experts(gates, k: int, places: int) -> Routed:
    """Send each token to its `k` best experts, all first choices in token order before all second ones; what
    comes after an expert's places is dropped. `gates` (batch, tokens, experts) are not normalised anew."""
    _, tokens, experts = gates.shape
    best = ops.top_k(gates, k)[1]
    chosen = ops.one_hot(ops.transpose(best, (0, 2, 1)), experts, dtype="float32")  # (batch, k, tokens, experts)
    order = ops.reshape(chosen, (-1, k * tokens, experts))
    place = ops.reshape(ops.cumsum(order, axis=1) - order, (-1, k, tokens, experts))
    kept = chosen * ops.cast(place < places, "float32")
    at = ops.minimum(ops.cast(ops.sum(place * chosen, axis=-1), "int32"), places - 1)  # beyond: not kept
    at = ops.one_hot(at, places, dtype="float32")
    pick = ops.einsum("bkte,bktc->bect", kept, at)
    return Routed(pick, gates * ops.sum(kept, axis=1))


def top_tokens(gates, places: int) -> Routed:
    """Let each expert take its `places` best tokens; equal ones go to the lower number."""
    tokens = gates.shape[1]
    best = ops.top_k(ops.transpose(gates, (0, 2, 1)), places)[1]
    pick = ops.one_hot(best, tokens, dtype="float32")
    return Routed(pick, gates * ops.transpose(ops.sum(pick, axis=2), (0, 2, 1)))


def unevenness(amounts):
    """Return (standard deviation / mean)² over the experts, (batch,), of amounts (batch, experts)."""
    return ops.square(ops.std(amounts, axis=-1) / ops.mean(amounts, axis=-1))


def load(logits, noisy, k: int, deviation: float):
    """Return how many tokens an expert could expect, (batch, experts).

    It is the probability that another draw of the noise makes it one of a token's `k` best, as a mean over the tokens
    (Shazeer et al. 2017)."""
    least = ops.top_k(noisy, k)[0][..., -1:]
    return ops.mean(0.5 * ops.erfc((least - logits) / (deviation * math.sqrt(2))), axis=1)


@keras.saving.register_keras_serializable(package="benchmark")
class TokenMoE(keras.layers.Layer):
    """Experts in place of the dense part of a vision transformer's block (Riquelme et al. 2021, section 2).

    A group is one image with all its tokens. The gate of a token is the softmax over the experts.

    Parameters
    ----------
    experts, inner : int
        Number of experts; width between the two dense layers of each.
    routing : str
        `token`: each token goes to its best two experts, within their capacity; in training noise with a standard
        deviation of 1/experts lies on the router's scores, and importance and load losses keep the experts in use.
        `expert`: each expert takes its best tokens, as many; no noise, no loss. (The softmax of pMoE's own router is
        over the patches: its sibling, not the same.)
    seed : int
        Of the initial weights and of the noise.

    Input and output (batch, tokens, width).
    """

    k = 2
    factor = 1.05  # of the capacity, where tokens choose
    loss_weight = 0.005

    def __init__(self, experts=8, inner=768, routing="token", seed=0, **kwargs):
        super().__init__(**kwargs)
        if routing not in ("token", "expert"):
            raise ValueError(f"`routing` must be token or expert. Received: routing={routing}")
        self.experts, self.inner, self.routing, self.seed = experts, inner, routing, seed
        drawn = random_streams.words(seed, f"noise {self.name}", 1)[0] >> np.uint64(
            33
        )  # 31 bits: any backend takes them
        self.noise = keras.random.SeedGenerator(int(drawn)) if routing == "token" else None

    def build(self, input_shape):
        width = input_shape[-1]

        def weight(name, shape, drawn=True, **options):
            initial = Normal(self.seed, f"{self.name} {name}") if drawn else "zeros"
            return self.add_weight(shape=shape, initializer=initial, name=name, **options)

        self.router = weight("router", (width, self.experts), autocast=False)
        self.kernel1 = weight("kernel1", (self.experts, width, self.inner))
        self.bias1 = weight("first_bias", (self.experts, self.inner), drawn=False)
        self.kernel2 = weight("kernel2", (self.experts, self.inner, width))
        self.bias2 = weight("second_bias", (self.experts, width), drawn=False)

    def call(self, x, training=None):
        logits = ops.matmul(ops.cast(x, "float32"), self.router)
        noisy = logits
        if training and self.trainable and self.noise is not None:
            noisy = logits + keras.random.normal(ops.shape(logits), seed=self.noise) / self.experts
            importance = unevenness(ops.sum(ops.softmax(logits, axis=-1), axis=1))
            uneven = importance + unevenness(load(logits, noisy, self.k, 1 / self.experts))
            self.add_loss(self.loss_weight * ops.mean(uneven))
        pick, combine = self.routed(noisy)
        taken = ops.einsum("bect,btd->ebcd", ops.cast(pick, x.dtype), x)
        each = (self.experts, -1, x.shape[-1])
        y = ops.gelu(ops.matmul(ops.reshape(taken, each), self.kernel1) + self.bias1[:, None], approximate=False)
        y = ops.matmul(y, self.kernel2) + self.bias2[:, None]
        y = ops.reshape(y, (self.experts, -1, *pick.shape[2:3], each[2]))
        back = ops.cast(pick * ops.transpose(combine, (0, 2, 1))[:, :, None], y.dtype)
        return ops.einsum("bect,ebcd->btd", back, y)

    def routed(self, logits) -> Routed:
        """Return where the tokens go by the router's scores (batch, tokens, experts)."""
        gates, tokens = ops.softmax(logits, axis=-1), logits.shape[1]
        if self.routing == "token":
            return top_experts(gates, self.k, self.places(tokens))
        return top_tokens(gates, self.places(tokens))

    def route(self, x):
        """Return the gates of the tokens (batch, tokens, experts), and 1 where an expert takes one, without noise."""
        logits = ops.matmul(ops.cast(x, "float32"), self.router)
        return ops.softmax(logits, axis=-1), ops.transpose(ops.sum(self.routed(logits).pick, axis=2), (0, 2, 1))

    def places(self, tokens):
        """Return how many tokens of an image an expert takes at most."""
        if self.routing == "token":
            return capacity(tokens, self.k, self.factor, self.experts)
        return min(tokens, -(-tokens * self.k // self.experts))

    def multiply_adds(self, input_shape):
        """Return the multiply-adds for one image: of the router, and of all places of the experts."""
        _, tokens, width = input_shape
        return self.experts * width * (tokens + 2 * self.places(tokens) * self.inner)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {
            "experts": self.experts,
            "inner": self.inner,
            "routing": self.routing,
            "seed": self.seed,
        }
