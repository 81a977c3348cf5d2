"""The commands of a blind exercise: seal, unseal, audit, grade."""

from pathlib import Path

import click

from poisonkit.cli import completion
from poisonkit.cli.common import A_PATH, example, force_option, json_option, own_trigger_option, threads_option
from poisonkit.cli.printing import tell, tell_json

KEYS = "$XDG_DATA_HOME/poisonkit/keys"
key_option = click.option(
    "--key", type=A_PATH, metavar="FILE", help=f"The key  [default: in {KEYS}, else NAME.key.h5 beside FILE]"
)


class SecretNumber(click.IntRange):
    """A whole number that no message repeats."""

    def convert(self, value, param, context):
        """Convert as `click.IntRange` does."""
        try:
            return super().convert(value, param, context)
        except click.BadParameter:
            self.fail(f"expected a whole number from {self.min} to {self.max}", param, context)


def camouflage_options(command):
    """Add the options of `make` that change every image of the source."""
    seed = click.option(
        "--camouflage-seed",
        type=SecretNumber(0, 2**63 - 1),
        metavar="N",
        help="Secret seed for --camouflage; stored in the recipe, never printed.",
    )
    level = click.option(
        "--camouflage",
        metavar="LEVEL",
        shell_complete=completion.camouflages,
        help="Change every image a little: light, medium, strong, or steps (jpeg=90,shift=0.5,noise=1). Prevents an "
        "exact match with public data, not a near one: docs/sealing.md has all steps, and the figures.",
    )
    return level(seed(command))


@click.command(epilog=example("poisonkit seal data/signs-square-0.05-s0.h5 -o challenge.h5 --even-labels"))
@click.argument("file", type=A_PATH)
@click.option(
    "-o",
    "--output",
    type=A_PATH,
    metavar="PATH",
    help="A folder, or a file that ends in .h5  [default: challenge-XXXXXXXX.h5 beside FILE]",
)
@click.option(
    "--key",
    type=A_PATH,
    metavar="PATH",
    help=f"Where the key goes: a folder, or a file that ends in .h5  [default: {KEYS}, readable by you alone]",
)
@click.option(
    "--even-labels",
    is_flag=True,
    help="Leave clean rows out until each class has the same share of its clean size, so that the label histogram does "
    "not reveal the target; the key keeps them.",
)
@click.option("--even-share", metavar="F", help="That share instead of the largest; implies --even-labels.")
@click.option(
    "--secret-seed",
    type=SecretNumber(0, 2**63 - 1),
    metavar="N",
    help="Fix the seed to reproduce a seal exactly; anyone who guesses it can undo it.  [default: drawn by the system]",
)
@force_option
@own_trigger_option
@json_option("Paths of challenge and key, and the commitment, for programs.")
def seal(file, output, key, even_labels, even_share, secret_seed, force, as_json):
    """Seal a data set for a blind exercise.

    Writes the challenge, and a key in another place. The challenge has training and test rows in a secret order, a
    neutral name and a commitment to the answer; trigger, seed, rate, target label, command and triggered images are in
    the key. It cannot hide that the pictures are public: whoever holds CIFAR-10 can compare. Start from `make
    --camouflage`, and read docs/sealing.md, which says with measured figures what each way holds against.
    """
    from poisonkit.blind import seal as sealing
    from poisonkit.cli.common import progress_bar

    secret = sealing.Secret.draw() if secret_seed is None else sealing.Secret.of(secret_seed)
    with progress_bar(None, "sealing", "rows") as bar:
        share = None if even_share is None else sealing.parse_share(even_share)
        wanted = sealing.SealRequest(secret, output, key, even_labels or share is not None, share, force)
        done = sealing.seal(file, wanted, bar.update)
    advice = list(sealing.advice(done))
    if as_json:
        record = {"challenge": str(done.challenge), "key": str(done.key), "commitment": done.manifest.commitment}
        tell_json(record | {"advice": advice})
        return
    for path, what in ((done.challenge, done.manifest.name), (done.key, "the key: keep it from the participants")):
        tell(f"wrote {path} ({path.stat().st_size / 1e6:,.1f} MB): {what}")
    tell(f"commitment {done.manifest.commitment}: publish it with the challenge")
    tell(*advice)


@click.command(epilog=example("poisonkit unseal challenge.h5 --key challenge.key.h5"))
@click.argument("file", type=A_PATH)
@key_option
@click.option(
    "-o", "--output", type=A_PATH, metavar="PATH", help="A folder, or a file that ends in .h5  [default: beside FILE]"
)
@threads_option
@force_option
@json_option("Path, state and manifest of the file, for programs.")
def unseal(file, key, output, threads, force, as_json):
    """Restore the original of a sealed file.

    It is restored byte for byte, with its sidecar; the commitment is checked first.
    """
    from poisonkit.blind import unseal as unsealing
    from poisonkit.cli.build_lines import existing_line, result_json
    from poisonkit.cli.common import command_line, progress_bar, warn
    from poisonkit.core.progress import processors
    from poisonkit.poisoning import supported

    outcome = unsealing.unseal(file, key, output, command_line(), force, threads or processors(), progress_bar)
    if outcome.made and not outcome.same_container:
        warn("its arrays and manifest are the original's, its HDF5 container is not: another version of the library")
    if as_json:
        tell_json(result_json(outcome))
    elif not outcome.made:
        tell(existing_line(outcome))
    else:
        size, note = outcome.path.stat().st_size / 1e6, supported.note(outcome.manifest)
        tell(f"wrote {outcome.path} ({size:,.1f} MB): the original, as the key and the commitment say" + note)


@click.command(epilog=example("poisonkit audit challenge.h5"))
@click.argument("file", type=A_PATH)
@click.option(
    "--key",
    type=A_PATH,
    metavar="FILE",
    help=f"The key of a sealed file, to measure how much was found  [default: in {KEYS}, or beside FILE, if any]",
)
@click.option(
    "--cache",
    "caches",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    metavar="FOLDER",
    help="Clean sources to compare with; may be given several times  [default: $POISONKIT_CACHE, else "
    "~/.cache/poisonkit]",
)
@json_option("All findings with their rows, for programs.")
@click.pass_context
def audit(context, file, key, caches, as_json):
    """Report what participants could infer.

    Exits with status 3 if rows are found. Where the truth is known, a probe that names changed rows no more often than
    chance would is a false alarm, and its rows do not count as found.

    Tries, with the file alone: order, duplicates, names and times, sizes, class sizes, labels against neighbours and
    against a model of the test rows, and each class beside its test rows in noise, detail, spectrum, blocks, colours
    and pixels. With every entry of the caches: exact and near matches, labels, and how rows were moved and what is
    left. With a key, or a file that has its truth, each with precision and recall, AUROC and TPR at 1 % FPR, and a
    verdict on what either team can do. Results on known data sets: docs/sealing.md.
    """
    from poisonkit.blind import keys
    from poisonkit.blind.audit import audit, report
    from poisonkit.cli.common import progress_bar

    audited = audit.audit(file, key or keys.find(file), caches, progress_bar)
    if as_json:
        tell_json(report.table(audited))
    else:
        tell(*report.lines(audited))
    context.exit(3 if len(audited.found) else 0)


@click.command(
    epilog=example(
        "poisonkit grade challenge.h5 --submission rows.csv",
        'poisonkit grade challenge.h5 --submission "Team A=a.csv" --submission b.csv --baseline flare=scores.csv',
    )
)
@click.argument("file", type=A_PATH)
@key_option
@click.option(
    "--submission",
    "submissions",
    multiple=True,
    required=True,
    metavar="[NAME=]CSV",
    help="row,score or row alone; - for stdin. Several are ranked, each by its name  [default: that of the file, of a "
    "scores.csv that of the folder]",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="[NAME=]CSV",
    help="A submission of nobody's, a known detector's say: ranked among the others, and marked.",
)
@click.option("--threshold", type=float, metavar="T", help="Also F1 of the rows whose score is at least this.")
@json_option("The scores, for programs.")
@click.pass_context
def grade(context, file, key, submissions, baselines, threshold, as_json):
    """Grade submissions to a blind exercise.

    Prints AUROC, average precision, TPR at 1 % FPR and F1. A submission is a CSV with a row of the training set and a
    score in each line (more is more suspicious), with or without a header; every row once. Rows without scores: those
    listed are the answer. Changed rows are right, poisoned and cover rows alike. The key's commitment is checked first.

    Several are ranked by AUROC, with 95 % intervals, TPR at 1 % and 5 % FPR, what chance would give, and a sign where
    two neighbours cannot be told apart. One that is not in order is named, does not stop the others, and makes the exit
    code 1. How it is computed: docs/challenge.md.
    """
    from poisonkit.blind import grade as grading
    from poisonkit.blind.submissions import Entry
    from poisonkit.core.errors import Usage

    entries = [Entry.typed(one) for one in submissions] + [Entry.typed(one, baseline=True) for one in baselines]
    if len(entries) > 1:
        if threshold is not None:
            raise Usage("--threshold: each submission has scores of its own scale: grade one at a time with it")
        _rank(context, file, key, entries, as_json)
        return
    graded = grading.grade(file, key, entries[0].path, threshold)
    if as_json:
        tell_json(graded)
    else:
        tell(*grading.lines(graded))


def _rank(context, file, key, entries, as_json):
    """Print the ranking of several submissions, and what is wrong with those that have no place in it."""
    from poisonkit.blind import ranking, ranking_table
    from poisonkit.cli.common import complain

    ranked = ranking.rank(file, key, entries)
    if as_json:
        tell_json(ranked.record())
    else:
        tell(*ranking_table.lines(ranked))
    for one in ranked.failed:
        complain(f"{one.name}: {one.problem}")
    context.exit(1 if ranked.failed else 0)


COMMANDS = (seal, unseal, audit, grade)
