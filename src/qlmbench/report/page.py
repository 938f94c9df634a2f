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
    FigureBlock,
    Flavour,
    Fold,
    Heading,
    TableBlock,
    Text,
)
from qlmbench.report.claims import Judged, claims_table, headline, judge_claims
from qlmbench.report.details import (
    controls_table,
    cost_table,
    deviations_table,
    environment_table,
    failures_table,
    parameters_table,
    tuning_table,
)
from qlmbench.report.export import records_table
from qlmbench.report.figures import Plot, plots_of
from qlmbench.report.load import Results
from qlmbench.report.render import Table, to_csv, to_json, to_latex
from qlmbench.report.runs import runs_table
from qlmbench.report.sentences import verdicts_sentence
from qlmbench.report.style import to_svg
from qlmbench.report.tables import comparison_table, quoted_table
from qlmbench.spec import Paper, Study

FORMATS = {"csv": to_csv, "json": to_json, "tex": to_latex}


@dataclass(frozen=True)
class Section:
    """One run of a study with everything that its part of the page shows."""

    results: Results
    judged: list[Judged]
    plots: list[Plot]
    claims: Table
    comparison: Table

    @classmethod
    def of(cls, results: Results) -> Section:
        """Judge a run and lay out its tables and figures."""
        judged = judge_claims(results)
        comparison = comparison_table(results)
        return cls(
            results=results,
            judged=judged,
            plots=plots_of(results, judged, comparison.data),
            claims=claims_table(results, judged),
            comparison=comparison,
        )

    @property
    def title(self) -> str:
        """Heading of the run."""
        return f"Results: {self.results.run}"

    @property
    def downloads(self) -> list[Table]:
        """Tables that are written to files."""
        return [self.comparison, self.claims, records_table(self.results)]


@dataclass(frozen=True)
class StudyPage:
    """The page of a study, before it is written in a flavour."""

    study: Study
    sections: list[Section]
    prose: str = ""
    """What the study's authors want to add, in Markdown."""
    results_folder: str = "runs"
    """Where the records lie, for the commands on the page."""
    _figures: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def headline(self) -> Judged | None:
        """The main claim as the first run judges it."""
        return headline(self.sections[0].judged) if self.sections else None

    def blocks(self, flavour: Flavour) -> list[Block]:
        """Lay out the page."""
        study = self.study
        titles = ("What the paper says", "What we ran")
        last = ("Deviations", "Run it yourself", "Downloads")
        contents = (*titles, *(section.title for section in self.sections), *last)
        blocks: list[Block] = [
            Heading(1, study.paper.title),
            Text(study.summary),
            Text(self._answer(flavour)),
            Contents(contents),
            Heading(2, "What the paper says"),
            Text(study.paper.says),
            Text(reference(study.paper)),
        ]
        if self.prose:
            blocks.append(Text(self.prose.strip()))
        blocks.append(Heading(2, "What we ran"))
        blocks.append(TableBlock(runs_table([s.results for s in self.sections])))
        for section in self.sections:
            blocks += self._section(section)
        return blocks + self._end()

    def _answer(self, flavour: Flavour) -> str:
        main = self.headline
        if main is None:
            return "The study declares no claim."
        got = w.joined(main.effect, main.interval)
        measured = f" We measured {got}." if main.verdict.n else ""
        badge = flavour.badge(main.verdict.verdict)
        return f"The main claim: *{main.claim.statement.rstrip('.')}*. {badge}{measured}"

    def _section(self, section: Section) -> list[Block]:
        results, plots = section.results, {plot.name: plot for plot in section.plots}

        def figure(name: str) -> list[Block]:
            return [self._figure(results, plots[name])] if name in plots else []

        blocks: list[Block] = [Heading(2, section.title)]
        if results.profile.note:
            blocks.append(Text(results.profile.note))
        blocks += [Heading(3, "Verdicts"), Text(verdicts_sentence(section.judged))]
        if section.judged:
            blocks.append(Cards(tuple(card(judged) for judged in section.judged)))
            blocks += [Heading(3, "Claims"), TableBlock(section.claims)]
        blocks += figure("claims")
        blocks += [Heading(3, "All arms"), *figure("accuracy"), TableBlock(section.comparison)]
        if results.study.quoted:
            blocks += [Heading(3, "Beside the published numbers")]
            blocks.append(TableBlock(quoted_table(results)))
        controls = controls_table(results)
        if len(controls):
            blocks += [Heading(3, "Controls: what they rule out"), TableBlock(controls)]
        for name in ("modes", "parameters", "ranks", "curves"):
            if name in plots:
                blocks += [Heading(3, plots[name].title), *figure(name)]
        return blocks + self._details(results)

    def _details(self, results: Results) -> list[Block]:
        """Tables that matter to a sceptic, folded so that the page stays short."""
        tables = {
            "Tuning: what was searched, what was chosen": tuning_table(results),
            "Parameters": parameters_table(results),
            "Cost, here and on a quantum processor": cost_table(results),
            "Environment": environment_table(results),
            "Failed trials": failures_table(results),
        }
        blocks: list[Block] = [
            Fold(title, (TableBlock(table),)) for title, table in tables.items() if len(table)
        ]
        if results.problems:
            text = "\n".join(f"- {problem}" for problem in results.problems)
            blocks.append(Fold("Records left out or damaged", (Text(text),)))
        return [Heading(3, "Details"), *blocks]

    def _figure(self, results: Results, plot: Plot) -> Block:
        light, dark = (f"figures/{results.run}-{plot.name}-{m}.svg" for m in ("light", "dark"))
        return FigureBlock(
            light=light,
            dark=dark,
            alt=f"{plot.title}. {plot.sentence}",
            sentence=plot.sentence,
            key=plot.key,
        )

    def _end(self) -> list[Block]:
        study = self.study
        blocks: list[Block] = [Heading(2, "Deviations")]
        if study.deviations:
            blocks += [TableBlock(deviations_table(self.sections[0].results))]
        else:
            blocks.append(Text("None declared."))
        blocks += [Heading(2, "Run it yourself"), Code(self._commands())]
        blocks.append(
            Text("Each run does what is missing of it; the last command writes this page again.")
        )
        return [*blocks, Heading(2, "Downloads"), self._downloads()]

    def _commands(self) -> str:
        name = self.study.name
        where = f" --results {self.results_folder}" if self.results_folder != "runs" else ""
        runs = [f"qlmbench run {name}{_options(s.results)}{where}" for s in self.sections]
        return "\n".join([*runs, f"qlmbench report {name}{where}"])

    def _downloads(self) -> Block:
        rows = []
        for section in self.sections:
            for table in section.downloads:
                stem = f"tables/{section.results.run}-{table.name}"
                files = tuple((kind, f"{stem}.{kind}") for kind in _kinds(table))
                rows.append((f"{section.results.run}, {table.name}", files))
        return Downloads(tuple(rows))

    def attachments(self) -> dict[str, str]:
        """Return figures and downloads by path from the page's base; drawn once."""
        if not self._figures:
            for section in self.sections:
                self._figures.update(_figures(section))
                self._figures.update(_tables(section))
        return self._figures


def _options(results: Results) -> str:
    """Write the options that a run was started with, where they are not the default."""
    profile, info = results.profile, results.info
    text = "" if results.profile_name == "default" else f" --profile {results.profile_name}"
    if info is None:
        return text
    if info.dataset["name"] != profile.dataset:
        text += f" --data {info.dataset['name']}"
    if info.encoder["name"] != profile.encoder:
        text += f" --encoder {info.encoder['name']}"
    return text


def card(judged: Judged) -> Card:
    """Lay out a claim as a card."""
    claim = judged.claim
    body = judged.verdict.reason[:1].upper() + judged.verdict.reason[1:] + "."
    if judged.rows_interval:
        body += f" With the noise of the test rows: {judged.rows_interval}."
    footer = f"Published in: {claim.source}."
    if claim.comment:
        footer += f" {claim.comment}"
    return Card(judged.verdict.verdict, claim.statement, body, footer)


def reference(paper: Paper) -> str:
    """Write a paper as it would stand in a reference list, with links."""
    parts = [f"{paper.authors}, *{paper.title}*", paper.venue, str(paper.year)]
    text = ", ".join(part for part in parts if part)
    links = []
    if paper.doi:
        links.append(f"[doi:{paper.doi}](https://doi.org/{paper.doi})")
    if paper.arxiv:
        links.append(f"[arXiv:{paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})")
    if paper.url:
        links.append(f"[{paper.url.removeprefix('https://')}]({paper.url})")
    return f"{', '.join([text, *links])}."


def _kinds(table: Table) -> list[str]:
    # One row a trial is data, not a table for a paper.
    return [kind for kind in FORMATS if not (table.name == "records" and kind == "tex")]


def _figures(section: Section) -> dict[str, str]:
    files = {}
    for plot in section.plots:
        light, dark = to_svg(plot.draw())
        stem = f"figures/{section.results.run}-{plot.name}"
        files[f"{stem}-light.svg"], files[f"{stem}-dark.svg"] = light, dark
    return files


def _tables(section: Section) -> dict[str, str]:
    return {
        f"tables/{section.results.run}-{table.name}.{kind}": FORMATS[kind](table)
        for table in section.downloads
        for kind in _kinds(table)
    }
