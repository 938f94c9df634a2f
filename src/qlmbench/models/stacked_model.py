"""The base of every trained model: a scikit-learn estimator that can train many copies at once."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypedDict

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import nn

from qlmbench.models.training import (
    N_LOOKS,
    FloatArray,
    History,
    Problem,
    Schedule,
    train_stack,
)
from qlmbench.ranges import check_choice, check_not_negative, check_whole
from qlmbench.records import Cost


class ModelOptions(TypedDict, total=False):
    """Arguments that every trained model takes; see `StackedModel`."""

    epochs: int
    batch_size: int | None
    learning_rate: float
    weight_decay: float
    init_scale: float
    restore_best: bool
    patience: int | None
    precision: str
    random_state: int


class TrainingDivergedError(ArithmeticError):
    """The loss stopped being a number."""


class StackedModel(BaseEstimator):  # type: ignore[misc]
    """Base of models that are trained by gradient; a subclass says what data and network are.

    Parameters
    ----------
    epochs : int, default=200
        Passes over the training rows.
    batch_size : int or None, default=32
        Rows a step; None for all rows at once.
    learning_rate : float, default=1e-3
        Step size of Adam.
    weight_decay : float, default=0.0
        Factor of the L2 term.
    init_scale : float, default=1.0
        Factor on the usual scale of the initial weights and angles.
    restore_best : bool, default=True
        Whether to end with the state that was best on validation, where validation rows are given.
    patience : int or None, default=None
        Stop after so many epochs without improvement on validation.
    precision : {"double", "single"}, default="double"
        Floating-point type of the training. In double a head trained in a stack equals one trained
        alone but for rounding in the last digits; in single the rounding may grow over epochs.
    random_state : int, default=0
        Seed of initialisation, batches and dropout.

    Attributes
    ----------
    n_features_in_ : int
        Number of features seen in fit.
    network_ : torch.nn.Module
        The trained network, a stack of one copy.
    history_ : History
        Losses and accuracies by epoch.
    n_iter_ : int
        Number of epochs trained.
    """

    #: Copies trained together at most; more would not fit the processor's caches and gain nothing.
    max_stack: ClassVar[int] = 60

    #: States of a training that are compared on validation, about.
    n_looks: ClassVar[int] = N_LOOKS

    #: Arguments that may differ among the copies of one stack.
    varying: ClassVar[frozenset[str]] = frozenset(
        {"learning_rate", "weight_decay", "init_scale", "random_state"}
    )

    def __init__(
        self,
        *,
        epochs: int = 200,
        batch_size: int | None = 32,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        init_scale: float = 1.0,
        restore_best: bool = True,
        patience: int | None = None,
        precision: str = "double",
        random_state: int = 0,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.init_scale = init_scale
        self.restore_best = restore_best
        self.patience = patience
        self.precision = precision
        self.random_state = random_state

    def __init_subclass__(cls) -> None:
        """Write out ``**training`` in the signature, which scikit-learn and readers look at."""
        super().__init_subclass__()
        own = inspect.signature(cls.__init__)
        if any(p.kind is p.VAR_KEYWORD for p in own.parameters.values()):
            named = {p.name: p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD}
            for base in cls.__mro__[1:]:
                if issubclass(base, StackedModel):
                    for p in inspect.signature(base.__init__).parameters.values():
                        if p.kind is p.KEYWORD_ONLY:
                            named.setdefault(p.name, p)
            cls.__init__.__signature__ = own.replace(parameters=list(named.values()))  # type: ignore[attr-defined]

    @property
    def conditions(self) -> frozenset[str]:
        """Arguments that `under` may change: those that say how the trained model is evaluated."""
        return frozenset()

    @property
    def stackable(self) -> bool:
        """Whether several of these models can be one stack."""
        return True

    # ---- what a subclass says ------------------------------------------------------------

    @classmethod
    def build(
        cls, heads: Sequence[Self], n_features: int, n_classes: int, dtype: torch.dtype
    ) -> nn.Module:
        """Make the network of a stack, one copy a model: (R, n, F) to logits (R, n, ..., C)."""
        raise NotImplementedError

    @property
    def n_outputs(self) -> int:
        """Number of logits, as known after the data were seen."""
        raise NotImplementedError

    def _check(self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Problem:
        """Check options and data, and note what the network needs to know of the data."""
        raise NotImplementedError

    @classmethod
    def _class_weights(
        cls, heads: Sequence[Self], problems: Sequence[Problem]
    ) -> list[FloatArray] | None:
        """Return what each target weighs in the loss, a table a copy; None if all weigh 1."""
        return None

    # ---- scikit-learn --------------------------------------------------------------------

    def fit(
        self, X: FloatArray, y: Any, X_val: FloatArray | None = None, y_val: Any = None
    ) -> Self:
        """Train on rows.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features.
        y : array-like
            What to learn.
        X_val, y_val : array-like, optional
            Validation rows: the state that is best on them is kept.

        Returns
        -------
        self
        """
        fitted = self.fit_many([self], [(X, y, X_val, y_val)])[0]
        if isinstance(fitted, Exception):
            raise fitted
        return self

    @classmethod
    def fit_many(
        cls,
        heads: Sequence[Self],
        rows: Sequence[tuple[FloatArray, Any, FloatArray | None, Any]],
    ) -> list[Self | Exception]:
        """Train several heads at once, each as if alone.

        Heads that differ only in learning rate, weight decay, initial scale or random state, on
        equally many rows, are trained as one stack.

        Parameters
        ----------
        heads : sequence of heads
            Unfitted; they are fitted in place.
        rows : sequence of tuple
            ``(X, y, X_val, y_val)`` of each head.

        Returns
        -------
        list
            The fitted heads; in the place of a head that could not be fitted, the error.
        """
        results: list[Self | Exception] = list(heads)
        problems: dict[int, Problem] = {}
        stacks: dict[Any, list[int]] = {}
        for i, (head, row) in enumerate(zip(heads, rows, strict=True)):
            try:
                problem = problems[i] = head._check(*row)
            except ValueError as fault:
                results[i] = fault
                continue
            n_val = -1 if problem.y_val is None else len(problem.y_val)
            alone = None if head.stackable else i
            key = (head.structure(), problem.X.shape, n_val, head.n_outputs, alone)
            stacks.setdefault(key, []).append(i)
        for members in stacks.values():
            errors = cls._fit_stack([heads[i] for i in members], [problems[i] for i in members])
            for i, error in zip(members, errors, strict=True):
                if error is not None:
                    results[i] = error
        return results

    # ---- the same head elsewhere -----------------------------------------------------------

    def under(self, **conditions: Any) -> Self:
        """Return the trained head as it works under other conditions: shots, noise, loss.

        Nothing is trained; this head stays as it is.

        Parameters
        ----------
        **conditions
            Constructor arguments with their new values; a head lists in its ``conditions`` which
            ones it knows.

        Returns
        -------
        head
            A fitted copy with the same trained parameters.

        Raises
        ------
        ValueError
            If an argument is no condition, or gives the network another shape.
        sklearn.exceptions.NotFittedError
            If this head is not fitted.

        Examples
        --------
        >>> head.under(shots=1000).score(X_test, y_test)  # doctest: +SKIP
        """
        check_is_fitted(self)
        foreign = sorted(set(conditions) - self.conditions)
        if foreign:
            raise ValueError(
                f"{type(self).__name__}.under: got {', '.join(foreign)}; expected only "
                f"{', '.join(sorted(self.conditions)) or 'nothing'}: other arguments would make "
                "another head, train that one"
            )
        other = copy.copy(self)
        other.set_params(**conditions)
        other._check_conditions()
        other.network_ = other._evaluation_network()
        _transfer(self.network_, other.network_, conditions)
        return other

    # ---- inside --------------------------------------------------------------------------

    def structure(self) -> str:
        """Describe everything that the heads of one stack share."""
        params = self.get_params(deep=False)
        return repr(sorted((k, v) for k, v in params.items() if k not in self.varying))

    def schedule(self) -> Schedule:
        """Say how the stack is trained that this head is in."""
        return Schedule(
            self.epochs, self.batch_size, self.restore_best, self.patience, n_looks=self.n_looks
        )

    def _check_options(self) -> None:
        """Raise ValueError if an option is out of its range."""
        check_choice("precision", self.precision, tuple(_DTYPES))
        self._check_training()
        if self.patience is not None and not self.restore_best:
            raise ValueError("patience goes with restore_best=True: it ends at the best state")
        self._check_conditions()

    def _check_training(self) -> None:
        """Raise ValueError if a number of the training is out of its range."""
        check_whole("epochs", self.epochs)
        check_whole("batch_size", self.batch_size, or_none=True)
        # At a rate of 0 all stays as it began: so the start is scored like any trained state.
        check_not_negative("learning_rate", self.learning_rate)
        check_not_negative("weight_decay", self.weight_decay)

    @classmethod
    def _fit_stack(
        cls, heads: Sequence[Self], problems: Sequence[Problem]
    ) -> list[Exception | None]:
        first = heads[0]
        dtype = _DTYPES[first.precision]
        network = cls.build(heads, problems[0].X.shape[1], first.n_outputs, dtype)
        histories = train_stack(
            network,
            problems,
            first.schedule(),
            learning_rates=[h.learning_rate for h in heads],
            weight_decays=[h.weight_decay for h in heads],
            seeds=[h.random_state for h in heads],
            class_weights=cls._class_weights(heads, problems),
        )
        errors: list[Exception | None] = []
        for r, (head, history) in enumerate(zip(heads, histories, strict=True)):
            head.network_ = head._copy_of(network, r, len(heads))
            head.history_ = history
            head.n_iter_ = history.stopped_at
            errors.append(divergence(head, history))
        return errors

    @torch.no_grad()
    def _copy_of(self, network: nn.Module, r: int, n_copies: int) -> nn.Module:
        """Take copy r out of a stack, as a stack of one in double precision.

        Scoring in double makes a row's result independent of its place among the rows.
        """
        alone = self._evaluation_network()
        stacked = dict(network.named_parameters())
        for name, parameter in alone.named_parameters():
            values = stacked[name]
            parameter.copy_(values[r : r + 1] if n_copies > 1 else values)
        return alone

    def _evaluation_network(self) -> nn.Module:
        """Make the network of this head alone as it is evaluated, its parameters still to come."""
        network = self.build([self], self.n_features_in_, self.n_outputs, torch.float64)
        network.eval()
        return network

    def _check_conditions(self) -> None:
        """Raise ValueError if a condition of the evaluation is out of its range."""

    # ---- what the tables say of it ---------------------------------------------------------

    def diagnostics(self, X: FloatArray) -> dict[str, float]:
        """Return numbers that say how far the head's result can be trusted; none by default."""
        return {}

    def hardware_cost(self, n_train: int) -> Cost | None:
        """Circuit evaluations that this training would take on a processor; None without one."""
        return None


_DTYPES = {"single": torch.float32, "double": torch.float64}


@torch.no_grad()
def _transfer(source: nn.Module, target: nn.Module, conditions: dict[str, Any]) -> None:
    """Copy all parameters; another shape means that the conditions made another network."""
    old, new = dict(source.named_parameters()), dict(target.named_parameters())
    for name in sorted(old.keys() | new.keys()):
        shapes = [tuple(p[name].shape) if name in p else None for p in (old, new)]
        if shapes[0] != shapes[1]:
            changed = ", ".join(f"{k}={v!r}" for k, v in conditions.items())
            raise ValueError(
                f"under({changed}) gives {name} the shape {shapes[1]}; trained was {shapes[0]}: "
                "train a head with these arguments instead"
            )
        new[name].copy_(old[name])


def divergence(head: StackedModel, history: History) -> Exception | None:
    """Return the error of a training whose loss stopped being a number; None if it did not."""
    if history.diverged_at is None:
        return None
    return TrainingDivergedError(
        f"{type(head).__name__}: the loss is not a number from epoch {history.diverged_at} on "
        f"(learning_rate={head.learning_rate}); try a smaller learning rate"
    )
