"""The fidelity kernel of a photonic feature map, with or without alignment, in an SVC."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn
from torch.func import functional_call

from qlmbench.models.parameters import dead_entries, jacobian_rank
from qlmbench.models.photonic import SHOTS_ON_HARDWARE
from qlmbench.models.training import FloatArray, StackedAdam
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.ranges import check_whole
from qlmbench.records import Cost, Parameters
from qlmbench.seeding import seed_for

BLOCK = 1024
"""Rows that are compared with the training rows at once: memory stays bounded for any number."""


class PhotonicKernelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""SVC on the fidelities :math:`|\langle\psi(x)|\psi(y)\rangle|^2` of photonic states.

    Features are standardised and projected to one value a mode: the first principal components of
    the training rows, of unit variance, times ``bandwidth``. A circuit encodes these values as
    phases ``n_blocks`` times, with an interferometer before each, and :math:`\psi(x)` is its state
    in the whole Fock space, so that the kernel is positive semidefinite; on post-selected states
    it would not be. Where the training rows span fewer directions than there are modes, the other
    modes get no phase.

    With ``align`` the projection and the interferometers are first trained to maximise the centred
    alignment of the kernel with the labels (Cortes et al. 2012, JMLR 13:795) on the training rows.

    Training holds the kernel of all training rows, so that its memory grows with their square; rows
    to predict are worked through in blocks.

    Parameters
    ----------
    n_modes : int, default=4
        Modes of the circuit.
    n_photons : int, default=2
        Photons at its input, at most one a mode.
    n_blocks : int, default=2
        Times that the phases are encoded. With one, the kernel depends on x - y alone.
    bandwidth : float, default=1.0
        Standard deviation of a phase over the training rows before alignment, in radians.
    C : float, default=1.0
        Penalty of the SVC.
    align : bool, default=False
        Whether projection and circuit are trained; else the circuit stays as drawn.
    n_steps : int, default=50
        Steps of Adam of the alignment, each on all training rows.
    learning_rate : float, default=0.05
        Step size of Adam on the angles, in radians. On the projection it is divided by the number
        of features, which all move a phase together, so that a step turns phases about as far.
    random_state : int, default=0
        Seed of the interferometers.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features seen in fit.
    projection_ : Tensor of shape (n_features, n_modes)
        From standardised features to phases, in radians.
    circuit_ : PhotonicCircuit
        The feature map. Its last interferometer does nothing: it would cancel in a fidelity.
    svc_ : sklearn.svm.SVC
        The fitted SVC.
    alignment_ : list of float
        Alignment with the labels before each step and after the last; empty without ``align``.
    """

    def __init__(
        self,
        n_modes: int = 4,
        n_photons: int = 2,
        n_blocks: int = 2,
        bandwidth: float = 1.0,
        C: float = 1.0,
        align: bool = False,
        n_steps: int = 50,
        learning_rate: float = 0.05,
        random_state: int = 0,
    ) -> None:
        self.n_modes = n_modes
        self.n_photons = n_photons
        self.n_blocks = n_blocks
        self.bandwidth = bandwidth
        self.C = C
        self.align = align
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: FloatArray, y: Any) -> Self:
        """Learn the feature map and the SVC.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Features.
        y : array-like of shape (n,)
            Class labels.

        Returns
        -------
        self
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"{type(self).__name__} needs two classes; y has one class only")
        check_whole("n_steps", self.n_steps, 0)
        self._scaler = StandardScaler().fit(X)
        standardised = self._scaler.transform(X)
        self.projection_ = self.bandwidth * principal_projection(standardised, self.n_modes)
        self.circuit_ = feature_circuit(
            self.n_modes, self.n_photons, self.n_blocks, self.random_state
        )
        rows = torch.from_numpy(standardised)
        self.alignment_: list[float] = []
        if self.align:
            self._align(rows, torch.from_numpy(indices))
        self._states = states(self.circuit_, rows @ self.projection_)
        kernel = fidelities(self._states, self._states).numpy()
        self.svc_ = SVC(kernel="precomputed", C=self.C).fit(kernel, y)
        return self

    def predict(self, X: FloatArray) -> Any:
        """Return class labels, shape (n,)."""
        return self._in_blocks(X, lambda kernel: self.svc_.predict(kernel))

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return scores, shape (n,) for two classes, else (n, n_classes)."""
        scores = self._in_blocks(X, lambda kernel: self.svc_.decision_function(kernel))
        return np.asarray(scores)

    def kernel_matrix(self, X: FloatArray) -> FloatArray:
        """Return the fidelities of rows with the training rows, shape (n, n_train), in [0, 1]."""
        return np.asarray(self._in_blocks(X, lambda kernel: kernel))

    def count_parameters(self) -> Parameters:
        """Count the coefficients of the SVC and, where they were trained, projection and angles.

        What the projection and the angles can do is looked at where training started.
        """
        coefficients = self.svc_.dual_coef_.size + self.svc_.intercept_.size
        if not self.align:
            return Parameters(classical=coefficients)
        circuit = feature_circuit(self.n_modes, self.n_photons, self.n_blocks, self.random_state)
        angles = trainable_angles(circuit)
        g = torch.Generator().manual_seed(seed_for("sampling", purpose="kernel parameters"))
        options = {"generator": g, "dtype": torch.float64}
        # Independent rows in every direction: what counts is what the map can do, not this data.
        projection = torch.randn(self.n_features_in_, self.n_modes, **options)  # type: ignore[call-overload]
        projection = (projection / math.sqrt(self.n_features_in_)).requires_grad_()
        rows = torch.randn(64, self.n_features_in_, **options)  # type: ignore[call-overload]
        psi = states(circuit, rows @ projection, angles)
        outputs = fidelities(psi, psi)
        dead = dead_entries(outputs, {"projection": projection, "circuit.angles": angles})
        classical = coefficients + projection.numel()
        return Parameters(
            classical=classical,
            quantum=angles.numel(),
            effective=classical - dead.get("projection", 0) + jacobian_rank(outputs, [angles]),
            dead=sum(dead.values()),
            dead_classical=dead.get("projection", 0),
            dead_in=dead,
        )

    def hardware_cost(self, n_train: int) -> Cost:
        """Circuit evaluations that this training would take on a photonic processor.

        The fidelity of two rows is the probability that the photons come back out as they went in
        after the circuit of one and the reverse circuit of the other: one evaluation a pair.
        Alignment takes each pair in each step, and 2 n evaluations for each of the phases and
        angles, which all stand in both circuits (Wierichs et al. 2022, 10.22331/q-2022-03-30-677).
        """
        pairs = n_train * (n_train - 1) // 2
        circuits = pairs
        if self.align:
            trained = 2 * (trainable_angles(self.circuit_).numel() + self.n_blocks * self.n_modes)
            circuits += pairs * self.n_steps * (1 + 2 * self.n_photons * trained)
        return Cost(circuits=circuits, shots=circuits * SHOTS_ON_HARDWARE)

    def _align(self, rows: Tensor, y: Tensor) -> None:
        """Train the projection and the angles by Adam, on all rows at once."""
        start, n_features = self.projection_, self.n_features_in_
        moved = nn.Parameter(torch.zeros_like(start)[None])
        angles = nn.Parameter(trainable_angles(self.circuit_).detach())
        optimiser = StackedAdam([moved, angles], [self.learning_rate], [0.0])
        for step in range(self.n_steps + 1):
            projection = start + moved[0] / n_features
            psi = states(self.circuit_, rows @ projection, angles)
            alignment = centred_alignment(fidelities(psi, psi), y)
            self.alignment_.append(float(alignment.detach()))
            if step == self.n_steps:
                break
            optimiser.zero_grad()
            torch.autograd.backward(-alignment)
            optimiser.step()
        self.projection_ = projection.detach()
        with torch.no_grad():
            self.circuit_.angles[:, :-1] = angles

    def _in_blocks(self, X: FloatArray, function: Callable[[FloatArray], Any]) -> Any:
        """Apply a function to the kernel of all rows with the training rows, block by block."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        blocks = torch.split(torch.from_numpy(self._scaler.transform(X)), BLOCK)
        psis = (states(self.circuit_, rows @ self.projection_) for rows in blocks)
        return np.concatenate([function(fidelities(psi, self._states).numpy()) for psi in psis])


def principal_projection(X: FloatArray, n_modes: int) -> Tensor:
    """Project to the first principal components, each divided by its standard deviation.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Centred rows.
    n_modes : int
        Number of columns of the projection.

    Returns
    -------
    Tensor
        [n_features, n_modes]; columns beyond the rank of the rows are zero.
    """
    pca = PCA(min(n_modes, *X.shape), svd_solver="full").fit(X)
    variances = pca.explained_variance_
    kept = variances > 1e-12 * max(1.0, variances[0])
    projection = np.zeros((X.shape[1], n_modes))
    projection[:, : kept.sum()] = pca.components_[kept].T / np.sqrt(variances[kept])
    return torch.from_numpy(projection)


def feature_circuit(n_modes: int, n_photons: int, n_blocks: int, seed: int) -> PhotonicCircuit:
    """Draw the circuit of a feature map; its last interferometer is the identity.

    The last interferometer would cancel in every fidelity. An interferometer is the identity where
    all its angles are pi.
    """
    circuit = PhotonicCircuit(
        n_modes,
        n_photons,
        n_blocks=n_blocks,
        space="fock",
        readout="amplitudes",
        trainable=False,
        seeds=[seed_for("initialisation", seed=seed, layer="circuit")],
        dtype=torch.float64,
    )
    circuit.angles[:, -1] = math.pi
    return circuit


def trainable_angles(circuit: PhotonicCircuit) -> Tensor:
    """Copy the angles before the last encoding, [1, n_blocks, angles of a mesh], as a leaf."""
    return circuit.angles.detach()[:, :-1].clone().requires_grad_()


def states(circuit: PhotonicCircuit, phases: Tensor, angles: Tensor | None = None) -> Tensor:
    """Compute the amplitudes of rows, encoding the same phases in every block.

    Parameters
    ----------
    circuit : PhotonicCircuit
        Feature map of one repetition.
    phases : Tensor
        [n, n_modes] in radians.
    angles : Tensor, optional
        Stand in for the circuit's own angles before the last encoding; differentiable.

    Returns
    -------
    Tensor
        [n, n_states] complex, of norm 1.
    """
    encoded = phases.repeat(1, circuit.n_blocks)[None]
    given = {}
    if angles is not None:
        given["angles"] = torch.cat([angles, circuit.angles[:, -1:]], dim=1)
    amplitudes: Tensor = functional_call(circuit, given, (encoded,))
    return amplitudes[0]


def fidelities(one: Tensor, other: Tensor) -> Tensor:
    """Return the squared overlaps, [n, k] real, of amplitudes [n, n_states] and [k, n_states]."""
    overlaps = torch.view_as_real(one @ other.mH)
    return overlaps.square().sum(-1)


def centred_alignment(kernel: Tensor, y: Tensor) -> Tensor:
    """Cosine between a kernel and "same class or not", both centred (Cortes et al. 2012).

    Parameters
    ----------
    kernel : Tensor
        [n, n] real.
    y : Tensor
        [n] class indices.

    Returns
    -------
    Tensor
        Scalar in [-1, 1]; 0 for a constant kernel.
    """
    target = _centred((y[:, None] == y).to(kernel.dtype))
    centred = _centred(kernel)
    norms = centred.square().sum().sqrt() * target.square().sum().sqrt()
    return (centred * target).sum() / norms.clamp_min(torch.finfo(kernel.dtype).tiny)


def _centred(kernel: Tensor) -> Tensor:
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
