"""The command `export`, whose help lists what each format declares of itself."""

import inspect
from collections.abc import Iterable

import click

from poisonkit.cli.common import example


class ExportCommand(click.Command):
    """`export`: the formats, and which options each of them has, are looked up when help is shown."""

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        """Complete the help before it is laid out."""
        from poisonkit.exporters.registry import FORMATS

        if not self.epilog:
            lines = [f"{form.name}: {form.help}{_rows(form.modality)}." for form in FORMATS]
            self.help = "\n\n".join([inspect.cleandoc(self.help or ""), *lines])
            self.epilog = example("poisonkit export data/signs-square-0.05-s0.h5 --format imagefolder")
            for parameter in self.params:
                if isinstance(parameter, click.Option) and parameter.name in ("no_truth", "creator", "url"):
                    key = "truth" if parameter.name == "no_truth" else parameter.name
                    named = _listed(form.name for form in FORMATS if key in form.options)
                    parameter.help = f"{named}: {parameter.help}"
                elif isinstance(parameter, click.Option) and parameter.name == "form":
                    parameter.help = f"{_listed(FORMATS.names())}."
        return super().get_params(context)


def _rows(modality) -> str:
    """For which rows a format is, in brackets; nothing where it takes any."""
    return "" if modality is None else f" ({modality.rows})"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
