from __future__ import annotations

import json
import posixpath
import re
from dataclasses import replace

import pytest

from qlmbench.errors import UserError
from qlmbench.records import RunInfo
from qlmbench.report.blocks import GitHub, Heading, Myst, Text, anchor
from qlmbench.report.commands import run_command
from qlmbench.report.overview import (
    BEGIN,
    END,
    headlines_table,
    overview_blocks,
    put_between_markers,
    readme_table,
)
from qlmbench.report.protocol import protocol_table
from qlmbench.report.reports import load_page, site_files, study_files
from qlmbench.stats import Verdict
from qlmbench.store import Store


@pytest.fixture(scope="module")
def github(page):
    return study_files(page)


@pytest.fixture(scope="module")
def site(several_page):
    return site_files([several_page])


SECTIONS = {
    "README.md": (
        "What the paper says",
        "What we ran",
        "Results: default",
        "Results: paper-mine",
        "Verdicts",
        "Claims",
        "All arms",
        "Deviations",
        "Run it yourself",
        "Downloads",
    ),
    "default-main.md": (
        "All arms",
        "Beside the published numbers",
        "Controls: what they rule out",
        "Training curves",
        "Details",
        "Run it yourself",
        "Downloads",
    ),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_page_has_every_section_a_sceptic_looks_for(github, name):
    title = "A made-up paper about | photonic heads"
    headings = re.findall(r"^#+ (.*)$", github[name], flags=re.M)
    assert headings[0] == (title if name == "README.md" else "Run default")
    assert title in github[name]
    assert set(SECTIONS[name]) <= set(headings)


def test_what_the_authors_found_stands_apart_from_what_the_paper_says(page):
    blocks = replace(page, prose="Nothing helps.\n").blocks(GitHub())
    place = blocks.index(Heading(2, "What we found"))
    assert blocks[place + 1 :][0] == Text("Nothing helps.")
    assert place > blocks.index(Heading(2, "What the paper says"))
    assert Heading(2, "What we found") not in page.blocks(GitHub())


@pytest.fixture(params=["one setting", "several settings"])
def written(request, page, several_page):
    return page if request.param == "one setting" else several_page


def test_every_link_of_every_page_leads_to_a_file_or_a_heading(written):
    for flavour, files in (("github", study_files(written)), ("myst", site_files([written]))):
        pages = [name for name in files if name.endswith(".md")]
        assert len(pages) > 1
        for name in pages:
            assert not _dead_links(name, files), flavour


def _dead_links(name, files):
    text = files[name]
    links = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    links += re.findall(r"\{download\}`[^<]+<([^>]+)>`|\{image\} (\S+)", text)
    flat = [link for found in links for link in ([found] if isinstance(found, str) else found)]
    headings = {f"#{anchor(h)}" for h in re.findall(r"^#+ (.*)$", text, flags=re.M)}
    folder = posixpath.dirname(name)
    return [
        link
        for link in flat
        if link
        and not link.startswith("https://")
        and link not in headings
        and posixpath.normpath(posixpath.join(folder, link)) not in files
    ]


def test_every_page_of_a_site_is_in_a_list_of_contents(written):
    files = site_files([written])
    listed = "\n".join(
        re.findall(r"\{toctree\}\n:hidden:\n\n(.*?)\n```", "".join(files.values()), re.S)
    )
    for name in files:
        if name.endswith(".md") and name != "index.md":
            assert name.removesuffix(".md") in listed.splitlines()


def test_both_flavours_show_the_same_tables(written):
    def tables(text):
        lines = [line for line in text.splitlines() if line.startswith("| ")]
        return [re.sub(r"\]\([^)]*\)", "]", line) for line in lines if "{bdg" not in line]

    github, site = study_files(written), site_files([written])
    assert tables(github["README.md"]) == tables(site["fake.md"])
    for name in github:
        if name.endswith(".md") and name != "README.md":
            assert tables(github[name]) == tables(site[f"fake/{name}"])


def test_every_figure_and_table_stands_on_a_page(written):
    github = study_files(written)
    text = "\n".join(page for name, page in github.items() if name.endswith(".md"))
    for path in github:
        assert path.endswith(".md") or path in text


def test_a_study_of_several_settings_has_a_page_for_each_and_says_which_decides(several_page):
    files = study_files(several_page)
    for setting in ("few", "more", "tuned"):
        assert f"](default-{setting}.md)" in files["README.md"]
        assert f"qlmbench run fake --setting {setting} --results" in files[f"default-{setting}.md"]
    assert "Tuned encoder, against More rows" in files["README.md"]
    assert "all-mpnet-base-v2, tuned" not in files["default-more.md"]


def test_the_page_of_a_setting_says_how_it_was_run(several_page):
    files = study_files(several_page)
    assert "| encoder | frozen |" in files["default-more.md"]
    tuned = files["default-tuned.md"]
    assert "tuned on the training rows of each repetition: steps 20; temperature 0.07" in tuned
    assert "each arm's own grid" in tuned


def test_overrides_grids_and_conditions_of_a_setting_are_written_out(several):
    protocol = several.main.results.protocol.model_copy(
        update={
            "overrides": {"epochs": 10, "layers": [4, 2]},
            "grid": {"lr": [0.01, 0.1]},
            "evaluate": {"shots": [100, 1000]},
        }
    )
    changed = replace(several.main.results, protocol=protocol)
    shown = protocol_table(changed).shown.set_index("what")["how"]
    assert shown["arguments set on every arm that names them"] == "epochs 10; layers 4, 2"
    assert shown["search on validation"] == "in place of the arms' own values: lr 0.01, 0.1"
    assert shown["scored under other conditions"] == "shots 100, 1000"
    off = replace(changed, protocol=protocol.model_copy(update={"tune": False}))
    assert "none" in protocol_table(off).shown.set_index("what").loc["search on validation", "how"]


def test_published_numbers_stand_beside_the_setting_that_they_belong_to(several_page):
    files = study_files(several_page)
    assert "| 8 modes |" in files["default-few.md"]
    assert "| 8 modes |" not in files["default-tuned.md"]
    assert "| tuned |" in files["default-tuned.md"]
    assert "Beside the published numbers" not in files["default-more.md"]


def test_commands_name_what_stood_in_for_data_and_encoder(several):
    results = several.main.results
    info = RunInfo(
        profile="default", setting="few", dataset={"name": "mine"}, encoder={"name": "e"}
    )
    changed = replace(results, info=info)
    assert run_command([changed], "runs") == "qlmbench run fake --data mine --encoder e"
    other = results.protocol.model_copy(update={"dataset": "agnews"})
    named = run_command([replace(changed, protocol=other)], "results", setting="few")
    assert "--setting few --data agnews=mine" in named
    assert named.endswith("--results results")


def test_a_page_is_the_same_every_time(fake, tmp_path):
    fake.fill(tmp_path / "fake" / "default" / "main", fake.lean())
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
    assert "| A made-up paper" not in headlines_table(page, GitHub())
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
    rows = json.loads(github["tables/default-main-comparison.json"])["rows"]
    assert [row["arm"] for row in rows] == [arm.name for arm in results.arms]
    records = github["tables/default-main-records.csv"].splitlines()
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
    assert 'href="fake/default-tuned.html"' in html
    assert 'href="../fake.html"' in (index.parent / "fake" / "default-tuned.html").read_text()
    assert (index.parent / "_images" / "default-few-accuracy-light.svg").exists()


@pytest.mark.parametrize("emptied", [("few",), ("tuned",), ("few", "more", "tuned")])
def test_a_setting_whose_trials_were_all_declared_earlier_says_so(fake, tmp_path, emptied):
    fake.fill_several(tmp_path / "fake" / "default", repetitions=3)
    for name in emptied:
        info = RunInfo(
            profile="default",
            setting=name,
            dataset={"name": "toy", "sha256": "00"},
            encoder={"name": "hash", "weights": "11"},
        )
        Store(tmp_path / "fake" / "default" / name).save_info(info)  # trials have ids from now on
    files = study_files(load_page(tmp_path, fake.several()))
    for name in ("few", "more", "tuned"):
        page = files[f"default-{name}.md"]
        assert ("left out: of trials as they were declared earlier" in page) == (name in emptied)
        assert ("## No trials" in page) == (name in emptied)
        assert ("## All arms" in page) == (name not in emptied)
