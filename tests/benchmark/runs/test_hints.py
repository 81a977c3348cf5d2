"""How many rows the command for clean rows leaves out: as many as the defences then take."""

import re
from types import SimpleNamespace

import pytest

from benchmark.runs import hints
from benchmark.training.settings import EncoderSettings, Settings

IMAGES, TEXTS = Settings(), EncoderSettings()


@pytest.mark.parametrize(
    ("settings", "rows", "left_out"),
    [
        (IMAGES, 6_000, 300),
        (IMAGES, 39_209, 1_960),
        (IMAGES, 50_000, 2_000),
        (IMAGES, 2_000, 300),
        (IMAGES, 120, 24),
        (IMAGES, 1, 1),
        (TEXTS, 400, 100),
        (TEXTS, 120, 60),
    ],
)
def test_rows_to_leave_out(tmp_path, settings, rows, left_out):
    contents = SimpleNamespace(train=range(rows), path=tmp_path / "file.h5", base=None)
    words = hints.hold_out(tmp_path / "runs" / "file--w1", contents, settings)
    (found,) = re.findall(r"--hold-out (\d+)", words)
    assert int(found) == left_out
    assert settings is TEXTS or int(found) <= max(hints.CLEAN_SHARE * rows, min(300, rows // 5), 1)
