"""Figures of a results page: each function takes frames and returns a matplotlib figure."""

from qlmbench.report.plots.arms import accuracy_by_arm, rank_plot
from qlmbench.report.plots.curves import training_curves
from qlmbench.report.plots.forest import forest_plot
from qlmbench.report.plots.modes import accuracy_by_modes
from qlmbench.report.plots.parameters import accuracy_by_parameters

__all__ = [
    "accuracy_by_arm",
    "accuracy_by_modes",
    "accuracy_by_parameters",
    "forest_plot",
    "rank_plot",
    "training_curves",
]
