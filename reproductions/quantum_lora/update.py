"""How an arm adapts a model: a photonic adapter, LoRA, the layers' own weights, or nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from qlmbench.adapters import QuantumLoRAConfig, add_adapter
from qlmbench.adapters.as_published import MESHES, AsPublishedQuantumLoRALayer
from qlmbench.adapters.config import Ansatz, Bottleneck, Readout
from qlmbench.adapters.targets import Target, find_targets
from qlmbench.errors import UserError, nearest
from qlmbench.quantum.fock import Space
from qlmbench.seeding import seed_for

Method = Literal["quantum", "as-published", "lora", "none", "full"]
METHODS: tuple[Method, ...] = get_args(Method)

_USED: dict[Method, tuple[str, ...]] = {
    "as-published": ("r", "n_photons", "alpha", "ansatz"),
    "lora": ("r", "alpha", "dropout"),
    "none": (),
    "full": (),
}
"""Settings that a method looks at, beside the seed; "quantum" looks at all of them."""


@dataclass(frozen=True)
class Update:
    """How the chosen layers of a model are adapted.

    Parameters
    ----------
    method : {"quantum", "as-published", "lora", "none", "full"}
        ``quantum``: the adapter of `qlmbench.adapters`, or with another ``bottleneck`` its
        control. ``as-published``: the proposal's own layer, faults included. ``lora``: that of
        peft. ``none``: the layers stay frozen. ``full``: their own weights are trained.
    r, n_photons, alpha, ansatz, readout, space, bottleneck, train_circuit, indistinguishability, \
dropout
        See `qlmbench.adapters.QuantumLoRAConfig`. A setting that the method does not look at has to
        keep its default.
    seed : int
        Of the initial values.

    Raises
    ------
    ValueError
        If a setting is unknown, out of its range, or without effect.
    """

    method: Method = "quantum"
    r: int = 4
    n_photons: int = 1
    alpha: float = 1.0
    ansatz: Ansatz = "simple"
    readout: Readout = "mode_expectations"
    space: Space = "unbunched"
    bottleneck: Bottleneck = "photonic"
    train_circuit: bool = True
    indistinguishability: float = 1.0
    dropout: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"method is {self.method!r}{nearest(str(self.method), METHODS)}; expected one of "
                f"{', '.join(METHODS)}"
            )
        self._refuse_unused()
        if self.method == "as-published" and self.ansatz not in MESHES:
            raise ValueError(f"ansatz is {self.ansatz!r}; published are {', '.join(MESHES)}")
        if self.ansatz == "custom":
            raise ValueError("ansatz is 'custom'; expected simple, universal, hardware_efficient")
        self.config()

    def config(self, targets: Sequence[str] | None = None) -> QuantumLoRAConfig:
        """Return the adapter's settings; for methods without a circuit, those of linear ones."""
        shared: dict[str, Any] = {
            "r": self.r,
            "alpha": self.alpha,
            "dropout": self.dropout,
            "seed": self.seed,
            "target_modules": targets,
        }
        if self.method in ("lora", "none", "full"):
            return QuantumLoRAConfig(bottleneck="linear", **shared)
        return QuantumLoRAConfig(
            n_photons=self.n_photons,
            ansatz=self.ansatz,
            readout=self.readout,
            space=self.space,
            bottleneck=self.bottleneck,
            train_circuit=self.train_circuit,
            indistinguishability=self.indistinguishability,
            **shared,
        )

    def _refuse_unused(self) -> None:
        used = _USED.get(self.method)
        if used is None:
            return
        for field in fields(self):
            given = getattr(self, field.name)
            if field.name not in (*used, "method", "seed") and given != field.default:
                raise ValueError(
                    f"{field.name} is {given!r}, which method {self.method!r} does not look at; "
                    "leave it out"
                )


def put_into(model: nn.Module, update: Update, targets: Sequence[str]) -> nn.Module:
    """Freeze a model and adapt its chosen layers, in place.

    Parameters
    ----------
    model : torch.nn.Module
        The model. The caller may then unfreeze a head of its own.
    update : Update
        What is put there.
    targets : sequence of str
        Regular expressions on the dotted names of linear layers, or on their ends from a dot on.

    Returns
    -------
    torch.nn.Module
        The same model; of its parameters, those of the update alone require gradients.

    Raises
    ------
    ValueError
        If no linear layer matches, or one cannot be adapted in this way.
    UserError
        If peft is needed and is not installed.
    """
    config = update.config(targets)
    found = find_targets(model, config)
    # torch initialises new layers by its own generator; those of peft stay as it draws them.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_for("initialisation", seed=update.seed, part="lora"))
        if update.method == "quantum":
            add_adapter(model, config)
        else:
            model.requires_grad_(False)
            _put(model, update, found)
    return model


def _put(model: nn.Module, update: Update, found: Sequence[Target]) -> None:
    if update.method == "lora":
        _put_lora(model, update, found)
        return
    for target in found:
        layer = _layer(target, update.method)
        if update.method == "full":
            layer.requires_grad_(True)
        elif update.method == "as-published":
            setattr(target.parent, target.attribute, _as_published(layer, target.name, update))


class AnyShape(nn.Module):
    """The published layer, which takes two dimensions, in a model whose inputs have more.

    Parameters
    ----------
    layer : AsPublishedQuantumLoRALayer
        The layer.
    """

    def __init__(self, layer: AsPublishedQuantumLoRALayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        rows: Tensor = self.layer(x.reshape(-1, x.shape[-1]))
        return rows.view(*x.shape[:-1], rows.shape[-1])


def _as_published(layer: nn.Module, name: str, update: Update) -> AnyShape:
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"{name} is a {type(layer).__name__}; as published, only nn.Linear is")
    published = AsPublishedQuantumLoRALayer(
        layer,
        update.r,
        update.n_photons,
        update.alpha,
        update.ansatz,
        seed=seed_for("initialisation", seed=update.seed, layer=name),
    )
    return AnyShape(published)


def _layer(target: Target, method: Method) -> nn.Module:
    if target.module is None and method != "none":
        raise ValueError(
            f"{target.name} is packed into its parent; method {method!r} needs a layer"
        )
    return cast(nn.Module, target.module)


def _put_lora(model: nn.Module, update: Update, found: Sequence[Target]) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise UserError(
            "method 'lora' needs peft, which is not installed", do="pip install 'qlmbench[lm]'"
        ) from None
    names = [target.name for target in found if _layer(target, "lora") is not None]
    config = LoraConfig(
        r=update.r,
        # peft only divides it by r; a fraction is as good as a whole number.
        lora_alpha=cast(int, update.alpha),
        lora_dropout=update.dropout,
        # One string has to match whole names; an item of a list would match their ends as well.
        target_modules="|".join(map(re.escape, names)),
    )
    inject_adapter_in_model(config, model)
