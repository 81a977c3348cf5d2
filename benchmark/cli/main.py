"""The command line of `benchmark`: parse, call, print. Keras is imported only by the commands that need it."""

from benchmark.cli import heads, scores, sweep, train
from benchmark.cli import results as cli_results
from benchmark.cli.common import main

for command in (*train.COMMANDS, *sweep.COMMANDS, *scores.COMMANDS, *cli_results.COMMANDS, heads.heads):
    main.add_command(command)
