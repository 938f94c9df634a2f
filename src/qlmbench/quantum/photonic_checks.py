"""Checks of the arguments of a photonic circuit: what was given, what fits, what to do."""

from collections.abc import Sequence

from qlmbench.quantum.fock import State, spaced_state
from qlmbench.ranges import check_whole


def per_repetition(name: str, values: Sequence[int] | None, default: Sequence[int]) -> list[int]:
    """Return one seed a repetition; refuse another number of them, or a negative one."""
    chosen = [int(value) for value in (default if values is None else values)]
    if len(chosen) != len(default) or min(chosen) < 0:
        raise ValueError(
            f"{name}={list(chosen)}; expected {len(default)} numbers of at least 0, "
            "one a repetition"
        )
    return chosen


def checked_input_state(
    n_modes: int, n_photons: int | None, input_state: Sequence[int] | None
) -> State:
    """Return the input state that the arguments name, or refuse those that contradict."""
    if input_state is None:
        count = max(1, n_modes // 2) if n_photons is None else n_photons
        check_whole("n_photons", count)
        if count > n_modes:
            raise ValueError(
                f"n_photons={count}, n_modes={n_modes}; expected at most one photon a mode"
            )
        return spaced_state(n_modes, count)
    state = tuple(int(count) for count in input_state)
    if len(state) != n_modes or not set(state) <= {0, 1} or sum(state) == 0:
        raise ValueError(
            f"input_state={list(state)}; expected {n_modes} numbers, 0 or 1, not all 0"
        )
    if n_photons is not None and sum(state) != n_photons:
        raise ValueError(
            f"input_state {list(state)} has {sum(state)} photons, n_photons={n_photons}; "
            "give one of the two, or let them agree"
        )
    return state
