"""Figures of a results page: each function takes frames and returns a matplotlib figure."""

from qlmbench.report.plots.arms import MOST_ROWS, values_by_arm
from qlmbench.report.plots.attention import attention_maps
from qlmbench.report.plots.comparison import MOST_ARMS, compared_curves
from qlmbench.report.plots.conditions import conditions_plot
from qlmbench.report.plots.curves import training_curves
from qlmbench.report.plots.forest import forest_plot
from qlmbench.report.plots.gallery import captioned_scenes
from qlmbench.report.plots.learning import learning_curves
from qlmbench.report.plots.modes import values_by_modes
from qlmbench.report.plots.parameters import values_by_parameters
from qlmbench.report.plots.ranks import MOST_RANKS, rank_plot
from qlmbench.report.plots.regimes import regimes_plot
from qlmbench.report.plots.sweep import families

__all__ = [
    "MOST_ARMS",
    "MOST_RANKS",
    "MOST_ROWS",
    "attention_maps",
    "captioned_scenes",
    "compared_curves",
    "conditions_plot",
    "families",
    "forest_plot",
    "learning_curves",
    "rank_plot",
    "regimes_plot",
    "training_curves",
    "values_by_arm",
    "values_by_modes",
    "values_by_parameters",
]
