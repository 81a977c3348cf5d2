"""`benchmark report`: one page, with everything in it, to send to a colleague. No network, no script."""

import io
import tempfile
from pathlib import Path

from benchmark.core import environment, extras, files, numbers
from benchmark.core.errors import Failure
from benchmark.defences import results as pruned
from benchmark.format import dataset
from benchmark.format.manifest import canonical
from benchmark.reporting import figures, tables
from benchmark.reporting import pruning as defended
from benchmark.reporting.html import heads, page, png
from benchmark.runs import hints, results
from benchmark.runs.groups import TITLES, Cell, group
from benchmark.runs.results import Finished
from benchmark.sweep import processes
from benchmark.training.settings import settings_of

PREVIEWS = 4
"""Images or texts of each attack that are shown."""
NETWORKS = {"images": "pMoE", "texts": "text encoders"}


def write(paths, output: Path) -> Path:
    """The page of all runs in the given folders; its path, `report.html` in the folder `output`.

    Raises `Failure` where nothing is finished there.
    """
    found = results.gather(paths)
    target = output / "report.html"
    write_of(found, paths, target)
    return target


def write_of(found: results.Found, paths, target: Path) -> None:
    """The page of runs that were gathered. What cannot be read is named on it, and in `found.wrong` afterwards."""
    cells, absent = group(found), without_pictures()
    parts = [
        page.section("What was run", _overview(found, cells)),
        page.section("Results", _results(found, cells)),
        page.section("Beside the paper", _paper(cells)),
        page.section("Figures", _figures(cells, absent, found.wrong)),
        page.section("What the attacks look like", _previews(cells, absent)),
        page.section("Defences", _defences(found)),
        page.section("Which patches the experts take", _routing(found)),
        page.section("Attention heads", heads.section(found)),
        page.section("Not finished", _unfinished(paths)),
        page.section("Every run", "".join(_run(one) for one in found)),
        page.section("How to repeat it", _repeat(found)),
    ]
    parts.insert(1, page.section("What could not be read", _wrong(found.wrong)))
    files.make_output(target.parent)
    files.refuse_link(target)
    names = sorted({cell.dataset for cell in cells})
    networks = " and ".join(NETWORKS[rows] for rows in _rows(found))
    files.write_bytes(target, page.whole(f"Backdoors in {networks}: {', '.join(names)}", "".join(parts)).encode())


def _wrong(wrong: dict[Path, str]) -> str:
    """What is not in the figures and tables below, though it lies there."""
    if not wrong:
        return ""
    lines = [line.replace(str(path), tables.short(path)) for path, line in wrong.items()]
    return page.note("No table and no mean below holds what these files said.") + page.code("\n".join(lines))


def without_pictures() -> str | None:
    """Why pages that are written here have no figures and pictures, and how to get them; None where they have."""
    absent = extras.problem("matplotlib")
    return absent and f"no figures and no pictures of images: {absent}; then the same command makes the page with them"


def _rows(found: list[Finished]) -> list[str]:
    """What the runs' data sets hold: images, texts, or both."""
    return sorted({_kind(run.result) for run in found})


def _kind(result: dict) -> str:
    return f"{settings_of(result['config']).MODALITY}s"


def _overview(found: list[Finished], cells: list[Cell]) -> str:
    clean = sum(run.result["dataset"]["kind"] == "clean" for run in found)
    seconds = sum(_seconds(run.result) for run in found)
    names, settings = sorted({cell.dataset for cell in cells}), sorted({cell.settings for cell in cells})
    devices = sorted({str(run.result.get("device", "not recorded")) for run in found})
    lines = [
        f"{numbers.counted(len(found), 'finished run')} "
        f"({numbers.counted(clean, 'of them a clean baseline', 'of them clean baselines')}) of {', '.join(names)}.",
        f"Network and training: {'; '.join(settings)}.",
        f"Device: {', '.join(devices)}; {seconds / 3600:.1f} hours of training in all.",
        f"Written {environment.now()}.",
    ]
    notice = (
        f"The data sets behind these figures hold deliberately poisoned {' and '.join(_rows(found))}, made for "
        "defensive research into backdoor attacks. Nothing that was trained on them is to be put to use."
    )
    return page.paragraphs(lines) + page.note(notice)


def _results(found: results.Found, cells: list[Cell]) -> str:
    columns, rows = tables.cell_lines(cells)
    kinds = " and ".join(_rows(found))
    words = (
        f"BA: accuracy on clean test {kinds}. ASR: share of triggered ones predicted as the attacker wants. CAD: "
        f"the clean model's BA minus BA. Clean ASR: the clean model's on the same {kinds}. Percent; {tables.LEGEND}."
    )
    below = [*tables.notes([run.result for run in found]), *tables.left_out(found.wrong)]
    notes = "".join(map(page.note, below))
    return page.paragraphs([words]) + notes + page.table(columns, rows, left=len(tables.CELL_COLUMNS))


def _paper(cells: list[Cell]) -> str:
    rows = [line for cell in cells if cell.published for line in tables.paper_lines(cell)]
    if not rows:
        return ""
    columns = [*tables.CELL_COLUMNS, *tables.PAPER_COLUMNS]
    absent = len(tables.not_run(cells))
    words = (
        "Nothing is called reproduced that was not run at the paper's settings; cells at other settings stand here for "
        f"the contrast alone. Published cells not run at the paper's settings: {absent}."
    )
    return page.paragraphs([words]) + page.table(columns, rows, left=len(tables.CELL_COLUMNS))


def _figures(cells: list[Cell], absent: str | None, wrong: dict) -> str:
    if all(cell.clean for cell in cells):
        return ""
    if absent:
        return page.paragraphs([f"{absent[0].upper()}{absent[1:]}."])
    with tempfile.TemporaryDirectory() as folder:
        try:
            paths = figures.write(cells, Path(folder), ("svg",), wrong=wrong)
        except Failure as error:
            return page.paragraphs([f"{error}."])
        drawn = [(path.stem, path.read_text("utf-8")) for path in paths]
    return page.row([page.figure(page.svg(text, name), name.replace("-", " ")) for name, text in drawn])


def _previews(cells: list[Cell], absent: str | None) -> str:
    shown, pictures, texts = set(), [], []
    for cell in cells:
        key = (cell.dataset, cell.trigger, cell.application, cell.variant)
        said = cell.first["dataset"]
        if cell.clean or key in shown or not said.get("path") or not said.get("digest"):
            continue
        words = f"{cell.dataset}, {cell.trigger}"
        variant = f"; {cell.variant}" if cell.variant else ""
        try:
            if cell.application == "text":
                pairs = dataset.sample_texts(said["path"], said["digest"], said.get("base"), PREVIEWS)
                texts += [page.heading(words + variant), *(page.change(*pair) for pair in pairs)]
            elif not absent:
                words += f" on {'every patch' if cell.application == 'patch' else 'the whole image'}"
                drawn = _png(dataset.sample(said["path"], said["digest"], said.get("base"), PREVIEWS))
                pictures.append(page.figure(page.png(drawn, words), words + variant))
        except Failure:
            continue
        shown.add(key)
    above = page.paragraphs(["Above as it was, below with the trigger on it."]) + page.row(pictures, sharp=True)
    return (above if pictures else "") + "".join(texts)


def _png(pictures) -> bytes:
    from matplotlib import image

    out = io.BytesIO()
    image.imsave(out, pictures.squeeze(-1) if pictures.shape[-1] == 1 else pictures, cmap="gray", format="png")
    return out.getvalue()


def _defences(found: results.Found) -> str:
    points = pruned.collect(found, found.wrong)
    if not points:
        return ""
    columns, rows = defended.lines(points)
    notes = "".join(map(page.note, defended.notes(points)))
    return page.paragraphs([defended.WORDS]) + notes + page.table(columns, rows, left=len(tables.CELL_COLUMNS) + 1)


def _routing(found: results.Found) -> str:
    parts = []
    for run in found:
        found.wrong |= files.links(run.folder, "routing")
        for inside in (run.folder, *files.folders(run.folder, "*")):  # a run's own, and those of what a defence left
            folder = inside / "routing"
            if files.is_folder(folder) and files.is_file(folder / "routing.json"):
                pictures = png.inside(folder, found.wrong)
                parts += [page.figure(page.png(data, name), f"{run.folder.name}: {name}") for name, data in pictures]
    return page.row(parts)


def _unfinished(paths) -> str:
    parts = []
    folders = [folder for path in paths if Path(path).is_dir() for folder in sorted(Path(path).iterdir())]
    for folder in folders:
        if results.is_unfinished(folder):
            tail = "\n".join(processes.tail(folder)) or "no log"
            parts.append(page.details(folder.name, page.code(tail)))
    return "".join(parts)


def _run(run: Finished) -> str:
    result = run.result
    said = {
        "data set": f"{result['dataset']['name']}, {result['dataset'].get('digest', 'not recorded')}",
        "recipe": _spelled(result["dataset"]["recipe"]),
        "counts": _spelled(result["dataset"]["counts"]),
        "configuration": _spelled(result["config"]),
        "scores": "; ".join(
            f"{TITLES.get(name, name)} {value['percent']:.2f} % ({value['count']:,} of {value['of']:,})"
            for name, value in result["scores"].items()
            if isinstance(value, dict) and value.get("of")
        ),
        "CAD against": _spelled({k: v for k, v in (result["baseline"] or {}).items() if k != "asr_by_class"}),
        "speed": f"{result.get('images_per_second', 0):.0f} {_kind(result)}/s, {_seconds(result):.0f} s",
        "device": str(result.get("device", "not recorded")),
        "versions": _spelled(result.get("environment", {}).get("versions", {})),
        "finished": str(result.get("finished", "not recorded")),
    }
    return page.details(result["name"], page.pairs(said))


def _seconds(result: dict) -> float:
    return result.get("seconds", {}).get("training", 0)


def _spelled(value) -> str:
    return canonical(value).decode()


def _repeat(found: list[Finished]) -> str:
    ordered = sorted(found, key=lambda run: run.result["dataset"]["kind"] != "clean")
    words = "Each line is one run; a finished one is not trained again. The data sets come from their manifests: "
    lines = hints.repeat([run.result for run in ordered])
    return page.paragraphs([f"{words}{hints.regenerate()}."]) + page.code("\n".join(lines))
