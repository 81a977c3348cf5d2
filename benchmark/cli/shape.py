"""Options of the tables that are read: which columns they have."""

import click

COLUMNS = click.option("--columns", "names", metavar="A,B,...", help="Show these columns, in this order.")
WIDE = click.option("--wide", is_flag=True, help="Show all columns, however wide  [default: at most 100 characters].")
