"""The page of one setting of a run: every arm and every number."""

from __future__ import annotations

from qlmbench.report import wording as w
from qlmbench.report.blocks import (
    Block,
    Code,
    Contents,
    Downloads,
    Fold,
    Heading,
    TableBlock,
    Text,
)
from qlmbench.report.commands import report_command, run_command
from qlmbench.report.details import (
    controls_table,
    cost_table,
    environment_table,
    failures_table,
    parameters_table,
    tuning_table,
)
from qlmbench.report.diagnostics import diagnostics_list
from qlmbench.report.effects import effects_sentence
from qlmbench.report.figures import by_arm_name
from qlmbench.report.gallery import GALLERY
from qlmbench.report.load import Results
from qlmbench.report.protocol import protocol_table
from qlmbench.report.quoted import quoted_table
from qlmbench.report.runs import runs_table
from qlmbench.report.sections import SettingSection, download_rows, figure
from qlmbench.report.sweep import SWEEP
from qlmbench.report.tables import main_metric
from qlmbench.report.training import comparison_name
from qlmbench.report.training_table import stuck_sentence, training_table
from qlmbench.spec import MAIN

NOT_WEIGHED = (
    "Quality is not weighed against trained parameters here: of no arm is it known how many of "
    "them have an effect."
)
NO_TRIALS = "No trial of this setting has ended as the study declares it now."
LATER = ("modes", "parameters", "ranks", "curves", "attention")


def setting_blocks(section: SettingSection, home: str, results_folder: str) -> list[Block]:
    """Lay out the page of a setting.

    Parameters
    ----------
    section : SettingSection
        One setting of a run.
    home : str
        Path from the page to that of its study.
    results_folder : str
        Where the records lie, for the commands on the page.

    Returns
    -------
    list of blocks
    """
    results = section.results
    paper = results.study.paper.title
    body = _body(section)
    titles = tuple(b.text for b in body if isinstance(b, Heading) and b.level == 2)
    blocks: list[Block] = [
        Heading(1, _title(results)),
        Text(f"{paper}: [all runs and verdicts of this study]({home})"),
    ]
    if results.protocol.note:
        blocks.append(Text(results.protocol.note))
    return [
        *blocks,
        Contents(titles),
        TableBlock(runs_table([results], {})),
        TableBlock(protocol_table(results)),
        *body,
        Heading(2, "Run it yourself"),
        Code(_commands(results, results_folder)),
        Heading(2, "Downloads"),
        Downloads(tuple(download_rows(results.title, results.stem, section.downloads))),
    ]


def _title(results: Results) -> str:
    run = f"run {results.run}"
    return w.sentence_case(run if results.setting == MAIN else f"{results.protocol.title}, {run}")


def _body(section: SettingSection) -> list[Block]:
    results, shown = section.results, {plot.name: plot for plot in section.plots}
    if not results.arms:
        return [Heading(2, "No trials"), Text(NO_TRIALS), *_problems(results)]

    def drawn(name: str) -> list[Block]:
        return [figure(results.stem, shown[name])] if name in shown else []

    blocks: list[Block] = [Heading(2, "All arms"), *drawn(by_arm_name(results))]
    blocks.append(TableBlock(section.comparison))
    if results.quoted:
        blocks += [Heading(2, "Beside the published numbers"), TableBlock(quoted_table(results))]
    controls = controls_table(results)
    if len(controls):
        blocks += [Heading(2, "Controls: what they rule out"), TableBlock(controls)]
    if len(section.effects):
        sentence = effects_sentence(section.effects.data, main_metric(results))
        blocks += [Heading(2, "Main effects"), Text(f"**{sentence}**"), TableBlock(section.effects)]
    for name in (GALLERY, SWEEP, comparison_name(results), *LATER):
        if name in shown:
            blocks += [Heading(2, shown[name].title), *drawn(name)]
        if name == GALLERY and len(section.captions):
            blocks.append(Fold("All arms, in words", (TableBlock(section.captions),)))
        if name == "parameters":
            blocks += _weighed(section)
    return blocks + _diagnostics(section) + _conditions(section) + _details(results)


def _weighed(section: SettingSection) -> list[Block]:
    if len(section.pareto):
        return [TableBlock(section.pareto)]
    return [Text(NOT_WEIGHED)] if section.results.protocol.pareto else []


def _diagnostics(section: SettingSection) -> list[Block]:
    table = section.diagnostics
    if not len(table):
        return []
    meanings = Text(diagnostics_list(section.results))
    return [Heading(2, "What the models say of themselves"), meanings, TableBlock(table)]


def _conditions(section: SettingSection) -> list[Block]:
    if not len(section.conditions):
        return []
    under = [p for p in section.plots if p.name.startswith("conditions-")]
    blocks: list[Block] = [Heading(2, "Under other conditions")]
    blocks += [figure(section.results.stem, plot) for plot in under]
    return [*blocks, Fold("All arms, in numbers", (TableBlock(section.conditions),))]


def _details(results: Results) -> list[Block]:
    """Tables that matter to a sceptic, folded so that the page stays short."""
    tables = {
        "Tuning: what was searched, what was chosen": tuning_table(results),
        "Training": training_table(results),
        "Parameters": parameters_table(results),
        "Cost, here and on a quantum processor": cost_table(results),
        "Environment": environment_table(results),
        "Failed trials": failures_table(results),
    }
    above = {"Training": stuck_sentence(results)}
    blocks: list[Block] = [
        Fold(title, (*_emphasised(above.get(title, "")), TableBlock(table)))
        for title, table in tables.items()
        if len(table)
    ]
    return [Heading(2, "Details"), *blocks, *_problems(results)]


def _problems(results: Results) -> list[Block]:
    text = "\n".join(f"- {problem}" for problem in results.problems)
    return [Fold("Records left out or damaged", (Text(text),))] if results.problems else []


def _emphasised(sentence: str) -> list[Block]:
    return [Text(f"**{sentence}**")] if sentence else []


def _commands(results: Results, folder: str) -> str:
    run = run_command([results], folder, setting=results.setting)
    return "\n".join([run, report_command(results.study, folder)])
