"""All studies on one page: every paper, every claim, a verdict, the effect with its interval."""

from __future__ import annotations

import pandas as pd

from qlmbench.errors import UserError
from qlmbench.report import wording as w
from qlmbench.report.blocks import Block, Flavour, Heading, TableBlock, Text
from qlmbench.report.claims import Judged, settings_of, verdict_counts
from qlmbench.report.page import StudyPage
from qlmbench.report.render import Table, to_markdown
from qlmbench.report.sections import RunSection
from qlmbench.spec import Claim

RESULT_COLUMNS = ("verdict", "published", "measured")
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
MEANING = (
    "**Reproduced**: there, and of the published size. **Partly reproduced**: there, but smaller. "
    "**Equivalent to the baseline**: shown to be too small to matter. **Not reproduced**: the "
    "records speak against it. **Inconclusive**: the records cannot tell. Measured is one arm "
    "minus another (for a level, the arm alone), a mean over paired repetitions with its 95 % "
    "interval; *more*, *less* and *equal* stand where a direction is claimed, or implied, without "
    "a number."
)


def overview_blocks(pages: list[StudyPage], flavour: Flavour, link: str) -> list[Block]:
    """Lay out the overview.

    Parameters
    ----------
    pages : list of StudyPage
        All studies with records.
    flavour : Flavour
        How badges are written.
    link : str
        Link to a study's page, with ``{name}`` in place of its name.

    Returns
    -------
    list of blocks
    """
    blocks: list[Block] = [Heading(1, "Results"), Text(overview_sentence(pages)), Text(MEANING)]
    for page in pages:
        paper = page.study.paper
        where = link.format(name=page.study.name)
        blocks.append(Heading(2, paper.title))
        repetitions = sorted({j.verdict.n for j in page.runs[0].judged if j.verdict.n})
        n = w.listed([str(count) for count in repetitions]) or "no"
        run = page.runs[0].run.run
        text = f"{page.study.summary} {n} repetitions, run {run}. [Full results]({where})"
        blocks += [Text(text), TableBlock(claims_overview(page, flavour))]
    return blocks


def overview_sentence(pages: list[StudyPage]) -> str:
    """Count papers, claims and verdicts."""
    judged = [j for page in pages for j in page.runs[0].judged]
    parts = [f"{count} {verdict}" for verdict, count in verdict_counts(judged).items()]
    papers = w.plural(len(pages), "paper")
    return f"{papers}, {w.plural(len(judged), 'claim')}: {w.listed(parts) or 'none judged yet'}."


def claims_overview(page: StudyPage, flavour: Flavour) -> Table:
    """Tabulate every claim of a study with its verdict in the first run and in the others."""
    first, others = page.runs[0], page.runs[1:]
    rows = []
    for claim in page.study.claims:
        judged = _of(first, claim)
        row = {
            "claim": f"**{claim.statement}**" if claim.headline else claim.statement,
            "setting": settings_of(first.run, claim) if judged else w.NOTHING,
            "verdict": flavour.badge(judged.verdict.verdict) if judged else w.NOTHING,
            "published": judged.said if judged else w.NOTHING,
            "measured": w.joined(judged.effect, judged.interval) if judged else w.NOTHING,
        }
        for section in others:
            other = _of(section, claim)
            row[section.run.run] = _short(other) if other else w.NOTHING
        rows.append(row)
    names = [section.run.run for section in others]
    shown = pd.DataFrame(rows, columns=["claim", *RESULT_COLUMNS, "setting", *names])
    if not shown["setting"].any():
        shown = shown.drop(columns="setting")
    left = ("claim", "setting", "verdict", *names)
    return Table(f"{page.study.name}-claims", "", shown, shown, left)


def _of(section: RunSection, claim: Claim) -> Judged | None:
    """Return a claim as a run judges it; None where its profile lacks the claim's setting."""
    return next((j for j in section.judged if j.claim.id == claim.id), None)


def _short(judged: Judged) -> str:
    return w.joined(f"{judged.verdict.verdict},", judged.effect, judged.interval).rstrip(",")


def readme_table(pages: list[StudyPage], flavour: Flavour, link: str) -> str:
    """Write the main claims of all studies as one table in Markdown, for a README.

    It takes what `overview_blocks` takes.
    """
    rows = [
        {"paper": f"[{page.study.paper.title}]({link.format(name=page.study.name)})", **row}
        for page in pages
        for row in _headlines(page, flavour)
    ]
    return _table(rows, ["paper", "claim", "published", "measured", "n", "verdict"])


def headlines_table(page: StudyPage, flavour: Flavour) -> str:
    """Write the main claims of one study as a table in Markdown, its verdicts first."""
    return _table(_headlines(page, flavour), ["claim", "verdict", "published", "measured", "n"])


def _headlines(page: StudyPage, flavour: Flavour) -> list[dict[str, str]]:
    return [
        {
            "claim": main.claim.statement,
            "published": main.said,
            "measured": w.joined(main.effect, main.interval),
            "n": str(main.verdict.n),
            "verdict": flavour.badge(main.verdict.verdict),
        }
        for main in page.headlines
    ]


def _table(rows: list[dict[str, str]], columns: list[str]) -> str:
    shown = pd.DataFrame(rows, columns=columns)
    return to_markdown(Table("results", "", shown, shown, ("paper", "claim", "verdict")))


def put_between_markers(text: str, table: str) -> str:
    """Put a table between the two markers of a text.

    Parameters
    ----------
    text : str
        The text of a README.
    table : str
        What stands between the markers from now on.

    Returns
    -------
    str

    Raises
    ------
    UserError
        If the text does not have each marker once, in order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(
            "README.md: the results table has no place", expected=f"{BEGIN} and, later, {END}"
        )
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    return f"{head}{BEGIN}\n{table.strip()}\n{END}{tail}"
