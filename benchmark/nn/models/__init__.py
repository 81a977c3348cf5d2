"""The earlier names of what is in networks, encoder and model_files, until every folder uses the new ones."""

from benchmark.nn.encoder import Encoder
from benchmark.nn.model_files import build as built
from benchmark.nn.model_files import load, save
from benchmark.nn.networks.pmoe import pmoe

__all__ = ["Encoder", "built", "load", "pmoe", "save"]
