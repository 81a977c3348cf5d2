"""What a cell is of, in words."""

import fake_runs
import pytest

from benchmark.runs import groups, results


@pytest.mark.parametrize(("recipe", "words"), [
    ({"label_mode": "untargeted", "target": None}, "label mode untargeted"),
    ({"cover_rate": "0.01", "cover_jitter": True}, "cover rate 0.01; cover jitter"),
    ({"one_of": True, "triggers": [{"name": "square"}, {"name": "blend"}]}, "one of them a row"),
    ({"cover_classes": [1, 2]}, "cover classes 1,2"),
])  # fmt: skip
def test_a_variant_is_said_in_words(tmp_path, recipe, words):
    fake_runs.write(tmp_path, **recipe)
    (cell,) = groups.group(results.gather([tmp_path]))
    assert words in cell.variant and "True" not in cell.variant and "None" not in cell.variant
