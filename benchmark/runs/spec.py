"""Everything that one run is made of: what is trained on, how, and where the run's folder is."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.format import dataset
from benchmark.format.manifest import Manifest
from benchmark.runs.run import Run
from benchmark.training.common import Common


@dataclass(frozen=True)
class RunSpec:
    """A run that is to be made.

    `file` is the data set, `manifest` what `dataset.peek` read of it (all that planning needs); `runs` the
    folder of all runs; `base` a delta's clean file; `baseline` the clean run that CAD is against, None: those in
    `runs`; `verify`: recompute the digests of the arrays; `keep_epochs`: save the network after each epoch.
    """

    file: Path
    settings: Common
    manifest: Manifest = field(repr=False, compare=False)
    runs: Path = Path("runs")
    base: Path | None = None
    baseline: Path | None = None
    verify: bool = True
    keep_epochs: bool = False

    @classmethod
    def of(cls, file: Path, settings: Common, **others: Any) -> "RunSpec":
        """Return the spec for a file whose manifest is still to be read."""
        return cls(file, settings, dataset.peek(file), **others)

    @property
    def run(self) -> Run:
        """The run's folder and configuration."""
        return Run.of(self.runs, self.manifest, self.settings)

    @property
    def is_clean(self) -> bool:
        """Is it the clean model that others are compared with?"""
        return self.manifest.kind.clean

    @property
    def is_poisoned(self) -> bool:
        """Is its file one that says how it was poisoned?"""
        return self.manifest.kind.poisoned

    @property
    def modality(self) -> str:
        """`image` or `text`: what its file holds."""
        return self.manifest.modality

    @property
    def source_digest(self) -> str | None:
        """Digest of the clean data that its file was made from; None where that is sealed."""
        return self.manifest.source.digest

    @property
    def poisoning_seed(self) -> int:
        """The seed that the file was poisoned with, 0 where it is not known."""
        return self.manifest.recipe.seed or 0

    def with_seed(self, seed: int) -> "RunSpec":
        """Return the same with another training seed."""
        return dataclasses.replace(self, settings=dataclasses.replace(self.settings, seed=seed))

    def resolved(self) -> "RunSpec":
        """Return the same with absolute paths, for a process with another working directory."""
        paths = {name: getattr(self, name) for name in ("file", "runs", "base", "baseline")}
        return dataclasses.replace(self, **{name: path.resolve() for name, path in paths.items() if path is not None})

    def arguments(self, *flags: str) -> list[str]:
        """Return the arguments of `benchmark` that make this run in another process."""
        words = ["train", str(self.file), *self.settings.arguments(), "--runs", str(self.runs)]
        words += ["--base", str(self.base)] if self.base else []
        words += ["--baseline", str(self.baseline)] if self.baseline else []
        words += [] if self.verify else ["--no-verify"]
        return [*words, *(["--keep-epochs"] if self.keep_epochs else []), *flags]
