"""Keras layers, one per file. Importing this registers them, so that a saved model loads."""

from benchmark.nn.layers.batch_norm import BatchNorm
from benchmark.nn.layers.dense_experts import DenseExperts
from benchmark.nn.layers.encoder_block import EncoderBlock
from benchmark.nn.layers.head_attention import HeadAttention
from benchmark.nn.layers.patch_moe import PatchMoE
from benchmark.nn.layers.patch_tokens import PatchTokens
from benchmark.nn.layers.token_embedding import TokenEmbedding
from benchmark.nn.layers.token_moe import TokenMoE
from benchmark.nn.layers.vit_block import ViTBlock

__all__ = [
    "BatchNorm",
    "DenseExperts",
    "EncoderBlock",
    "HeadAttention",
    "PatchMoE",
    "PatchTokens",
    "TokenEmbedding",
    "TokenMoE",
    "ViTBlock",
    "batch_norms",
]


def batch_norms(model):
    """Return the layers of a network, in order, that normalise by running statistics: batch normalisation, Keras' or
    ours, and experts that are stacked in one layer with theirs. Each has `gamma`, `beta`, `moving_mean` and
    `moving_variance`; Keras' may lack the first two (None)."""
    every = model._flatten_layers(include_self=False, recursive=True)
    return [layer for layer in every if getattr(layer, "moving_variance", None) is not None]
