"""What a measured difference says about a published claim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from scipy import stats

from qlmbench.stats.intervals import check_level
from qlmbench.stats.paired import may_differ
from qlmbench.stats.wording import Wording, p_words

if TYPE_CHECKING:
    from qlmbench.stats.intervals import Interval
    from qlmbench.stats.paired import PairedDifference

Direction = Literal["greater", "less", "equal"]

ALPHA = 0.05
MARGIN = 0.01
LEAST_REPETITIONS = 10
PLAIN = Wording()


class Verdict(StrEnum):
    """Whether a published claim stands."""

    REPRODUCED = "reproduced"
    PARTLY_REPRODUCED = "partly reproduced"
    NOT_REPRODUCED = "not reproduced"
    EQUIVALENT = "equivalent to the baseline"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Published:
    """A published difference between two arms.

    Parameters
    ----------
    effect : float
        The difference ``arm - versus``, in the units of the metric.
    spread : float, optional
        Standard deviation of the difference over the paper's own runs.
    n : int, optional
        Number of those runs. Without both, the effect is taken at face value.
    """

    effect: float
    spread: float | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.effect):
            msg = f"a published effect must be a finite number; got {self.effect}"
            raise ValueError(msg)
        if self.spread is not None and not (math.isfinite(self.spread) and self.spread >= 0.0):
            msg = f"a published spread must be a finite number, zero or more; got {self.spread}"
            raise ValueError(msg)
        if self.n is not None and self.n < 1:
            msg = f"a published effect rests on at least one run; got n = {self.n}"
            raise ValueError(msg)

    def half_width(self, level: float) -> float:
        """Half the width of the published effect's own interval; 0 where it cannot be known."""
        if self.spread is None or self.n is None or self.n < 2:
            return 0.0
        t = float(stats.t.ppf((1.0 + level) / 2.0, self.n - 1))
        return t * self.spread / math.sqrt(self.n)


@dataclass(frozen=True)
class ClaimVerdict:
    """A verdict with everything that it rests on.

    Parameters
    ----------
    verdict : Verdict
        The verdict.
    effect : float
        Mean paired difference ``arm - versus``, or the mean level; NaN if not run.
    interval : Interval or None
        Interval of the effect.
    n : int
        Repetitions.
    test : str
        The test behind ``p``.
    p, p_holm, equivalence_p : float
        Two-sided p value; the same after correction over the study's claims; p value of
        equivalence, as used. NaN where not tested.
    detectable_effect : float
        Smallest true effect that this run would have seen, NaN where unknown.
    reason : str
        One sentence with the numbers in it.
    """

    verdict: Verdict
    effect: float
    interval: Interval | None
    n: int
    test: str
    p: float
    p_holm: float
    equivalence_p: float
    detectable_effect: float
    reason: str


def not_run(reason: str = "not run: no repetition of both arms is in the store") -> ClaimVerdict:
    """Return the verdict of a claim without data."""
    nan = math.nan
    return ClaimVerdict(Verdict.NOT_RUN, nan, None, 0, "none", nan, nan, nan, nan, reason)


def judge(
    difference: PairedDifference | None,
    *,
    direction: Direction,
    p_holm: float | None = None,
    equivalence_p: float | None = None,
    margin: float = MARGIN,
    published: Published | None = None,
    alpha: float = ALPHA,
    least_repetitions: int = LEAST_REPETITIONS,
    wording: Wording = PLAIN,
) -> ClaimVerdict:
    """Judge a claim about the difference of two arms.

    The first row that holds decides. "Significant" is ``p_holm <= alpha``; "within the margin"
    is a significant equivalence test (TOST); "consistent" is a published effect not above the
    upper end of the interval, allowing for the published effect's own interval where its spread
    and n are known (Zou and Donner 2008, doi:10.1002/sim.3095). Signs are turned so that the
    claimed direction is up.

    ==== ==================================================================== ==================
    row  a claim of "greater" or "less"                                       verdict
    ==== ==================================================================== ==================
    1    no pairs                                                             not run
    2    one pair, NaN, one and the same difference other than zero, or       inconclusive
         fewer than ``least_repetitions``
    3    significant as claimed, published effect consistent and itself       reproduced
         no larger than the margin
    4    within the margin, or identical                                      equivalent
    5    significant as claimed, no published effect or a consistent one      reproduced
    6    significant as claimed, published effect above                       partly reproduced
    7    significant in the opposite direction                                not reproduced
    8    not significant, published effect above                              not reproduced
    9    anything else                                                        inconclusive
    ==== ==================================================================== ==================

    ==== ==================================================================== ==================
    row  a claim of "equal"                                                   verdict
    ==== ==================================================================== ==================
    1, 2 as above
    3    within the margin, or identical                                      reproduced
    4    significant, and the whole interval outside the margin               not reproduced
    5    anything else                                                        inconclusive
    ==== ==================================================================== ==================

    A published effect plays no part in a claim of "equal". "Identical" arms have the same value in
    every repetition. No test is possible then and none is made: there is no p value, and the
    reason says how many repetitions may still differ (:func:`~qlmbench.stats.may_differ`).
    Where a value is also the same from repetition to repetition, these may be copies of one, and
    row 2 holds.

    Parameters
    ----------
    difference : PairedDifference or None
        ``arm - versus``; None where there is no data.
    direction : "greater", "less" or "equal"
        What the paper says of the arm.
    p_holm : float, optional
        ``difference.p_value`` after Holm over the study's claims (:func:`judge_family` does
        it); by default the claim is a family of its own.
    equivalence_p : float, optional
        Corrected p value of the equivalence test; by default uncorrected.
    margin : float
        Differences smaller than this do not matter, in the units of the metric.
    published : Published, optional
        The published difference.
    alpha : float
        Level of both tests.
    least_repetitions : int
        Fewer never give a verdict.
    wording : Wording
        Names and units for the reason.

    Raises
    ------
    ValueError
        If the direction is unknown, the margin not positive, alpha not between 0 and 1, or the
        published effect contradicts the claimed direction, or a p value is not one.
    """
    _check_claim(direction, margin, published, alpha)
    if difference is None or difference.n == 0:
        return not_run()
    case = _Case(difference, direction, p_holm, equivalence_p, margin, published, alpha, wording)
    reason = "" if difference.identical else difference.reason
    too_little = why_too_little(difference.n, reason, least_repetitions)
    if too_little:
        return case.verdict(Verdict.INCONCLUSIVE, too_little)
    if difference.identical:
        return case.verdict(*case.identical())
    check_p_values(case.p_holm, case.equivalence_p)
    verdict, tail = case.equal() if direction == "equal" else case.directed()
    return case.verdict(verdict, f"{case.measured}: {tail}")


def why_too_little(n: int, reason: str, least: int) -> str:
    """Say why there is too little data for a verdict; empty if there is enough."""
    if reason:
        return f"nothing can be concluded: {reason}"
    if n < least:
        return f"nothing can be concluded: n = {n} repetitions, and a verdict needs {least}"
    return ""


def check_p_values(*p_values: float) -> None:
    """Refuse NaN above all: it must never pass for "not significant"."""
    if not all(0.0 <= p <= 1.0 for p in p_values):
        msg = f"p values must lie between 0 and 1 where a test was possible; got {p_values}"
        raise ValueError(msg)


def _check_claim(direction: str, margin: float, published: Published | None, alpha: float) -> None:
    check_level(alpha, "alpha")
    if direction not in ("greater", "less", "equal"):
        msg = f'direction must be "greater", "less" or "equal"; got {direction!r}'
        raise ValueError(msg)
    if not (math.isfinite(margin) and margin > 0.0):
        msg = f"the equivalence margin must be positive; got {margin}"
        raise ValueError(msg)
    if published is None or direction == "equal":
        return
    if published.effect == 0.0 or (published.effect > 0.0) != (direction == "greater"):
        msg = (
            f"the claim says {direction!r} but the published effect arm - versus is "
            f"{published.effect}; swap the arms or mend the direction"
        )
        raise ValueError(msg)


@dataclass(frozen=True)
class _Case:
    """One claim about a difference, with the questions that the decision table asks."""

    difference: PairedDifference
    direction: Direction
    p_holm_given: float | None
    equivalence_p_given: float | None
    margin: float
    published: Published | None
    alpha: float
    wording: Wording

    @property
    def p_holm(self) -> float:
        return self.difference.p_value if self.p_holm_given is None else self.p_holm_given

    @property
    def equivalence_p(self) -> float:
        if self.equivalence_p_given is not None:
            return self.equivalence_p_given
        return self.difference.equivalence_p(self.margin)

    @property
    def sign(self) -> float:
        return -1.0 if self.direction == "less" else 1.0

    @property
    def interval(self) -> Interval:
        if self.difference.interval is None:
            msg = "a paired difference without a reason must have an interval"
            raise ValueError(msg)
        return self.difference.interval

    @property
    def significant(self) -> bool:
        return self.p_holm <= self.alpha

    @property
    def within_margin(self) -> bool:
        return self.equivalence_p <= self.alpha

    @property
    def as_claimed(self) -> bool:
        return self.significant and self.sign * self.difference.mean > 0.0

    @property
    def published_above(self) -> bool:
        """Whether the published effect is larger than what the data allow."""
        if self.published is None:
            return False
        mean = self.sign * self.difference.mean
        up = self.interval.high if self.sign > 0.0 else -self.interval.low
        own = self.published.half_width(self.interval.level)
        return self.sign * self.published.effect - mean > math.hypot(up - mean, own)

    def directed(self) -> tuple[Verdict, str]:
        """Rows 3 to 9 of a claim of "greater" or "less"."""
        published = self.published
        small = published is not None and abs(published.effect) <= self.margin
        if self.as_claimed and small and not self.published_above:
            return Verdict.REPRODUCED, self._agreement()
        if self.within_margin:
            return Verdict.EQUIVALENT, self._equivalence()
        if self.as_claimed and not self.published_above:
            return Verdict.REPRODUCED, self._agreement()
        if self.as_claimed:
            return Verdict.PARTLY_REPRODUCED, f"real, but smaller than {self._published()}"
        if self.significant:
            return Verdict.NOT_REPRODUCED, "the opposite of the claim"
        if self.published_above:
            tail = f"no significant difference, and {self._published()} is more than the data allow"
            return Verdict.NOT_REPRODUCED, tail
        return Verdict.INCONCLUSIVE, self._blindness()

    def equal(self) -> tuple[Verdict, str]:
        """Rows 3 to 5 of a claim of "equal"."""
        if self.within_margin:
            return Verdict.REPRODUCED, self._equivalence()
        limit = self.wording.amount(self.margin)
        outside = self.interval.low > self.margin or self.interval.high < -self.margin
        if self.significant and outside:
            return Verdict.NOT_REPRODUCED, f"a difference of more than the margin of {limit}"
        p = p_words(self.equivalence_p, corrected=self.equivalence_p_given is not None)
        tail = f"neither within nor beyond the margin of {limit} for certain (equivalence {p})"
        return Verdict.INCONCLUSIVE, tail

    def identical(self) -> tuple[Verdict, str]:
        """Row 4, of a claim of "equal" row 3, for arms that never differ."""
        d, w = self.difference, self.wording
        level = 1.0 - self.alpha
        reason = (
            f"{w.arm} and {w.versus} score exactly the same in each of {d.n} repetitions: no "
            f"difference to test, and none beyond the margin of {w.amount(self.margin)} (with "
            f"{100.0 * level:g} % confidence, at most {100.0 * may_differ(d.n, level):.0f} % of "
            "repetitions would differ at all)"
        )
        return (Verdict.REPRODUCED if self.direction == "equal" else Verdict.EQUIVALENT), reason

    @property
    def measured(self) -> str:
        """The first half of the sentence: what was seen."""
        d, w = self.difference, self.wording
        side = "above" if d.mean >= 0.0 else "below"
        p = p_words(self.p_holm, corrected=self.p_holm_given is not None)
        return (
            f"{w.arm} is {w.amount(abs(d.mean))} {side} {w.versus} "
            f"({w.interval(self.interval)}, n = {d.n}, {p})"
        )

    def _published(self) -> str:
        effect = self.published.effect if self.published else math.nan
        return f"the published {self.wording.amount(abs(effect))}"

    def _agreement(self) -> str:
        if self.published is None:
            return "significant in the claimed direction, with no published size to compare with"
        nearest = self.interval.low if self.sign > 0.0 else -self.interval.high
        if nearest > self.sign * self.published.effect:
            return f"even more than {self._published()}"
        return f"in line with {self._published()}"

    def _equivalence(self) -> str:
        p = p_words(self.equivalence_p, corrected=self.equivalence_p_given is not None)
        limit = self.wording.amount(self.margin)
        real = "a real difference, but " if self.significant else ""
        return f"{real}within the margin of {limit} (equivalence {p})"

    def _blindness(self) -> str:
        d = self.difference
        seen = self.wording.amount(d.detectable_effect)
        tail = (
            f"no verdict, because the smallest effect that this run could see with "
            f"{100.0 * d.power:g} % power is {seen}"
        )
        if d.smallest_p > self.alpha:
            tail += f" and with n = {d.n} the test cannot go below p = {d.smallest_p:.2g}"
        return tail

    def verdict(self, verdict: Verdict, reason: str) -> ClaimVerdict:
        d = self.difference
        return ClaimVerdict(
            verdict,
            d.mean,
            d.interval,
            d.n,
            d.test,
            d.p_value,
            self.p_holm,
            self.equivalence_p,
            d.detectable_effect,
            reason,
        )
