"""QLLM fine-tuning: photonic heads on a sentence transformer (arXiv 2504.08732)."""
