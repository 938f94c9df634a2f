"""The page "How fast": our engine beside its peers, made from stored benchmark results alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from qlmbench.report.blocks import (
    Block,
    Code,
    Downloads,
    FigureBlock,
    Fold,
    GitHub,
    Heading,
    Myst,
    TableBlock,
    Text,
)
from qlmbench.report.render import Table, to_csv, to_json
from qlmbench.report.speed_results import Measurement, load_measurements
from qlmbench.report.speed_tables import cases_table, duration, ratio, summary_table
from qlmbench.report.speed_topics import TOPICS, Topic
from qlmbench.report.style import to_svg
from qlmbench.report.write import write_changed

TITLE = "How fast"
NAME = "speed"
"""Name of the page on a site, and of the folder of its figures there."""


@dataclass(frozen=True)
class SpeedPage:
    """The page, before it is written in a flavour."""

    measurements: dict[str, Measurement]
    _files: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def topics(self) -> list[tuple[Topic, Measurement]]:
        """Questions that have been measured, in the order of the page."""
        return [(topic, self.measurements[q]) for q, topic in TOPICS.items() if self._has(q)]

    def _has(self, question: str) -> bool:
        return question in self.measurements

    def github(self) -> str:
        """Write the page for GitHub, to stand beside the results."""
        return GitHub().write(self.blocks())

    def myst(self, base: str = f"{NAME}/") -> str:
        """Write the page for Sphinx; figures and downloads begin at ``base``."""
        return Myst().write(self.blocks(), base)

    def blocks(self) -> list[Block]:
        """Lay out the page."""
        blocks: list[Block] = [Heading(1, TITLE), Text(_opening(self.measurements.values()))]
        bars = bars_table(self.measurements.values())
        if len(bars):
            blocks += [Heading(2, "What is promised, and what came out"), TableBlock(bars)]
        for topic, measured in self.topics:
            blocks += _section(topic, measured)
        blocks += [Heading(2, "Run it yourself"), Code("python benchmarks/run_all.py")]
        blocks.append(Text(_HOW_TO_RUN))
        machine = machine_table(self.measurements.values())
        blocks.append(Fold("Machine and versions", (TableBlock(machine),)))
        links = [
            (topic.title, tuple((kind, f"tables/{q}.{kind}") for kind in ("csv", "json")))
            for q, topic in TOPICS.items()
            if self._has(q)
        ]
        return [*blocks, Heading(2, "Downloads"), Downloads(tuple(links))]

    def attachments(self) -> dict[str, str]:
        """Return figures and downloads by path from the page's base; drawn once."""
        if not self._files:
            for topic, measured in self.topics:
                light, dark = to_svg(topic.draw(measured))
                name = measured.question
                self._files[f"figures/{name}-light.svg"] = light
                self._files[f"figures/{name}-dark.svg"] = dark
                table = cases_table(measured)
                self._files[f"tables/{name}.csv"] = to_csv(table)
                self._files[f"tables/{name}.json"] = to_json(table)
        return self._files


_HOW_TO_RUN = (
    "It runs every question and writes this page again; one question alone is the command that "
    "stands under it. With `--quick` it takes seconds and writes to `runs/benchmarks`. Every round "
    "of every case is in the JSON file of its question."
)


def speed_page(folder: Path) -> SpeedPage:
    """Read the stored benchmarks of a folder.

    Parameters
    ----------
    folder : Path
        Such as ``results/benchmarks``; one JSON file a question.

    Returns
    -------
    SpeedPage

    Raises
    ------
    UserError
        If there is no result, or a file is not what a benchmark writes.
    """
    return SpeedPage(load_measurements(folder))


def speed_files(folder: Path) -> dict[str, str]:
    """Return what stands beside the stored benchmarks: the page, figures and downloads."""
    page = speed_page(folder)
    return {"README.md": page.github()} | page.attachments()


def speed_site_files(folder: Path) -> dict[str, str]:
    """Return the sources of the page on a Sphinx site."""
    page = speed_page(folder)
    attached = {f"{NAME}/{path}": text for path, text in page.attachments().items()}
    return {f"{NAME}.md": page.myst()} | attached


def write_speed(folder: Path) -> list[Path]:
    """Write the page beside the stored benchmarks; return the files that changed."""
    return write_changed(folder, speed_files(folder))


def _opening(measurements: Iterable[Measurement]) -> str:
    text = (
        "Both sides run in one process with one thread, in turns (A B A B ...) after warming up. "
        "Ratios are taken within a round; a number is their median, the brackets hold their "
        "quartiles. *Times as long* means: above 1 we are faster, below 1 the other side is."
    )
    quick = [m.question for m in measurements if m.quick]
    if quick:
        text = (
            f"**Measured with --quick ({', '.join(quick)}): these numbers show that everything "
            f"runs, and nothing else.** {text}"
        )
    return text


def bars_table(measurements: Iterable[Measurement]) -> Table:
    """Compare every promised ratio with the measured one."""
    rows = [(m.question, bar) for m in measurements for bar in m.bars]
    data = pd.DataFrame(
        {
            "question": [question for question, _ in rows],
            "promise": [bar.what for _, bar in rows],
            "at_least": [bar.at_least for _, bar in rows],
            "median": [bar.ratio.median for _, bar in rows],
            "low": [bar.ratio.low for _, bar in rows],
            "high": [bar.ratio.high for _, bar in rows],
            "met": [bar.met for _, bar in rows],
        }
    )
    shown = pd.DataFrame(
        {
            "Promise": [f"{TOPICS[q].title}: {bar.what}" for q, bar in rows],
            "Times faster, at least": [f"{bar.at_least:g}" for _, bar in rows],
            "Measured": [ratio(bar.ratio) for _, bar in rows],
            "": ["met" if bar.met else "**missed**" for _, bar in rows],
        }
    )
    caption = "Medians over the rounds, with quartiles."
    return Table("bars", caption, data, shown, left=("Promise", ""))


def _section(topic: Topic, measured: Measurement) -> list[Block]:
    name = measured.question
    sentence = topic.sentence(measured)
    blocks: list[Block] = [Heading(2, topic.title), Text(measured.setup)]
    if measured.checks:
        blocks.append(Text(_checks(measured)))
    blocks.append(
        FigureBlock(
            light=f"figures/{name}-light.svg",
            dark=f"figures/{name}-dark.svg",
            alt=f"{topic.title}. {sentence}",
            sentence=sentence,
            key=topic.key,
        )
    )
    blocks.append(TableBlock(summary_table(measured, topic.by)))
    if len(measured.timings) > len(summary_table(measured, topic.by)):
        blocks.append(Fold("Every case", (TableBlock(cases_table(measured)),)))
    blocks.append(Text(f"**Where we lose.** {topic.losses(measured)}"))
    blocks.append(Text(f"**The limit.** {topic.limit}"))
    blocks.append(Code(f"python benchmarks/{name}.py"))
    return blocks


def _checks(measured: Measurement) -> str:
    parts = [f"{check.what}, {check.value:.2g}" for check in measured.checks]
    return f"Both sides compute the same: {'; '.join(parts)}."


def machine_table(measurements: Iterable[Measurement]) -> Table:
    """List machine and versions; where questions differ, each value that occurs."""
    measurements = list(measurements)
    keys = dict.fromkeys(key for m in measurements for key in m.environment)
    values = {
        key: ", ".join(dict.fromkeys(m.environment.get(key, "?") for m in measurements))
        for key in keys
    }
    values["finished"] = ", ".join(sorted({m.finished[:10] for m in measurements}))
    values["took"] = duration(sum(m.seconds for m in measurements))
    data = pd.DataFrame({"what": list(values), "value": list(values.values())})
    shown = data.rename(columns={"what": "What", "value": "Value"})
    return Table("machine", "", data, shown, left=("What", "Value"))
