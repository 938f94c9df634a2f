from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qlmbench.errors import UserError
from qlmbench.report import check_report, terminal_summary, write_report
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


@pytest.fixture
def at_home(fake, tmp_path, monkeypatch):
    """A working folder with the made-up study in it and a few of its records."""
    home = tmp_path / "reproductions" / "fake"
    home.mkdir(parents=True)
    (home / "page.md").write_text("Prose of our own.\n")
    declared = fake.study()
    monkeypatch.chdir(tmp_path)
    for name in ("reports.get_study", "reports.study_folders"):
        value = {"get_study": lambda _: declared, "study_folders": lambda: {"fake": home}}
        monkeypatch.setattr(f"qlmbench.report.{name}", value[name.split(".")[1]])
    fake.fill(tmp_path / "results" / "fake" / "default", repetitions=3)
    return tmp_path


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


def test_a_page_is_the_same_every_time(fake, results_folder, github):
    assert study_files(load_page(results_folder, fake.study())) == github


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


def test_a_report_writes_only_what_changed_and_the_check_finds_what_differs(at_home):
    results = at_home / "results"
    written = write_report(results)
    assert check_report(results) == []
    assert write_report(results) == []
    readme = results / "fake" / "README.md"
    assert readme in written
    assert "Prose of our own." in readme.read_text()

    readme.write_text(readme.read_text() + "edited by hand\n")
    figure = results / "fake" / "figures" / "default-accuracy-dark.svg"
    figure.unlink()
    stray = results / "fake" / "figures" / "old-light.svg"
    stray.write_text("left over")
    assert set(check_report(results)) == {readme, figure, stray}
    assert set(write_report(results)) == {readme, figure, stray}
    assert not stray.exists()
    assert check_report(results, "fake") == []


def test_the_readme_beside_the_results_gets_its_table(at_home):
    readme = at_home / "README.md"
    readme.write_text(f"# qlmbench\n{BEGIN}\n{END}\n")
    assert readme in write_report(at_home / "results")
    assert "results/fake/README.md" in readme.read_text()


def test_nothing_to_report_on_is_a_users_error(at_home, fake):
    with pytest.raises(UserError, match="no records"):
        write_report(at_home / "empty")
    with pytest.raises(UserError, match="qlmbench run fake"):
        load_page(at_home / "empty", fake.study())


def test_a_smoke_run_is_shown_only_where_there_is_nothing_else(fake, tmp_path):
    fake.fill(tmp_path / "fake" / "smoke", repetitions=1)
    assert [s.results.run for s in load_page(tmp_path, fake.study()).sections] == ["smoke"]
    fake.fill(tmp_path / "fake" / "default", repetitions=1)
    assert [s.results.run for s in load_page(tmp_path, fake.study()).sections] == ["default"]


def test_the_terminal_gets_the_comparison_and_the_verdicts(fake, results_folder):
    text = terminal_summary(fake.study(), results_folder / "fake" / "default")
    assert "SVC, linear (reference)" in text
    assert "6 claims:" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_run_without_finished_trials_says_so(fake, tmp_path):
    assert "no finished trials" in terminal_summary(fake.study(), tmp_path / "default")


PROGRAM = """
import importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("fake", sys.argv[1])
fake = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fake)
import qlmbench.report
assert "pandas" not in sys.modules
folder = pathlib.Path(sys.argv[2])
print(qlmbench.report.terminal_summary(fake.study(), folder / "fake" / "default"))
assert "matplotlib" not in sys.modules
qlmbench.report.study_files(qlmbench.report.load_page(folder, fake.study()))
assert not {"torch", "merlin", "perceval", "sklearn"} & sys.modules.keys()
"""


def test_no_report_imports_torch_and_the_terminal_not_even_matplotlib(results_folder):
    fake = Path(__file__).with_name("fake.py")
    command = [sys.executable, "-c", PROGRAM, str(fake), str(results_folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
