"""A method of one's own, as docs/defences.md has it."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from benchmark.defences import own
from benchmark.defences.catalogue import DETECTORS
from benchmark.defences.context import DefenceContext

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "defences.md").read_text(encoding="utf-8")


def test_the_detector_of_the_page_gives_each_row_a_score(tmp_path):
    (tmp_path / "my_detector.py").write_text(
        re.search(r"`my_detector.py`:\n\n```python\n(.*?)^```", PAGE, re.M | re.S)[1]
    )
    spec, source = own.spec_of(f"{tmp_path}/my_detector.py:score", DETECTORS)
    assert [(one.name, one.default) for one in spec.options] == [("power", 1.0)]
    given = SimpleNamespace(inputs=np.zeros((2, 4, 4, 3), "u1"), labels=np.zeros(2, int))
    context = SimpleNamespace(
        probabilities=lambda: np.array([[0.6, 0.4], [0.1, 0.9]]), rows=np.arange(2), train=given, clean=given,
        weights_digest=lambda: "the same",
    )  # fmt: skip
    found = spec.score(context, power=2.0)
    assert found.scores.tolist() == [0.36, 0.81] and found.flagged is None
    assert spec.name == "own-my-detector-score" and "`own-FILE-FUNCTION`" in PAGE


def test_what_the_page_says_a_context_has_is_there():
    """Attributes that are set when it is made stand in the class's docstring."""
    (table,) = re.findall(r"^\| Of the context \| \|\n(.*?)\n\n", PAGE, re.M | re.S)
    cells = [line.split("|")[1] for line in table.splitlines()[1:]]
    names = {name for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert {"rows", "features", "clean", "predictor"} <= names
    for name in names:
        assert hasattr(DefenceContext, name) or re.search(
            rf"^    (\w+, )*{name}(, \w+)* :", DefenceContext.__doc__, re.M
        )
