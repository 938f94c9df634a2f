"""Models that are trained by themselves and never as one copy of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from qlmbench.models.stacked_model import StackedModel, divergence
from qlmbench.models.training import History, Problem


class TrainedAlone(StackedModel):
    """A model whose weights are large, or whose parts know one copy."""

    max_stack: ClassVar[int] = 1

    @property
    def stackable(self) -> bool:
        """Each is trained by itself."""
        return False


class OwnTraining(TrainedAlone):
    """A model with a training of its own, in the place of the one that stacks share.

    A subclass says what `_fit_alone` does with rows that were checked.
    """

    #: Arguments of `StackedModel` that the training does not have, and the only value of each.
    fixed: ClassVar[dict[str, Any]] = {}

    history_: History | None

    def _fit_alone(self, problem: Problem) -> Exception | None:
        """Train; return what went wrong, if something did. A ValueError is of the rows."""
        raise NotImplementedError

    @classmethod
    def _fit_stack(
        cls, heads: Sequence[Self], problems: Sequence[Problem]
    ) -> list[Exception | None]:
        (head,), (problem,) = heads, problems  # it is not stackable
        try:
            return [head._fit_alone(problem)]
        except ValueError as error:
            return [error]

    def _ended(self) -> Exception | None:
        """Count the epochs of the training, and say whether it diverged."""
        if self.history_ is None:
            self.n_iter_ = 0
            return None
        self.n_iter_ = self.history_.stopped_at
        return divergence(self, self.history_)

    def _check_fixed(self) -> None:
        """Raise ValueError if an argument has a value that the training does not know."""
        for name, value in self.fixed.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}; expected {value!r}, the only one"
                )


SINGLE_LAST_STATE: dict[str, Any] = {
    "precision": "single",
    "restore_best": False,
    "init_scale": 1.0,
    "patience": None,
}
"""Single precision, the state after the last step, initial values as they are."""
