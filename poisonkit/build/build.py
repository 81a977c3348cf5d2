"""`make`: open the source of a request, plan each file, and write what is not there yet."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from poisonkit.build import produce, warnings
from poisonkit.build.produce import BuildResult
from poisonkit.build.request import BuildRequest, SourceRequest
from poisonkit.build.runtime import Runtime
from poisonkit.poisoning import plan as plans
from poisonkit.poisoning.plan import Plan
from poisonkit.sources import opening
from poisonkit.sources.base import Source


def open_source(request: SourceRequest, runtime: Runtime) -> Source:
    """Open the clean data of a request. Raises as `sources.opening.open_source` does."""
    return opening.open_source(
        request.name, source=request.path, cache=request.cache, options=request.options, fresh=request.fresh,
        progress=runtime.progress, say=runtime.warn,
    )  # fmt: skip


def plan(request: BuildRequest, source: Source, runtime: Runtime) -> list[tuple[Plan, tuple[str, ...]]]:
    """Plan every file of a request, each with its warnings; give each warning once, however many files it concerns."""
    planned = [plans.plan(source, recipe, request.force) for recipe in request.recipes]
    warned = [(one, tuple(warnings.of(one))) for one in planned]
    for line in dict.fromkeys([*warnings.of_source(source), *(line for _, lines in warned for line in lines)]):
        runtime.warn(line)
    return warned


def build(request: BuildRequest, runtime: Runtime, dry_run: bool = False) -> Iterator[BuildResult]:
    """Make every file of a request, one after the other; yield each as soon as it is there.

    A `dry_run` writes nothing: its results say what would be written. Raises `Usage` or `Failure` in one line.
    """
    source = open_source(request.source, runtime)
    for one, lines in plan(request, source, runtime):
        result = deliver(one, request.output, runtime, request.force, dry_run)
        late = warnings.of_result(result.manifest, str(result.path)) if result.made else []
        for line in late:
            runtime.warn(line)
        yield replace(result, warnings=(*lines, *late))


def deliver(plan: Plan, output: Path, runtime: Runtime, force: bool = False, dry_run: bool = False) -> BuildResult:
    """Write one planned file into a folder, or under a name in .h5; with `dry_run`, only say what would be written."""
    target = produce.target_path(output, plan.name)
    if dry_run:
        return BuildResult(target, "planned", plan.manifest, plan.size())
    rows = len(plan.source.train) + len(plan.source.test)
    with runtime.progress(rows, plan.name, plan.source.modality.rows) as bar:
        return produce.produce(plan, target, runtime.command, force, runtime.threads, bar.update)
