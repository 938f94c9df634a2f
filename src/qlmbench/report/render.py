"""One table, many forms: Markdown, terminal text, CSV, LaTeX and JSON."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass, field

import pandas as pd

TERMINAL_WIDTH = 100
_GAP = "  "


@dataclass(frozen=True)
class Table:
    """A table with its numbers and with its words.

    Parameters
    ----------
    name : str
        Short name: the file name of a download.
    caption : str
        What the table shows and how its numbers were made.
    data : DataFrame
        Plain numbers with plain column names, for CSV and JSON.
    shown : DataFrame
        Strings as people read them, for pages, the terminal and LaTeX; the same rows.
    left : tuple of str
        Shown columns that hold words; the others are aligned to the right.
    """

    name: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame
    left: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def columns(self) -> list[str]:
        """Titles of the shown columns."""
        return [str(column) for column in self.shown.columns]

    @property
    def rows(self) -> list[list[str]]:
        """Cells of the shown rows."""
        return [[str(cell) for cell in row] for row in self.shown.itertuples(index=False)]


def to_markdown(table: Table) -> str:
    """Write a pipe table, which both GitHub and MyST read."""
    rules = [":--" if column in table.left else "--:" for column in table.columns]
    lines = [table.columns, rules, *table.rows]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def to_text(table: Table, width: int = TERMINAL_WIDTH) -> str:
    """Write an aligned table for a terminal; words wrap where the table is wider than it.

    Parameters
    ----------
    table : Table
        The table; ``**bold**`` marks are dropped.
    width : int
        Columns of the terminal; a table whose numbers alone are wider stays wider.

    Returns
    -------
    str
        Lines that end in a newline each, without blanks at their ends.
    """
    cells = [[_plain(cell) for cell in row] for row in [table.columns, *table.rows]]
    widths = _fit(cells, [column in table.left for column in table.columns], width)
    lines: list[str] = []
    for place, row in enumerate(cells):
        wrapped = [textwrap.wrap(cell, w) or [""] for cell, w in zip(row, widths, strict=True)]
        for level in range(max(map(len, wrapped))):
            parts = [part[level] if level < len(part) else "" for part in wrapped]
            lines.append(_aligned(parts, widths, table))
        if place == 0:
            lines.append(_GAP.join("─" * w for w in widths))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _aligned(parts: list[str], widths: list[int], table: Table) -> str:
    return _GAP.join(
        part.ljust(w) if column in table.left else part.rjust(w)
        for part, w, column in zip(parts, widths, table.columns, strict=True)
    )


def _fit(cells: list[list[str]], wraps: list[bool], width: int) -> list[int]:
    """Return column widths; the widest columns of words shrink until the table fits."""
    columns = list(zip(*cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    # A word is never broken, and the title of a column of numbers may wrap at its blanks.
    least = [
        max(len(word) for cell in column for word in cell.split() or [""]) for column in columns
    ]
    for place, wrap in enumerate(wraps):
        if not wrap:
            title = max(map(len, columns[place][0].split() or [""]))
            widths[place] = max(title, *(len(cell) for cell in columns[place][1:]), 0)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width:
        shrinkable = [p for p, wrap in enumerate(wraps) if wrap and widths[p] > least[p]]
        if not shrinkable:
            break
        widths[max(shrinkable, key=lambda p: widths[p])] -= 1
    return [max(1, w) for w in widths]


def _plain(text: str) -> str:
    """Drop Markdown's marks of emphasis and links, and join broken lines."""
    text = re.sub(r"\[([^\]\[]+)\]\([^)]*\)", r"\1", " ".join(text.split()))
    return text.replace("**", "").replace("`", "")


def to_csv(table: Table) -> str:
    """Write the plain numbers as CSV."""
    # Ten digits: more would differ from machine to machine by rounding.
    return table.data.to_csv(index=False, lineterminator="\n", float_format="%.10g")


def to_json(table: Table) -> str:
    """Write caption and plain numbers as JSON; missing numbers are null."""
    rows = json.loads(table.data.to_json(orient="records", double_precision=10))
    content = {"name": table.name, "caption": _plain(table.caption), "rows": rows}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "<": "$<$",
    ">": "$>$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
}


def to_latex(table: Table) -> str:
    """Write a LaTeX table for the booktabs package."""
    shape = "".join("l" if column in table.left else "r" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(_plain(table.caption))}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{shape}}}",
        r"\toprule",
        _latex_row(table.columns),
        r"\midrule",
        *(_latex_row(row) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: list[str]) -> str:
    # A cell that begins with a bracket would be read as the argument of the line break before it.
    texts = [latex_text(_plain(cell)) for cell in cells]
    texts = [f"{{}}{text}" if text.startswith("[") else text for text in texts]
    return " & ".join(texts) + r" \\"


def latex_text(text: str) -> str:
    """Escape what LaTeX would read as a command."""
    return "".join(_LATEX.get(char, char) for char in text)
