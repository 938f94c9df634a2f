"""Layers that hold adapters: a linear layer, or one projection packed into an attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast, overload

import torch
from torch import Tensor, nn

from qlmbench.adapters.adapter import QuantumLoRAAdapter
from qlmbench.adapters.bottlenecks import OwnCircuit
from qlmbench.adapters.config import QuantumLoRAConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEFAULT = "default"
"""Name of an adapter that was given none."""


class AdapterHost(nn.Module):
    """Named adapters of one linear map, of which some are active.

    Parameters
    ----------
    in_features, out_features : int
        Widths of the map.
    """

    adapters: nn.ModuleDict

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.adapters = nn.ModuleDict()
        self.active_adapters: tuple[str, ...] = ()
        self.enabled = True

    def adapter(self, name: str | None = None) -> QuantumLoRAAdapter:
        """Return one adapter: by its name, or the first active one.

        Raises
        ------
        ValueError
            If there is none.
        """
        chosen = name or next(iter(self.active_adapters), next(iter(self.adapters), ""))
        if chosen not in self.adapters:
            raise ValueError(
                f"no adapter {chosen!r} on this layer; expected one of {sorted(self.adapters)}"
            )
        return cast(QuantumLoRAAdapter, self.adapters[chosen])

    def attach(self, name: str, adapter: QuantumLoRAAdapter) -> None:
        """Add an adapter; it is not active yet.

        Raises
        ------
        ValueError
            If the name is taken or cannot be a name of a module.
        """
        check_adapter_name(name)
        if name in self.adapters:
            raise ValueError(f"adapter {name!r} is there already; take another adapter_name")
        self.adapters[name] = adapter.train(self.training)

    def extra_repr(self) -> str:
        """Name the widths and the active adapters."""
        active = ", ".join(self.active_adapters) if self.enabled else "disabled"
        return f"{self.in_features} to {self.out_features}, active: {active or 'none'}"

    def activate(self, names: Sequence[str]) -> None:
        """Make those of the named adapters active that this layer has; no others."""
        self.active_adapters = tuple(name for name in names if name in self.adapters)

    def updated(self, x: Tensor, output: Tensor) -> Tensor:
        """Add the updates of the active adapters to the output (..., out) of the map at x."""
        if not self.enabled:
            return output
        for name in self.active_adapters:
            update = self.adapters[name](x)
            output = output + update.to(output.dtype)
        return output

    def merge(self) -> NoReturn:
        """Refuse: the update is not linear.

        Raises
        ------
        ValueError
            Always.
        """
        refuse_to_merge([self])

    @overload
    def visualize_circuit(self, kind: Literal["text", "svg"], adapter: str | None = ...) -> str: ...
    @overload
    def visualize_circuit(
        self, kind: Literal["figure"] = ..., adapter: str | None = ...
    ) -> Figure: ...
    def visualize_circuit(self, kind: str = "figure", adapter: str | None = None) -> Figure | str:
        """Draw the circuit of an adapter.

        Parameters
        ----------
        kind : {"figure", "svg", "text"}
            A matplotlib figure, the source of an SVG image, or lines of text.
        adapter : str, optional
            Which adapter; the first active one without.

        Raises
        ------
        ValueError
            If the kind is another one, or the adapter has no photonic circuit.
        """
        from qlmbench.adapters import drawing

        return drawing.draw(self.adapter(adapter), kind)

    def check_input(self, x: Tensor, dtype: torch.dtype, device: torch.device) -> None:
        """Refuse an input that the layer would fail on, with what to do about it."""
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"input has shape {tuple(x.shape)}; expected (..., {self.in_features})"
            )
        if x.device != device:
            raise ValueError(f"input is on {x.device}, the layer on {device}; move one of them")
        there = next((p.device for p in self.adapters.parameters()), device)
        if there != device:
            raise ValueError(
                f"the adapter is on {there}, its layer on {device}; move the model by model.to(...)"
            )
        mixed = torch.is_autocast_enabled(device.type) and x.is_floating_point()
        if dtype.is_floating_point and x.dtype != dtype and not mixed:
            raise ValueError(
                f"input is {x.dtype}, the layer is {dtype}; convert the input, or use autocast"
            )


class QuantumLoRALayer(AdapterHost):
    """A frozen linear layer and, beside it, adapters: ``W0 x + (alpha / r) Up(Q(Down x))``.

    Parameters
    ----------
    base_layer : torch.nn.Module
        A linear layer; its parameters are frozen where an adapter is given.
    r : int, optional
        Width of the bottleneck of an adapter to add; without, none is added.
    n_photons : int
        Photons in its circuit.
    alpha : float
        Factor of its update, divided by r.
    ansatz : str or torch.nn.Module or callable
        See `convert_to_quantum_lora`.
    **options
        Further settings of `QuantumLoRAConfig`.

    Raises
    ------
    ValueError
        If the layer is not linear, or a setting is wrong.

    Examples
    --------
    >>> layer = QuantumLoRALayer(nn.Linear(8, 6), r=4, n_photons=2)
    >>> layer(torch.zeros(2, 3, 8)).shape
    torch.Size([2, 3, 6])
    """

    def __init__(
        self,
        base_layer: nn.Module,
        r: int | None = None,
        n_photons: int = 1,
        alpha: float = 1.0,
        ansatz: str | OwnCircuit = "simple",
        **options: Any,
    ) -> None:
        width = linear_width(base_layer)
        if width is None:
            raise ValueError(f"{type(base_layer).__name__} is not linear; expected nn.Linear")
        super().__init__(*width)
        self.base_layer = base_layer
        self.train(base_layer.training)
        if r is None:
            if options or (n_photons, alpha, ansatz) != (1, 1.0, "simple"):
                raise ValueError("settings of an adapter are given without r; give r, such as r=4")
            return
        own = None if isinstance(ansatz, str) else ansatz
        config = QuantumLoRAConfig(
            r=r,
            n_photons=n_photons,
            alpha=alpha,
            ansatz="custom" if own is not None else ansatz,  # type: ignore[arg-type]
            **options,
        )
        base_layer.requires_grad_(False)
        self.attach(DEFAULT, make_adapter(*width, config, self.weight, "", own))
        self.activate([DEFAULT])

    @property
    def weight(self) -> Tensor:
        """Weight of the base layer alone, for code that asks for its type or place."""
        return cast(Tensor, self.base_layer.weight)

    @property
    def bias(self) -> Tensor | None:
        """Bias of the base layer."""
        return cast("Tensor | None", self.base_layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features)."""
        self.check_input(x, self.weight.dtype, self.weight.device)
        return self.updated(x, self.base_layer(x))


class PackedProjection(AdapterHost):
    """Adapters of one of the projections that an attention keeps as bare weights."""

    def forward(self, x: Tensor, output: Tensor) -> Tensor:
        """Add the updates at x (..., in_features) to the output (..., out_features)."""
        return self.updated(x, output)


def make_adapter(
    n_in: int,
    n_out: int,
    config: QuantumLoRAConfig,
    weight: Tensor,
    name: str,
    own: OwnCircuit | None,
) -> QuantumLoRAAdapter:
    """Make an adapter where the weight is, in single precision, or double if the weight is so."""
    if weight.is_meta:
        raise ValueError(f"layer {name!r} is on the meta device; load its weights first")
    dtype = torch.float64 if weight.dtype == torch.float64 else torch.float32
    return QuantumLoRAAdapter(
        n_in, n_out, config, name=name, dtype=dtype, device=weight.device, circuit=own
    )


def refuse_to_merge(hosts: Sequence[AdapterHost]) -> NoReturn:
    """Say why the active adapters are not merged into weights.

    Raises
    ------
    ValueError
        Always.
    """
    kinds = {h.adapter(name).config.bottleneck for h in hosts for name in h.active_adapters}
    if kinds == {"linear"}:
        raise ValueError("a linear bottleneck is a control and is not merged; to merge, train peft")
    raise ValueError(
        "a quantum LoRA update Up(Q(Down x)) is not linear in x, so no weight matrix equals it and "
        "it cannot be merged; keep the adapter, or unload() to drop it"
    )


def linear_width(module: nn.Module) -> tuple[int, int] | None:
    """Return the widths (in, out) of a linear layer, None for any other module."""
    if isinstance(module, nn.modules.lazy.LazyModuleMixin) and module.has_uninitialized_params():
        return None
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    # The linear layer of GPT-2 in transformers, whose weight is transposed.
    if type(module).__name__ == "Conv1D" and hasattr(module, "nf"):
        n_in, n_out = cast(Tensor, module.weight).shape
        return n_in, n_out
    return None


def check_adapter_name(name: str) -> None:
    """Refuse a name that a module cannot have."""
    if not name or "." in name or hasattr(nn.ModuleDict, name) or name == "training":
        raise ValueError(
            f"adapter_name={name!r}; expected a word without dots that is no method of "
            "nn.ModuleDict"
        )
