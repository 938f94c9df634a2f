"""Named adapters of a model: which are active, how large they are, and how to be rid of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from torch import nn

from qlmbench.adapters.attention import (
    AdaptedMultiheadAttention,
    release_attention,
    restore_fast_paths,
)
from qlmbench.adapters.config import QuantumLoRAConfig
from qlmbench.adapters.layer import DEFAULT, AdapterHost, QuantumLoRALayer, refuse_to_merge
from qlmbench.adapters.targets import kept_modules


def hosts(model: nn.Module) -> dict[str, AdapterHost]:
    """Return the layers of a model that hold adapters, by dotted name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, AdapterHost)}


def list_adapters(model: nn.Module) -> list[str]:
    """List the names of a model's adapters, in the order in which they came."""
    return list(dict.fromkeys(name for host in hosts(model).values() for name in host.adapters))


def adapter_config(model: nn.Module, adapter_name: str = DEFAULT) -> QuantumLoRAConfig:
    """Return the settings of an adapter.

    Raises
    ------
    ValueError
        If the model has no adapter of this name.
    """
    _check_names(model, [adapter_name])
    holders = (host for host in hosts(model).values() if adapter_name in host.adapters)
    return next(holders).adapter(adapter_name).config


def set_adapter(
    model: nn.Module, adapter_names: str | Sequence[str], *, trainable: bool = True
) -> None:
    """Make some adapters active, whose updates add up, and freeze the others.

    The modules that an adapter keeps trainable are trained with it.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    adapter_names : str or sequence of str
        One name or several.
    trainable : bool
        False freezes the active ones too.

    Raises
    ------
    ValueError
        If the model has no adapter of such a name.
    """
    names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
    _check_names(model, names)
    for name in list_adapters(model):
        _train_kept(model, name, False)
    for name in names:
        _train_kept(model, name, trainable)
    for host in hosts(model).values():
        host.activate(names)
        for name in host.adapters:
            host.adapter(name).set_trainable(trainable and name in names)


def enable_adapters(model: nn.Module) -> None:
    """Let the active adapters take part again."""
    _switch(model, True)


def disable_adapters(model: nn.Module) -> None:
    """Let the model compute as it did without adapters, until `enable_adapters`."""
    _switch(model, False)


@contextmanager
def adapters_disabled(model: nn.Module) -> Iterator[None]:
    """Disable the adapters for a while, and then leave them as they were."""
    before = [(host, host.enabled) for host in hosts(model).values()]
    disable_adapters(model)
    try:
        yield
    finally:
        for host, enabled in before:
            host.enabled = enabled


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters of a model with adapters.

    Attributes
    ----------
    trainable, total : int
        Those that are trained, and all.
    down, bottleneck, up : int
        Those of the active adapters, frozen circuits included.
    """

    trainable: int
    total: int
    down: int
    bottleneck: int
    up: int

    def __str__(self) -> str:
        share = 100 * self.trainable / max(1, self.total)
        return (
            f"trainable params: {self.trainable:,} || all params: {self.total:,} || "
            f"trainable%: {share:.4f}"
        )


def count_parameters(model: nn.Module) -> ParameterCounts:
    """Count the parameters of a model with adapters."""
    parameters = list(model.parameters())
    active = [h.adapter(name) for h in hosts(model).values() for name in h.active_adapters]
    down, bottleneck, up = (
        sum(adapter.n_parameters(part) for adapter in active)
        for part in ("down", "bottleneck", "up")
    )
    return ParameterCounts(
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        total=sum(p.numel() for p in parameters),
        down=down,
        bottleneck=bottleneck,
        up=up,
    )


def print_trainable_parameters(model: nn.Module) -> None:
    """Print the numbers of trainable and of all parameters, as peft does."""
    print(count_parameters(model))


def merge_and_unload(model: nn.Module) -> NoReturn:
    """Refuse: a quantum LoRA update is not linear in its input.

    Raises
    ------
    ValueError
        Always.
    """
    refuse_to_merge(list(hosts(model).values()))


def unload(model: nn.Module) -> nn.Module:
    """Take all adapters out, in place; the model then computes as before, still frozen."""
    found = set(hosts(model).values())
    for parent in list(model.modules()):
        for attribute, child in list(parent._modules.items()):
            if child in found and isinstance(child, QuantumLoRALayer):
                setattr(parent, attribute, child.base_layer)
    for module in list(model.modules()):
        if isinstance(module, AdaptedMultiheadAttention):
            release_attention(module)
    restore_fast_paths(model)
    return model


def _switch(model: nn.Module, enabled: bool) -> None:
    found = hosts(model)
    if not found:
        raise ValueError("the model has no adapter; convert it first")
    for host in found.values():
        host.enabled = enabled


def _train_kept(model: nn.Module, adapter_name: str, trainable: bool) -> None:
    """Train or freeze the modules that an adapter keeps trainable as they are."""
    for module in kept_modules(model, adapter_config(model, adapter_name)).values():
        module.requires_grad_(trainable)


def _check_names(model: nn.Module, names: Sequence[str]) -> None:
    there = list_adapters(model)
    if not names:
        raise ValueError(f"no adapter is named; expected some of {there}")
    for name in names:
        if name not in there:
            raise ValueError(f"no adapter {name!r}; the model has {there}")
