"""Which runs come first: by the PATHs, by a file; each file with each network and preset."""

import os

import click.testing
import pytest
import writer
from pretend_runs import manifest, names, planned

from benchmark.cli import main
from benchmark.core.errors import Usage
from benchmark.sweep import order, plan


def invoke(*words, code=0):
    done = click.testing.CliRunner().invoke(main.main, [os.fspath(word) for word in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def ranked(tmp_path, text, files=("a.h5", "b.h5", "c.h5"), known=None):
    path = tmp_path / "order.txt"
    path.write_text(text)
    return [rank for _, rank in sorted(order.ranks(path, [tmp_path / name for name in files], known or {}).items())]


@pytest.mark.parametrize(
    ("text", "ranks"),
    [
        ("c.h5\na\n", [2, 3, 1]),
        ("# the most wanted\n\n  b  # this one\n", [4, 3, 4]),
        ("[ab]*\n", [1, 1, 2]),
        ("c\n*\n", [2, 2, 1]),
        ("\ufeffb.h5\r\na.h5\r\n", [2, 1, 3]),
        ("a\na\nb\n", [1, 3, 4]),
    ],
)
def test_a_line_is_a_name_or_a_pattern(tmp_path, text, ranks):
    assert ranked(tmp_path, text) == ranks


def test_a_line_is_a_path_or_the_name_in_the_manifest(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    files = ["data/a.h5", "data/b.h5"]
    assert ranked(tmp_path, f"{tmp_path}/data/b.h5\n", files) == [2, 1]
    assert ranked(tmp_path, "data/b.h5\n", files) == [2, 1], "from the folder of the order"
    assert ranked(tmp_path, "data/*b*\n", files) == [2, 1]
    assert ranked(tmp_path, "named-s0\n", files, {tmp_path / "data/b.h5": manifest("named-s0", seed=0)}) == [2, 1]
    elsewhere = tmp_path / "x" / "order.txt"
    elsewhere.parent.mkdir()
    elsewhere.write_text("data/b.h5\n")
    monkeypatch.chdir(tmp_path)
    assert list(order.ranks(elsewhere, [tmp_path / name for name in files], {}).values()) == [2, 1], "from here"


def test_what_cannot_be_an_order_is_one_line(tmp_path):
    with pytest.raises(Usage, match=r"order.txt, line 2: none of the files is 'd' \(there are: a.h5, b.h5, c.h5\)"):
        ranked(tmp_path, "a\nd # not made yet\n")
    with pytest.raises(Usage, match="names no data set"):
        ranked(tmp_path, "# nothing\n")
    with pytest.raises(Usage, match="cannot be read"):
        order.ranks(tmp_path / "absent.txt", [], {})
    (tmp_path / "order.txt").write_bytes(b"\x89HDF\xff\xfe")
    with pytest.raises(Usage, match="expected a text file"):
        order.ranks(tmp_path / "order.txt", [], {})


def test_ranks_come_before_clean_files_and_seeds(tmp_path):
    files = [tmp_path / f"{number}.h5" for number in range(3)]
    data = (manifest("clean", "clean"), manifest("a-s1", seed=1), manifest("b-s0", seed=0))
    assert names(planned(tmp_path, *data)) == ["clean t0", "clean t1", "b-s0 t0", "a-s1 t1"]
    tasks = planned(tmp_path, *data, ranks={files[1]: 0, files[0]: 1, files[2]: 2})
    assert names(tasks) == ["a-s1 t1", "clean t0", "clean t1", "b-s0 t0"]
    assert [task.after for task in tasks] == [None, None, None, tasks[1].folder]
    assert [task.baseline for task in tasks] == [tasks[2].folder, None, None, tasks[1].folder]


def test_the_order_of_the_paths_is_that_of_the_runs(tmp_path):
    for name in ("a.h5", "b.h5", "c.h5"):
        (tmp_path / name).touch()
    found = plan.find([tmp_path / "c.h5", tmp_path])
    assert {path.name: number for path, number in found.items()} == {"c.h5": 0, "a.h5": 1, "b.h5": 1}


def listed(*words):
    return [line.split("--")[0] for line in invoke(*words, "-n").stdout.splitlines()]


def test_dry_runs_show_the_order(tmp_path):
    clean, poisoned = writer.toy(tmp_path)
    where = ("--runs", tmp_path / "runs", "--preset", "tiny")
    assert listed("sweep", tmp_path, *where) == ["toy-clean", "toy-square-0.1-s0"]
    assert listed("sweep", poisoned, clean, *where) == ["toy-square-0.1-s0", "toy-clean"]
    (tmp_path / "first.txt").write_text("toy-square*  # above all\n")
    assert listed("sweep", tmp_path, *where, "--order", tmp_path / "first.txt") == ["toy-square-0.1-s0", "toy-clean"]
    (tmp_path / "first.txt").write_text("toy-squire\n")
    done = invoke("sweep", tmp_path, *where, "--order", tmp_path / "first.txt", code=2)
    assert done.stderr.count("\n") == 1 and "line 1: none of the files is 'toy-squire'" in done.stderr


def runs(done):
    return [line.split("  ")[0].rsplit("-", 1)[0] for line in done.stdout.splitlines()]


def test_each_file_with_each_network_and_preset(tmp_path):
    clean, poisoned = writer.toy(tmp_path)
    words = ("sweep", clean, poisoned, "--runs", tmp_path / "runs", "-n")
    two = ("--network", "pmoe", "--network", "pmoe-dense")
    assert runs(invoke(*words, *two, "--preset", "tiny")) == [
        f"{name}--{preset}-tf-t0"
        for name in ("toy-clean", "toy-square-0.1-s0")
        for preset in ("tiny", "pmoe-dense-tiny")
    ]
    done = invoke(*words, *two, *two, "--preset", "tiny", "--preset", "small", "--seeds", "2")
    assert len(set(runs(done))) == len(runs(done)) == 2 * 2 * 2 * 2
    assert runs(invoke(*words, "--preset", "tiny", "--preset", "small"))[:2] == [
        "toy-clean--tiny-tf-t0", "toy-clean--small-tf-t0",
    ]  # fmt: skip


def test_a_poisoned_run_is_compared_with_the_clean_run_of_its_network(tmp_path):
    from benchmark.format import dataset
    from benchmark.runs.spec import RunSpec
    from benchmark.training.choose import settings_of_files

    found = {path: dataset.peek(path) for path in writer.toy(tmp_path)}
    chosen = settings_of_files(found, ["pmoe", "pmoe-dense"], ["tiny"])
    tasks = plan.plan([RunSpec(path, settings, found[path], tmp_path / "runs") for path, settings in chosen])
    networks = [task.run.config.network for task in tasks]
    assert networks == ["pmoe", "pmoe-dense"] * 2
    assert [task.after for task in tasks[2:]] == [tasks[0].folder, tasks[1].folder]
    assert len({task.kind for task in tasks}) == 2


def test_what_not_all_networks_have(tmp_path):
    clean, _ = writer.toy(tmp_path)
    words = ("sweep", clean, "--runs", tmp_path / "runs", "-n", "--network", "pmoe", "--network", "preact-resnet18")
    done = invoke(*words, "--preset", "tiny", "--top-k", "4")
    assert done.stderr == "benchmark: --top-k is not for --network preact-resnet18: trained without it\n"
    assert len(runs(done)) == 2
    for more, line in {
        ("--preset", "tiny", "--rows", "5"): "--rows is not for --network pmoe or preact-resnet18",
        ("--network", "encoder"): f"{clean}: holds images, --network encoder is for texts",
    }.items():
        done = invoke(*words, *more, code=2)
        assert done.stderr == f"benchmark: {line}\n"


def test_a_recipe_is_chosen_by_the_source_of_each_file():
    from types import SimpleNamespace

    from benchmark.training.choose import settings_of_files

    found = {
        name: SimpleNamespace(modality="image", source=SimpleNamespace(name=name)) for name in ("cifar10", "gtsrb")
    }
    chosen = settings_of_files(found, ["pmoe", "preact-resnet18"], ["backdoorbench"])
    assert [(file, one.preset) for file, one in chosen] == [
        (file, f"{network}backdoorbench-{file}") for file in found for network in ("", "preact-resnet18-")
    ]


def test_a_preset_that_a_network_lacks_is_one_line(tmp_path):
    from benchmark.format import dataset
    from benchmark.training.choose import settings_of_files

    clean, _ = writer.toy(tmp_path)
    found = {clean: dataset.peek(clean)}
    with pytest.raises(Usage) as error:
        settings_of_files(found, ["pmoe", "pmoe-dense"], ["tiny", "huge"])
    assert str(error.value) == "--preset: expected one of paper, small, tiny, backdoorbench, got 'huge'"
    with pytest.raises(Usage) as error:
        settings_of_files(found, ["net.py:build"], ["tiny", "small"])
    assert str(error.value) == "--preset tiny: a network of your own has no presets"
