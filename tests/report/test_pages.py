from __future__ import annotations

import json
import re

import pytest

from qlmbench.errors import UserError
from qlmbench.report.blocks import GitHub, Myst, anchor
from qlmbench.report.overview import (
    BEGIN,
    END,
    overview_blocks,
    put_between_markers,
    readme_table,
)
from qlmbench.report.reports import load_page, site_files, study_files
from qlmbench.stats import Verdict


@pytest.fixture(scope="module")
def github(page):
    return study_files(page)


@pytest.fixture(scope="module")
def site(page):
    return site_files([page])


def test_the_page_has_every_section_a_sceptic_looks_for(github):
    headings = re.findall(r"^#+ (.*)$", github["README.md"], flags=re.M)
    assert headings[0] == "A made-up paper about | photonic heads"
    for wanted in (
        "What the paper says",
        "What we ran",
        "Results: default",
        "Results: paper-mine",
        "Verdicts",
        "Claims",
        "All arms",
        "Beside the published numbers",
        "Controls: what they rule out",
        "Training curves",
        "Deviations",
        "Run it yourself",
        "Downloads",
    ):
        assert wanted in headings


def test_every_link_of_the_page_leads_to_a_file_or_a_heading(github):
    text = github["README.md"]
    targets = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    headings = {anchor(h) for h in re.findall(r"^#+ (.*)$", text, flags=re.M)}
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert target in github


def test_both_flavours_show_the_same_tables(page, github, site):
    def tables(text):
        return [line for line in text.splitlines() if line.startswith("| ") and "{bdg" not in line]

    assert tables(github["README.md"]) == tables(site["fake.md"])


def test_every_figure_stands_on_the_page_in_two_palettes(github, site):
    for path in github:
        if path.endswith(".svg"):
            assert path in github["README.md"]
            assert f"fake/{path}" in site["fake.md"]


def test_a_page_is_the_same_every_time(fake, tmp_path):
    fake.fill(tmp_path / "fake" / "default", fake.lean())
    first, second = (study_files(load_page(tmp_path, fake.lean())) for _ in range(2))
    assert first == second


def test_every_verdict_has_a_badge_in_both_flavours():
    for verdict in Verdict:
        assert verdict.value in GitHub().badge(verdict)
        assert verdict.value in Myst().badge(verdict)


def test_the_overview_shows_every_claim_and_the_effect_in_every_run(page):
    text = GitHub().write(overview_blocks([page], GitHub(), "{name}/README.md"))
    for claim in page.study.claims:
        assert claim.statement in text
    assert "1 paper, 6 claims" in text
    assert "paper-mine" in text


def test_the_readme_table_goes_between_its_markers_and_nowhere_else(page):
    table = readme_table([page], GitHub(), "results/{name}/README.md")
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = put_between_markers(text, table)
    assert new.startswith("before\n")
    assert new.endswith("after\n")
    assert "old" not in new
    assert "results/fake/README.md" in new
    assert put_between_markers(new, table) == new


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_readme_without_its_markers_is_a_users_error(text):
    with pytest.raises(UserError, match="results:begin"):
        put_between_markers(text, "table")


def test_downloads_hold_the_numbers_of_the_page(github, results):
    rows = json.loads(github["tables/default-comparison.json"])["rows"]
    assert [row["arm"] for row in rows] == [arm.name for arm in results.arms]
    records = github["tables/default-records.csv"].splitlines()
    assert len(records) == len(results.records) + 1
    assert r"\toprule" in github["tables/default-claims.tex"]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(site, tmp_path):
    pytest.importorskip("sphinx")
    from qlmbench.report import build_site

    index = build_site(site, tmp_path)
    html = (index.parent / "fake.html").read_text()
    assert "only-dark" in html
    assert "sd-badge" in html
    assert "{bdg" not in html
    assert (index.parent / "_images" / "default-accuracy-light.svg").exists()
