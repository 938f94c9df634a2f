"""Which layers of a model an adapter goes to: patterns on dotted names, exclusions that win."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from qlmbench.adapters.attention import (
    AdaptedMultiheadAttention,
    projection_weight,
    projection_widths,
)
from qlmbench.adapters.config import ALL_LINEAR, QuantumLoRAConfig
from qlmbench.adapters.layer import AdapterHost, QuantumLoRALayer, linear_width
from qlmbench.errors import nearest

_SHOWN = 5
"""Names that an error lists."""


@dataclass(frozen=True)
class Target:
    """A linear map that can have adapters.

    Attributes
    ----------
    name : str
        Dotted name in the model.
    parent : torch.nn.Module
        The module whose attribute it is.
    width : tuple of int
        Inputs and outputs.
    weight : Tensor
        A weight of it, for its type and place.
    module : torch.nn.Module or None
        The layer, or None for a projection that is packed into its parent.
    """

    name: str
    parent: nn.Module
    width: tuple[int, int]
    weight: Tensor
    module: nn.Module | None

    @property
    def attribute(self) -> str:
        """The name in the parent."""
        return self.name.rpartition(".")[2]


def matches(patterns: str | Sequence[str] | None, name: str) -> bool:
    """Tell whether a dotted name is meant; see `QuantumLoRAConfig` for the rule."""
    if patterns is None:
        return False
    if isinstance(patterns, str):
        return _compiled(patterns, whole=True).fullmatch(name) is not None
    return any(_compiled(p, whole=False).fullmatch(name) for p in patterns)


def find_targets(model: nn.Module, config: QuantumLoRAConfig) -> list[Target]:
    """List the layers that the settings name, in the model's order.

    A layer that the model uses under several names is listed once, under the first, if a pattern
    means any of its names and no exclusion does.

    Raises
    ------
    ValueError
        If no layer matches, a match is not linear, or a pattern is not a regular expression.
    """
    if linear_width(model) is not None:
        raise ValueError(
            "the model is itself a linear layer, which cannot be replaced in place; take "
            "QuantumLoRALayer(layer, r=..., n_photons=...)"
        )
    candidates, others = _candidates(model)
    output = _output_layer(model) if config.target_modules == ALL_LINEAR else None
    kept = _kept(model, config)
    found = []
    for target, names in _by_layer(candidates):
        left_alone = any(
            matches(config.exclude_modules, name) or any(_inside(name, k) for k in kept)
            for name in names
        )
        is_output = output is not None and target.module is output
        if any(_wanted(config, name) for name in names) and not left_alone and not is_output:
            _check_target(target)
            found.append(target)
    _check_others(config, others, [t.name for t in found])
    if not found:
        raise ValueError(_nothing_matched(config, list(candidates)))
    return found


def kept_modules(model: nn.Module, config: QuantumLoRAConfig) -> dict[str, nn.Module]:
    """Return the modules that stay trainable as they are, by name.

    Raises
    ------
    ValueError
        If ``modules_to_save`` matches nothing.
    """
    found = _kept(model, config)
    if config.modules_to_save is not None and not found:
        names = [name for name, _ in model.named_modules() if name]
        raise ValueError(
            f"modules_to_save={_shown(config.modules_to_save)} matches no module; the model has "
            f"{_listing(names)}"
        )
    for name, module in found.items():
        if any(isinstance(part, AdapterHost) for part in module.modules()):
            raise ValueError(
                f"modules_to_save={_shown(config.modules_to_save)} matches {name}, which has an "
                "adapter; keep another module, or unload() first"
            )
    return found


def _kept(model: nn.Module, config: QuantumLoRAConfig) -> dict[str, nn.Module]:
    found = {n: m for n, m in model.named_modules() if n and matches(config.modules_to_save, n)}
    return {n: m for n, m in found.items() if not any(_inside(n, k) for k in found if k != n)}


def _candidates(model: nn.Module) -> tuple[dict[str, Target], dict[str, nn.Module]]:
    """Split the modules into linear maps and others, by name."""
    linear: dict[str, Target] = {}
    others: dict[str, nn.Module] = {}
    hosts: list[str] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if not name or any(_inside(name, host) for host in hosts):
            continue
        if isinstance(module, AdapterHost):
            hosts.append(name)
        parent = model.get_submodule(name.rpartition(".")[0])
        width = linear_width(module)
        if isinstance(module, QuantumLoRALayer):
            width = (module.in_features, module.out_features)
        if width is not None:
            linear[name] = Target(name, parent, width, _weight(module), module)
        elif isinstance(module, nn.MultiheadAttention):
            others[name] = module
            linear |= {t.name: t for t in _packed(name, module)}
        elif not isinstance(module, AdapterHost):
            others[name] = module
    return linear, others


def _by_layer(candidates: Mapping[str, Target]) -> list[tuple[Target, list[str]]]:
    """Group the names of each layer."""
    grouped: dict[object, tuple[Target, list[str]]] = {}
    for name, target in candidates.items():
        key = target.module or (target.parent, target.attribute)
        grouped.setdefault(key, (target, []))[1].append(name)
    return list(grouped.values())


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)  # of a linear layer
    return weight


def _packed(name: str, attention: nn.MultiheadAttention) -> Iterator[Target]:
    weight = projection_weight(attention)
    for projection, width in projection_widths(attention).items():
        yield Target(f"{name}.{projection}", attention, width, weight, None)


def _check_target(target: Target) -> None:
    known = (nn.MultiheadAttention, AdaptedMultiheadAttention)
    if isinstance(target.parent, nn.MultiheadAttention) and type(target.parent) not in known:
        raise ValueError(
            f"{target.name} is in a {type(target.parent).__name__}, whose forward may read weights "
            "directly; adapt torch's own nn.MultiheadAttention, or exclude it"
        )


def _check_others(
    config: QuantumLoRAConfig, others: Mapping[str, nn.Module], found: Sequence[str]
) -> None:
    """Refuse a match that is neither linear nor holds a layer that is adapted."""
    if config.target_modules is None or config.target_modules == ALL_LINEAR:
        return
    for name, module in others.items():
        if not matches(config.target_modules, name) or matches(config.exclude_modules, name):
            continue
        if not any(_inside(layer, name) for layer in found):
            raise ValueError(
                f"target_modules={_shown(config.target_modules)} matches {name}, a "
                f"{type(module).__name__}, which is not linear; narrow the pattern, or exclude it"
            )


def _wanted(config: QuantumLoRAConfig, name: str) -> bool:
    everything = config.target_modules is None or config.target_modules == ALL_LINEAR
    return everything or matches(config.target_modules, name)


def _output_layer(model: nn.Module) -> nn.Module | None:
    """Return the layer that a transformers model makes its logits with."""
    getter = getattr(model, "get_output_embeddings", None)
    output = getter() if callable(getter) else None
    return output if isinstance(output, nn.Module) else None


def _inside(name: str, outer: str) -> bool:
    return name == outer or name.startswith(outer + ".")


def _nothing_matched(config: QuantumLoRAConfig, names: list[str]) -> str:
    if not names:
        return "the model has no linear layer to adapt"
    if config.target_modules is None or config.target_modules == ALL_LINEAR:
        return f"exclude_modules leaves no linear layer of {_listing(names)}"
    patterns = config.target_modules
    first = patterns if isinstance(patterns, str) else patterns[0]
    hint = nearest(first, sorted({name.rpartition(".")[2] for name in names}))
    return (
        f"target_modules={_shown(patterns)} with exclude_modules="
        f"{_shown(config.exclude_modules)} matches no linear layer{hint}; the model has "
        f"{_listing(names)}"
    )


def warn_unused(model: nn.Module, config: QuantumLoRAConfig) -> None:
    """Warn about patterns of a list that mean no module, beside others that do."""
    if isinstance(config.target_modules, str) or config.target_modules is None:
        return
    candidates, others = _candidates(model)
    for pattern in config.target_modules:
        if not any(matches([pattern], name) for name in [*candidates, *others]):
            # The fourth frame is that of who called the public function.
            warnings.warn(f"target_modules: {pattern!r} matches no layer", stacklevel=4)


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _shown(patterns: str | Sequence[str] | None) -> str:
    return repr(list(patterns) if isinstance(patterns, tuple) else patterns)


def _compiled(pattern: str, *, whole: bool) -> re.Pattern[str]:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} is not a regular expression: {error}") from error
    return re.compile(pattern if whole else rf"(?:.*\.)?(?:{pattern})")
