"""Fock states, their order, and the steps that lead from k - 1 to k photons.

A state of n photons in m modes is a tuple of m occupation numbers. States are listed in descending
lexicographic order, |2,0>, |1,1>, |0,2>, which is the order of Perceval and of merlin. The
*unbunched* space keeps the states with at most one photon a mode.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, combinations_with_replacement
from math import comb, factorial, prod
from typing import Literal

import torch
from torch import Tensor

Space = Literal["unbunched", "fock"]
State = tuple[int, ...]

SPACES: tuple[Space, ...] = ("unbunched", "fock")
MAX_STATES = 1_000_000
"""Largest space that is enumerated; a larger one is refused before it fills the memory."""


def space_size(n_modes: int, n_photons: int, space: Space) -> int:
    """Return the number of states: C(m, n) unbunched, C(m + n - 1, n) in the whole Fock space."""
    if space == "unbunched":
        return comb(n_modes, n_photons)
    return comb(n_modes + n_photons - 1, n_photons)


def fock_states(n_modes: int, n_photons: int, space: Space = "fock") -> list[State]:
    """List the states of n photons in m modes, in descending lexicographic order.

    Parameters
    ----------
    n_modes, n_photons : int
        Number of modes and of photons.
    space : {"unbunched", "fock"}
        With at most one photon a mode, or all.

    Returns
    -------
    list of tuple of int
        Occupation numbers, one tuple a state.

    Raises
    ------
    ValueError
        If the space has more than ``MAX_STATES`` states.
    """
    return [occupation(modes, n_modes) for modes in _occupied_modes(n_modes, n_photons, space)]


def occupation(modes: Sequence[int], n_modes: int) -> State:
    """Turn the mode of each photon into occupation numbers: (0, 2, 2) to |1,0,2,0>."""
    counts = [0] * n_modes
    for mode in modes:
        counts[mode] += 1
    return tuple(counts)


def spaced_state(n_modes: int, n_photons: int) -> State:
    """Return merlin's default input state: photons spread evenly, one alone in the middle mode."""
    if n_photons == 1:
        return occupation([n_modes // 2], n_modes)
    return occupation([k * n_modes // n_photons for k in range(n_photons)], n_modes)


def _occupied_modes(n_modes: int, n_photons: int, space: Space) -> list[State]:
    size = space_size(n_modes, n_photons, space)
    if size > MAX_STATES:
        raise ValueError(
            f"{n_photons} photons in {n_modes} modes make {size:,} {space} states, more than the "
            f"{MAX_STATES:,} that are simulated; take fewer photons or modes"
        )
    pick = combinations if space == "unbunched" else combinations_with_replacement
    return list(pick(range(n_modes), n_photons))


@dataclass(frozen=True)
class Step:
    """Index tables of adding photon k to every state of k - 1 photons.

    Attributes
    ----------
    n_states, n_before : int
        Number of states of k and of k - 1 photons.
    fan_in : int
        Number of (mode, state before) terms that each state sums over.
    row, before : Tensor
        [n_states * fan_in] the photon's row (``(k - 1) * m + mode``, or the zero row ``n * m``
        where a state has fewer terms) and the state before.
    after : Tensor
        [n_before * m] the state reached from each state before by adding a photon in each mode, or
        ``n_states`` (a row of zeros) where that leaves the space.
    """

    n_states: int
    n_before: int
    fan_in: int
    row: Tensor
    before: Tensor
    after: Tensor


@dataclass(frozen=True)
class Ladder:
    """The steps from one photon to n, and what the states at the top look like.

    Attributes
    ----------
    steps : tuple of Step
        For photons 2 to n; the states of one photon are the modes themselves.
    bunching : Tensor or None
        [n_states] product of the factorials of the occupation numbers; None where all are 1.
    widest : int
        The most terms of any step, which sets the working memory.
    """

    n_modes: int
    n_photons: int
    n_states: int
    steps: tuple[Step, ...]
    bunching: Tensor | None
    widest: int


@lru_cache(maxsize=128)
def ladder(n_modes: int, n_photons: int, space: Space, device: torch.device) -> Ladder:
    """Build the tables for n photons in m modes once, on one device."""
    levels = [_occupied_modes(n_modes, k, space) for k in range(1, n_photons + 1)]
    zero_row = n_modes * n_photons
    steps = tuple(
        _step(levels[k - 2], levels[k - 1], n_modes, k, zero_row, device)
        for k in range(2, n_photons + 1)
    )
    return Ladder(
        n_modes=n_modes,
        n_photons=n_photons,
        n_states=len(levels[-1]),
        steps=steps,
        bunching=_bunching(levels[-1], n_modes, device) if space == "fock" else None,
        widest=max([n_modes, *(max(len(s.row), len(s.after)) for s in steps)]),
    )


def _step(
    befores: list[State],
    afters: list[State],
    n_modes: int,
    k: int,
    zero_row: int,
    device: torch.device,
) -> Step:
    index_before = {state: i for i, state in enumerate(befores)}
    index_after = {state: i for i, state in enumerate(afters)}
    row, before = [], []
    for state in afters:
        terms = [
            ((k - 1) * n_modes + mode, index_before[_without(state, mode)])
            for mode in sorted(set(state))
        ]
        terms += [(zero_row, 0)] * (k - len(terms))
        row += [term[0] for term in terms]
        before += [term[1] for term in terms]
    after = [
        index_after.get(tuple(sorted((*state, mode))), len(afters))
        for state in befores
        for mode in range(n_modes)
    ]
    return Step(
        n_states=len(afters),
        n_before=len(befores),
        fan_in=k,
        row=torch.tensor(row, device=device),
        before=torch.tensor(before, device=device),
        after=torch.tensor(after, device=device),
    )


def _without(state: State, mode: int) -> State:
    position = state.index(mode)
    return state[:position] + state[position + 1 :]


def _bunching(states: list[State], n_modes: int, device: torch.device) -> Tensor:
    weights = [prod(factorial(c) for c in occupation(modes, n_modes)) for modes in states]
    return torch.tensor(weights, dtype=torch.float64, device=device)
