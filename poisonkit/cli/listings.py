"""`poisonkit triggers`, `sources` and `cache`: what there is."""

import click

from poisonkit.cli.common import cache_option
from poisonkit.cli.printing import tell


@click.command()
def triggers():
    """The triggers, with their parameters."""
    from poisonkit.triggers import listing

    for line in listing.lines():
        tell(line)


@click.command()
@cache_option
def sources(cache):
    """The sources of clean images and texts: where they come from, what is in the cache."""
    from poisonkit.inspection import show as summary
    from poisonkit.sources import opening as sources

    for source in sources.describe(cache):
        tell(*summary.source_lines(source))


@click.command("cache")
@cache_option
@click.option("--clear", is_flag=True, help="Remove everything that lies there.")
def cache_command(cache, clear):
    """Where decoded sources are kept, and how much; --clear removes them."""
    from poisonkit.format.manifest import told
    from poisonkit.sources._cache.cache import Cache

    store = Cache(cache)
    if clear:
        tell(f"{store.root}: {store.clear() / 1e6:,.1f} MB removed")
        return
    tell(f"{store.root}: {store.size() / 1e6:,.1f} MB")
    for entry in store.entries():
        options = "".join(f", {key} {value}" for key, value in told(entry["options"]).items())
        official = {True: ", official", False: ", not the official data", None: ""}[entry["official"]]
        tell(f"  {entry['name']}{options}{official}: {entry['size'] / 1e6:,.1f} MB, {entry['digest']}")


COMMANDS = (
    triggers,
    sources,
    cache_command,
)
