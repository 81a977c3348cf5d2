#!/usr/bin/env python3
"""Write the tables of data/FORMAT.md from data/schema.json, and give both packages their copy of that file.

    python docs/generate_format.py

A table stands between the lines ``<!-- table NAME -->`` and ``<!-- end -->``. A test checks that all is up to date.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE, SCHEMA = ROOT / "data" / "FORMAT.md", ROOT / "data" / "schema.json"
COPIES = (ROOT / "poisonkit" / "format" / "schema.json", ROOT / "benchmark" / "format" / "schema.json")
TABLE = re.compile(r"(<!-- table ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
IMAGE = {"rows": "images", "dtype": "|u1", "shape": ["H", "W", "C"]}


def text(page: str, schema: dict) -> str:
    """Return the page with every table made anew."""

    def made(found: re.Match) -> str:
        return found[1] + "\n".join(TABLES[found[2]](schema)) + "\n" + found[3]

    return TABLE.sub(made, page)


def array_table(kind: str, modality: str | None):
    """Return the table of the arrays of a kind of file; of what only texts have, where `modality` says so."""

    def rows(schema: dict) -> list[str]:
        lines = ["| path | dtype | shape | what |", "|---|---|---|---|"]
        for entry in schema["arrays"]:
            texts = entry.get("modality") == "text"
            if kind in entry["kinds"] and texts == (modality == "text") and "what" in entry:
                lines += array_rows(entry)
        return lines

    return rows


def array_rows(entry: dict) -> list[str]:
    """Return the lines of one array, one for each of the shapes that it may have."""
    path = entry["path"].replace("{rows}", IMAGE["rows"]).replace("{I}", "I")
    dtype = IMAGE["dtype"] if entry["dtype"] == "rows" else entry["dtype"]
    lines = []
    for number, shape in enumerate(entry["shapes"]):
        sizes = [size for part in shape for size in (IMAGE["shape"] if part == "..." else [part])]
        first = (f"`{path}`", entry["what"]) if number == 0 else ("", "or this")
        lines.append(f"| {first[0]} | `{dtype}` | {spelled(sizes)} | {first[1]} |".replace("`|", r"`\|"))
    return lines


def spelled(sizes: list) -> str:
    """Return a shape as people write it: (N,), (h, w, C + 1)."""
    words = [re.sub(r"^≤", "≤ ", re.sub(r"\+1$", " + 1", str(size))) for size in sizes]
    return f"({', '.join(words)}{',' if len(words) == 1 else ''})"


def manifest_table(*kinds: str):
    """Return the table of the keys of a manifest: those of kinds of files, and of no kind before these."""

    def rows(schema: dict) -> list[str]:
        lines = ["| key | in | value | what |", "|---|---|---|---|"]
        for field in schema["fields"]:
            own = [kind for kind in field["kinds"] if kind in kinds]
            if not own or (kinds == ("sealed", "delta", "key") and len(own) != len(field["kinds"])):
                continue
            key = ".".join(f"`{part}`" for part in field["key"].split("."))
            within = "all" if len(field["kinds"]) == 5 else ", ".join(field["kinds"])
            within += ", optional" if field.get("optional") else ""
            lines.append(f"| {key} | {within} | {schema['types'][field['type']]['description']} | {field['what']} |")
        return lines

    return rows


def rules(schema: dict) -> list[str]:
    """Return what must go together, as a list."""
    return [f"- {rule['what']} ({', '.join(rule['kinds'])});" for rule in schema["rules"][:-1]] + [
        f"- {rule['what']} ({', '.join(rule['kinds'])})." for rule in schema["rules"][-1:]
    ]


def limits(schema: dict) -> list[str]:
    """Return what a reader refuses for its size."""
    sizes, most = schema["sizes"], schema["limits"]
    channels = " or ".join(map(str, sizes["C"]["enum"]))
    return [
        f"A manifest has at most {most['manifest_bytes'] >> 20} MiB, a text {most['text_bytes'] >> 20} MiB, an array",
        f"{sizes['N']['maximum']:,} rows, an image {sizes['H']['maximum']:,} pixels a side and {channels} channels, a "
        f"stencil {sizes['K']['maximum']} taps a byte,",
        f"a group {most['members']:,} members, and groups are nested {most['depth']} deep at most. No array is empty.",
    ]


TABLES = {
    "arrays": array_table("poisoned", None),
    "insertions": array_table("poisoned", "text"),
    "delta": array_table("delta", None),
    "delta-texts": array_table("delta", "text"),
    "key": array_table("key", None),
    "manifest": manifest_table("clean", "poisoned"),
    "manifest-others": manifest_table("sealed", "delta", "key"),
    "rules": rules,
    "limits": limits,
}
"""Name of a table in the page → what makes its lines."""


def main() -> None:
    """Write the page and the copies."""
    content = SCHEMA.read_text(encoding="utf-8")
    PAGE.write_text(text(PAGE.read_text(encoding="utf-8"), json.loads(content)), encoding="utf-8")
    for copy in COPIES:
        copy.write_text(content, encoding="utf-8")
    print(f"wrote {PAGE} and {', '.join(str(copy.relative_to(ROOT)) for copy in COPIES)}")


if __name__ == "__main__":
    main()
