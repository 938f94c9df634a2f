"""Pages that are made from the records, and from the command line's own help.

They are written anew before each build, so that they never say anything else than their source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from qlmbench.cli import main
from qlmbench.registry import study_folders
from qlmbench.report.blocks import Block, Heading, Myst, Text
from qlmbench.report.overview import (
    MEANING,
    headlines_table,
    overview_blocks,
    overview_sentence,
)
from qlmbench.report.page import StudyPage
from qlmbench.report.reports import load_pages, site_files, with_notebook_link
from qlmbench.report.site import CSS
from qlmbench.report.speed import speed_site_files
from qlmbench.report.write import write_changed

NOTHING = "No study has committed records yet. `qlmbench run qllm` makes some."
NO_SPEED = "# How fast\n\nNot measured yet: `python benchmarks/run_all.py` does it.\n"
SUMMARY, PLAIN = "results-summary.inc", "results-overview.inc"
"""The overview's sentence and the rest without its heading, which the first page includes."""
FROM_PARTS = "../../results/{name}.md"
"""From a page on a part of the suite to the results of a study."""


def write_all(docs: Path, results: Path) -> None:
    """Write every generated file of the documentation.

    Parameters
    ----------
    docs : Path
        The folder of ``conf.py``.
    results : Path
        The folder of the records; it may be empty.
    """
    pages = _pages(results)
    files = site_files(pages) if pages else {"index.md": f"# Results\n\n{NOTHING}\n"}
    for page in pages:
        name = f"{page.study.name}.md"
        files[name] = with_notebook_link(files[name], page.study, "../notebooks")
    _replace(docs / "results", files)
    _write_speed(docs / "guide", results / "benchmarks")
    _replace(docs / "notebooks", notebooks(docs.parent / "notebooks"))
    write_changed(docs, {SUMMARY: summary(pages), PLAIN: overview(pages)})
    write_changed(docs / "guide" / "parts", findings(pages, sorted(study_folders())))
    write_changed(docs / "_static", {"qlmbench.css": CSS})
    write_changed(docs / "reference", {"commands.md": command_reference()})


def _pages(results: Path) -> list[StudyPage]:
    has_records = any(results.glob("*/*/*/records.jsonl"))
    return load_pages(results) if has_records else []


def notebooks(folder: Path) -> dict[str, str]:
    """Return the notebooks by name, with the outputs that they were committed with.

    Links that lead into ``docs/`` on GitHub lead beside the notebooks on the site.
    """
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb")}
    return {name: text.replace("](../docs/", "](../") for name, text in texts.items()}


def _write_speed(guide: Path, measured: Path) -> None:
    """Write the page on speed, which is made from measurements of its own."""
    files = speed_site_files(measured) if any(measured.glob("*.json")) else {"speed.md": NO_SPEED}
    below = {name.removeprefix("speed/"): text for name, text in files.items() if "/" in name}
    _replace(guide / "speed", below)
    write_changed(guide, {"speed.md": files["speed.md"]})


def _replace(folder: Path, files: dict[str, str]) -> None:
    """Write the files that changed, and remove what an earlier build left."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()
    write_changed(folder, files)


def summary(pages: list[StudyPage]) -> str:
    """Count the verdicts, for the first page."""
    return f"{overview_sentence(pages) if pages else NOTHING}\n"


def overview(pages: list[StudyPage]) -> str:
    """Write every claim with its verdict, for the first page."""
    if not pages:
        return ""
    flavour = Myst()
    blocks = overview_blocks(pages, flavour, "results/{name}.md")
    # The sentence stands above, and what the words in the tables mean comes after them.
    apart = (Text(MEANING), Text(overview_sentence(pages)))
    kept = [block for block in blocks if block not in apart and not _is_title(block)]
    return flavour.write([*kept, Text(MEANING)])


def findings(pages: list[StudyPage], studies: Iterable[str]) -> dict[str, str]:
    """Write the main claims of each study with their verdicts, for the guide's pages on parts."""
    with_records = {page.study.name: page for page in pages}
    return {
        f"{name}.inc": _finding(with_records[name]) if name in with_records else _nothing_of(name)
        for name in studies
    }


def _finding(page: StudyPage) -> str:
    table = headlines_table(page, Myst())
    link = FROM_PARTS.format(name=page.study.name)
    return f"{table}\n\n{MEANING} [All claims, controls and costs]({link}).\n"


def _nothing_of(study: str) -> str:
    return f"No records are committed yet: `qlmbench run {study}` makes some.\n"


def _is_title(block: Block) -> bool:
    return isinstance(block, Heading) and block.level == 1


# ---- the command line ----------------------------------------------------------------------------


def command_reference() -> str:
    """Write down what ``--help`` says, of ``qlmbench`` and of each of its commands."""
    parts = [
        "# Command line",
        "Every command ends with exit code 0 when all went well, 1 when a trial failed or a check "
        "found a difference, and 2 for a mistake in what it was given, told in one line.",
        _help(main, "qlmbench"),
    ]
    context = click.Context(main, info_name="qlmbench")
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if command is not None and not command.hidden:
            parts += [f"## qlmbench {name}", _help(command, name, context)]
    return "\n\n".join(parts) + "\n"


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> str:
    # A fixed width: the page must not depend on the terminal of whoever builds it.
    settings = command.context_settings | {"terminal_width": 76, "max_content_width": 76}
    context = command.context_class(command, info_name=name, parent=parent, **settings)
    lines = "\n".join(_without_trailing_space(command.get_help(context)))
    return f"```text\n{lines}\n```"


def _without_trailing_space(text: str) -> Iterator[str]:
    yield from (line.rstrip() for line in text.splitlines())
