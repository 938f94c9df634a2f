"""Quantum LoRA: a photonic circuit between LoRA's two projections, and its controls."""

from qlmbench.adapters.adapter import QuantumLoRAAdapter
from qlmbench.adapters.config import QuantumLoRAConfig
from qlmbench.adapters.controls import control_configs
from qlmbench.adapters.convert import add_adapter, convert_to_quantum_lora
from qlmbench.adapters.layer import QuantumLoRALayer
from qlmbench.adapters.manage import (
    ParameterCounts,
    adapters_disabled,
    count_parameters,
    disable_adapters,
    enable_adapters,
    merge_and_unload,
    print_trainable_parameters,
    set_adapter,
    unload,
)
from qlmbench.adapters.model import QuantumLoRAModel, get_quantum_lora_model
from qlmbench.adapters.saving import load_adapter, save_adapter

__all__ = [
    "ParameterCounts",
    "QuantumLoRAAdapter",
    "QuantumLoRAConfig",
    "QuantumLoRALayer",
    "QuantumLoRAModel",
    "adapters_disabled",
    "add_adapter",
    "control_configs",
    "convert_to_quantum_lora",
    "count_parameters",
    "disable_adapters",
    "enable_adapters",
    "get_quantum_lora_model",
    "load_adapter",
    "merge_and_unload",
    "print_trainable_parameters",
    "save_adapter",
    "set_adapter",
    "unload",
]
