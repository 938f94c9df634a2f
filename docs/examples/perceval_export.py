"""A trained photonic circuit in Perceval: the same unitary, and the same probabilities."""

import perceval as pcvl
import torch

from qlmbench.quantum.photonic import PhotonicCircuit

phases = torch.rand(1, 1, 4, dtype=torch.float64)
circuit = PhotonicCircuit(n_modes=4, n_photons=2, space="fock", dtype=torch.float64)

exported = circuit.to_perceval(phases=phases[0, 0])
simulator = pcvl.Simulator(pcvl.SLOSBackend())
simulator.set_circuit(exported)
theirs = simulator.probs(pcvl.BasicState(circuit.input_state))
ours = circuit.probabilities(phases)[0, 0]

for state, probability in zip(circuit.state_space(), ours, strict=True):
    assert abs(theirs[pcvl.BasicState(state)] - probability.item()) < 1e-9
print(f"{len(ours)} probabilities agree")
