"""The command line of `benchmark`: parse, call, print. Keras is imported only by the commands that need it."""

from benchmark.cli import defences, heads, networks, scores, sweep, train
from benchmark.cli import results as cli_results
from benchmark.cli.common import main

commands = (train, sweep, scores, cli_results, networks, defences)
for command in (*(command for one in commands for command in one.COMMANDS), heads.heads):
    main.add_command(command)
