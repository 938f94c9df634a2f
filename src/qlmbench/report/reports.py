"""The report of a folder of results: which files there are, and their text."""

from __future__ import annotations

from pathlib import Path

from qlmbench.errors import UserError
from qlmbench.registry import get_study, study_folders
from qlmbench.report.blocks import GitHub, Myst
from qlmbench.report.load import load_runs
from qlmbench.report.overview import BEGIN, overview_blocks, put_between_markers, readme_table
from qlmbench.report.page import Section, StudyPage
from qlmbench.report.site import build_site
from qlmbench.report.write import differing, write_changed
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
    runs = [run for run in runs if run.profile_name != SMOKE] or runs
    if not runs:
        raise UserError(
            f"{results / study.name}: no records of study {study.name!r}",
            do=f"run 'qlmbench run {study.name}' first, or name another folder with --results",
        )
    sections = [Section.of(run) for run in runs]
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
    return folder.is_dir() and any(path.is_dir() for path in folder.glob("*/"))


def study_files(page: StudyPage) -> dict[str, str]:
    """Return what stands beside the records of a study: its page, figures and downloads."""
    flavour = GitHub()
    return {"README.md": flavour.write(page.blocks(flavour))} | page.attachments()


def overview_file(pages: list[StudyPage]) -> dict[str, str]:
    """Return the overview that stands beside the folders of all studies."""
    flavour = GitHub()
    blocks = overview_blocks(pages, flavour, "{name}/README.md")
    return {"README.md": flavour.write(blocks)}


def site_files(pages: list[StudyPage]) -> dict[str, str]:
    """Return the sources of a Sphinx site: an overview, a page a study, figures, downloads."""
    flavour = Myst()
    names = "\n".join(page.study.name for page in pages)
    toctree = f"```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    index = flavour.write(overview_blocks(pages, flavour, "{name}.md"))
    files = {"index.md": f"{index}\n{toctree}"}
    for page in pages:
        name = page.study.name
        files[f"{name}.md"] = flavour.write(page.blocks(flavour), base=f"{name}/")
        files |= {f"{name}/{path}": text for path, text in page.attachments().items()}
    return files


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
