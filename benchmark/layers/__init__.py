"""Keras layers, one a file. Importing this registers them, so that a saved model loads."""

from benchmark.layers.encoder_block import EncoderBlock
from benchmark.layers.head_attention import HeadAttention
from benchmark.layers.patch_moe import PatchMoE
from benchmark.layers.token_embedding import TokenEmbedding

__all__ = ["EncoderBlock", "HeadAttention", "PatchMoE", "TokenEmbedding"]
