"""Which parameters of a captioner can do anything, and what its circuit would cost."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qlmbench.models.parameters import dead_entries, jacobian_rank
from qlmbench.models.photonic import SHOTS_ON_HARDWARE
from qlmbench.quantum.qubits import QubitCircuit
from qlmbench.records import Cost, Parameters
from qlmbench.seeding import seed_for
from qlmbench.vision.caption_network import CaptionNetwork
from qlmbench.vision.projectors import Projector, StackedProjector

_N_POINTS = 64


def count_captioner(network: CaptionNetwork, n_ids: int) -> Parameters:
    """Count the trained parameters of a network of one copy, in double precision.

    Parameters
    ----------
    network : CaptionNetwork
        At a random point.
    n_ids : int
        T, ids of a caption.

    Returns
    -------
    counts : Parameters
        ``dead`` counts those on which no log-probability depends, at random images and captions.
        ``effective`` counts the classical ones that are not dead, and the rank of the circuit's
        angles beside the biases of the linear map before it: angles that only repeat those biases
        do not count.
    """
    network.eval()
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    circuit = network.projector.circuit
    angles = [] if circuit is None or not circuit.weights.requires_grad else [circuit.weights]
    quantum = sum(p.numel() for p in angles)
    total = sum(p.numel() for p in named.values())
    dead = dead_entries(_log_probabilities(network, n_ids), named)
    dead_classical = sum(n for name, n in dead.items() if name != "projector.circuit.weights")
    effective = total - quantum - dead_classical
    if angles and circuit is not None:
        effective += _rank_beside_biases(network.projector, circuit)
    return Parameters(
        classical=total - quantum,
        quantum=quantum,
        effective=effective,
        dead=sum(dead.values()),
        dead_classical=dead_classical,
        dead_in=dead,
    )


def count_hybrid(
    model: nn.Module, projector: Projector, n_qubits: int, n_layers: int
) -> Parameters:
    """Count the trained parameters of a hybrid vision-language model.

    Parameters
    ----------
    model : HybridVisionLanguageModel
        Projection, and a language model with adapters.
    projector : str
        Kind of the projection.
    n_qubits, n_layers : int
        Of its circuit.

    Returns
    -------
    counts : Parameters
        ``effective`` counts all that is outside the circuit, and the rank of its angles beside the
        biases before it, as `count_captioner` does.
    """
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    quantum = trained.get("projection.circuit.weights", 0)
    classical = sum(trained.values()) - quantum
    rank = 0
    if quantum:
        alone = StackedProjector(
            projector,
            n_features=1,
            width=1,
            n_qubits=n_qubits,
            n_layers=n_layers,
            gate=False,
            shots=None,
            seeds=[0],
            scales=[1.0],
            dtype=torch.float64,
        )
        assert alone.circuit is not None
        rank = _rank_beside_biases(alone, alone.circuit)
    return Parameters(classical=classical, quantum=quantum, effective=classical + rank)


def training_cost(
    projector: Projector, circuit: QubitCircuit, n_rows: int, shots: int | None
) -> Cost:
    """Circuit evaluations that a training would take on a processor.

    The parameter-shift rule takes two evaluations for each trained angle and each encoded one.

    Parameters
    ----------
    projector : str
        Kind of the projection.
    circuit : QubitCircuit
        Of the projection.
    n_rows : int
        Rows that were shown, over all epochs.
    shots : int or None
        Measurements of each evaluation; None for as many as such a processor takes.
    """
    trained = circuit.weights.numel() if circuit.weights.requires_grad else 0
    shifted = 0 if projector == "frozen" else trained + circuit.n_inputs
    circuits = n_rows * (1 + 2 * shifted)
    return Cost(circuits=circuits, shots=circuits * (shots or SHOTS_ON_HARDWARE))


def _log_probabilities(network: CaptionNetwork, n_ids: int) -> Tensor:
    """Of all words at all places, at random images and captions of full length."""
    g = torch.Generator().manual_seed(seed_for("sampling", purpose="captioner"))
    n_words = network.decoder.words.values.shape[1]
    features = torch.randn(1, _N_POINTS, network.n_image_features, generator=g).double()
    ids = torch.randint(1, n_words, (1, _N_POINTS, n_ids), generator=g)
    return network(torch.cat([features, ids.double()], 2)).log_softmax(-1)  # type: ignore[no-any-return]


def _rank_beside_biases(projector: StackedProjector, circuit: QubitCircuit) -> int:
    """Rank of the circuit's outputs in biases and angles together, less that in the biases."""
    g = torch.Generator().manual_seed(seed_for("sampling", purpose="circuit inputs"))
    inputs = torch.randn(1, _N_POINTS, circuit.n_inputs, generator=g).double()
    assert projector.reduce is not None
    bias = projector.reduce.bias
    if not bias.requires_grad:
        return jacobian_rank(circuit(inputs), [circuit.weights])
    outputs = circuit(inputs + bias.mT)
    return jacobian_rank(outputs, [bias, circuit.weights]) - jacobian_rank(outputs, [bias])
