"""Imperfect photons: distinguishable ones, lost ones, and finitely many shots."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, product
from math import comb, prod, sqrt

import numpy as np
import torch
from torch import Tensor

from qlmbench.quantum.fock import Space, State, fock_states, ladder, space_size
from qlmbench.quantum.fock_autograd import fock_coefficients, fock_probabilities

MAX_PARTIAL_PHOTONS = 6
"""Most photons with partial distinguishability: the mixture has 2^n terms."""


def noisy_probabilities(transfer: Tensor, space: Space, indistinguishability: float) -> Tensor:
    """Compute the probabilities of photons that may be told apart.

    Each photon is, independently and with probability ``sqrt(indistinguishability)``, in the common
    internal state, and otherwise in one of its own. This is the source model of Perceval; the
    probability that two photons interfere is then the indistinguishability, which is what a
    Hong-Ou-Mandel dip measures. Photons of their own kind follow the permanent of ``|U|^2``
    (Aaronson and Arkhipov, doi:10.4086/toc.2013.v009a004, section 1.1).

    Parameters
    ----------
    transfer : Tensor
        [R, n, m, B] complex amplitudes with which each photon leaves in each mode.
    space : {"unbunched", "fock"}
        Which states.
    indistinguishability : float
        In [0, 1]; 1 is ideal, 0 is fully distinguishable.

    Returns
    -------
    Tensor
        [R, B, n_states] probabilities, not renormalised.
    """
    n_photons = transfer.shape[1]
    if indistinguishability == 1 or n_photons == 1:
        return fock_probabilities(transfer, space, False)
    classical = transfer.real.square() + transfer.imag.square()
    alone = fock_coefficients(classical, space)
    if indistinguishability == 0:
        return alone
    common = sqrt(indistinguishability)
    # one photon in the common state has no partner: it behaves as if it were alone
    lonely = (1 - common) ** n_photons + n_photons * common * (1 - common) ** (n_photons - 1)
    mixture = lonely * alone
    for size in range(2, n_photons + 1):
        weight = common**size * (1 - common) ** (n_photons - size)
        for together in combinations(range(n_photons), size):
            others = [k for k in range(n_photons) if k not in together]
            probs = fock_probabilities(transfer[:, list(together)], space, False)
            for total, photon in enumerate(others, start=size + 1):
                probs = _add_classical_photon(probs, classical[:, photon], total, space)
            mixture = mixture + weight * probs
    return mixture


def _add_classical_photon(probs: Tensor, photon: Tensor, total: int, space: Space) -> Tensor:
    """Make ``total`` photons by one [R, m, B] that interferes with none in [R, B, states]."""
    n_modes = photon.shape[1]
    step = ladder(n_modes, total, space, probs.device).steps[-1]
    photon = torch.nn.functional.pad(photon.mT, (0, 1))
    leaving = photon.index_select(2, step.row - (total - 1) * n_modes)
    terms = leaving * probs.index_select(2, step.before)
    return terms.view(*terms.shape[:2], step.n_states, step.fan_in).sum(-1)


def lossy_states(n_modes: int, n_photons: int) -> list[State]:
    """List the states that losses can lead to: those of n photons, of n - 1, ... and the vacuum."""
    return [s for k in range(n_photons, -1, -1) for s in fock_states(n_modes, k)]


def lose_photons(probs: Tensor, n_modes: int, n_photons: int, transmittance: float) -> Tensor:
    """Lose each photon with probability ``1 - transmittance``, the same in every mode.

    Loss that is equal in all modes commutes with the interferometer (Oszmaniec and Brod,
    doi:10.1088/1367-2630/aadfa8), so that it may act at the end.

    Parameters
    ----------
    probs : Tensor
        [R, B, C(m + n - 1, n)] probabilities of the Fock states of n photons.
    n_modes, n_photons : int
        Number of modes and of photons.
    transmittance : float
        Probability that a photon arrives, in [0, 1].

    Returns
    -------
    Tensor
        [R, B, states] probabilities in the order of ``lossy_states``.
    """
    before, after, chance = _losses(n_modes, n_photons, transmittance, probs.dtype, probs.device)
    arriving = probs.index_select(2, before) * chance
    size = sum(space_size(n_modes, k, "fock") for k in range(n_photons + 1))
    return probs.new_zeros(*probs.shape[:2], size).index_add(2, after, arriving)


@lru_cache(maxsize=16)
def _losses(
    n_modes: int, n_photons: int, transmittance: float, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """List every way to lose photons: the state before, the state after, and its probability."""
    index = {state: i for i, state in enumerate(lossy_states(n_modes, n_photons))}
    ways = [
        (column, index[left], _survival(state, left, transmittance))
        for column, state in enumerate(fock_states(n_modes, n_photons))
        for left in product(*(range(count + 1) for count in state))
    ]
    before, after, chance = zip(*ways, strict=True)
    return (
        torch.tensor(before, device=device),
        torch.tensor(after, device=device),
        torch.tensor(chance, dtype=dtype, device=device),
    )


def _survival(state: State, left: State, transmittance: float) -> float:
    return prod(
        comb(count, kept) * transmittance**kept * (1 - transmittance) ** (count - kept)
        for count, kept in zip(state, left, strict=True)
    )


def sample_frequencies(
    probs: Tensor, shots: int, generators: Sequence[np.random.Generator], complete: bool
) -> Tensor:
    """Replace probabilities by the frequencies of a finite number of shots.

    Parameters
    ----------
    probs : Tensor
        [R, B, states] probabilities.
    shots : int
        Number of shots for each sample.
    generators : sequence of numpy.random.Generator
        One a repetition, so that a repetition draws the same alone and in a stack.
    complete : bool
        Whether the probabilities sum to 1. If not, the rest of the shots is rejected.

    Returns
    -------
    Tensor
        [R, B, states] counts divided by ``shots``. The values are sampled; the gradient is that of
        the exact probabilities.

    Raises
    ------
    ValueError
        If a sample has no probability in the space.
    """
    exact = probs.detach().to("cpu", torch.float64).clamp(min=0).numpy()
    rest = np.zeros_like(exact[..., :1]) if complete else 1 - exact.sum(-1, keepdims=True)
    exact = np.concatenate([exact, rest.clip(min=0)], axis=-1)
    mass = exact.sum(-1, keepdims=True)
    if not mass.all():
        raise ValueError("no event survives the post-selection of a sample: nothing to draw from")
    # numpy wants sums that do not exceed 1 by a rounding error of float32
    exact /= mass
    drawn = [
        generator.multinomial(shots, rows)
        for generator, rows in zip(generators, exact, strict=True)
    ]
    frequencies = torch.from_numpy(np.stack(drawn)[..., :-1]).to(probs) / shots
    return probs + (frequencies - probs).detach()
