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
]
