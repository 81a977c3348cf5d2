"""`benchmark routing`: which patches the experts of a trained network take, as figures and pictures."""

from pathlib import Path

import numpy as np

from benchmark.analysis.routing import measure as routes
from benchmark.analysis.routing import plots
from benchmark.analysis.routing.measure import Correlation, Measured, OnTrigger
from benchmark.core import extras, files, plotting
from benchmark.core.errors import Failure, Usage
from benchmark.format import dataset
from benchmark.nn import engines
from benchmark.runs import agreement, experiment, hints, titles
from benchmark.runs.run import Run


def routing(path, file, base, rows: tuple[int, ...], output, beside: tuple = (), by_epoch: bool = False):
    """Measure over a file's test set, and draw; yield lines on what was found.

    Parameters
    ----------
    path : path-like
        A run's folder, or a `.keras` file inside one.
    file, base : path-like
        The data set; a delta's clean file.
    rows : tuple of int
        Rows of the test set to draw.
    output : path-like or None
        The folder for `routing.json` and the pictures; None: `routing` in the run's folder.
    beside : tuple of path-like
        Other networks of the same kind (a defence's, another run's), drawn below in the same picture.
    by_epoch : bool
        Also draw the networks that `train --keep-epochs` saved.
    """
    path = Path(path)
    job = Run.at(next((one for one in (path, *path.parents) if files.is_file(one / "predictions.npz")), path))
    job.finished()
    layers = job.routed_layers()
    if rows:
        extras.check("matplotlib")
    engines.installed(job.settings.backend)
    contents = dataset.load(file, base=base)
    for row in rows:
        if row >= len(contents.test):
            raise Usage(f"--image {row}: the test set has rows 0 … {len(contents.test) - 1}")
    if (beside or by_epoch) and not rows:
        raise Usage("--beside and --by-epoch draw single images: name one with --image ROW")
    epochs = _epochs(job) if by_epoch else []
    model = experiment.network(job, contents, path)
    if path in (job.folder, job.folder / "model.keras") and contents.digest == job.finished().dataset.digest:
        agreement.check(job, contents.scored, agreement.of_images(model))
    title = f"{job.folder.name if path.is_dir() else path.name}, {contents.manifest.name}"
    measured = {layer: routes.measure(model, contents, layer) for layer in layers}
    figures = {layer: one.json() for layer, one in measured.items()}
    names = {"run": job.folder.name, "network": title, "file": contents.manifest.name}
    target = target_of(path, output)
    if output:
        files.make_output(target)
    else:
        files.make_folder(target)
    files.refuse_link(target / "routing.json")
    files.write_json(target / "routing.json", names | (figures[layers[0]] if len(layers) == 1 else {"layers": figures}))
    for layer, one in measured.items():
        yield from (line if len(layers) == 1 else f"{layer}: {line}" for line in lines(one))
    shown = titles.run(job.finished()) + ("" if path.is_dir() else f", {path.stem}")
    others = list(_networks(beside, epochs, contents, model.name))
    drawn = (
        (name if len(layers) == 1 else f"{layer}-{name}", picture)
        for layer, one in measured.items()
        for name, picture in _drawn(model, contents, rows, one, shown, others, layer)
    )
    if not rows and (absent := extras.problem("matplotlib")):
        yield f"wrote {target / 'routing.json'}; no pictures: {absent}"
        return
    paths = plotting.save(drawn, target, ("png",))
    yield f"wrote {target / 'routing.json'}, {', '.join(one.name for one in paths)}"


def target_of(path: Path, output: Path | None = None) -> Path:
    """Return the folder for `routing.json` and the pictures of a network: by default beside it."""
    return Path(output) if output else (path if path.is_dir() else path.parent) / "routing"


def _epochs(job: Run) -> list[Path]:
    """Find the networks of a run after each epoch. `Failure` where it kept none."""
    folder = job.folder / "epochs"
    paths = sorted(folder.glob("epoch-*.keras")) if files.is_folder(folder) else []
    found = [path for path in paths if files.is_file(path)]
    if not found:
        again = hints.keep_epochs(job.folder, job.finished())
        raise Failure(f"{job.folder}: did not keep the network of each epoch; train again with: {again}")
    return found


def _networks(beside, epochs: list[Path], contents, kind: str):
    """(words, group of pictures, network) of what is drawn below, one after the other."""
    from benchmark.nn import model_files

    for path in (*map(Path, beside), *epochs):
        model = model_files.load(path)
        if model.input_shape[1:] != contents.image_shape:
            raise Failure(f"{path}: takes images of {model.input_shape[1:]}, the data set's are {contents.image_shape}")
        if model.name != kind:
            raise Failure(f"{path}: is of --network {model.name}, expected {kind} as the run's")
        kept = path in epochs
        words = path.stem if kept or path.is_file() else path.name[-8:]
        yield words, "-by-epoch" if kept else "", model


def _drawn(model, contents, rows, found: Measured, title: str, others, layer: str):
    yield "overview", plots.overview(found, title)
    yield "values", plots.values(found, title)
    pictures = {row: _pictures(contents, row) for row in rows}
    shown = {(row, ""): list(_shown(model, pictures[row], layer)) for row in rows}
    for words, group, other in others:
        for row in rows:
            shown.setdefault((row, group), []).extend(_shown(other, pictures[row], layer, words + "\n"))
    for (row, group), drawn in shown.items():
        label = contents.classes[contents.test.labels[row]]
        yield f"image-{row}{group}", plots.image(drawn, f"test row {row}, {label}; {title}")


def _pictures(contents, row: int) -> list[tuple[str, np.ndarray]]:
    """Return a test image, and the same with the trigger on it where the file has that."""
    pictures = [("clean", contents.test.inputs[row])]
    if contents.triggered is not None and row in contents.triggered_rows:
        at = int((contents.triggered_rows == row).argmax())
        pictures.append(("triggered", contents.triggered.inputs[at]))
    return pictures


def _shown(model, pictures, layer: str, words: str = ""):
    return ((words + which, picture, routes.route(model, picture[None], layer)) for which, picture in pictures)


def lines(found: Measured) -> list[str]:
    """Describe what was measured."""
    experts, (rows, columns) = found.experts, found.grid
    patches = f"{found.patches_taken:g} of {rows}×{columns} patches"
    there = [f"{experts} experts take {patches} each; {found.images:,} test images"]
    if found.triggered is not None:
        for one, words in ((found.triggered.cell, "nominal cell"), (found.triggered.field, "receptive field")):
            if one is None:
                continue
            there.append(
                f"patches whose {words} holds trigger pixels: {one.patches_there}; by chance an expert takes "
                f"{one.by_chance:.1f} of them; " + "; ".join(_pair(one, expert) for expert in range(experts))
            )
    pairs = [found.overlap[a][b] for a in range(experts) for b in range(a)]
    if pairs:
        there.append(f"overlap between experts (Jaccard): {min(pairs):.2f} … {max(pairs):.2f}")
    for name in routes.FEATURES:
        values = [_interval(one) for one in found.correlation[name]]
        there.append(f"rank correlation of {name} with the gate: {', '.join(values)}")
    return there


def _pair(one: OnTrigger, expert: int) -> str:
    clean, triggered = one.clean.patches[expert], one.triggered.patches[expert]
    return f"expert {expert + 1}: {clean:.1f} clean, {triggered:.1f} triggered"


def _interval(one: Correlation) -> str:
    return "none" if one.mean is None else f"{one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}]"
