"""Intervals, paired tests, equivalence, verdicts.

Works on arrays of results; knows nothing of studies, stores or models.
"""

from qlmbench.stats.family import DifferenceCase, judge_family
from qlmbench.stats.intervals import (
    Interval,
    MeanEstimate,
    mean_interval,
    small_sample_level,
)
from qlmbench.stats.levels import LevelCase, judge_level
from qlmbench.stats.multiple import holm
from qlmbench.stats.paired import (
    PairedDifference,
    detectable_sds,
    may_differ,
    paired_difference,
    sign_flip_p,
    smallest_sign_flip_p,
    tost_p,
)
from qlmbench.stats.ranks import (
    Improvement,
    RankSummary,
    critical_difference,
    probability_of_improvement,
    rank_arms,
)
from qlmbench.stats.rows import RowsAndRepetitions, bootstrap_rows_and_repetitions, with_test_rows
from qlmbench.stats.verdicts import (
    LEAST_REPETITIONS,
    ClaimVerdict,
    Direction,
    Published,
    Verdict,
    judge,
    not_run,
)
from qlmbench.stats.wording import Wording

__all__ = [
    "LEAST_REPETITIONS",
    "ClaimVerdict",
    "DifferenceCase",
    "Direction",
    "Improvement",
    "Interval",
    "LevelCase",
    "MeanEstimate",
    "PairedDifference",
    "Published",
    "RankSummary",
    "RowsAndRepetitions",
    "Verdict",
    "Wording",
    "bootstrap_rows_and_repetitions",
    "critical_difference",
    "detectable_sds",
    "holm",
    "judge",
    "judge_family",
    "judge_level",
    "may_differ",
    "mean_interval",
    "not_run",
    "paired_difference",
    "probability_of_improvement",
    "rank_arms",
    "sign_flip_p",
    "small_sample_level",
    "smallest_sign_flip_p",
    "tost_p",
    "with_test_rows",
]
