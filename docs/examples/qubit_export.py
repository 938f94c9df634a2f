"""A qubit circuit in PennyLane and in Qiskit: the same numbers from all three."""

import torch
from qiskit.quantum_info import Statevector

from qlmbench.quantum.qubit_exports import from_qiskit_order
from qlmbench.quantum.qubit_patterns import angle_encoding, basic_entangler_layers
from qlmbench.quantum.qubits import QubitCircuit

description = angle_encoding(3).then(basic_entangler_layers(3, n_layers=2))
circuit = QubitCircuit(description, readout="probabilities", dtype=torch.float64)
x = torch.tensor([0.3, 0.1, 0.7], dtype=torch.float64)
ours = circuit(x[None, None])[0, 0].detach()

pennylane = torch.as_tensor(circuit.to_pennylane()(x))
qiskit = Statevector(circuit.to_qiskit(inputs=x.tolist())).probabilities()

torch.testing.assert_close(pennylane, ours)
torch.testing.assert_close(torch.as_tensor(from_qiskit_order(qiskit)), ours)
print("PennyLane, Qiskit and qlmbench agree")
