"""Update rules: what is subtracted from the chosen weights, and its controls.

Two bases say how measured bits become updates; every rule stands on one of them, and a control
differs from its base in one thing only.

==================  ==================================  ======================================
base                as-published                        corrected
==================  ==================================  ======================================
bits                weight i reads qubit n - 1 - i      weight i reads qubit i
mean at gradient 0  a quarter of the learning rate      zero: the mean at zero is subtracted
weights             the first n of a chosen tensor      all, in blocks of n qubits
inner optimiser     updates the chosen weights too      leaves the chosen weights out
learning rate       constant                            follows the scheduler
==================  ==================================  ======================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qlmbench.errors import nearest

Base = Literal["as-published", "corrected"]
Coverage = Literal["first", "all"]
Normalise = Literal["tensor", "block"]
Source = Literal[
    "measured", "pseudo-random", "gaussian", "mean-at-zero", "langevin", "gradient", "nothing"
]


@dataclass(frozen=True)
class Scheme:
    """How bits become updates: what the two bases differ in.

    Attributes
    ----------
    reversed_bits : bool
        Weight i reads qubit n - 1 - i instead of qubit i.
    centred : bool
        The mean factor at a zero gradient is subtracted, and no gradient means no update.
    coverage : {"first", "all"}
        The first n entries of a tensor, or all in blocks of n.
    shared : bool
        The inner optimiser updates the chosen weights too.
    scheduled : bool
        The learning rate of the update follows that of its parameter group.
    """

    reversed_bits: bool
    centred: bool
    coverage: Coverage
    shared: bool
    scheduled: bool


BASES: dict[str, Scheme] = {
    "as-published": Scheme(True, False, "first", shared=True, scheduled=False),
    "corrected": Scheme(False, True, "all", shared=False, scheduled=True),
}
"""The two bases by name."""


@dataclass(frozen=True)
class Rule:
    """An update rule: where the update comes from, and what is changed on the way.

    Attributes
    ----------
    source : str
        Measured circuits; the same distribution drawn from a pseudo-random generator; Gaussian
        numbers of the same mean and covariance; the mean at a zero gradient; Langevin dynamics; the
        gradient itself; or nothing.
    base : str or None
        The only base that the rule has; either one if None.
    circuit : str or None
        The only circuit that the rule has; any if None.
    shuffled : bool
        The entries of the gradient change places at random before each update.
    gradient_step : bool
        Langevin noise comes on top of a gradient step of the rule itself.
    shared : bool or None
        Overrules the base's.
    """

    source: Source
    base: Base | None = None
    circuit: str | None = None
    shuffled: bool = False
    gradient_step: bool = False
    shared: bool | None = None


RULES: dict[str, Rule] = {
    "as-published": Rule("measured", base="as-published"),
    "corrected": Rule("measured", base="corrected"),
    "none": Rule("nothing"),
    "drift": Rule("mean-at-zero", base="as-published"),
    "gaussian": Rule("gaussian"),
    "pseudo-random": Rule("pseudo-random"),
    "shuffled": Rule("measured", shuffled=True),
    "no-cnot": Rule("measured", circuit="no-cnot"),
    "sgld": Rule("langevin", gradient_step=True),
    "noisy-adamw": Rule("langevin", shared=True),
    "scaled-gradient": Rule("gradient", base="corrected"),
}
"""All update rules by name.

- ``as-published``, ``corrected``: the circuit is measured.
- ``none``: the chosen weights get no update beside the inner optimiser's.
- ``drift``: the mean of the published update at a zero gradient, whatever the gradient.
- ``gaussian``: Gaussian numbers with the mean and covariance of the circuit's update.
- ``pseudo-random``: bits of the circuit's own distribution from a pseudo-random generator, on this
  machine whatever backend is given.
- ``shuffled``: the circuit reads a gradient whose entries have changed places at random.
- ``no-cnot``: the circuit without its entangling gates.
- ``sgld``: a gradient step and Gaussian noise (Welling and Teh 2011).
- ``noisy-adamw``: Gaussian noise beside the inner optimiser, which keeps the chosen weights.
- ``scaled-gradient``: the gradient itself, without noise, scaled to the root mean square of the
  circuit's update: a classical step of equal size.
"""


def resolve(rule: str, base: str | None, circuit: object) -> tuple[Rule, str]:
    """Rule of a name and the base that it stands on.

    Parameters
    ----------
    rule : str
        A name in `RULES`.
    base : str or None
        A name in `BASES`; left out, the rule's own, or as-published for a rule with either.
    circuit : str or CircuitDescription
        What the rule is to be used with.

    Raises
    ------
    ValueError
        If a name is unknown, or the rule has another base or circuit.
    """
    if rule not in RULES:
        raise ValueError(
            f"got rule={rule!r}{nearest(rule, list(RULES))}; expected one of {', '.join(RULES)}"
        )
    found = RULES[rule]
    base = base_of(base or found.base or "as-published")
    if found.base not in (None, base):
        raise ValueError(
            f"got base={base!r} with rule={rule!r}; expected {found.base!r}, the only one it has"
        )
    if found.circuit is not None and circuit not in ("as-published", found.circuit):
        raise ValueError(
            f"got circuit={circuit!r} with rule={rule!r}; expected none: the rule names its circuit"
        )
    return found, base


def base_of(name: str) -> str:
    """Return the name of a base, if it is one; else raise ValueError."""
    if name not in BASES:
        raise ValueError(f"got base={name!r}; expected one of {', '.join(BASES)}")
    return name
