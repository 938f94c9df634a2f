"""Every claim of a study, judged from the records of one run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qlmbench.errors import UserError
from qlmbench.report import wording as w
from qlmbench.report.load import Results
from qlmbench.report.render import Table
from qlmbench.spec import Claim, Direction
from qlmbench.stats import (
    ClaimVerdict,
    DifferenceCase,
    LevelCase,
    PairedDifference,
    Published,
    RowsAndRepetitions,
    Verdict,
    Wording,
    bootstrap_rows_and_repetitions,
    judge_family,
    paired_difference,
    with_test_rows,
)


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict and what that rests on."""

    claim: Claim
    verdict: ClaimVerdict
    difference: PairedDifference | None
    """None for a claim about a level, and for a claim without records."""
    rows: RowsAndRepetitions | None
    """The difference with the noise of the test rows in it, where predictions are stored."""

    @property
    def points(self) -> bool:
        """Whether the metric reads as percent."""
        return w.is_share(self.claim.metric)

    @property
    def effect(self) -> str:
        """The effect with its unit."""
        if self.claim.versus is None:
            return w.with_unit(self.claim.metric, self.verdict.effect)
        return w.difference_with_unit(self.claim.metric, self.verdict.effect)

    @property
    def interval(self) -> str:
        """The interval of the effect in brackets; empty where there is none."""
        found = self.verdict.interval
        if found is None:
            return ""
        signed = self.claim.versus is not None
        return w.interval(self.claim.metric, found.low, found.high, signed=signed)

    @property
    def rows_interval(self) -> str:
        """The interval with the noise of the test rows; empty where there is none."""
        if self.rows is None or self.rows.interval is None:
            return ""
        low, high = self.rows.interval.low, self.rows.interval.high
        return w.interval(self.claim.metric, low, high, signed=True)

    @property
    def said(self) -> str:
        """The published effect with its unit; a dash where none was published."""
        claim = self.claim
        if claim.level is not None:
            low, high = (w.value(claim.metric, end) for end in claim.level)
            band = low if low == high else f"{low} to {high}"
            return f"{band} %" if self.points else band
        if claim.published is None:
            return {"greater": "more", "less": "less", "equal": "equal"}[claim.direction]
        return w.difference_with_unit(claim.metric, claim.published)


def judge_claims(results: Results) -> list[Judged]:
    """Judge every claim of the study from the records of one run.

    Pairs are formed by repetition. Where predictions are stored, each difference in test accuracy
    also gets a bootstrap over rows and repetitions, crossed where all repetitions share their test
    rows. Holm's correction runs over the study's claims.

    Parameters
    ----------
    results : Results
        One run.

    Returns
    -------
    list of Judged
        In the study's order; claims whose arms have no records are "not run".

    Raises
    ------
    UserError
        If a claim contradicts itself (a published effect against the claimed direction).
    """
    study = results.study
    with_rows = [_with_rows(results, claim) for claim in study.claims]
    differences = [
        _difference(results, claim, rows)
        for claim, rows in zip(study.claims, with_rows, strict=True)
    ]
    cases = [
        _case(results, claim, difference)
        for claim, difference in zip(study.claims, differences, strict=True)
    ]
    verdicts = _family(results, cases)
    return [
        Judged(claim, verdict, difference, rows)
        for claim, verdict, difference, rows in zip(
            study.claims, verdicts, differences, with_rows, strict=True
        )
    ]


def _family(results: Results, cases: list[DifferenceCase | LevelCase]) -> list[ClaimVerdict]:
    try:
        return judge_family(cases, alpha=results.study.alpha)
    except ValueError as error:
        raise UserError(
            f"study {results.study.name!r}: a claim cannot be judged: {error}"
        ) from error


def _pairs(results: Results, claim: Claim) -> pd.DataFrame:
    """Values of both arms of a claim by repetition; a missing value stays NaN."""
    columns = {}
    for side, arm in (("arm", claim.arm), ("versus", claim.versus or claim.arm)):
        rows = results.of(arm)
        has = claim.metric in rows
        columns[side] = rows[claim.metric].astype(float) if has else pd.Series(dtype=float)
    return pd.concat(columns, axis=1, join="inner").sort_index()


def _difference(
    results: Results, claim: Claim, rows: RowsAndRepetitions | None
) -> PairedDifference | None:
    pairs = _pairs(results, claim)
    if claim.versus is None or pairs.empty:
        return None
    difference = paired_difference(
        pairs["arm"].to_numpy(),
        pairs["versus"].to_numpy(),
        # What Holm asks of the smallest p-value: the effect that this run could have seen.
        alpha=results.study.alpha / len(results.study.claims),
        seed=_seed(results, claim),
    )
    if not results.shared_test or rows is None or rows.interval is None:
        return difference
    # Repetitions that share their test rows share their luck with them: the verdict speaks of new
    # rows, too.
    return with_test_rows(difference, rows)


def _case(
    results: Results, claim: Claim, difference: PairedDifference | None
) -> DifferenceCase | LevelCase:
    words = Wording(
        arm=results.study.arm(claim.arm).title,
        versus=results.study.arm(claim.versus).title if claim.versus else "",
        points=w.is_share(claim.metric),
    )
    if claim.level is not None:
        values = tuple(float(v) for v in _pairs(results, claim)["arm"])
        seed = _seed(results, claim)
        return LevelCase(values, *claim.level, margin=claim.margin, wording=words, seed=seed)
    published = None
    if claim.published is not None:
        published = Published(claim.published, claim.published_sd, claim.published_n)
    return DifferenceCase(difference, claim.direction.value, claim.margin, published, words)


def _with_rows(results: Results, claim: Claim) -> RowsAndRepetitions | None:
    if claim.versus is None or claim.metric != "test_accuracy":
        return None
    a, b = results.correct.get(claim.arm, {}), results.correct.get(claim.versus, {})
    common = sorted(a.keys() & b.keys())
    if not common:
        return None
    return bootstrap_rows_and_repetitions(
        [a[r] for r in common],
        [b[r] for r in common],
        rows="shared" if results.shared_test else "redrawn",
        seed=_seed(results, claim),
    )


def _seed(results: Results, claim: Claim) -> int:
    return results.seed(claim.arm, claim.versus or "", claim.metric)


def verdict_counts(judged: list[Judged]) -> dict[Verdict, int]:
    """Count claims by verdict, in the order from reproduced to not run."""
    counts = {verdict: sum(j.verdict.verdict is verdict for j in judged) for verdict in Verdict}
    return {verdict: count for verdict, count in counts.items() if count}


def headline(judged: list[Judged]) -> Judged | None:
    """Return the study's main claim, or the first one."""
    return next((j for j in judged if j.claim.headline), judged[0] if judged else None)


def claims_table(results: Results, judged: list[Judged]) -> Table:
    """Tabulate what was said, what was got, and the verdict.

    Parameters
    ----------
    results : Results
        The run.
    judged : list of Judged
        Its claims.

    Returns
    -------
    Table
    """
    shown = [
        {
            "claim": j.claim.statement,
            "said": j.said,
            "got": w.joined(j.effect, j.interval),
            "p (Holm)": w.p_value(j.verdict.p_holm),
            "n": str(j.verdict.n),
            "verdict": f"**{j.verdict.verdict}**",
        }
        for j in judged
    ]
    caption = (
        "Said: the effect as published. Got: mean paired difference over the repetitions (for a "
        "level: the mean) with its 95 % interval. p: paired sign-flip test (for a level: t test; "
        "where repetitions share test rows, these count as a sample, too), corrected after Holm "
        f"over the study's {w.plural(len(judged), 'claim')}."
    )
    columns = ["claim", "said", "got", "p (Holm)", "n", "verdict"]
    return Table(
        name="claims",
        caption=caption,
        data=pd.DataFrame([_claim_row(results, j) for j in judged]),
        shown=pd.DataFrame(shown, columns=columns),
        left=("claim", "verdict"),
    )


def _claim_row(results: Results, j: Judged) -> dict[str, object]:
    interval, rows = j.verdict.interval, j.rows.interval if j.rows else None
    nan = math.nan
    return {
        "study": results.study.name,
        "run": results.run,
        "claim": j.claim.id,
        "statement": j.claim.statement,
        "arm": j.claim.arm,
        "versus": j.claim.versus or "",
        "metric": j.claim.metric,
        "direction": j.claim.direction.value,
        "margin": j.claim.margin,
        "published": nan if j.claim.published is None else j.claim.published,
        "effect": j.verdict.effect,
        "low": interval.low if interval else nan,
        "high": interval.high if interval else nan,
        "low_with_rows": rows.low if rows else nan,
        "high_with_rows": rows.high if rows else nan,
        "n": j.verdict.n,
        "test": j.verdict.test,
        "p": j.verdict.p,
        "p_holm": j.verdict.p_holm,
        "wilcoxon_p": j.difference.wilcoxon_p if j.difference else nan,
        "equivalence_p": j.verdict.equivalence_p,
        "detectable_effect": j.verdict.detectable_effect,
        "verdict": j.verdict.verdict.value,
        "reason": j.verdict.reason,
        "source": j.claim.source,
    }


def forest_frame(judged: list[Judged]) -> pd.DataFrame:
    """Lay out the claims about differences for a forest plot, one row a claim.

    Returns
    -------
    DataFrame
        statement, metric, effect, low, high, rows_low, rows_high, margin, published, verdict, n.
    """
    rows = [
        {
            "statement": j.claim.statement,
            "metric": j.claim.metric,
            "effect": j.verdict.effect,
            "low": j.verdict.interval.low if j.verdict.interval else np.nan,
            "high": j.verdict.interval.high if j.verdict.interval else np.nan,
            "rows_low": j.rows.interval.low if j.rows and j.rows.interval else np.nan,
            "rows_high": j.rows.interval.high if j.rows and j.rows.interval else np.nan,
            "margin": j.claim.margin,
            "published": np.nan if j.claim.published is None else j.claim.published,
            "verdict": j.verdict.verdict.value,
            "n": j.verdict.n,
            "equal": j.claim.direction is Direction.EQUAL,
        }
        for j in judged
        if j.claim.versus is not None
    ]
    return pd.DataFrame(rows)
