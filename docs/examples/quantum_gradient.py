"""A circuit that rewrites the update of chosen weights, in a torch model."""

import torch
from torch import nn

from qlmbench.optim.optimizer import QuantumGradientOptimizer

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
x = torch.randn(64, 8)
y = (x[:, 0] > 0).long()

# The circuit updates the first layer's weights, AdamW all others.
optimizer = QuantumGradientOptimizer(model.named_parameters(), r"^0\.weight$", lr=1e-2)
for _ in range(30):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.3f}", optimizer.provenance()["circuits"])
