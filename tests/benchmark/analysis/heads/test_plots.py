"""The pictures of heads, by what is in matplotlib's figures."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from benchmark.analysis.heads import plots  # noqa: E402

SMALL, LARGE = np.array([[-0.25, 0.1]]), np.array([[-1.0, 0.5]])


def scales(*panels):
    figure = plots.grids([(str(at), *panel) for at, panel in enumerate(panels)], "a run")
    return [axes.images[0].get_clim() for axes in figure.axes if axes.images]


def test_shares_and_balances_have_one_scale_whatever_their_values():
    assert scales((SMALL, "balance"), (LARGE, "balance")) == [(-1, 1)] * 2
    assert scales((SMALL, "share"), (LARGE, "share")) == [(0, 1)] * 2


def test_signed_values_are_white_at_zero_as_far_as_they_go():
    assert scales((SMALL, "signed"), (12 * LARGE, "signed")) == [(-0.25, 0.25), (-12, 12)]


def test_a_fraction_of_a_point_is_no_dark_cell():
    assert scales((SMALL, "points"), (12 * LARGE, "points")) == [(-5, 5), (-12, 12)]


def test_every_cell_has_its_number_and_an_empty_one_none():
    panel = plots.grids([("z", np.array([[0.066, np.nan], [-23.4, 1.44]]), "signed")], "a run").axes[0]
    assert {(text.get_position(), text.get_text()) for text in panel.texts} == {
        ((0, 0), ".07"), ((0, 1), "-23"), ((1, 1), "1.4"),
    }  # fmt: skip


def test_four_panels_are_two_rows_and_the_rest_is_empty():
    figure = plots.grids([(str(at), SMALL, "share") for at in range(4)], "a run")
    assert [axes.axison for axes in figure.axes] == [True] * 4 + [False] * 2


def test_distributions_rise_to_all_of_the_texts():
    panel = plots.distributions([("score", {"clean": np.array([3.0, 1, 2]), "trigger": np.arange(9.0)})], "a").axes[0]
    clean, trigger = panel.get_lines()
    assert clean.get_xdata().tolist() == [1, 2, 3] and clean.get_ydata()[-1] == trigger.get_ydata()[-1] == 100
    assert clean.get_color() != trigger.get_color() and clean.get_linestyle() != trigger._dash_pattern


def test_paths_start_at_the_untouched_model_and_mark_what_follows():
    (panel,) = plots.paths({"aligned": [(86.0, 100.0), (85.0, 40.0), (86.5, 9.0)]}, "a run").axes
    (line,) = panel.get_lines()
    assert line.get_xdata().tolist() == [100, 40, 9] and line.get_ydata().tolist() == [86, 85, 86.5]
    assert line.get_markevery() == slice(1, None)
