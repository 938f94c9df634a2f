"""The report of a folder of results: which files there are, and their text."""

from __future__ import annotations

from pathlib import Path

from qlmbench.errors import UserError
from qlmbench.registry import get_study, study_folders
from qlmbench.report.blocks import Flavour, GitHub, Myst
from qlmbench.report.load import has_records, load_runs
from qlmbench.report.overview import BEGIN, overview_blocks, put_between_markers, readme_table
from qlmbench.report.page import StudyPage
from qlmbench.report.sections import RunSection, merged
from qlmbench.report.settings_page import setting_blocks
from qlmbench.report.site import build_site
from qlmbench.report.write import MARK, differing, write_changed
from qlmbench.spec import Study

SMOKE = "smoke"
COMMITTED = "results"
"""Name of the folder whose results a project's README shows; a user's own runs never go there."""


def load_page(results: Path, study: Study, prose: str = "") -> StudyPage:
    """Read all runs of a study; smoke runs only where there is nothing else.

    Raises
    ------
    UserError
        If no run of the study has a record.
    """
    runs = load_runs(study, results / study.name)
    runs = [run for run in runs if run.profile != SMOKE] or runs
    if not runs:
        raise UserError(
            f"{results / study.name}: no records of study {study.name!r}",
            do=f"run 'qlmbench run {study.name}' first, or name another folder with --results",
        )
    sections = [RunSection.of(run) for run in runs]
    return StudyPage(study, sections, prose, results_folder=results.name)


def load_pages(results: Path, study: str | None = None) -> list[StudyPage]:
    """Read a study, or every known study that has records.

    Raises
    ------
    UserError
        If there is no such study, or nothing to report on.
    """
    folders = study_folders()
    names = [study] if study else [n for n in sorted(folders) if _has_runs(results / n)]
    if not names:
        raise UserError(
            f"{results}: no records of any known study", do="run 'qlmbench run <study>' first"
        )
    pages = []
    for name in names:
        declared = get_study(name)
        prose = folders[name] / "page.md"
        text = prose.read_text(encoding="utf-8") if prose.is_file() else ""
        pages.append(load_page(results, declared, text))
    return pages


def _has_runs(folder: Path) -> bool:
    return any(has_records(path) for path in folder.glob("*/*/"))


def study_files(page: StudyPage) -> dict[str, str]:
    """Return what stands beside the records of a study: its pages, figures and downloads."""
    flavour = GitHub()
    text = flavour.write(page.blocks(flavour))
    if page.results_folder == COMMITTED:
        text = with_notebook_link(text, page.study, "../../notebooks")
    files = {"README.md": text}
    files |= _setting_files(page, flavour, "README.md")
    marked = {name: f"{text}\n{MARK}\n" for name, text in files.items()}
    return marked | page.attachments()


def with_notebook_link(text: str, study: Study, folder: str) -> str:
    """Make a link of the study's notebook on its page; ``folder`` leads there from the page.

    A page beside records of a user's own names the notebook alone: it may lie anywhere.
    """
    path = f"`notebooks/{study.notebook}`"
    return text.replace(path, f"[{study.notebook}]({folder}/{study.notebook})")


def _setting_files(page: StudyPage, flavour: Flavour, home: str) -> dict[str, str]:
    """Write the page of every setting of every run, by file name."""
    sections = [section for run in page.runs for section in run.settings]
    return merged(
        {section.page: flavour.write(setting_blocks(section, home, page.results_folder))}
        for section in sections
    )


def overview_file(pages: list[StudyPage]) -> dict[str, str]:
    """Return the overview that stands beside the folders of all studies."""
    flavour = GitHub()
    blocks = overview_blocks(pages, flavour, "{name}/README.md")
    return {"README.md": flavour.write(blocks)}


def site_files(pages: list[StudyPage]) -> dict[str, str]:
    """Return the sources of a Sphinx site: overview, studies, settings, figures, downloads."""
    flavour = Myst()
    index = flavour.write(overview_blocks(pages, flavour, "{name}.md"))
    files = {"index.md": f"{index}\n{_toctree([page.study.name for page in pages])}"}
    for page in pages:
        name = page.study.name
        settings = _setting_files(page, flavour, f"../{name}.md")
        below = [f"{name}/{path.removesuffix('.md')}" for path in settings]
        text = flavour.write(page.blocks(flavour, f"{name}/"), base=f"{name}/")
        files[f"{name}.md"] = f"{text}\n{_toctree(below)}"
        files |= {f"{name}/{path}": t for path, t in (settings | page.attachments()).items()}
    return files


def _toctree(pages: list[str]) -> str:
    names = "\n".join(pages)
    return f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"


def readme_with_results(text: str, pages: list[StudyPage], link: str) -> str:
    """Return a README's text with the main claims between its markers."""
    return put_between_markers(text, readme_table(pages, GitHub(), link))


def _reports(results: Path, study: str | None) -> list[tuple[Path, dict[str, str]]]:
    pages = load_pages(results, study)
    found = [(results / page.study.name, study_files(page)) for page in pages]
    if study is None:
        found.append((results, overview_file(pages)))
        readme = results.parent / "README.md"
        text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
        if results.name == COMMITTED and BEGIN in text:
            new = readme_with_results(text, pages, f"{results.name}/{{name}}/README.md")
            found.append((results.parent, {"README.md": new}))
    return found


def write_report(results: Path, study: str | None = None) -> list[Path]:
    """Write page, figures and downloads of one study or of all; only what changed.

    With all studies, the overview ``results/README.md`` is written too, and the table between the
    markers of a ``README.md`` beside a folder called ``results``, where it has them.

    Parameters
    ----------
    results : Path
        The folder of all results.
    study : str, optional
        One study; default all that have records.

    Returns
    -------
    list of Path
        Files that were written or removed.

    Raises
    ------
    UserError
        If there is nothing to report on, or the folder cannot be written to.
    """
    return [p for folder, files in _reports(results, study) for p in write_changed(folder, files)]


def check_report(results: Path, study: str | None = None) -> list[Path]:
    """List the generated files that differ from what the records give; write nothing."""
    return [p for folder, files in _reports(results, study) for p in differing(folder, files)]


def write_site(results: Path, study: str | None = None, out: Path | None = None) -> Path:
    """Build a web site of the results and return the path of its first page.

    Parameters
    ----------
    results : Path
        The folder of all results.
    study : str, optional
        One study; default all that have records.
    out : Path, optional
        Folder of the site; default ``_site`` in the results folder.

    Returns
    -------
    Path
        The page of the study, or the overview of all.
    """
    pages = load_pages(results, study)
    index = build_site(site_files(pages), out or results / "_site")
    return index.with_name(f"{study}.html") if study else index
