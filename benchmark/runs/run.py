"""A run is a folder, named by the hash of its whole configuration; training it is one idempotent command.

    config.json       the configuration: data set digest, network, training, seed, backend, precision, threads
    checkpoint.npz    while it trains: all variables after the last whole epoch, and the history so far
    position.json     while a sweep trains it: where it is within its epoch
    history.csv       one row an epoch
    losses.npz        the loss of each training row after each of the first epochs (`row_losses`)
    predictions.npz   the predicted class of every row scored
    model.keras       the trained network
    network.py        of a network of one's own: a copy of its code, which is data here
    epochs/           with `train --keep-epochs`: the network after each epoch
    result.json       written last: where it exists, the run is finished

Killed at any moment, the same command goes on from the last epoch in the checkpoint and ends with the same numbers.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.core import files
from benchmark.core.errors import Damaged, Failure
from benchmark.core.hashing import same
from benchmark.format.manifest import Manifest
from benchmark.nn import own
from benchmark.nn.networks import NETWORKS
from benchmark.runs import hints, records
from benchmark.runs.result import RunConfig, RunResult
from benchmark.training.common import Common
from benchmark.training.configuration import config_of, folder_name
from benchmark.training.predicted import PREDICTIONS_ONLY, PredictedSettings
from benchmark.training.table import MODEL, TRAINING


@dataclass(frozen=True)
class Run:
    """A run's folder and configuration."""

    folder: Path
    config: RunConfig
    given: Common | None = field(default=None, compare=False)  # with where on this machine things are

    @classmethod
    def of(cls, runs: Path, manifest: Manifest, settings: Common) -> "Run":
        """Return the run of a data set, given by its manifest, under the given settings, whether it exists yet or
        not."""
        digest = manifest.dataset_digest
        folder = Path(runs) / folder_name(settings, manifest.name, digest)
        return cls(folder, RunConfig(config_of(settings, digest)), settings)

    @classmethod
    def at(cls, folder: Path) -> "Run":
        """Return the run in an existing folder. `Failure` where there is none."""
        folder = Path(folder)
        if not files.there(folder / "config.json"):
            raise Failure(f"{folder}: not a run (it has no config.json); `benchmark show` lists those in runs/")
        config = files.read_json(folder / "config.json")
        if not (isinstance(config, dict) and all(isinstance(config.get(key), dict) for key in (MODEL, TRAINING))):
            raise Damaged(f"{folder}/config.json: not a run's configuration")
        return cls(folder, RunConfig(config))

    @property
    def settings(self) -> Common:
        """The settings that the configuration was made of."""
        if self.given is not None:
            return self.given
        try:
            return self.config.settings
        except (KeyError, TypeError) as error:
            raise Failure(f"{self.folder}/config.json: not a run's configuration ({error})") from None

    def needs_network(self, what: str) -> None:
        """Raise `Failure` where it was trained elsewhere, and `what`, a command, cannot do with predictions alone."""
        if self.config.model.get("name") == PredictedSettings.NETWORK:
            raise Failure(
                f"{self.folder}: {PREDICTIONS_ONLY}: {what} needs the network itself, which was trained elsewhere"
            )

    def needs(self, networks: Collection[str], what: str, why: str = "") -> None:
        """Raise `Failure` where its network is none of those that `what`, a command, is for; `why`: words after it."""
        self.needs_network(what)
        name = self.config.model.get("name")
        if name not in networks:
            named, shown = ", ".join(networks), f"{name!r:.60}"
            if name == own.NAME:
                shown = f"code of its own, {self.settings.title}"
            raise Failure(f"{self.folder}: {what} is for a run of --network {named}, this one is of {shown}{why}")
        self.needs_code()

    def needs_code(self) -> None:
        """Raise `Failure` where its network is code of its own, and the user has not named that in this process."""
        model = self.config.model
        if model.get("name") == own.NAME:
            own.of_run(model.get("digest"), model.get("function"), self.folder)

    def routed_layers(self) -> tuple[str, ...]:
        """Return the layers whose experts choose patches; `Failure` where its network has none, and why not."""
        spec = NETWORKS.get(str(self.config.model.get("name")))
        routed = [name for name, one in NETWORKS.items() if one.routed]
        why = f", which {spec.unrouted}" if spec else ", which does not say in which layers experts choose patches"
        self.needs(routed, "routing", why)
        return spec.routed if spec else ()

    @property
    def result(self) -> RunResult | None:
        """The stored result, None while the run is not finished. Raises as `records.read`."""
        return records.read(self.folder)

    def sound_result(self) -> RunResult | None:
        """Return the stored result, None without one; a damaged one is put aside, and a line says so."""
        try:
            return self.result
        except Damaged as error:
            files.put_aside(self.folder / "result.json", error)
            return None

    def finished(self) -> RunResult:
        """Return the stored result. Raises as `records.read`, and `Failure` while the run is not finished."""
        result = self.result
        if result is None:
            raise Failure(f"{self.folder}: not finished; to finish it: {hints.go_on(self.folder, self.config.raw)}")
        return result

    @property
    def checkpoint(self) -> Path:
        """Where the state after the last whole epoch is while the run trains."""
        return self.folder / "checkpoint.npz"

    def create(self) -> None:
        """Make the folder and its config.json; `Failure` if it holds another configuration, or is a link to a folder
        that is not a run's."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "config.json"
        if files.there(path):
            if not same(files.read_json(path), self.config.raw):
                raise Failure(f"{self.folder}: holds a run of another configuration under the same name")
        elif self.folder.is_symlink():
            raise Failure(f"{self.folder}: is a link to a folder that is not a run's")
        else:
            files.write_json(path, self.config.raw)
