"""`benchmark networks`: what it counts, against hand-made counts, the published figures and docs/networks.md."""

import json
import re

import click.testing
import pytest

from benchmark.cli import main
from benchmark.nn.networks import IMAGE, NETWORKS

PUBLISHED = {  # trainable, all, million multiply-adds
    "pmoe": (None, 3_971_242, None),
    "pmoe-dense": (None, 3_971_242 - 4 * 640, None),
    "preact-resnet18": (11_171_146, 11_177_930, None),
    "vit": (2_693_578, 2_693_578, None),
    "moe-vit": (None, None, None),
}


def invoke(*words):
    return click.testing.CliRunner().invoke(main.main, ["networks", *words])


@pytest.fixture(scope="module")
def listed():
    done = invoke("--json")
    assert done.exit_code == 0, done.output
    return {record["name"]: record for record in json.loads(done.stdout)}


def test_every_network_is_there_with_its_source_and_presets(listed):
    assert set(listed) == set(NETWORKS) and next(iter(listed)) == "pmoe"
    for name, record in listed.items():
        assert record["source"] == NETWORKS[name].source and set(record["presets"]) >= set(NETWORKS[name].presets)
        sizes = {one for entry in record["sizes"] for one in entry["presets"]}
        assert sizes == ({*NETWORKS[name].presets, "backdoorbench"} if record["modality"] == IMAGE else set())


def test_the_published_numbers_of_parameters(listed):
    for name, (trainable, parameters, _) in PUBLISHED.items():
        (entry,) = (one for one in listed[name]["sizes"] if one["published"])
        assert trainable in (None, entry["trainable"]) and parameters in (None, entry["parameters"])
    (published,) = (one for one in json.loads(invoke("--json", "--classes", "43").stdout)[3]["sizes"][:1])
    assert published["trainable"] == 11_188_075


def test_multiply_adds_are_those_counted_by_hand(listed):
    """Of PreAct-ResNet18 from the paper's own description, of the transformer from its matrices."""
    w = 64
    convolutions = 32 * 32 * 9 * (3 * w + 4 * w * w)
    for stage, side in ((2, 16), (4, 8), (8, 4)):
        before, now = stage * w // 2, stage * w
        convolutions += side * side * (9 * (before * now + 3 * now * now) + before * now)
    assert _published(listed, "preact-resnet18") == convolutions + 8 * w * 10
    w, tokens = 192, 65
    block = tokens * 12 * w * w + 2 * tokens * tokens * w
    assert _published(listed, "vit") == 6 * block + 64 * 48 * w + w * 10
    experts = tokens * w * 8 + 8 * 20 * 8 * w * w  # 20 places each
    assert _published(listed, "moe-vit") == _published(listed, "vit") + 2 * (experts - tokens * 8 * w * w)
    difference = 64 * 640 * 4 * 160 - 4 * (16 * 640 * 160 + 64 * 640)
    assert _published(listed, "pmoe-dense") - _published(listed, "pmoe") == difference


def _published(listed, name):
    return next(one for one in listed[name]["sizes"] if one["published"])["multiply_adds"]


def test_the_page_says_the_same(listed, root):
    page = (root / "docs" / "networks.md").read_text()
    rows = re.findall(r"^\| (?:`([\w-]+)` )?\| (\d+) \(.*?\) \| ([\d,]+) \| ([\d,]+) \| ([\d,.]+) \|$", page, re.M)
    said, name = {}, ""
    for head, width, *numbers in rows:
        name = head or name
        said[name, int(width)] = numbers
    found = {
        (name, entry["settings"]["width"]): [
            f"{entry['trainable']:,}", f"{entry['parameters']:,}", f"{entry['multiply_adds'] / 1e6:,.1f}",
        ]
        for name, record in listed.items()
        for entry in record["sizes"]
    }  # fmt: skip
    assert said == found


def test_the_table_fits_and_names_what_cannot_take_such_images():
    done = invoke("--size", "31x37", "--classes", "43")
    assert done.exit_code == 0, done.output
    assert all(len(line) <= 100 for line in done.output.splitlines())
    for name in ("vit", "moe-vit"):
        line = f"{name}: not for such images: no square patch divides both sides and leaves 64 to 256 patches"
        assert line in done.output.splitlines()
    words = [line.split() for line in done.output.splitlines() if " -  " in line][-2:]
    assert words == [
        ["encoder", "minilm", "of", "its", "weights", "-", "-", "-"],
        ["tiny", "width", "128,", "depth", "2", "-", "-", "-"],
    ]


@pytest.mark.parametrize("words", [["--size", "0"], ["--size", "32x"], ["--size", "9999"], ["--classes", "1"]])
def test_bad_options_are_one_line(words):
    done = invoke(*words)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and words[0] in done.stderr
