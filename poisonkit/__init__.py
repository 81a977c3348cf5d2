"""poisonkit: poisoned data sets as files, for defensive research into backdoor attacks.

    import poisonkit as pk

    path = pk.make("signs", trigger="square", rate=0.05, per_patch=True)
    with pk.open(path) as ds:
        ds.train.images, ds.train.labels, ds.triggered.images, ds.truth.rows, ds.manifest

Nothing heavy is imported before a function is used, nothing is printed, warnings are Python's own (`warnings`), and
what a user is meant to read is raised as `Failure` or one of its kinds, `Usage` and `Unknown`.
"""

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False  # as type checkers see it; `typing` itself would cost more than all the rest
if TYPE_CHECKING:
    from poisonkit.blind.api import Verification, audit, grade, seal, unseal, verify
    from poisonkit.blind.ranking import Ranking
    from poisonkit.build.api import make, pack, unpack
    from poisonkit.core.errors import Failure, Unknown, Usage
    from poisonkit.exporters.api import export
    from poisonkit.inspection.api import apply, arrays, diff, preview, stats, tf_dataset, torch_dataset
    from poisonkit.inspection.dataset import Dataset, open

__all__ = [
    "Dataset",
    "Failure",
    "Ranking",
    "Unknown",
    "Usage",
    "Verification",
    "apply",
    "arrays",
    "audit",
    "diff",
    "export",
    "grade",
    "make",
    "open",
    "pack",
    "preview",
    "seal",
    "stats",
    "tf_dataset",
    "torch_dataset",
    "unpack",
    "unseal",
    "verify",
]

_HOMES = {
    "poisonkit.blind.api": ("Verification", "audit", "grade", "seal", "unseal", "verify"),
    "poisonkit.blind.ranking": ("Ranking",),
    "poisonkit.build.api": ("make", "pack", "unpack"),
    "poisonkit.core.errors": ("Failure", "Unknown", "Usage"),
    "poisonkit.exporters.api": ("export",),
    "poisonkit.inspection.api": ("apply", "arrays", "diff", "preview", "stats", "tf_dataset", "torch_dataset"),
    "poisonkit.inspection.dataset": ("Dataset", "open"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker would take any name for one of the package's

    def __getattr__(name: str) -> object:
        """Import a function of the interface when it is first used (PEP 562)."""
        if name not in _MODULES:
            raise AttributeError(f"module 'poisonkit' has no attribute {name!r}")
        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
