from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from qlmbench.report import style
from qlmbench.report.figures import modes_frame, plots_of
from qlmbench.report.load import load_results
from qlmbench.report.plots.arms import grouped
from qlmbench.report.plots.labels import inside, spread
from qlmbench.report.plots.limits import lowest_shown
from qlmbench.report.plots.modes import values_by_modes
from qlmbench.report.sections import RunSection
from qlmbench.report.tables import comparison_frame, sized
from qlmbench.spec import ArmKind
from qlmbench.stats import Verdict


@pytest.fixture(scope="module")
def section(run):
    return RunSection.of(run)


@pytest.fixture(scope="module")
def arms(section):
    return section.main.comparison.data


@pytest.fixture(scope="module")
def drawn(section):
    return {plot.name: style.to_svg(plot.draw()) for plot in plots_in(section)}


def plots_in(section):
    return [*section.plots, *section.main.plots]


def test_a_full_run_has_every_figure(drawn):
    assert list(drawn) == ["claims", "accuracy", "modes", "parameters", "ranks", "curves"]


def test_figures_are_drawn_the_same_twice_whatever_the_callers_settings(section, drawn):
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": None}):
        again = {plot.name: style.to_svg(plot.draw()) for plot in plots_in(section)}
    assert again == drawn


def test_drawing_leaves_the_callers_settings_alone(section):
    before = dict(mpl.rcParams)
    style.to_svg(section.plots[0].draw())
    assert dict(mpl.rcParams) == before


def test_figures_carry_no_date_and_no_version(drawn):
    for light, _ in drawn.values():
        assert "dc:date" not in light
        assert mpl.__version__ not in light


def test_light_and_dark_differ_in_colours_alone(drawn):
    for light, dark in drawn.values():
        assert light != dark
        blank = re.compile(r"#[0-9a-f]{6}\b")
        assert blank.sub("", light) == blank.sub("", dark)


def test_every_colour_of_the_dark_variant_is_of_the_dark_palette(drawn):
    for _, dark in drawn.values():
        colours = set(re.findall(r"(?<![\w(])#[0-9a-f]{6}\b", dark))
        assert colours <= set(style.DARK.values())


def test_figures_are_well_formed_and_transparent(drawn):
    for light, _ in drawn.values():
        root = ET.fromstring(light)
        assert root.tag.endswith("svg")
        assert "#ffffff" not in light


def test_a_colour_outside_the_palette_is_refused():
    @style.styled
    def draw():
        figure = Figure()
        figure.subplots().plot([0, 1], color="#123456")
        return figure

    with pytest.raises(ValueError, match="#123456"):
        style.to_svg(draw())


def test_arms_can_be_told_apart_without_colour():
    markers = [style.KIND_MARKER[kind] for kind in ArmKind]
    assert len({*markers, style.QUOTED_MARKER}) == len(markers) + 1


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(f * p for f, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(a: str, b: str) -> float:
    low, high = sorted((_luminance(a), _luminance(b)))
    return (high + 0.05) / (low + 0.05)


TEXTS = [style.INK, style.MUTED, *style.KIND_COLOUR.values()]
TEXTS += [colour for verdict, colour in style.VERDICT_COLOUR.items() if verdict in Verdict]


@pytest.mark.parametrize("colour", sorted(set(TEXTS)))
def test_text_is_readable_on_white_and_on_the_dark_page(colour):
    assert _contrast(colour, "#ffffff") >= 4.5
    assert _contrast(style.DARK[colour], "#14181e") >= 4.5


def test_quoted_values_are_labelled_as_quoted(drawn):
    assert "quoted" in drawn["accuracy"][0]
    assert "published" in drawn["claims"][0]


def test_every_arm_has_its_row_and_the_figure_grows_with_their_number(section, results):
    plot = next(plot for plot in section.main.plots if plot.name == "accuracy")
    figure = plot.draw()
    labels = {label.get_text() for label in figure.axes[0].get_yticklabels()}
    assert {arm.title for arm in results.arms} <= labels
    assert figure.get_figheight() > 0.2 * len(results.arms)


def test_with_many_arms_a_large_group_shares_a_row_and_the_best_on_validation_stands_for_it(arms):
    many = pd.concat([arms.assign(arm=arms["arm"] + str(i)) for i in range(2)], ignore_index=True)
    rows = grouped(many, "test_accuracy", collapse=True)
    row = next(row for row in rows.values() if "members" in row)
    photonic = many[many["group"] == "photonic"]
    assert row["label"] == f"Photonic, {len(photonic)} arms"
    assert row["arm"] == photonic.loc[photonic["validation"].idxmax(), "arm"]
    alone = [row for row in rows.values() if not isinstance(row, str) and "members" not in row]
    assert len(alone) == (~many["group"].isin(["photonic", "published"])).sum()


@pytest.mark.parametrize(
    ("means", "lowest"),
    [
        ([0.5, 0.51, *np.linspace(0.8, 0.9, 10)], 0.8),  # two at chance press the others together
        (np.linspace(0.5, 0.9, 12), -np.inf),  # evenly spread
        ([*np.linspace(0.5, 0.55, 6), *np.linspace(0.8, 0.9, 6)], -np.inf),  # too many below
        ([0.5, 0.9], -np.inf),
    ],
)
def test_an_axis_ends_above_a_few_arms_that_are_far_below_all_others(means, lowest):
    kinds = pd.Series(["baseline"] * len(means))
    assert lowest_shown(pd.Series(means), kinds) == pytest.approx(lowest)


def test_no_arm_that_a_study_is_about_is_ever_beyond_the_axis():
    means, kinds = pd.Series([0.5, *np.linspace(0.8, 0.9, 10)]), pd.Series(["baseline"] * 11)
    for kind in ("paper", "as-published"):
        kinds[0] = kind
        assert lowest_shown(means, kinds) == -np.inf


def test_groups_of_two_fock_spaces_have_a_panel_each(fake, results, arms):
    study = fake.study()
    spaces = [
        arm.model_copy(update={"params": arm.params | {"space": "fock" if i % 2 else "unbunched"}})
        for i, arm in enumerate(study.arms)
    ]
    changed = replace(results, study=study.model_copy(update={"arms": spaces}))
    frame = modes_frame(changed, arms, "test_accuracy")
    assert {"photonic, fock", "photonic, unbunched"} <= set(frame["group"])
    figure = values_by_modes(frame, None, "test_accuracy")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert len(titles) == frame["group"].nunique()


def test_kernel_machines_have_no_size_and_stay_out_of_the_figure_of_parameters(results, arms):
    kernel = arms["arm"] == "svc"
    some = arms.assign(parameters_effective=arms["parameters_effective"].mask(kernel))
    assert list(sized(some)) == list(~kernel)
    plot = next(plot for plot in plots_of(results, some) if plot.name == "parameters")
    figure = plot.draw()
    drawn = sum(len(line.get_xdata()) for line in figure.axes[0].lines)
    assert drawn + int(re.match(r"\d+", _note(figure)).group()) == len(arms) - 1


def _note(figure):
    notes = [text.get_text() for text in figure.axes[0].texts]
    return next((note for note in notes if note.endswith("not shown")), "0")


def test_every_figure_says_what_to_see(section):
    for plot in plots_in(section):
        assert plot.sentence.endswith(".")
        assert plot.key.endswith(".")
        assert "nan" not in plot.sentence.lower().split()


def test_a_run_of_one_repetition_is_drawn_without_intervals(fake, tmp_path):
    fake.fill(tmp_path / "default" / "main", repetitions=1)
    results = load_results(fake.study(), tmp_path / "default" / "main")
    arms = comparison_frame(results, "test_accuracy")
    plots = plots_of(results, arms)
    assert "ranks" not in [plot.name for plot in plots]
    for plot in plots:
        style.to_svg(plot.draw())


def test_labels_moved_apart_keep_their_order_and_their_distance():
    placed = spread([1.0, 1.01, 0.99, 3.0], gap=0.5)
    order = sorted(range(4), key=lambda i: placed[i])
    assert order == [2, 0, 1, 3]
    gaps = [placed[b] - placed[a] for a, b in itertools.pairwise(order)]
    assert min(gaps) >= 0.5 - 1e-6


@given(st.lists(st.floats(-1, 2, allow_nan=False), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_labels_beside_a_panel_stay_between_its_ends_where_they_fit(values):
    gap = 0.15
    placed = inside(values, gap, 0.0, 1.0)
    order = sorted(range(len(values)), key=lambda i: values[i])
    assert all(-1e-9 <= y <= 1 + 1e-9 for y in placed)
    assert all(placed[b] - placed[a] >= gap - 1e-9 for a, b in itertools.pairwise(order))
