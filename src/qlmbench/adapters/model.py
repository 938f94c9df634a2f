"""A model with adapters as one object, with peft's methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from torch import nn

from qlmbench.adapters import manage, saving
from qlmbench.adapters.bottlenecks import OwnCircuit
from qlmbench.adapters.config import QuantumLoRAConfig
from qlmbench.adapters.convert import add_adapter
from qlmbench.adapters.layer import DEFAULT


class _Call:
    """A call of a model, with the names of the arguments that its ``forward`` takes."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._model.forward)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._model(*args, **kwargs)


class _ForwardOfBase:
    """``forward`` of a wrapper: that of the model inside, with its argument names.

    A trainer reads these names to tell which columns of its data the model takes.
    """

    def __get__(self, wrapper: QuantumLoRAModel | None, owner: type) -> Callable[..., Any]:
        return _run_inside if wrapper is None else _Call(wrapper.base_model)


def _run_inside(wrapper: QuantumLoRAModel, *args: Any, **kwargs: Any) -> Any:
    """Run the model inside a wrapper, which no class knows: ``QuantumLoRAModel.forward``."""
    return wrapper.base_model(*args, **kwargs)


class QuantumLoRAModel(nn.Module):
    """A model whose layers have adapters; what it does not know it asks the model for.

    Its ``forward`` is that of the model, with the same names of arguments.

    Parameters
    ----------
    model : torch.nn.Module
        The model, which is changed in place.
    config : QuantumLoRAConfig
        Settings of the first adapter.
    adapter_name : str
        Its name.
    circuit : torch.nn.Module or callable, optional
        The circuit of ``ansatz="custom"``.
    """

    forward = _ForwardOfBase()

    def __init__(
        self,
        model: nn.Module,
        config: QuantumLoRAConfig,
        adapter_name: str = DEFAULT,
        *,
        circuit: OwnCircuit | None = None,
    ) -> None:
        super().__init__()
        add_adapter(model, config, adapter_name, circuit=circuit)
        self._wrap(model)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the model that this object lacks."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "base_model":
                raise
            return getattr(self.base_model, name)

    @classmethod
    def from_pretrained(
        cls,
        model: nn.Module,
        folder: str | Path,
        adapter_name: str = DEFAULT,
        *,
        is_trainable: bool = False,
        circuit: OwnCircuit | None = None,
    ) -> QuantumLoRAModel:
        """Put a saved adapter into a model; see `load_adapter`."""
        saving.load_adapter(model, folder, adapter_name, is_trainable=is_trainable, circuit=circuit)
        loaded = cls.__new__(cls)
        nn.Module.__init__(loaded)
        loaded._wrap(model)
        return loaded

    def save_pretrained(self, folder: str | Path, adapter_name: str = DEFAULT) -> None:
        """Write one adapter alone; see `save_adapter`."""
        saving.save_adapter(self.base_model, folder, adapter_name)

    def load_adapter(
        self,
        folder: str | Path,
        adapter_name: str,
        *,
        is_trainable: bool = False,
        circuit: OwnCircuit | None = None,
    ) -> None:
        """Add a saved adapter and make it the active one; see `load_adapter`."""
        saving.load_adapter(
            self.base_model, folder, adapter_name, is_trainable=is_trainable, circuit=circuit
        )

    def add_adapter(
        self, config: QuantumLoRAConfig, adapter_name: str, *, circuit: OwnCircuit | None = None
    ) -> None:
        """Add a new adapter and make it the active one."""
        add_adapter(self.base_model, config, adapter_name, circuit=circuit)

    def set_adapter(self, adapter_names: str | Sequence[str], *, trainable: bool = True) -> None:
        """Make some adapters active; see `set_adapter`."""
        manage.set_adapter(self.base_model, adapter_names, trainable=trainable)

    def enable_adapters(self) -> None:
        """Let the active adapters take part again."""
        manage.enable_adapters(self.base_model)

    def disable_adapters(self) -> None:
        """Compute as without adapters, until `enable_adapters`."""
        manage.disable_adapters(self.base_model)

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Compute as without adapters for a while."""
        with manage.adapters_disabled(self.base_model):
            yield

    def print_trainable_parameters(self) -> None:
        """Print the numbers of trainable and of all parameters."""
        manage.print_trainable_parameters(self.base_model)

    def merge_and_unload(self) -> NoReturn:
        """Refuse; see `merge_and_unload`."""
        manage.merge_and_unload(self.base_model)

    def unload(self) -> nn.Module:
        """Take all adapters out and return the model."""
        return manage.unload(self.base_model)

    @property
    def active_adapters(self) -> list[str]:
        """Names of the adapters that take part."""
        found = manage.hosts(self.base_model).values()
        return list(dict.fromkeys(name for host in found for name in host.active_adapters))

    @property
    def peft_config(self) -> dict[str, QuantumLoRAConfig]:
        """Settings of each adapter."""
        names = manage.list_adapters(self.base_model)
        return {name: manage.adapter_config(self.base_model, name) for name in names}

    def _wrap(self, model: nn.Module) -> None:
        self.base_model = model
        self.train(model.training)


def get_quantum_lora_model(
    model: nn.Module,
    config: QuantumLoRAConfig,
    adapter_name: str = DEFAULT,
    *,
    circuit: OwnCircuit | None = None,
) -> QuantumLoRAModel:
    """Put an adapter into a model and return both as one object, as peft's get_peft_model does."""
    return QuantumLoRAModel(model, config, adapter_name, circuit=circuit)
