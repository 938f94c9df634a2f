"""Quantum LoRA in a torch model: a photonic circuit in every attention projection."""

import torch
from torch import nn

from qlmbench.adapters import convert_to_quantum_lora, print_trainable_parameters

model = nn.Transformer(d_model=32, nhead=4, num_encoder_layers=2, batch_first=True)
adapted = convert_to_quantum_lora(
    model,
    r=4,
    n_photons=2,
    target_modules=[r".*attn\..*_proj"],
    exclude_modules=["output_proj"],
    ansatz="universal",
)
print_trainable_parameters(model)
model(torch.randn(3, 5, 32), torch.randn(3, 4, 32)).square().mean().backward()
print(adapted["encoder.layers.0.self_attn.q_proj"].visualize_circuit("text"))
