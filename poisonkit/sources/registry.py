"""The built-in sources by name. Nothing heavy is imported before one is opened."""

from importlib import import_module

from poisonkit.core.errors import Usage

TITLES = {
    "cifar10": "CIFAR-10: 60,000 small photographs in ten classes",
    "gtsrb": "GTSRB: 51,839 photographs of German traffic signs in 43 classes",
    "signs": "signs: 7,500 drawn traffic signs in ten classes, built in",
    "folder": "folder: a folder of pictures, one folder a class",
    "npz": "npz: arrays from an .npz file",
    "sst2": "SST-2: 68,221 phrases of film reviews in two classes",
    "csv": "csv: texts and labels from a training and a test table",
    "phrases": "phrases: 7,500 made-up reviews in two to four classes, built in",
}


def module(name: str):
    """The module of a source; `Usage` names the known ones if there is none."""
    if name not in TITLES:
        raise Usage(f"unknown source {name!r}: expected one of {', '.join(TITLES)}")
    return import_module(f"poisonkit.sources.{name}")


def target(name: str) -> int:
    """The class that an attacker of this source wants if nothing is said: the module's `TARGET`, else 0."""
    return getattr(module(name), "TARGET", 0) if name in TITLES else 0
