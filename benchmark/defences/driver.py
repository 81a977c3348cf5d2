"""What `detect` and `repair` share: which results there are already, the folder of a new one, and the clean twin."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from benchmark.core import environment, extras, file_names, files
from benchmark.core.errors import Failure
from benchmark.core.hashing import canonical, digest
from benchmark.defences import study
from benchmark.defences.chosen import Chosen, Unserved
from benchmark.defences.registry import S
from benchmark.defences.study import Studied
from benchmark.defences.subject import Asked, Subject, job_at, open_subject
from benchmark.nn import engines
from benchmark.runs import records
from benchmark.runs.context import making, twin_of
from benchmark.runs.run import Run
from benchmark.training.common import check_numbers
from benchmark.training.metrics import Json

R = TypeVar("R")
Log = Callable[[str], None]


def _line(job: Run, error: Failure) -> str:
    """Return what could not be done, with the run's folder before it, once."""
    text = str(error).removeprefix(f"{job.folder}: ")
    return text if text.startswith(f"{job.folder}/") else f"{job.folder}: {text}"


@dataclass
class Outcome(Generic[R]):
    """What came of a run: its results, each with its folder; those of its clean twin by method; what could not be done,
    a line each; and which of all methods it cannot serve."""

    run: Run
    results: list[tuple[Path, R]] = field(default_factory=list)
    twins: dict[str, R] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Driver(Generic[S, R]):
    """Runs methods on finished runs. `kind`: `detect` or `repair`; `parse`: JSON → result; `make`: runs a method on a
    subject, writes into a folder, and returns the result's own part of the JSON."""

    def __init__(
        self,
        kind: str,
        parse: Callable[[Json], R],
        make: Callable[[Subject, Chosen[S], Path, Log], Json],
        log: Log,
    ):
        self.kind, self._parse, self._make, self.log = kind, parse, make, log

    def run(self, folder: Path, chosen: Sequence[Chosen[S]], asked: Asked, with_twin: bool = True) -> Outcome[R]:
        """Run the methods on a run and, for comparison, on the clean run that it is compared with. Results that exist
        are only read. A method that this run cannot serve ends with a line among the `errors`."""
        job = job_at(folder, self.kind)
        twin = twin_of(job) if with_twin else None
        outcome: Outcome[R] = Outcome(job)
        found = self._on(job, chosen, asked, twin, outcome)
        outcome.results = list(found.values())
        if twin is not None:
            served = [one for one in chosen if one.spec.name in found]
            try:
                found = self._on(twin, served, asked.elsewhere(), None, outcome, compared=True)
            except Failure as error:
                outcome.errors.append(_line(twin, error))
                found = {}
            outcome.twins = {name: result for name, (_, result) in found.items()}
        return outcome

    def _on(
        self,
        job: Run,
        chosen: Sequence[Chosen[S]],
        asked: Asked,
        twin: Run | None,
        outcome: Outcome[R],
        compared: bool = False,
    ) -> dict[str, tuple[Path, R]]:
        """Return the result of each method on a run, and its folder, by the method's name. `compared`: is it the clean
        twin of another? Raises `Failure` where there is no result, and the run cannot be opened for one."""
        subjects: dict[Asked, Subject] = {}
        unopened: Failure | None = None  # said once, not for each method
        done: dict[str, tuple[Path, R]] = {}
        begun = False  # whether a method that the run can serve was found: then the network is looked at
        for one in chosen:
            try:
                wanted = one.asked(asked)
                config = self.config(job, one, wanted)
                target = job.folder / f"{self.kind}-{one.spec.name}-{digest(config).removeprefix('sha256:')[:8]}"
                found = self._kept(target, one, twin, compared)
                if found is None:
                    if unopened is not None:
                        continue
                    try:
                        if wanted not in subjects:
                            opened = open_subject(job, wanted, self.log)
                            subjects[wanted] = replace(opened, twin=twin, compared=compared)
                        subject = subjects[wanted]
                        one.check(subject.context)
                        if not begun:
                            subject.check_network()
                            self.log(f"{job.folder.name}:")
                            begun = True
                    except Unserved:  # says something of this method alone
                        raise
                    except Failure as error:
                        unopened = error
                        continue
                    self.log(f"  {one.spec.title} …")
                    found = self._made(subject, one, target, config, twin)
                done[one.spec.name] = target, found
            except Failure as error:
                line = _line(job, error)
                if one.beside:
                    self.log(line)
                elif one.of_all and isinstance(error, Unserved):
                    outcome.left_out.append(line)
                else:
                    outcome.errors.append(line)
        if unopened is not None:
            if not done:
                raise unopened
            outcome.errors.append(_line(job, unopened))
        return done

    def _kept(self, target: Path, one: Chosen[S], twin: Run | None, compared: bool) -> R | None:
        """Return the result in a folder; None where there is none, where a file of it is gone, or where more can be had
        of it now: the study that a clean twin does without, the clean twin in it, or pictures, for which matplotlib was
        missing."""

        def parse(raw: Json) -> R:
            if one.spec.check is not None:
                one.spec.check(raw)
            return self._parse(raw)

        found = records.kept(target / "result.json", parse)
        if found is None:
            return None
        raw: Json = found.raw  # type: ignore[attr-defined]
        studied = study.SECTION in raw and (twin is None or raw.get("clean_run") is not None)
        unstudied = one.spec.study is not None and not compared and not studied
        undrawn = raw.get("undrawn") and extras.problem("matplotlib") is None
        lacking = [name for name in found.files if not files.is_file(target / name)]  # type: ignore[attr-defined]
        if lacking:
            self.log(f"{target}: has no {lacking[0]} any more: made again")
        return None if unstudied or undrawn or lacking else found

    def config(self, job: Run, one: Chosen[S], asked: Asked) -> Json:
        """Return the configuration of a result: all that decides it."""
        check_numbers(one.settings)
        limits = {"clean_rows": asked.clean_rows, "rows": asked.rows}
        asking = {name: value for name, value in limits.items() if value is not None}
        decided = {"config_version": 1, "kind": self.kind, **one.config, "asked": asking, "run": job.config.raw}
        return decided | one.depends(job.folder)

    def _made(self, subject: Subject, one: Chosen[S], target: Path, config: Json, twin: Run | None) -> R:
        with making(target, config):
            start = time.perf_counter()
            raw: Json = self._said_by(one, lambda: self._make(subject, one, target, self.log))
            raw = {
                "result_version": 1,
                "kind": self.kind,
                **one.config,
                **{name: config[name] for name in ("asked", "depends") if name in config},
                "run": subject.trained.name,
                "dataset": subject.trained.dataset.raw,
                "config": subject.run.config.raw,
                "clean_run": twin and twin.folder.name,
                "clean": {"rows": len(subject.context.clean), "are": subject.clean_are},
                **raw,
                "seconds": round(time.perf_counter() - start, 3),
                "device": engines.device(),
                "environment": environment.record(),
                "finished": environment.now(),
            }
            result = self._parse(raw)
            files.write_json(target / "result.json", raw)
        return result

    @staticmethod
    def _said_by(one: Chosen[S], make: Callable[[], Json]) -> Json:
        """Return what `make` returns; a `Failure` begins with the method's name."""
        try:
            return make()
        except Failure as error:
            raise Failure(f"{one.spec.name}: {str(error).removeprefix(f'{one.spec.name}: ')}") from None


def check_small(method: str, findings: Json, names: Iterable[str]) -> None:
    """`Failure` where a method's findings are no JSON, or what it names cannot be the name of a file."""
    try:
        canonical(findings)
    except (TypeError, ValueError, RecursionError) as error:
        raise Failure(f"{method}: its findings cannot be kept as JSON ({' '.join(str(error).split())[:120]})") from None
    for name in names:
        if wrong := file_names.problem(name):
            raise Failure(f"{method}: the name {name!r:.60} {wrong}: expected {file_names.EXPECTED}")


def kept_of(studied: Studied | None) -> Json:
    """Return the section of a result that a study makes; nothing of none."""
    return {} if studied is None else {study.SECTION: studied.found}


def drawn(several: Sequence[Mapping[str, Callable[[Path], None]]], target: Path, log: Log) -> Json:
    """Draw a method's pictures, by name, into its folder, and return what a result says of them: the names of those
    that are there and, where matplotlib is missing, of those that are not (`undrawn`)."""
    pictures = {name: save for one in several for name, save in one.items()}
    names = [f"{name}.png" for name in pictures]
    if not names or (problem := extras.problem("matplotlib")) is None:
        for name, save in pictures.items():
            save(target / f"{name}.png")
        return {"pictures": names}
    log(f"no pictures: {problem}; then run the same command again to draw them")
    return {"pictures": [], "undrawn": names}
