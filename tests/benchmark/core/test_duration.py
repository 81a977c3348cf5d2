"""Durations as people type them."""

import pytest

from benchmark.core import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("8m", 480), ("1h30m", 5400), ("1.5h", 5400), ("1h30m15s", 5415), ("2d", 172_800),
     (" 8M ", 480), ("0.5", 0.5), ("1d1s", 86_401)],
)  # fmt: skip
def test_durations_are_read(text, seconds):
    assert duration.parsed(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8x",
        "m",
        "-5",
        "-5m",
        "8m1h",
        "1h1h",
        "1h 30m",
        "1:30",
        "1e3",
        "nan",
        "inf",
        "٨m",
        "1h30",
        "0",
        "0m",
        "9999d",
    ],
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match="expected a duration"):
        duration.parsed(text)
