"""Quantum LoRA: a photonic circuit between LoRA's two projections, beside LoRA and its controls."""
