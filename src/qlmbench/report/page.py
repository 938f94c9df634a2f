"""The page of a study: what the paper says, what we ran, what came out."""

from __future__ import annotations

from dataclasses import dataclass, field

from qlmbench.report import wording as w
from qlmbench.report.blocks import (
    Block,
    Card,
    Cards,
    Code,
    Contents,
    Downloads,
    Flavour,
    Fold,
    Heading,
    TableBlock,
    Text,
)
from qlmbench.report.claims import Judged, headlines, settings_of
from qlmbench.report.commands import report_command, run_command
from qlmbench.report.details import deviations_table
from qlmbench.report.figures import by_arm_name
from qlmbench.report.gallery import GALLERY
from qlmbench.report.load import RunResults
from qlmbench.report.regimes import REGIMES
from qlmbench.report.runs import runs_table
from qlmbench.report.sections import RunSection, download_rows, figure, merged
from qlmbench.report.sentences import verdicts_sentence
from qlmbench.report.sweep import SWEEP
from qlmbench.report.training import comparison_name
from qlmbench.spec import Paper, Study


@dataclass(frozen=True)
class StudyPage:
    """The page of a study, before it is written in a flavour."""

    study: Study
    runs: list[RunSection]
    prose: str = ""
    """What the study's authors want to add, in Markdown."""
    results_folder: str = "runs"
    """Where the records lie, for the commands on the page."""
    _attachments: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def headlines(self) -> list[Judged]:
        """The main claims as the first run judges them."""
        return headlines(self.runs[0].judged) if self.runs else []

    def blocks(self, flavour: Flavour, base: str = "") -> list[Block]:
        """Lay out the page.

        Parameters
        ----------
        flavour : Flavour
            How badges are written.
        base : str
            Path from the page to the folder of its figures, tables and settings' pages.

        Returns
        -------
        list of blocks
        """
        study = self.study
        found = ("What we found",) if self.prose else ()
        titles = ("What the paper says", *found, "What we ran")
        last = ("Deviations", "Run it yourself", "Downloads")
        blocks: list[Block] = [
            Heading(1, study.paper.title),
            Text(study.summary),
            Text(self._answer(flavour)),
            Contents((*titles, *(section.title for section in self.runs), *last)),
            Heading(2, "What the paper says"),
            Text(study.paper.says),
            Text(reference(study.paper)),
        ]
        if self.prose:
            blocks += [Heading(2, "What we found"), Text(self.prose.strip())]
        settings = [s.results for section in self.runs for s in section.settings]
        links = {r.stem: f"{base}{r.stem}.md" for r in settings}
        blocks += [Heading(2, "What we ran"), TableBlock(runs_table(settings, links))]
        for place, section in enumerate(self.runs):
            blocks += self._run(section, links, folded=place > 0)
        return blocks + self._end()

    def _answer(self, flavour: Flavour) -> str:
        if not self.headlines:
            return "The study declares no claim."
        answers = [
            f"*{main.claim.statement.rstrip('.')}*: {flavour.badge(main.verdict.verdict)}"
            + (f", we measured {w.joined(main.effect, main.interval)}." if main.verdict.n else ".")
            for main in self.headlines
        ]
        if len(answers) == 1:
            return f"The main claim: {answers[0]}"
        return "\n".join(["The main claims:", "", *(f"- {answer}" for answer in answers)])

    def _run(self, section: RunSection, links: dict[str, str], folded: bool) -> list[Block]:
        """Lay out a run; in runs after the first, what a claim's table repeats is folded."""
        run, main = section.run, section.main
        blocks: list[Block] = [Heading(2, section.title)]
        if note := self.study.profile(run.profile).note:
            blocks.append(Text(note))
        blocks += [Heading(3, "Verdicts"), Text(verdicts_sentence(section.judged))]
        if section.judged:
            cards = Cards(tuple(card(run, judged) for judged in section.judged))
            blocks.append(Fold("Each verdict in words", (cards,)) if folded else cards)
            blocks += [Heading(3, "Claims"), TableBlock(section.claims)]
        if section.forest is not None:
            blocks.append(figure(run.run, section.forest))
        blocks += _spanning(section)
        blocks.append(Heading(3, "All arms"))
        first = (by_arm_name(main.results), GALLERY, comparison_name(main.results))
        blocks += [figure(main.results.stem, p) for p in main.plots if p.name in first]
        swept = [(s, p) for s in section.settings for p in s.plots if p.name == SWEEP]
        for setting, plot in swept:
            title = Heading(3, setting.results.protocol.title)
            blocks += [title, figure(setting.results.stem, plot)]
        listed = [f"[{s.results.title}]({links[s.results.stem]})" for s in section.settings]
        text = "Every number, the controls, training curves, cost and environment"
        return [*blocks, Text(f"{text}: {w.listed(listed)}.")]

    def _end(self) -> list[Block]:
        study = self.study
        blocks: list[Block] = [Heading(2, "Deviations")]
        if study.deviations:
            blocks.append(TableBlock(deviations_table(study)))
        else:
            blocks.append(Text("None declared."))
        blocks += [Heading(2, "Run it yourself"), Code(self._commands())]
        blocks.append(
            Text("Each run does what is missing of it; the last command writes these pages again.")
        )
        if study.notebook:
            blocks.append(Text(f"The same story, cell by cell: `notebooks/{study.notebook}`."))
        blocks.append(Heading(2, "Downloads"))
        rows = [
            row
            for section in self.runs
            for row in download_rows(section.run.run, section.run.run, section.downloads)
        ]
        if rows:
            blocks.append(Downloads(tuple(rows)))
        return [*blocks, Text("Records and comparisons are on the page of each setting.")]

    def _commands(self) -> str:
        runs = [
            run_command([s.results for s in section.settings], self.results_folder)
            for section in self.runs
        ]
        return "\n".join([*runs, report_command(self.study, self.results_folder)])

    def attachments(self) -> dict[str, str]:
        """Return figures and downloads by path from the page's base; drawn once."""
        if not self._attachments:
            self._attachments.update(merged(section.attachments() for section in self.runs))
        return self._attachments


def _spanning(section: RunSection) -> list[Block]:
    """Lay out the comparisons across settings; of the pairs of regimes, the first is open."""
    blocks: list[Block] = []
    pairs = [s.plot.name for s in section.spanning if s.plot.name.startswith(REGIMES)]
    for spanning in section.spanning:
        title, table = spanning.plot.title, TableBlock(spanning.table)
        drawn = figure(section.run.run, spanning.plot)
        if spanning.plot.name in pairs[1:]:
            blocks.append(Fold(title, (drawn, table)))
        else:
            blocks += [Heading(3, title), drawn, Fold("All arms, in numbers", (table,))]
    return blocks


def card(run: RunResults, judged: Judged) -> Card:
    """Lay out a claim as a card."""
    claim = judged.claim
    body = judged.verdict.reason[:1].upper() + judged.verdict.reason[1:] + "."
    if judged.rows_interval:
        body += f" With the noise of the test rows: {judged.rows_interval}."
    footer = f"Source: {claim.source}."
    if setting := settings_of(run, claim):
        footer = f"Setting: {setting}. {footer}"
    if claim.comment:
        footer += f" {claim.comment}"
    return Card(judged.verdict.verdict, claim.statement, body, footer)


def reference(paper: Paper) -> str:
    """Write a paper as it would stand in a reference list, with links."""
    venue = "" if paper.venue == paper.authors else paper.venue
    parts = [f"{paper.authors}, *{paper.title}*", venue, str(paper.year)]
    text = ", ".join(part for part in parts if part)
    links = []
    if paper.doi:
        links.append(f"[doi:{paper.doi}](https://doi.org/{paper.doi})")
    if paper.arxiv:
        links.append(f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})")
    if paper.url:
        links.append(f"[{paper.url.removeprefix('https://')}]({paper.url})")
    return f"{', '.join([text, *links])}."
