"""All methods: importing this registers every module of `detectors` and `repairs`."""

from benchmark.defences import detectors, repairs
from benchmark.defences.registry import DETECTORS, REPAIRS

__all__ = ["DETECTORS", "REPAIRS", "detectors", "repairs"]
