"""Keras layers, one a file. Importing this registers them, so that a saved model loads."""

from benchmark.layers.patch_moe import PatchMoE

__all__ = ["PatchMoE"]
