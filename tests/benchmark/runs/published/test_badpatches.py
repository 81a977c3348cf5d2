"""The figures of BadPatches: what is said beside them."""

from benchmark.runs.published.badpatches import BADPATCHES


def test_the_line_on_blends_holds_whatever_picture_was_blended():
    """Files do not say which picture the paper's is, so that a run with a user's own is judged too."""
    assert "built-in" not in BADPATCHES.warnings["blend"] and "any picture" in BADPATCHES.warnings["blend"]
