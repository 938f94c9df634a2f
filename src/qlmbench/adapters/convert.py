"""Put adapters into a model, in place."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from qlmbench.adapters.adapter import QuantumLoRAAdapter
from qlmbench.adapters.attention import adapt_attention, block_fast_paths
from qlmbench.adapters.bottlenecks import OwnCircuit
from qlmbench.adapters.config import AdapterOptions, Patterns, QuantumLoRAConfig
from qlmbench.adapters.layer import (
    DEFAULT,
    AdapterHost,
    PackedProjection,
    QuantumLoRALayer,
    check_adapter_name,
    make_adapter,
)
from qlmbench.adapters.manage import adapter_config, hosts, list_adapters, set_adapter
from qlmbench.adapters.targets import Target, find_targets, kept_modules, warn_unused


def convert_to_quantum_lora(
    model: nn.Module,
    r: int,
    n_photons: int = 1,
    alpha: float = 1.0,
    target_modules: Patterns = None,
    exclude_modules: Patterns = None,
    ansatz: str | OwnCircuit = "simple",
    *,
    adapter_name: str = DEFAULT,
    **options: Unpack[AdapterOptions],
) -> dict[str, AdapterHost]:
    r"""Give linear layers of a model an update through a photonic circuit, in place.

    A layer computes ``W0 x + (alpha / r) Up(Q(Down x))``, first equal to ``W0 x``. All parameters
    but the adapters' are frozen. Asking again for what is there changes nothing.

    Parameters
    ----------
    model : torch.nn.Module
        The model. `torch.nn.MultiheadAttention` takes part with its out_proj and its packed
        q_proj, k_proj and v_proj; encoder layers with an adapter leave torch's fast path.
    r : int
        Width of the bottleneck: values of Down, modes of the circuit.
    n_photons : int
        Photons in the circuit.
    alpha : float
        Factor of the update, divided by r.
    target_modules, exclude_modules : str or sequence of str, optional
        Regular expressions on dotted names; see `QuantumLoRAConfig`. Without targets: all linear
        layers. Exclusions win.
    ansatz : str or torch.nn.Module or callable
        "simple", "universal", "hardware_efficient" (see `QuantumLoRAConfig`), or a circuit of
        one's own: a module that maps (N, r) to (N, any number), copied for each layer, or a
        function that makes one from r and a seed. A `PhotonicCircuit` gets the values as phases.
        Two of one's own are not compared: asking again gives what is there.
    adapter_name : str
        Name of the adapter, which becomes the active one.
    **options
        Further settings of `QuantumLoRAConfig`: n_blocks, space, readout, indistinguishability,
        train_circuit, bottleneck, dropout, modules_to_save, seed.

    Returns
    -------
    dict of str to AdapterHost
        What stands in the model for each adapted layer, by dotted name.

    Raises
    ------
    ValueError
        If no linear layer matches, a match is not linear, a setting is wrong, or the model has an
        adapter of this name with other settings. The model then is as it was.
    """
    own = None if isinstance(ansatz, str) else ansatz
    config = QuantumLoRAConfig(
        r=r,
        n_photons=n_photons,
        alpha=alpha,
        target_modules=target_modules,
        exclude_modules=exclude_modules,
        ansatz=ansatz if isinstance(ansatz, str) else "custom",  # type: ignore[arg-type]
        **options,
    )
    return _add(model, config, adapter_name, own)


def add_adapter(
    model: nn.Module,
    config: QuantumLoRAConfig,
    adapter_name: str = DEFAULT,
    *,
    circuit: OwnCircuit | None = None,
) -> dict[str, AdapterHost]:
    """Put an adapter into a model, in place; see `convert_to_quantum_lora`.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    config : QuantumLoRAConfig
        The settings.
    adapter_name : str
        Name of the adapter, which becomes the active one.
    circuit : torch.nn.Module or callable, optional
        The circuit of ``ansatz="custom"``.
    """
    return _add(model, config, adapter_name, circuit)


def _add(
    model: nn.Module, config: QuantumLoRAConfig, adapter_name: str, circuit: OwnCircuit | None
) -> dict[str, AdapterHost]:
    check_adapter_name(adapter_name)
    there = _already_there(model, config, adapter_name)
    if there:
        return there
    plan = plan_adapters(model, config, circuit)
    warn_unused(model, config)
    return install(model, adapter_name, plan)


def plan_adapters(
    model: nn.Module, config: QuantumLoRAConfig, circuit: OwnCircuit | None
) -> list[tuple[Target, QuantumLoRAAdapter]]:
    """Make the adapters of a model without touching it."""
    kept_modules(model, config)
    targets = find_targets(model, config)
    _check_kept_by_others(model, [target.name for target in targets])
    return [
        (target, make_adapter(*target.width, config, target.weight, target.name, circuit))
        for target in targets
    ]


def install(
    model: nn.Module, adapter_name: str, plan: list[tuple[Target, QuantumLoRAAdapter]]
) -> dict[str, AdapterHost]:
    """Put planned adapters in their places, freeze the rest, and make them active."""
    model.requires_grad_(False)
    installed = {target.name: _host(model, target) for target, _ in plan}
    for target, adapter in plan:
        installed[target.name].attach(adapter_name, adapter)
    block_fast_paths(model, set(installed.values()))
    set_adapter(model, adapter_name)
    return installed


def _already_there(
    model: nn.Module, config: QuantumLoRAConfig, adapter_name: str
) -> dict[str, AdapterHost]:
    found = {n: h for n, h in hosts(model).items() if adapter_name in h.adapters}
    for name, host in found.items():
        other = host.adapter(adapter_name).config
        if other != config:
            raise ValueError(
                f"the model has an adapter {adapter_name!r} with other settings, at {name} "
                f"({_difference(other, config)}); take another adapter_name, or unload() first"
            )
    return found


def _check_kept_by_others(model: nn.Module, names: list[str]) -> None:
    for other in list_adapters(model):
        for kept in kept_modules(model, adapter_config(model, other)):
            for name in names:
                if name == kept or name.startswith(kept + "."):
                    raise ValueError(
                        f"{name} is kept trainable by adapter {other!r} (modules_to_save); exclude "
                        "it, or unload() first"
                    )


def _difference(old: QuantumLoRAConfig, new: QuantumLoRAConfig) -> str:
    before, after = old.to_dict(), new.to_dict()
    changed = [f"{k} {before[k]!r}, not {after[k]!r}" for k in before if before[k] != after[k]]
    return ", ".join(changed)


def _host(model: nn.Module, target: Target) -> AdapterHost:
    """Return the layer's host; put one in its place if it has none."""
    there = getattr(target.parent, target.attribute, None)
    if isinstance(there, AdapterHost):
        return there
    if isinstance(target.parent, nn.MultiheadAttention):
        adapt_attention(target.parent)
    host: AdapterHost
    if target.module is None:
        host = PackedProjection(*target.width).train(target.parent.training)
        setattr(target.parent, target.attribute, host)
        return host
    host = QuantumLoRALayer(target.module)
    for parent, attribute in _places(model, target.module):
        setattr(parent, attribute, host)
    return host


def _places(model: nn.Module, module: nn.Module) -> list[tuple[nn.Module, str]]:
    """Find every attribute that is this module; a layer may be used in several places."""
    return [
        (parent, name)
        for parent in model.modules()
        for name, child in parent._modules.items()
        if child is module and not isinstance(parent, AdapterHost)
    ]
