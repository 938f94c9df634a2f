"""A training step of quantum LoRA beside LoRA of peft: a sentence encoder, a language model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from harness import Report, Setting, Work, interleave, peak_memory, run_alone
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
)

from qlmbench.adapters import QuantumLoRAConfig, add_adapter
from qlmbench.report.speed_results import OURS, Timing, Value

LORA = "peft's LoRA"
CASES = ((4, 1), (8, 2))
"""Modes and photons."""
BATCH, LENGTH = 8, 128
SLOWEST = 3.0
"""Times as long as LoRA's that a step with one photon in four modes may take."""


@dataclass(frozen=True)
class Model:
    """A model in the shape of a pretrained one; a step takes as long with random weights."""

    name: str
    make: Callable[[int], nn.Module]
    """From the number of layers; 0 for as many as it has."""
    targets: tuple[str, ...]
    vocab_size: int


def minilm(n_layers: int) -> nn.Module:
    """Make all-MiniLM-L6-v2 in DistilBERT form, as a classifier."""
    config = DistilBertConfig(
        dim=384, hidden_dim=1536, n_heads=12, n_layers=n_layers or 6, num_labels=2
    )
    return DistilBertForSequenceClassification(config)


def smollm2(n_layers: int) -> nn.Module:
    """Make SmolLM2-135M."""
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=n_layers or 30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


MODELS = (
    Model("MiniLM-L6", minilm, ("q_lin", "v_lin"), 30522),
    Model("SmolLM2-135M", smollm2, ("q_proj", "v_proj"), 49152),
)


def quantum_lora(base: nn.Module, model: Model, r: int, n_photons: int) -> nn.Module:
    """Put the photonic adapter into a copy of a model."""
    adapted = copy.deepcopy(base)
    config = QuantumLoRAConfig(r=r, n_photons=n_photons, target_modules=model.targets)
    add_adapter(adapted, config)
    return adapted


def lora(base: nn.Module, model: Model, r: int) -> nn.Module:
    """Put peft's adapter into a copy of a model."""
    adapted = copy.deepcopy(base).requires_grad_(False)
    config = LoraConfig(r=r, lora_alpha=1, target_modules=list(model.targets))
    made: nn.Module = inject_adapter_in_model(config, adapted)
    return made


def step(network: nn.Module, inputs: dict[str, Tensor]) -> Work:
    """Prepare a training step: forward, backward, AdamW."""
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(network(**inputs).loss)
        optimizer.step()

    return work


def batch(model: Model, shape: tuple[int, int]) -> dict[str, Tensor]:
    """Draw token ids, and what is to be predicted of them."""
    g = torch.Generator().manual_seed(0)
    ids = torch.randint(1, model.vocab_size, shape, generator=g)
    labels = ids if model.name.startswith("SmolLM2") else ids[:, 0] % 2
    return {"input_ids": ids, "labels": labels}


def measure(
    report: Report, model: Model, base: nn.Module, case: tuple[int, int], shape: tuple[int, int]
) -> Timing:
    """Time one case, with what both sides hold in memory."""
    r, n_photons = case
    inputs = batch(model, shape)
    networks = {OURS: quantum_lora(base, model, r, n_photons), LORA: lora(base, model, r)}
    what = f"{model.name}, r = {r}: largest difference of a logit before training"
    report.check(what, _difference([base, *networks.values()], inputs), 1e-4)
    works = {side: step(network.train(), inputs) for side, network in networks.items()}
    seconds = interleave(works, report.setting.rounds(5))
    peak = {side: peak_memory(work) for side, work in works.items()}
    named: dict[str, Value] = {
        "model": model.name,
        "modes": r,
        "photons": n_photons,
        "parameters": f"{_trained(networks[OURS])} (LoRA {_trained(networks[LORA])})",
        "LoRA's memory": f"{peak[LORA] / 2**20:.1f} MiB",
    }
    unit = f"training step of {shape[0]} texts of {shape[1]} tokens"
    return report.add("beside LoRA", named, unit, seconds, memory_bytes=peak[OURS])


@torch.no_grad()
def _difference(networks: list[nn.Module], inputs: dict[str, Tensor]) -> float:
    logits = [network.eval()(**inputs).logits for network in networks]
    return max(float((found - logits[0]).abs().max()) for found in logits[1:])


def _trained(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def main(setting: Setting) -> None:
    """Measure."""
    shape = (2, 32) if setting.quick else (BATCH, LENGTH)
    report = Report(
        "adapter_step",
        f"A training step (forward, backward, AdamW) of quantum LoRA and of peft's LoRA with the "
        f"same r, on the query and value projections of all layers, {shape[0]} texts of "
        f"{shape[1]} tokens, one core, single precision. Models have the shapes of "
        "all-MiniLM-L6-v2 in DistilBERT form and of SmolLM2-135M, with random weights. Memory is "
        "what a step holds at its peak beyond model and optimiser.",
        setting,
    )
    for model in MODELS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            base = model.make(2 if setting.quick else 0)
        for case in CASES:
            timing = measure(report, model, base, case, shape)
            if model.name.startswith("SmolLM2") and case == CASES[0]:
                what = f"LoRA's step on {model.name} as a share of ours, r = 4, one photon"
                report.bar(what, round(1 / SLOWEST, 3), timing.ratios[LORA])
    report.finish()


if __name__ == "__main__":
    run_alone(main, __doc__)
