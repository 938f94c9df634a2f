"""How a verdict's numbers read in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qlmbench.stats.intervals import Interval


MINUS = "\N{MINUS SIGN}"


def with_minus(number: str) -> str:
    """Write a negative number with the sign that is made for it."""
    return number.replace("-", MINUS) if number.startswith("-") else number


@dataclass(frozen=True)
class Wording:
    """Names and units for the sentence of reason.

    Parameters
    ----------
    arm, versus : str
        What the two compared arms are called.
    points : bool
        Whether the metric is a fraction to show as percentage points (accuracy); otherwise the
        number itself is shown.
    """

    arm: str = "the arm"
    versus: str = "the baseline"
    points: bool = True

    def number(self, value: float) -> str:
        """Return a level or a size without its unit."""
        return with_minus(f"{100.0 * value:.2f}" if self.points else f"{value:.4g}")

    def amount(self, value: float) -> str:
        """Return the size of a difference with its unit."""
        return f"{self.number(value)} points" if self.points else self.number(value)

    def level(self, value: float) -> str:
        """Return a level of the metric with its unit."""
        return f"{self.number(value)} %" if self.points else self.number(value)

    def interval(self, interval: Interval) -> str:
        """Return the interval in words."""
        low, high = self.number(interval.low), self.number(interval.high)
        return f"{100.0 * interval.level:g} % interval {low} to {high}"


def p_words(p: float, *, corrected: bool) -> str:
    """Return a p value in words."""
    name = "Holm-corrected p" if corrected else "p"
    return f"{name} < 0.0001" if p < 1e-4 else f"{name} = {p:.2g}"
