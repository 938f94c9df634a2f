from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qlmbench.report.blocks import GitHub
from qlmbench.report.diagnostics import diagnostics_list, diagnostics_table
from qlmbench.report.sections import SettingSection
from qlmbench.report.settings_page import setting_blocks
from qlmbench.stats import mean_interval

WORDS = {"spread": "how far it goes", "kept_share": "what it keeps", "absent": "nobody measures it"}


@pytest.fixture(scope="module")
def measured(fake, results):
    """A setting of which two arms measured something of themselves."""
    records = results.records.copy()
    rng = np.random.default_rng(0)
    own = records["arm"].isin(["photonic-8-2", "tanh"])
    records["spread"] = np.where(own, rng.normal(2, 0.1, len(records)), np.nan)
    records["kept_share"] = np.where(records["arm"] == "tanh", 0.25, np.nan)
    records["secret"] = 1.0
    return replace(results, records=records, study=fake.study(diagnostics=WORDS))


@pytest.fixture(scope="module")
def table(measured):
    return diagnostics_table(measured)


def test_only_what_the_study_names_and_a_record_has_is_shown(table):
    assert table.columns == ["arm", "n", "spread", "kept share, %"]


def test_only_arms_that_measured_something_have_a_row_in_study_order(table):
    assert table.data["arm"].tolist() == ["photonic-8-2", "tanh"]


def test_a_diagnostic_is_the_mean_over_repetitions_with_its_interval(measured, table):
    values = measured.values("photonic-8-2", "spread").to_numpy()
    row = table.data.iloc[0]
    seed = measured.seed("photonic-8-2", "", "spread")
    expected = mean_interval(values, seed=seed)
    assert row["spread"] == pytest.approx(values.mean())
    assert (row["spread_low"], row["spread_high"]) == (
        expected.interval.low,
        expected.interval.high,
    )
    assert (row["n"], table.rows[0][1]) == (14, "14")


def test_equal_values_have_no_interval_and_missing_ones_a_dash(table):
    assert table.shown["kept share, %"].tolist() == ["\N{EN DASH}", "25.0"]


def test_the_study_says_what_each_one_means(measured):
    assert diagnostics_list(measured).splitlines() == [
        "- **spread**: how far it goes",
        "- **kept share**: what it keeps",
    ]


def test_without_words_or_without_records_there_is_no_table(results, fake):
    assert len(diagnostics_table(results)) == 0
    named = replace(results, study=fake.study(diagnostics=WORDS))
    assert len(diagnostics_table(named)) == 0


def test_the_page_and_the_downloads_have_it_where_there_is_something_to_say(results, measured):
    title = "## What the models say of themselves"
    section = SettingSection.of(measured)
    page = GitHub().write(setting_blocks(section, "README.md", "results"))
    assert title in page
    assert "diagnostics" in [table.name for table in section.downloads]
    plain = SettingSection.of(results)
    assert title not in GitHub().write(setting_blocks(plain, "README.md", "results"))
    assert "diagnostics" not in [table.name for table in plain.downloads]
