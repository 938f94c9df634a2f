"""All claims of a study as one family, whose p values are corrected for their number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qlmbench.stats.multiple import holm
from qlmbench.stats.verdicts import (
    ALPHA,
    LEAST_REPETITIONS,
    MARGIN,
    PLAIN,
    ClaimVerdict,
    Direction,
    Published,
    judge,
)
from qlmbench.stats.wording import Wording

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qlmbench.stats.paired import PairedDifference


class Case(Protocol):
    """A claim that can take part in a family."""

    @property
    def n(self) -> int:
        """Number of repetitions."""

    def p_values(self) -> tuple[float, float]:
        """Return the p values of a difference and of equivalence; NaN where not testable."""
        ...

    def judge(
        self, p_holm: float, equivalence_p: float, alpha: float, least_repetitions: int
    ) -> ClaimVerdict:
        """Return the verdict, given the corrected p values."""
        ...


@dataclass(frozen=True)
class DifferenceCase:
    """A claim about two arms; the fields are those of :func:`~qlmbench.stats.judge`."""

    difference: PairedDifference | None
    direction: Direction
    margin: float = MARGIN
    published: Published | None = None
    wording: Wording = PLAIN

    @property
    def n(self) -> int:
        """Number of pairs."""
        return 0 if self.difference is None else self.difference.n

    def p_values(self) -> tuple[float, float]:
        """Return the p values of a difference and of equivalence."""
        d = self.difference
        return (math.nan, math.nan) if d is None else (d.p_value, d.equivalence_p(self.margin))

    def judge(
        self, p_holm: float, equivalence_p: float, alpha: float, least_repetitions: int
    ) -> ClaimVerdict:
        """Return the verdict, given the corrected p values."""
        return judge(
            self.difference,
            direction=self.direction,
            p_holm=p_holm,
            equivalence_p=equivalence_p,
            margin=self.margin,
            published=self.published,
            alpha=alpha,
            least_repetitions=least_repetitions,
            wording=self.wording,
        )


def judge_family(
    cases: Sequence[Case],
    *,
    alpha: float = ALPHA,
    least_repetitions: int = LEAST_REPETITIONS,
) -> list[ClaimVerdict]:
    """Judge all claims of a study, corrected for their number.

    Holm runs twice over the claims: over the tests of a difference and over the equivalence
    tests. Claims that cannot be tested do not count, nor do those with fewer repetitions than a
    verdict needs: they cannot be decided, and would make the others harder to decide.

    Parameters
    ----------
    cases : sequence of DifferenceCase and LevelCase
        The study's claims.
    alpha, least_repetitions
        As in :func:`~qlmbench.stats.judge`.

    Returns
    -------
    list of ClaimVerdict
        In the order of the cases.
    """
    untested = (math.nan, math.nan)
    values = [case.p_values() if case.n >= least_repetitions else untested for case in cases]
    pairs = np.array(values, dtype=np.float64).reshape(-1, 2)
    corrected = zip(holm(pairs[:, 0]), holm(pairs[:, 1]), strict=True)
    return [
        case.judge(float(p), float(q), alpha, least_repetitions)
        for case, (p, q) in zip(cases, corrected, strict=True)
    ]
