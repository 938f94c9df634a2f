"""What the pages of a run are made of: its settings, and what spans them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qlmbench.errors import UserError
from qlmbench.report.blocks import FigureBlock
from qlmbench.report.claims import Judged, claims_table, judge_claims
from qlmbench.report.conditions import conditions_plots, conditions_table
from qlmbench.report.diagnostics import diagnostics_table
from qlmbench.report.effects import effects_table
from qlmbench.report.export import records_table
from qlmbench.report.figures import plots_of
from qlmbench.report.gallery import gallery_table
from qlmbench.report.load import Results, RunResults
from qlmbench.report.pareto import dominance_table
from qlmbench.report.render import Table, to_csv, to_json, to_latex
from qlmbench.report.shown import Plot, Spanning
from qlmbench.report.spanning import forest, spanning_of
from qlmbench.report.style import to_svg
from qlmbench.report.tables import comparison_table

FORMATS = {"csv": to_csv, "json": to_json, "tex": to_latex}


@dataclass(frozen=True)
class SettingSection:
    """One setting of a run: its tables and figures."""

    results: Results
    comparison: Table
    conditions: Table
    effects: Table
    pareto: Table
    diagnostics: Table
    captions: Table
    plots: list[Plot]

    @classmethod
    def of(cls, results: Results) -> SettingSection:
        """Lay out the tables and figures of a setting."""
        comparison, conditions = comparison_table(results), conditions_table(results)
        under = conditions_plots(results, conditions.data)
        return cls(
            results=results,
            comparison=comparison,
            conditions=conditions,
            effects=effects_table(results),
            pareto=dominance_table(results, comparison.data),
            diagnostics=diagnostics_table(results),
            captions=gallery_table(results),
            plots=[*plots_of(results, comparison.data), *under],
        )

    @property
    def page(self) -> str:
        """File name of its page."""
        return f"{self.results.stem}.md"

    @property
    def downloads(self) -> list[Table]:
        """Tables that are written to files."""
        tables = [self.comparison, self.conditions, self.effects, self.pareto, self.diagnostics]
        return [*(table for table in tables if len(table)), records_table(self.results)]


@dataclass(frozen=True)
class RunSection:
    """One run of a study: its claims, its settings, and what spans them."""

    run: RunResults
    judged: list[Judged]
    claims: Table
    forest: Plot | None
    spanning: list[Spanning]
    settings: list[SettingSection]

    @classmethod
    def of(cls, run: RunResults) -> RunSection:
        """Judge a run and lay out its tables and figures."""
        judged = judge_claims(run)
        settings = [SettingSection.of(results) for results in run.settings.values()]
        return cls(
            run=run,
            judged=judged,
            claims=claims_table(run, judged),
            forest=forest(run, judged),
            spanning=spanning_of(run, {s.results.setting: s.comparison.data for s in settings}),
            settings=settings,
        )

    @property
    def title(self) -> str:
        """Heading of the run."""
        return f"Results: {self.run.run}"

    @property
    def main(self) -> SettingSection:
        """The setting that the study is about."""
        return self.settings[0]

    @property
    def plots(self) -> list[Plot]:
        """Figures that belong to no single setting."""
        own = [] if self.forest is None else [self.forest]
        return own + [spanning.plot for spanning in self.spanning]

    @property
    def downloads(self) -> list[Table]:
        """Tables that belong to no single setting and are written to files."""
        own = [self.claims] if self.judged else []
        return own + [spanning.table for spanning in self.spanning]

    def attachments(self) -> dict[str, str]:
        """Draw all figures and write all tables: text by path from the study's folder."""
        own = _files(self.run.run, self.plots, self.downloads)
        settings = [_files(s.results.stem, s.plots, s.downloads) for s in self.settings]
        return merged([own, *settings])


def merged(parts: Iterable[dict[str, str]]) -> dict[str, str]:
    """Put files together, text by path.

    Raises
    ------
    UserError
        If two of them would be one: run ``a`` with setting ``b-c``, and run ``a-b`` with ``c``.
    """
    files: dict[str, str] = {}
    for part in parts:
        twice = files.keys() & part.keys()
        if twice:
            raise UserError(
                f"two settings of two runs would both be written to {min(twice)}",
                do="rename the folder of one of the runs, keeping the profile's name in front",
            )
        files |= part
    return files


def formats(table: Table) -> list[str]:
    """List the forms that a table is written in."""
    # One row a trial is data, and no table for a paper; as JSON it lies beside the page already.
    return ["csv"] if table.name == "records" else list(FORMATS)


def figure_path(stem: str, plot: Plot, mode: str) -> str:
    """Return where a figure lies, from the study's folder."""
    return f"figures/{stem}-{plot.name}-{mode}.svg"


def table_path(stem: str, table: Table, kind: str) -> str:
    """Return where a table lies, from the study's folder."""
    return f"tables/{stem}-{table.name}.{kind}"


def _files(stem: str, plots: list[Plot], tables: list[Table]) -> dict[str, str]:
    files = {}
    for plot in plots:
        for mode, text in zip(("light", "dark"), to_svg(plot.draw()), strict=True):
            files[figure_path(stem, plot, mode)] = text
    for table in tables:
        files |= {table_path(stem, table, kind): FORMATS[kind](table) for kind in formats(table)}
    return files


def figure(stem: str, plot: Plot) -> FigureBlock:
    """Lay out a figure with its words."""
    return FigureBlock(
        light=figure_path(stem, plot, "light"),
        dark=figure_path(stem, plot, "dark"),
        alt=f"{plot.title}. {plot.sentence}",
        sentence=plot.sentence,
        key=plot.key,
    )


def download_rows(
    title: str, stem: str, tables: list[Table]
) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """List tables with the files that they are written to."""
    return [
        (
            f"{title}, {table.name}",
            tuple((kind, table_path(stem, table, kind)) for kind in formats(table)),
        )
        for table in tables
    ]
