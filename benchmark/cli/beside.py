"""The option of `benchmark` that chooses published figures."""

import click

from benchmark.runs.published import PUBLISHED


def beside_option(usual: str):
    """Return the option that chooses published figures; `usual`: what is shown without it, in words."""
    return click.option(
        "--beside",
        multiple=True,
        metavar="NAME|FILE.csv",
        help=f"Show published figures beside ours: {', '.join(PUBLISHED)}, or a CSV of BackdoorBench's leaderboard "
        f"(repeatable); none: without any  [default: {usual}]",
    )
