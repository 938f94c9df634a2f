from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report.blocks import GitHub
from qlmbench.report.figures import plots_of
from qlmbench.report.pareto import dominance_table, on_front, weighed
from qlmbench.report.plots.labels import along
from qlmbench.report.plots.parameters import values_by_parameters
from qlmbench.report.sections import SettingSection
from qlmbench.report.settings_page import setting_blocks
from qlmbench.report.tables import comparison_frame

ACCURACY, LOSS = "test_accuracy", "test_log_loss"
POINTS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12)


def asked(results, **options):
    """Return a setting that asks for the Pareto front."""
    return replace(results, protocol=results.protocol.model_copy(update={"pareto": True} | options))


@pytest.fixture(scope="module")
def arms(results):
    return comparison_frame(results, ACCURACY)


@pytest.fixture(scope="module")
def table(results, arms):
    return dominance_table(asked(results), arms)


def front(sizes, means, metric=ACCURACY):
    return on_front(pd.Series(sizes, dtype=float), pd.Series(means, dtype=float), metric).tolist()


@pytest.mark.parametrize(
    ("sizes", "means", "expected"),
    [
        ([10], [0.5], [True]),
        ([10, 20, 30], [0.5, 0.6, 0.7], [True, True, True]),
        ([10, 20, 30], [0.7, 0.6, 0.8], [True, False, True]),
        ([10, 10], [0.5, 0.6], [False, True]),  # as many parameters, and worse
        ([10, 20], [0.6, 0.6], [True, False]),  # as good, and larger
        ([10, 10], [0.6, 0.6], [True, True]),  # the same of both
    ],
)
def test_the_front_are_the_arms_that_none_of_at_most_their_size_matches(sizes, means, expected):
    assert front(sizes, means) == expected


@given(POINTS)
@settings(max_examples=60, deadline=None)
def test_the_front_holds_the_best_arm_and_whoever_is_off_it_is_matched_by_one_on_it(points):
    sizes, means = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    on = np.array(front(sizes, means))
    assert on[means == means.max()].any()
    assert on[sizes == sizes.min()].any()
    for place in np.flatnonzero(~on):
        assert ((sizes <= sizes[place]) & (means >= means[place]) & on).any()


@given(POINTS)
@settings(max_examples=30, deadline=None)
def test_of_losses_the_front_is_that_of_their_negatives(points):
    sizes, means = zip(*points, strict=True)
    assert front(sizes, means) == front(sizes, [-mean for mean in means], LOSS)


def test_a_setting_that_does_not_ask_has_no_front(results, arms):
    assert weighed(results, arms).empty
    assert len(dominance_table(results, arms)) == 0
    assert weighed(asked(results), arms.iloc[:0]).empty


def test_every_weighed_arm_has_a_row_fewest_parameters_first(table, arms):
    assert table.data["parameters"].is_monotonic_increasing
    assert set(table.data["arm"]) == set(arms["arm"]) - {"shuffled"}
    assert len(table.shown) == len(table.data)


def test_kernel_machines_are_not_weighed(results, arms):
    kernel = arms.assign(parameters_effective=arms["parameters_effective"].mask(arms.index == 0))
    assert arms["arm"][0] not in set(weighed(asked(results), kernel)["arm"])


@pytest.mark.parametrize("metric", [ACCURACY, LOSS])
def test_who_dominates_is_no_larger_and_better_for_sure(results, metric):
    some = asked(results, metric=metric)
    data = dominance_table(some, comparison_frame(some, metric)).data.set_index("arm")
    over = data[data["dominators"] > 0]
    assert len(over)
    sign = 1 if metric == ACCURACY else -1
    for arm, row in over.iterrows():
        assert data.loc[row["dominated_by"], "parameters"] <= row["parameters"]
        difference = results.values(row["dominated_by"], metric) - results.values(arm, metric)
        assert row["difference"] == pytest.approx(difference.mean())
        assert min(sign * row["low"], sign * row["high"]) > 0
    assert data["dominates"].sum() == data["dominators"].sum()
    assert not data.loc[data["front"], "dominators"].any()


def test_arms_that_differ_in_nothing_do_not_dominate_each_other(results, arms):
    twins = arms[arms["arm"].isin(["logreg", "svc"])].assign(parameters_total=100.0)
    records = results.records.copy()
    same = records.loc[records["arm"] == "logreg", ACCURACY].to_numpy()
    records.loc[records["arm"] == "svc", ACCURACY] = same
    data = dominance_table(replace(asked(results), records=records), twins).data
    assert data["dominators"].tolist() == [0, 0]


def test_the_table_tells_an_arm_on_the_front_from_one_that_nobody_beats_for_sure(table):
    words = dict(zip(table.data["arm"], table.shown["dominated by"], strict=True))
    for row in table.data.to_dict("records"):
        if row["dominators"]:
            assert words[row["arm"]] not in ("none", "none for sure")
        else:
            assert words[row["arm"]] == ("none" if row["front"] else "none for sure")


def drawn(results, arms):
    return next(plot for plot in plots_of(results, arms) if plot.name == "parameters")


def test_only_the_figure_of_a_setting_that_asks_has_rings_steps_and_their_words(results, arms):
    plain, weighs = drawn(results, arms), drawn(asked(results), arms)
    assert "Pareto" not in plain.key + plain.sentence
    assert "Rings and steps: the Pareto front" in weighs.key
    assert "On the Pareto front of the means" in weighs.sentence
    names = weighed(asked(results), arms)
    ringed = [line for line in weighs.draw().axes[0].lines if line.get_markersize() == 12]
    assert len(ringed[0].get_xdata()) == names["front"].sum()
    assert not [line for line in plain.draw().axes[0].lines if line.get_markersize() == 12]


def test_the_front_is_drawn_without_a_colour_of_its_own_in_both_palettes(results, arms):
    light, dark = style.to_svg(drawn(asked(results), arms).draw())
    assert "stroke-dasharray" in light
    assert light != dark


def test_the_steps_go_through_the_front_and_end_at_the_edge(arms):
    best = arms.sort_values("mean").tail(1)["arm"].tolist()
    axes = values_by_parameters(arms, ACCURACY, best).axes[0]
    steps = next(line for line in axes.lines if line.is_dashed())
    assert steps.get_xdata()[-1] == pytest.approx(axes.get_xlim()[1])
    assert set(steps.get_ydata()) == {100 * arms["mean"].max()}


@given(st.lists(st.tuples(st.floats(1, 9), st.floats(1, 9)), max_size=5))
@settings(max_examples=20, deadline=None)
def test_points_along_a_line_leave_no_gap_for_a_label(corners):
    axes = Figure().subplots()
    axes.set(xlim=(1, 9), ylim=(1, 9))
    points = along(axes, corners)
    assert bool(points) == bool(corners)
    if points:
        places = axes.transData.transform(points)
        assert np.abs(np.diff(places, axis=0)).max(initial=0) <= 6.0 + 1e-6
        assert places[-1] == pytest.approx(axes.transData.transform(corners[-1]))


def test_the_page_and_the_downloads_have_the_table_where_it_is_asked_for(results):
    plain, weighs = SettingSection.of(results), SettingSection.of(asked(results))
    page = GitHub().write(setting_blocks(weighs, "README.md", "results"))
    assert "| dominated by |" in page
    assert page.index("against parameters") < page.index("| dominated by |")
    assert "| dominated by |" not in GitHub().write(setting_blocks(plain, "README.md", "results"))
    assert [table.name for table in weighs.downloads if table.name == "pareto"]
    assert not [table.name for table in plain.downloads if table.name == "pareto"]


def test_a_setting_that_asks_for_what_nobody_counted_says_so(results):
    uncounted = results.records.assign(parameters_effective=np.nan)
    section = SettingSection.of(replace(asked(results), records=uncounted))
    page = GitHub().write(setting_blocks(section, "README.md", "results"))
    assert "Quality is not weighed against trained parameters here" in page
