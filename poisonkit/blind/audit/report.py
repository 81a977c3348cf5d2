"""Report the findings of an audit, for people and for programs."""

import numpy as np

from poisonkit.blind.audit.audit import Audited
from poisonkit.blind.audit.finding import FILE, SOURCE, Finding, count
from poisonkit.core import roc

SHOWN = 8
PERCENT = 1
FALSE_ALARM = " (a false alarm)"
HOLDS, HINTS = 0.6, 0.75  # AUROC up to which nothing is told apart, and from which on rows are
TEAMS = {FILE: "with the sealed file alone", SOURCE: "with the public source"}


def score(rows: np.ndarray, truth: np.ndarray) -> dict:
    """Precision and recall of rows against the truth."""
    return roc.cut(len(np.intersect1d(rows, truth)), len(rows), len(truth))


def ranked(one: Finding, found: Audited) -> dict | None:
    """AUROC and TPR at 1 % FPR of a probe, among the rows that it tried; None without truth, or where it ranks none."""
    ranking = one.ranking(found.rows)
    if ranking is None or found.truth is None:
        return None
    scores, rows = ranking
    steps = roc.curve(scores, np.isin(rows, found.truth))
    return {"auroc": roc.auroc(steps), f"tpr_at_{PERCENT}_percent_fpr": roc.tpr_at_fpr(steps, PERCENT)}


def best(found: Audited, team: str) -> dict | None:
    """Return the probe of a team with the greatest AUROC; None where none of them could be measured."""
    measured = [(figures["auroc"], one.name, figures) for one, figures in _measured(found, team)]
    if not measured:
        return None
    _, name, figures = max(measured, key=lambda one: one[:2])
    return {"probe": name, **figures}


def _measured(found: Audited, team: str):
    for one in found.findings:
        figures = ranked(one, found) if one.team == team else None
        if figures is not None and figures["auroc"] is not None:
            yield one, figures


def verdict(found: Audited, team: str) -> str:
    """``found``, ``hints`` or ``holds``: whether a team tells changed rows, by the figures where they are known, else
    by what the probes themselves are sure of; whoever has the source has the file as well."""
    teams = (FILE, SOURCE) if team == SOURCE else (FILE,)
    measured = [figures["auroc"] for one in teams for figures in [best(found, one)] if figures is not None]
    if measured:
        return "holds" if max(measured) <= HOLDS else "hints" if max(measured) <= HINTS else "found"
    sure = any(one.sure and len(one.rows) and not found.false_alarm(one) for one in found.findings if one.team in teams)
    return "found" if sure else "holds"


def lines(found: Audited) -> list[str]:
    """Lay out one line per probe, and the total."""
    rows = [f"{found.path}: {found.name}, {found.rows:,} training rows"]
    width = max(len(finding.name) for finding in found.findings)
    for finding in found.findings:
        alarm = finding.sure and found.false_alarm(finding)
        mark = " " if not len(finding.rows) else "!" if finding.sure and not alarm else "?"
        figures = _verdict(finding.rows, found.truth) + _figures(ranked(finding, found)) + FALSE_ALARM * alarm
        rows.append(f" {mark} {finding.name:{width}}  {finding.text}{figures}")
    rows += [f"{what}: {_team_line(found, team)}" for team, what in TEAMS.items()]
    total = found.found
    if not len(total):
        return [*rows, "no row was found"]
    some = ", ".join(map(str, total[:SHOWN])) + (", …" if len(total) > SHOWN else "")
    return [*rows, f"{count(total, 'found')}{_verdict(total, found.truth)}: {some}"]


def _team_line(found: Audited, team: str) -> str:
    top, judged = best(found, team), verdict(found, team)
    if top is None:
        none = "none of these probes names a row"
        if any(one.team == team and one.sure and len(one.rows) for one in found.findings):
            return "rows were found"
        return none if judged == "holds" else f"{judged}, with the file alone; {none}"
    return f"{judged}; best of these probes {top['probe']}{_figures(top)}"


def _figures(figures: dict | None) -> str:
    if figures is None or figures["auroc"] is None:
        return ""
    return f" [AUROC {figures['auroc']:.2f}, TPR at {PERCENT} % FPR {figures[f'tpr_at_{PERCENT}_percent_fpr']:.2f}]"


def _verdict(rows: np.ndarray, truth: np.ndarray | None) -> str:
    if truth is None or not len(rows):
        return ""
    figures = score(rows, truth)
    recall = "" if figures["recall"] is None else f", recall {figures['recall']:.3f}"
    return f" [precision {figures['precision']:.3f}{recall}]"


def table(found: Audited) -> dict:
    """Everything, as JSON has it."""

    def entry(rows):
        scored = {} if found.truth is None else {key: score(rows, found.truth)[key] for key in ("precision", "recall")}
        return {"rows": rows.tolist(), **scored}

    return {
        "file": str(found.path),
        "name": found.name,
        "training_rows": found.rows,
        "changed": None if found.truth is None else len(found.truth),
        "findings": [
            {"probe": one.name, "text": one.text, "sure": one.sure, "team": one.team}
            | {"tried": None if one.tried is None else len(one.tried)}
            | ({} if found.truth is None else {"false_alarm": found.false_alarm(one)})
            | entry(one.rows)
            | (ranked(one, found) or {})
            for one in found.findings
        ],
        "found": entry(found.found),
        "verdict": {team: {"verdict": verdict(found, team), "best": best(found, team)} for team in TEAMS},
    }
