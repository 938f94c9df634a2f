"""A page as a list of blocks, and the two flavours of text it is written in.

GitHub's Markdown is for ``README.md`` files beside the records; MyST is for Sphinx sites. Both
come from the same blocks, so that they always say the same.
"""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from qlmbench.report.render import Table, to_markdown
from qlmbench.stats import Verdict


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 (the page) to 4."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph of Markdown."""

    text: str


@dataclass(frozen=True)
class TableBlock:
    """A table with its caption below."""

    table: Table


@dataclass(frozen=True)
class FigureBlock:
    """A figure in two palettes, with the sentence that says what to see."""

    light: str
    """Path from the page's base."""
    dark: str
    alt: str
    sentence: str
    key: str


@dataclass(frozen=True)
class Card:
    """A claim with its verdict."""

    verdict: Verdict
    title: str
    body: str
    footer: str


@dataclass(frozen=True)
class Cards:
    """Claims with their verdicts."""

    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Code:
    """Commands to copy."""

    text: str


@dataclass(frozen=True)
class Downloads:
    """Files to take home: a label, and (format, path) pairs."""

    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True)
class Fold:
    """Blocks that open on a click."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Contents:
    """Links to the page's headings, where the flavour has no navigation of its own."""

    titles: tuple[str, ...]


Block = Heading | Text | TableBlock | FigureBlock | Cards | Code | Downloads | Fold | Contents


class Flavour(Protocol):
    """How blocks are written."""

    def write(self, blocks: Sequence[Block], base: str = "") -> str:
        """Write blocks; paths begin at ``base``."""
        ...

    def badge(self, verdict: Verdict) -> str:
        """Write a verdict so that it is seen at a glance."""
        ...


class _Markdown(ABC):
    """What both flavours write alike."""

    def _common(self, block: Heading | Text | TableBlock | Code | Downloads, base: str) -> str:
        match block:
            case Heading(level, text):
                return f"{'#' * level} {text}"
            case Text(text):
                return text
            case TableBlock(table):
                return _table(table)
            case Code(text):
                return f"```console\n{text}\n```"
            case Downloads(rows):
                return "\n".join(self._download(label, files, base) for label, files in rows)

    def _download(self, label: str, files: tuple[tuple[str, str], ...], base: str) -> str:
        return f"- {label}: " + ", ".join(self._file(name, base + path) for name, path in files)

    @abstractmethod
    def _file(self, name: str, path: str) -> str:
        """Write a link to a file that is to be downloaded."""


class GitHub(_Markdown):
    """Markdown as GitHub shows it."""

    _SIGN = {  # noqa: RUF012 - constant
        Verdict.REPRODUCED: "\N{LARGE GREEN CIRCLE}",
        Verdict.PARTLY_REPRODUCED: "\N{LARGE YELLOW CIRCLE}",
        Verdict.NOT_REPRODUCED: "\N{LARGE RED CIRCLE}",
        Verdict.EQUIVALENT: "\N{LARGE BLUE CIRCLE}",
        Verdict.INCONCLUSIVE: "\N{MEDIUM WHITE CIRCLE}",
        Verdict.NOT_RUN: "\N{MEDIUM WHITE CIRCLE}",
    }

    def write(self, blocks: Sequence[Block], base: str = "") -> str:
        """Write blocks; paths begin at ``base``."""
        return "\n\n".join(self._block(block, base).strip("\n") for block in blocks) + "\n"

    def badge(self, verdict: Verdict) -> str:
        """Write a verdict with a coloured sign; the word alone says as much."""
        return f"{self._SIGN[verdict]} {verdict.value}"

    def _block(self, block: Block, base: str) -> str:
        match block:
            case FigureBlock():
                return self._figure(block, base)
            case Cards(cards):
                return "\n".join(self._card(card) for card in cards)
            case Contents(titles):
                return " · ".join(f"[{title}](#{anchor(title)})" for title in titles)
            case Fold(title, inner):
                body = self.write(inner, base)
                title = html.escape(title)
                return f"<details>\n<summary>{title}</summary>\n\n{body}\n</details>"
            case _:
                return self._common(block, base)

    def _file(self, name: str, path: str) -> str:
        return f"[{name}]({path})"

    def _figure(self, figure: FigureBlock, base: str) -> str:
        alt = html.escape(figure.alt)
        return (
            "<picture>\n"
            f'  <source media="(prefers-color-scheme: dark)" srcset="{base}{figure.dark}">\n'
            f'  <img alt="{alt}" src="{base}{figure.light}">\n'
            "</picture>\n\n"
            f"**{figure.sentence}** {figure.key}"
        )

    def _card(self, card: Card) -> str:
        return (
            f"- **{self.badge(card.verdict)}** · {card.title}  \n"
            f"  {card.body}  \n  <sub>{card.footer}</sub>"
        )


class Myst(_Markdown):
    """MyST for Sphinx with sphinx-design and the pydata theme."""

    _COLOUR = {  # noqa: RUF012 - constant
        Verdict.REPRODUCED: "success",
        Verdict.PARTLY_REPRODUCED: "warning",
        Verdict.NOT_REPRODUCED: "danger",
        Verdict.EQUIVALENT: "info",
        Verdict.INCONCLUSIVE: "muted",
        Verdict.NOT_RUN: "muted-line",
    }

    def write(self, blocks: Sequence[Block], base: str = "") -> str:
        """Write blocks; paths begin at ``base``."""
        return self._write(blocks, base, fence=6)

    def badge(self, verdict: Verdict) -> str:
        """Write a verdict as a badge of sphinx-design."""
        return f"{{bdg-{self._COLOUR[verdict]}}}`{verdict.value}`"

    def _write(self, blocks: Sequence[Block], base: str, fence: int) -> str:
        parts = [self._block(block, base, fence).strip("\n") for block in blocks]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _block(self, block: Block, base: str, fence: int) -> str:
        match block:
            case FigureBlock():
                return self._figure(block, base)
            case Cards(cards):
                inner = "\n".join(self._card(card) for card in cards)
                return f"::::{{grid}} 1 1 2 2\n:gutter: 3\n\n{inner}\n::::"
            case Contents():
                return ""  # the theme lists the headings beside the page
            case Fold(title, inner_blocks):
                colons = ":" * fence
                inner = self._write(inner_blocks, base, fence - 1)
                return f"{colons}{{dropdown}} {title}\n\n{inner}\n{colons}"
            case _:
                return self._common(block, base)

    def _file(self, name: str, path: str) -> str:
        return f"{{download}}`{name} <{path}>`"

    def _figure(self, figure: FigureBlock, base: str) -> str:
        images = "\n\n".join(
            f"```{{image}} {base}{path}\n:alt: {figure.alt}\n:class: only-{mode}\n:width: 100%\n```"
            for mode, path in (("light", figure.light), ("dark", figure.dark))
        )
        return f"{images}\n\n**{figure.sentence}** {figure.key}"

    def _card(self, card: Card) -> str:
        # Header and footer separators are deprecated in sphinx-design, their successors too new.
        return (
            f":::{{grid-item-card}}\n{self.badge(card.verdict)}\n\n"
            f"**{card.title}**\n\n{card.body}\n\n*{card.footer}*\n:::\n"
        )


def _table(table: Table) -> str:
    caption = f"\n*{table.caption}*" if table.caption else ""
    return to_markdown(table) + caption


def anchor(title: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")
