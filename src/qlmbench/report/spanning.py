"""What only several settings together can show: learning curves, and what tuning the encoder does.

Settings that share the word ``curve`` are points of one learning curve. Settings with the same
rows, of which one tunes the encoder, are two regimes.
"""

from __future__ import annotations

import pandas as pd

from qlmbench.report import plots
from qlmbench.report import sentences as say
from qlmbench.report.claims import Judged, forest_frame
from qlmbench.report.learning import learning_curves
from qlmbench.report.load import RunResults
from qlmbench.report.regimes import regimes
from qlmbench.report.shown import Plot, Spanning


def forest(run: RunResults, judged: list[Judged]) -> Plot | None:
    """Return the figure of the claims about differences; None where there are none."""
    frame = forest_frame(run, judged)
    if frame.empty:
        return None
    key = (
        "Dot: mean paired difference; thick line: 95 % interval over repetitions; thin line: over "
        "repetitions and test rows; band: the margin within which two arms count as equal; "
        "hollow diamond: the published effect."
    )
    sentence = say.forest_sentence(judged)
    return Plot("claims", "The claims", sentence, key, lambda: plots.forest_plot(frame))


def spanning_of(run: RunResults, arms: dict[str, pd.DataFrame]) -> list[Spanning]:
    """List the comparisons across settings that a run has the records for.

    Parameters
    ----------
    run : RunResults
        One run.
    arms : dict
        By setting, its comparison as `qlmbench.report.tables.comparison_frame` gives it.

    Returns
    -------
    list of Spanning
        Learning curves first.
    """
    return [*learning_curves(run, arms), *regimes(run, arms)]
