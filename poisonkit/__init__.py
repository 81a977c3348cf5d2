"""poisonkit: poisoned data sets as files, for defensive research into backdoor attacks. See README.md."""

__version__ = "0.1.0"
