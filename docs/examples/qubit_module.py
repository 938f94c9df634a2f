"""A qubit circuit as a layer of a torch model."""

import torch
from torch import nn

from qlmbench.quantum.qubit_patterns import angle_encoding, basic_entangler_layers
from qlmbench.quantum.qubits import QubitCircuit

encoder, readout = nn.Linear(768, 4), nn.Linear(4, 2)
circuit = QubitCircuit(angle_encoding(4).then(basic_entangler_layers(4, n_layers=2)))

angles = encoder(torch.randn(16, 768))
# The first axis is the stack: one circuit here, or many that train side by side.
logits = readout(circuit(angles[None])[0])
logits.logsumexp(-1).sum().backward()
print(tuple(logits.shape), "gradient of the angles:", tuple(circuit.weights.grad.shape))
