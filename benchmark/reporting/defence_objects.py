"""What `bm.detect` and `bm.repair` return, and lists of that: results with their scores, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.core.errors import Damaged
from benchmark.core.numbers import LARGEST, counted
from benchmark.defences import score_files
from benchmark.defences.over_runs import Entry, described_result
from benchmark.defences.records import Detected, Repaired, shared
from benchmark.defences.summaries import DETECTOR_SCORES, LAST, TPR_AT_1, TPR_AT_5, der, repair_values
from benchmark.reporting.objects import Scores, run_columns, table_of
from benchmark.training.metrics import Share

if TYPE_CHECKING:
    import numpy as np

    from benchmark.defences.measures import Measures

Record = dict[str, Any]


@dataclass(frozen=True)
class DetectorResult:
    """What a detector found in a run.

    Attributes
    ----------
    folder : Path
        Its folder in that of the run, with `scores.csv`.
    result : Detected
        All that it has recorded; `result.findings` is what the method has found besides.
    twin : Detected or None
        The same on the clean run that CAD is against: what is flagged there is a false alarm.
    """

    folder: Path
    result: Detected = field(repr=False)
    twin: Detected | None = field(default=None, repr=False)

    @property
    def method(self) -> str:
        """The detector's name."""
        return self.result.method

    @property
    def settings(self) -> Record:
        """All its options."""
        return self.result.settings

    @property
    def rows(self) -> np.ndarray:
        """The training rows that were inspected, (n,) int64, ascending. `Failure` where scores.csv cannot be read."""
        return self._table()[0]

    @property
    def scores(self) -> np.ndarray:
        """Their scores, (n,) float64; higher is more suspicious. `Failure` where scores.csv cannot be read."""
        return self._table()[1]

    @property
    def measures(self) -> Measures | None:
        """How well poisoned rows are told from clean ones: `auroc`, `average_precision`, `own_cut`, `as_many`, all from
        0 to 1; None where nobody knows which are poisoned."""
        return self.result.measures

    @property
    def tpr_at_1(self) -> float | None:
        """The share of the poisoned rows found at 1 % false positives, from 0 to 1."""
        return self.measures.tpr[TPR_AT_1] if self.measures else None

    @property
    def tpr_at_5(self) -> float | None:
        """The same at 5 %."""
        return self.measures.tpr[TPR_AT_5] if self.measures else None

    @property
    def record(self) -> Record:
        """All of it as JSON, as `benchmark detect --json` prints it."""
        return shared(self.folder, self.result, self.twin)

    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        path = self.folder / score_files.SCORES
        rows, scores = score_files.read_scores(path, LARGEST)
        if len(rows) != self.result.inspected:
            raise Damaged(f"{path}: has {counted(len(rows), 'row')}, expected {self.result.inspected:,}")
        return rows, scores


@dataclass(frozen=True)
class RepairResult:
    """What a repair left of a run's backdoor. Scores are in percent.

    Attributes
    ----------
    folder : Path
        Its folder in that of the run, with the repaired networks (`.keras`).
    result : Repaired
        All that it has recorded; `result.steps` are its stages, each with `findings` and the file of its network.
    control : Repaired or None
        Plain fine-tuning on the same clean rows.
    twin : Repaired or None
        The same on the clean run that CAD is against: the BA that is lost there is lost for nothing.
    """

    folder: Path
    result: Repaired = field(repr=False)
    control: Repaired | None = field(default=None, repr=False)
    twin: Repaired | None = field(default=None, repr=False)

    @property
    def method(self) -> str:
        """The repair's name."""
        return self.result.method

    @property
    def settings(self) -> Record:
        """All its options."""
        return self.result.settings

    @property
    def before(self) -> Scores:
        """Of the network as it was."""
        return Scores.of(self.result.before)

    @property
    def after(self) -> Scores:
        """Of the repaired network."""
        return Scores.of(self.result.after)

    @property
    def der(self) -> float | None:
        """Defence effectiveness rating, from 0 to 1: ½ is no effect; None without an ASR."""
        return der(self.result.before, self.result.after)

    @property
    def network(self) -> Path | None:
        """The file of the repaired network."""
        name = self.result.steps[-1].model
        return None if name is None else self.folder / name

    @property
    def record(self) -> Record:
        """All of it as JSON, as `benchmark repair --json` prints it."""
        return shared(self.folder, self.result, self.twin)


class DetectorResults(list[DetectorResult]):
    """Results of detectors, in order."""

    @property
    def records(self) -> list[Record]:
        """All of it as JSON."""
        return [one.record for one in self]

    def table(self) -> Any:
        """Make a table of the results, one row each: a pandas DataFrame, or without pandas a list of dictionaries that
        prints as a table.

        Columns: those of `Results.table` that name a run; `method`, `options` (not the default ones), `rows`,
        `poisoned`, `clean_rows`; from 0 to 1 `auroc`, `average_precision`; in percent `tpr_at_1`, `tpr_at_5`,
        `precision`, `recall`, `false_alarms` (at the method's own cut), `as_many`, `flagged`, `covers_at_1`,
        `twin_flagged`; `seconds`.
        """
        return table_of([_detector_row(one) for one in self])


class RepairResults(list[RepairResult]):
    """Results of repairs, in order."""

    @property
    def records(self) -> list[Record]:
        """All of it as JSON."""
        return [one.record for one in self]

    def table(self) -> Any:
        """Make a table of the results, one row each: a pandas DataFrame, or without pandas a list of dictionaries that
        prints as a table.

        Columns: those of `Results.table` that name a run; `method`, `options` (not the default ones), `clean_rows`; in
        percent `before_ba`, `before_asr`, `ba`, `asr`, `still_right`, `ba_lost`, `der`, `control_ba`, `control_asr`,
        `twin_ba`, `twin_ba_lost`; `seconds`.
        """
        return table_of([_repair_row(one) for one in self])


def detections(found: Iterable[Entry[Detected]]) -> DetectorResults:
    """Return results with what stands beside them as objects."""
    return DetectorResults(DetectorResult(one.folder, one.result, one.twin) for one in found)


def repairs(found: Iterable[Entry[Repaired]]) -> RepairResults:
    """Return results with what stands beside them as objects."""
    return RepairResults(RepairResult(one.folder, one.result, one.control, one.twin) for one in found)


def _detector_row(one: DetectorResult) -> Record:
    entry = Entry(None, one.folder, one.result, one.twin)  # type: ignore[arg-type]
    values = {name: _plain(read(entry)) for name, read in DETECTOR_SCORES.items()}
    for name in ("auroc", "average_precision"):
        values[name] = None if (percent := values[name]) is None else percent / 100
    counted = {"rows": one.result.inspected, "poisoned": one.result.poisoned}
    return _named(one.folder, one.result) | counted | values | {"seconds": one.result.seconds}


def _repair_row(one: RepairResult) -> Record:
    entry = Entry(None, one.folder, one.result, one.twin, one.control)  # type: ignore[arg-type]
    values = repair_values(entry, LAST)
    return (
        _named(one.folder, one.result)
        | {name: _plain(value) for name, value in values.items()}
        | {"seconds": one.result.seconds}
    )


def _named(folder: Path, result: Detected | Repaired) -> Record:
    return run_columns(folder.parent.name, result.trained) | {
        "method": result.method,
        "options": described_result(result),
        "clean_rows": result.clean_rows,
    }


def _plain(value: Any) -> float | None:
    return value.percent if isinstance(value, Share) else value
