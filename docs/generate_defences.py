#!/usr/bin/env python3
"""Write docs/published-code.md and the table of methods in docs/defences.md from the registry of defences. A test
checks that both are up to date.

    python docs/generate_defences.py
"""

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent
PAGE, DEFENCES = HERE / "published-code.md", HERE / "defences.md"
TABLE = re.compile(r"(<!-- table of methods -->\n).*?(<!-- end -->)", re.DOTALL)
WAYS = {
    "run": "the published code, or the piece of it that matters, was run on fixed input and its output compared",
    "read": "it stands in the source of that commit; it was not run",
    "inferred": "it follows from what was read, by argument, and was not observed",
}
INTRODUCTION = """\
A method's name often stands for its published code, and much of that code is not what the paper describes: some of it
cannot run, some gives other scores, some chooses by test figures. What was found while our detectors and repairs were
written stands here, method by method: what the published code does, and what ours does instead. Ours follow the
paper; where a switch does as the code does, it is named. Where only the code is known and not the paper, nothing is
called the paper's.

Each line names the repository with its commit, the file, and how it was found:"""
END = """\
None of this says anything about the papers' own results, which may have been made with other code. The commits are
those that were looked at; later ones may differ. Corrections are welcome."""


def published() -> str:
    """Return the page on published code."""
    kinds = _kinds()
    remarks = [remark for _, specs in kinds for spec in specs for remark in spec.remarks]
    made = "Generated from the code by `docs/generate_defences.py` (`make docs`)."
    lines = ["# What published code does", "", made, "", *INTRODUCTION.split("\n"), ""]
    for way, words in WAYS.items():
        count = sum(remark.how == way for remark in remarks)
        lines += _item(f"**{way}** ({count} of {len(remarks)}): {words}.")
    lines += ["", *END.split("\n"), ""]
    for title, specs in kinds:
        lines += [f"## {title}", ""]
        for spec in (one for one in specs if one.remarks):
            lines += [f"### {spec.name}", "", *_wrapped(f"{spec.source}. {spec.summary}"), ""]
            for remark in spec.remarks:
                lines += _item(f"**{remark.how}**, {_code(remark.where)}: {_plain(remark.does)}. "
                               f"**Ours** {_plain(remark.ours)}.")  # fmt: skip
            lines.append("")
    without = dict.fromkeys(f"`{spec.name}`" for _, specs in kinds for spec in specs if not spec.remarks)
    if without:
        lines += _wrapped(f"Of {', '.join(without)} no published code was compared.")
    return "\n".join(lines).rstrip() + "\n"


def defences(page: str) -> str:
    """Return the page on defences with its table made anew."""
    lines = ["| Method | Kind | Needs | What it does | Source |", "|---|---|---|---|---|"]
    for _, specs in _kinds():
        for spec in specs:
            needs = ", ".join(need.name for need in spec.needs) or "-"
            named = f"`{spec.name}`" + (" *" if spec.by_name else "")
            source = spec.source.split(",")[0].split(";")[0]
            cells = (named, _kind(spec), needs, spec.summary, source)
            lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return TABLE.sub(lambda found: found[1] + "\n".join(lines) + "\n" + found[2], page)


def _kinds() -> list[tuple[str, list]]:
    from benchmark.defences.catalogue import DETECTORS, REPAIRS

    return [(title, [spec for _, spec in sorted(registry.items())])
            for title, registry in (("Detectors", DETECTORS), ("Repairs", REPAIRS))]  # fmt: skip


def _kind(spec) -> str:
    from benchmark.defences.registry import DetectorSpec

    return "detector" if isinstance(spec, DetectorSpec) else "repair"


def _code(where: str) -> str:
    """Return where something is, as code if it names a commit."""
    return f"`{where}`" if re.search(r"\b[0-9a-f]{7}\b", where) else where


def _plain(text: str) -> str:
    """Return a remark without its last full stop, and nothing in it that Markdown takes for a tag."""
    return re.sub(r"<(?=[A-Za-z/!])", "&lt;", text).rstrip(".")


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 116, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> list[str]:
    return textwrap.wrap(f"- {text}", 116, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def write() -> Iterable[Path]:
    """Write both pages; their paths."""
    PAGE.write_text(published(), encoding="utf-8")
    DEFENCES.write_text(defences(DEFENCES.read_text(encoding="utf-8")), encoding="utf-8")
    return PAGE, DEFENCES


if __name__ == "__main__":
    print("wrote", *write())
