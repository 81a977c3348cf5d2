"""How networks are trained; importing any of it makes every kind of settings known (`settings.KINDS`)."""

from benchmark.training import own, predicted  # noqa: F401
