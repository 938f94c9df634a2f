"""Every claim of a study, judged from the records of one run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from qlmbench.errors import UserError
from qlmbench.report import wording as w
from qlmbench.report.load import Results, RunResults
from qlmbench.report.render import Table
from qlmbench.spec import Claim, Study
from qlmbench.stats import (
    LEAST_REPETITIONS,
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
    not_run,
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
            low, high = (w.stated(claim.metric, end) for end in claim.level)
            band = low if low == high else f"{low} to {high}"
            return w.joined(band, w.unit(claim.metric))
        if claim.published is None:
            return {"greater": "more", "less": "less", "equal": "equal"}[claim.direction]
        return w.stated_difference(claim.metric, claim.published)


@dataclass(frozen=True)
class MetricWording(Wording):
    """How the numbers of a claim read in the reason of its verdict: in the unit of its metric.

    Points keep two decimals there, as everywhere in such a sentence.
    """

    metric: str = ""

    def number(self, value: float) -> str:
        """Return a level or a size; a time with its unit, others without."""
        if w.is_time(self.metric):
            return w.value(self.metric, value)
        return super().number(value)

    def amount(self, value: float) -> str:
        """Return the size of a difference with its unit."""
        return w.joined(self.number(value), w.difference_unit(self.metric))

    def level(self, value: float) -> str:
        """Return a level of the metric with its unit."""
        return w.joined(self.number(value), w.unit(self.metric))


@dataclass(frozen=True)
class _Sides:
    """A claim with the settings that its two arms are read from."""

    claim: Claim
    arm: Results | None
    versus: Results | None

    @property
    def paired(self) -> set[int] | None:
        """Repetitions on the same rows in both settings; None within one, where all are."""
        if self.arm is None or self.versus is None or self.arm is self.versus:
            return None
        return set(self.arm.same_rows(self.versus))


def judge_claims(run: RunResults) -> list[Judged]:
    """Judge the claims of the study that a run speaks of.

    Pairs are formed by repetition; across two settings, of those that drew the same rows in both.
    Where predictions are stored, each difference in test accuracy
    also gets a bootstrap over rows and repetitions; rows that several repetitions are scored on
    are resampled together. Holm's correction runs over the run's claims with enough repetitions.

    Parameters
    ----------
    run : RunResults
        One run.

    Returns
    -------
    list of Judged
        In the study's order, without claims about settings or arms that the profile does not have;
        claims whose arms have no records yet are "not run".

    Raises
    ------
    UserError
        If a claim contradicts itself (a published effect against the claimed direction).
    """
    asked = _asked(run)
    with_rows = [_with_rows(sides) for sides in asked]
    tested = sum(len(_pairs(sides).dropna()) >= LEAST_REPETITIONS for sides in asked)
    differences = [
        # What Holm asks of the smallest p-value: the effect that this run could have seen.
        _difference(sides, rows, run.study.alpha / max(tested, 1))
        for sides, rows in zip(asked, with_rows, strict=True)
    ]
    cases = [
        _case(run.study, sides, difference)
        for sides, difference in zip(asked, differences, strict=True)
    ]
    judged = _family(run.study, cases)
    verdicts = [_explained(sides, found) for sides, found in zip(asked, judged, strict=True)]
    return [
        Judged(sides.claim, verdict, difference, rows)
        for sides, verdict, difference, rows in zip(
            asked, verdicts, differences, with_rows, strict=True
        )
    ]


def _asked(run: RunResults) -> list[_Sides]:
    """Select the claims about settings and arms that this run's profile runs."""
    return [
        _Sides(
            claim,
            run.setting_of(claim.setting),
            run.setting_of(claim.versus_setting or claim.setting),
        )
        for claim in run.study.claims
        if _runs(run, claim.setting, claim.arm)
        and _runs(run, claim.versus_setting or claim.setting, claim.versus or claim.arm)
    ]


def _runs(run: RunResults, setting: str, arm: str) -> bool:
    protocols = run.study.protocols(run.profile)
    name = setting or next(iter(protocols))
    return name in protocols and protocols[name].runs(arm)


def _family(study: Study, cases: list[DifferenceCase | LevelCase]) -> list[ClaimVerdict]:
    try:
        return judge_family(cases, alpha=study.alpha)
    except ValueError as error:
        raise UserError(f"study {study.name!r}: a claim cannot be judged: {error}") from error


def _explained(sides: _Sides, verdict: ClaimVerdict) -> ClaimVerdict:
    """Say of a claim across two settings without pairs that their rows are why."""
    if verdict.verdict is Verdict.NOT_RUN and len(_by_number(sides)):
        return not_run("not run: the two settings drew other rows, so that nothing can be paired")
    return verdict


def _pairs(sides: _Sides) -> pd.DataFrame:
    """Values of both arms of a claim by repetition, on the same rows; a missing value stays NaN."""
    pairs = _by_number(sides)
    return pairs if sides.paired is None else pairs[pairs.index.isin(sides.paired)]


def _by_number(sides: _Sides) -> pd.DataFrame:
    """Values of both arms by number of the repetition, whose rows two settings need not share."""
    claim = sides.claim
    both = {"arm": (sides.arm, claim.arm), "versus": (sides.versus, claim.versus or claim.arm)}
    columns = {}
    for side, (results, arm) in both.items():
        rows = pd.DataFrame() if results is None else results.of(arm)
        has = claim.metric in rows
        columns[side] = rows[claim.metric].astype(float) if has else pd.Series(dtype=float)
    return pd.concat(columns, axis=1, join="inner").sort_index()


def _difference(
    sides: _Sides, rows: RowsAndRepetitions | None, alpha: float
) -> PairedDifference | None:
    pairs, claim = _pairs(sides), sides.claim
    if claim.versus is None or pairs.empty:
        return None
    difference = paired_difference(
        pairs["arm"].to_numpy(),
        pairs["versus"].to_numpy(),
        alpha=alpha,
        seed=_seed(sides),
    )
    if rows is None or rows.interval is None or not rows.se_rows:
        return difference
    # Repetitions that share test rows share their luck with them: the verdict speaks of new rows,
    # too.
    return with_test_rows(difference, rows)


def _case(
    study: Study, sides: _Sides, difference: PairedDifference | None
) -> DifferenceCase | LevelCase:
    claim = sides.claim
    words = MetricWording(
        arm=_named(study, claim.arm, sides.arm, sides.versus),
        versus=_named(study, claim.versus, sides.versus, sides.arm) if claim.versus else "",
        points=w.is_share(claim.metric),
        metric=claim.metric,
    )
    if claim.level is not None:
        values = tuple(float(v) for v in _pairs(sides)["arm"])
        return LevelCase(
            values, *claim.level, margin=claim.margin, wording=words, seed=_seed(sides)
        )
    published = None
    if claim.published is not None:
        published = Published(claim.published, claim.published_sd, claim.published_n)
    return DifferenceCase(difference, claim.direction.value, claim.margin, published, words)


def _named(study: Study, arm: str, own: Results | None, other: Results | None) -> str:
    """Name an arm, and its setting where the two sides of a claim differ in that."""
    title = w.named(study.arm(arm).title)
    if own is None or other is None or own.setting == other.setting:
        return title
    return f"{title} ({own.protocol.title})"


def _with_rows(sides: _Sides) -> RowsAndRepetitions | None:
    claim, mine, theirs = sides.claim, sides.arm, sides.versus
    if claim.versus is None or claim.metric != "test_accuracy" or mine is None or theirs is None:
        return None
    a, b = mine.correct.get(claim.arm, {}), theirs.correct.get(claim.versus, {})
    pairs = set(_pairs(sides).index)
    common = sorted(
        r
        for r in a.keys() & b.keys() & pairs
        if mine.splits[r].test_rows and mine.splits[r].test_rows == theirs.splits[r].test_rows
    )
    if not common or len(common) < len(pairs):
        return None
    return bootstrap_rows_and_repetitions(
        [a[r] for r in common],
        [b[r] for r in common],
        rows=[mine.test_rows(r) for r in common],
        seed=_seed(sides),
    )


def _seed(sides: _Sides) -> int:
    """Depend on what is compared alone; a claim without records has no use for a seed."""
    claim, results = sides.claim, sides.arm
    return 0 if results is None else results.seed(claim.arm, claim.versus or "", claim.metric)


def verdict_counts(judged: list[Judged]) -> dict[Verdict, int]:
    """Count claims by verdict, in the order from reproduced to not run."""
    counts = {verdict: sum(j.verdict.verdict is verdict for j in judged) for verdict in Verdict}
    return {verdict: count for verdict, count in counts.items() if count}


def headlines(judged: list[Judged]) -> list[Judged]:
    """Return the study's main claims, those with records; without any, the first claim."""
    main = [j for j in judged if j.claim.headline]
    return [j for j in main if j.verdict.n] or main[:1] or judged[:1]


def claims_table(run: RunResults, judged: list[Judged]) -> Table:
    """Tabulate what was said, what was got, and the verdict.

    Parameters
    ----------
    run : RunResults
        The run.
    judged : list of Judged
        Its claims.

    Returns
    -------
    Table
    """
    tested = sum(j.verdict.n >= LEAST_REPETITIONS for j in judged)
    shown = [
        {
            "claim": j.claim.statement,
            "setting": settings_of(run, j.claim),
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
        "for test accuracies on shared test rows these count as a sample, too), corrected after "
        f"Holm over the {w.plural(tested, 'claim')} with {LEAST_REPETITIONS} repetitions or more."
    )
    columns = ["claim", "setting", "said", "got", "p (Holm)", "n", "verdict"]
    frame = pd.DataFrame(shown, columns=columns)
    if not frame["setting"].any():
        frame = frame.drop(columns="setting")
    return Table(
        name="claims",
        caption=caption,
        data=pd.DataFrame([_claim_row(run, j) for j in judged]),
        shown=frame,
        left=("claim", "setting", "verdict"),
    )


def _claim_row(run: RunResults, j: Judged) -> dict[str, object]:
    interval, rows = j.verdict.interval, j.rows.interval if j.rows else None
    nan = math.nan
    setting = j.claim.setting or next(iter(run.study.protocols(run.profile)))
    return {
        "study": run.study.name,
        "run": run.run,
        "claim": j.claim.id,
        "statement": j.claim.statement,
        "setting": setting,
        "versus_setting": j.claim.versus_setting or setting,
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


def settings_of(run: RunResults, claim: Claim) -> str:
    """Name the settings that a claim is about; empty where the study has only one."""
    protocols = run.study.protocols(run.profile)
    if len(protocols) == 1:
        return ""
    own = claim.setting or next(iter(protocols))
    other = claim.versus_setting or own
    title = protocols[own].title
    return title if other == own else f"{title}, against {protocols[other].title}"
