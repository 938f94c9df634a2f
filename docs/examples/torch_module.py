"""A photonic circuit as a layer of a torch model."""

import torch
from torch import nn

from qlmbench.quantum.photonic import PhotonicCircuit


class Head(nn.Module):
    """Embeddings to phases, four modes and two photons, logits."""

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(width, 4)
        self.circuit = PhotonicCircuit(n_modes=4, n_photons=2)
        self.readout = nn.Linear(self.circuit.output_size, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, width) to (batch, n_classes)."""
        phases = torch.pi * torch.sigmoid(self.encoder(x))
        # The first axis is the stack: one circuit here, or many that train side by side.
        return self.readout(self.circuit(phases[None])[0])


logits = Head(width=768, n_classes=2)(torch.randn(16, 768))
logits.logsumexp(-1).sum().backward()
print(tuple(logits.shape))
