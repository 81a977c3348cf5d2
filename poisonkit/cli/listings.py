"""`poisonkit triggers`, `sources` and `cache`: what can be used, and what is stored."""

import click

from poisonkit.cli.common import cache_option, example, json_option
from poisonkit.cli.printing import tell, tell_json


@click.command(epilog=example("poisonkit triggers"))
@json_option("The same, for programs.")
def triggers(as_json):
    """List the triggers and their options."""
    from poisonkit.triggers import listing

    if as_json:
        tell_json(listing.records())
    else:
        tell(*listing.lines(), *listing.others())


@click.command(epilog=example("poisonkit sources"))
@cache_option
@json_option("The same, for programs.")
def sources(cache, as_json):
    """List the sources of clean data.

    For each: where the data come from, their licence, and whether they are in the cache.
    """
    from poisonkit.inspection import show as summary
    from poisonkit.sources import opening

    described = opening.describe(cache)
    if as_json:
        tell_json(described)
        return
    for source in described:
        tell(*summary.source_lines(source))


@click.command("cache", epilog=example("poisonkit cache", "poisonkit cache --clear"))
@cache_option
@click.option("--clear", is_flag=True, help="Delete the cache.")
@json_option("Location, size and entries, for programs.")
def cache_command(cache, clear, as_json):
    """Show the cache and its size, or clear it."""
    from poisonkit.format.manifest import told
    from poisonkit.sources._cache.cache import Cache

    store = Cache(cache)
    if clear:
        freed = store.clear()
        if as_json:
            tell_json({"root": str(store.root), "freed": freed})
        else:
            tell(f"{store.root}: freed {freed / 1e6:,.1f} MB")
        return
    entries = [entry | {"options": told(entry["options"]), "path": str(entry["path"])} for entry in store.entries()]
    if as_json:
        tell_json({"root": str(store.root), "size": store.size(), "entries": entries})
        return
    tell(f"{store.root}: {store.size() / 1e6:,.1f} MB")
    for entry in entries:
        options = "".join(f", {key} {value}" for key, value in entry["options"].items())
        official = {True: ", official", False: ", not the official data", None: ""}[entry["official"]]
        tell(f"  {entry['name']}{options}{official}: {entry['size'] / 1e6:,.1f} MB, {entry['digest']}")


COMMANDS = (
    triggers,
    sources,
    cache_command,
)
