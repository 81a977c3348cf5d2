"""What the columns of tables of detectors and repairs mean: a sentence on those that a table shows, by their titles."""

from collections.abc import Iterable, Mapping

from benchmark.reporting.columns import Column

RATES = {"tpr-at-1": "1 %", "tpr-at-5": "5 %"}
RATING = "defence effectiveness rating, 1/2 (ASR lost - BA lost + 1), no gain counted, 50 is no effect"
RIGHT = "the share of triggered rows that still get their true label"


def detectors(shown: Iterable[Column]) -> str:
    """Explain the columns of detectors."""
    title = _titles(shown)
    ranks = [title["auroc"]] if "auroc" in title else []
    ranks += [_spelled(title["average-precision"], "average precision")] if "average-precision" in title else []
    rates = [rate for key, rate in RATES.items() if key in title]
    ranks += [f"TPR at {' and '.join(rates)} FPR"] if rates else []
    cut = [title[key] for key in ("precision", "recall") if key in title]
    cut += [f"{title['false-alarms']} (the share of clean rows that is flagged)"] if "false-alarms" in title else []
    parts = [
        f"{_listed(ranks)}: of the poisoned rows against clean ones" if ranks else "",
        _of(title, "as-many", "precision where as many rows are flagged as are poisoned"),
        f"{_listed(cut)}: at the method's own cut" if cut else "",
        _of(title, "covers-at-1", "the share of the cover rows above the cut at 1 % FPR"),
        _of(title, "twin-flagged", "the share that is flagged of the clean twin, the same data without any poison"),
    ]
    return _sentence("Detectors", parts)


def repairs(shown: Iterable[Column]) -> str:
    """Explain the columns of repairs."""
    title = _titles(shown)
    after = [title[key] for key in ("asr", "ba", "still-right") if key in title]
    parts = [
        f"{_listed(after)}: after the repair" if after else "",
        _of(title, "before-asr", "the ASR before it"),
        _of(title, "still-right", RIGHT),
        _of(title, "der", RATING),
        _of(title, "control-asr", "the ASR that plain fine-tuning on the same clean rows leaves"),
        _of(title, "twin-ba-lost", "the BA that the clean twin loses by it, a network that was never poisoned"),
    ]
    return _sentence("Repairs", parts)


def _titles(shown: Iterable[Column]) -> dict[str, str]:
    return {column.key: column.title for column in shown if not column.label}


def _of(title: Mapping[str, str], key: str, words: str) -> str:
    return f"{title[key]}: {words}" if key in title else ""


def _spelled(title: str, words: str) -> str:
    return f"{title} ({words})"


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _sentence(kind: str, parts: list[str]) -> str:
    found = "; ".join(part for part in parts if part)
    return f"{kind}: {found}." if found else ""
