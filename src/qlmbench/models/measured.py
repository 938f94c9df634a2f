"""Heads whose trained qubit circuits are also evaluated with shots and with noisy gates."""

from __future__ import annotations

import torch
from sklearn.base import clone
from torch import nn

from qlmbench.models.measurement import Measurement, check_noise, check_shots
from qlmbench.models.stacked import StackedClassifier


class MeasuredNetwork(nn.Module):
    """A network with a circuit that is measured as it says, and exactly without."""

    #: How the circuit is measured.
    measurement: Measurement | None = None


class MeasuredClassifier(StackedClassifier):
    """A head with the arguments shots, depolarizing and n_trajectories; see `under`.

    What `build` makes is a `MeasuredNetwork`.
    """

    shots: int | None
    depolarizing: float
    n_trajectories: int | None

    @property
    def conditions(self) -> frozenset[str]:
        """Arguments that `under` may change."""
        return frozenset({"shots", "depolarizing", "n_trajectories", "random_state"})

    def _check_conditions(self) -> None:
        check_shots(self.shots)
        check_noise(self.depolarizing, self.n_trajectories)

    def _evaluation_network(self) -> nn.Module:
        exact = clone(self).set_params(shots=None)
        network = self.build([exact], self.n_features_in_, self.n_outputs, torch.float64)
        assert isinstance(network, MeasuredNetwork)
        network.eval()
        if self.shots is not None or self.depolarizing > 0:
            network.measurement = Measurement(
                self.random_state, self.shots, self.depolarizing, self.n_trajectories
            )
        return network
