"""An adapter alone in a folder: settings as JSON, numbers as safetensors; nothing is unpickled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from qlmbench.adapters.adapter import QuantumLoRAAdapter
from qlmbench.adapters.bottlenecks import OwnCircuit
from qlmbench.adapters.config import QuantumLoRAConfig
from qlmbench.adapters.convert import install, plan_adapters
from qlmbench.adapters.layer import DEFAULT, AdapterHost, check_adapter_name
from qlmbench.adapters.manage import adapter_config, hosts, list_adapters, set_adapter
from qlmbench.adapters.targets import find_targets, kept_modules
from qlmbench.errors import CorruptFileError
from qlmbench.tensor_files import load_tensors, save_tensors

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_KEPT = "modules_to_save."


def save_adapter(model: nn.Module, folder: str | Path, adapter_name: str = DEFAULT) -> None:
    """Write one adapter, and the modules that were kept trainable with it.

    Parameters
    ----------
    model : torch.nn.Module
        A model with adapters.
    folder : str or Path
        Where adapter_config.json and adapter_model.safetensors go; made if it is not there.
    adapter_name : str
        Which adapter.

    Raises
    ------
    ValueError
        If the model has no adapter of this name, or the folder is a file.
    """
    config = adapter_config(model, adapter_name)
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; expected a folder to write to")
    folder.mkdir(parents=True, exist_ok=True)
    adapters = {
        name: host.adapter(adapter_name)
        for name, host in hosts(model).items()
        if adapter_name in host.adapters
    }
    _check_loadable(model, config, list(adapters))
    state = dict(_state(adapters, kept_modules(model, config)))
    save_tensors(state, folder / WEIGHTS_FILE)
    # As there: whoever reads finds the old file or the new one, whole.
    beside = folder / f".{CONFIG_FILE}.{os.getpid()}"
    beside.write_text(json.dumps(config.to_dict(), indent=2) + "\n", encoding="utf-8")
    beside.replace(folder / CONFIG_FILE)


def load_adapter(
    model: nn.Module,
    folder: str | Path,
    adapter_name: str = DEFAULT,
    *,
    is_trainable: bool = False,
    circuit: OwnCircuit | None = None,
) -> dict[str, AdapterHost]:
    """Put a saved adapter into a model, in place, and make it the active one.

    Parameters
    ----------
    model : torch.nn.Module
        The model that the adapter was made for; it may have other adapters.
    folder : str or Path
        What `save_adapter` wrote.
    adapter_name : str
        Name that the adapter gets.
    is_trainable : bool
        Whether it is trained further.
    circuit : torch.nn.Module or callable, optional
        The circuit, if the adapter has one of the user's own.

    Returns
    -------
    dict of str to AdapterHost
        The adapted layers, by dotted name.

    Raises
    ------
    ValueError
        If a file is missing, damaged or of another version, or does not fit the model. The model
        then is as it was.
    """
    check_adapter_name(adapter_name)
    if adapter_name in list_adapters(model):
        raise ValueError(f"the model has an adapter {adapter_name!r}; take another adapter_name")
    config = read_config(folder)
    tensors = _read_tensors(Path(folder) / WEIGHTS_FILE)
    plan = plan_adapters(model, config, circuit)
    kept = kept_modules(model, config)
    state = dict(_state({target.name: adapter for target, adapter in plan}, kept))
    _check_fit(Path(folder) / WEIGHTS_FILE, tensors, state)
    with torch.no_grad():
        for key, value in state.items():
            value.copy_(tensors[key])
    installed = install(model, adapter_name, plan)
    set_adapter(model, adapter_name, trainable=is_trainable)
    return installed


def read_config(folder: str | Path) -> QuantumLoRAConfig:
    """Read the settings of a saved adapter.

    Raises
    ------
    ValueError
        If the file is missing, is not JSON, or has an unknown key or a wrong value.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"no {path}; expected a folder that save_pretrained wrote")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} holds a {type(settings).__name__}; expected an object")
    try:
        return QuantumLoRAConfig.from_dict(settings)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_loadable(model: nn.Module, config: QuantumLoRAConfig, names: list[str]) -> None:
    """Refuse layers that were put in place by hand, which the saved patterns would not find."""
    meant = [] if names == [""] else [target.name for target in find_targets(model, config)]
    if sorted(meant) != sorted(names):
        raise ValueError(
            f"the adapter is on {len(names)} layers, its target_modules mean {len(meant)}; save "
            "adapters that convert_to_quantum_lora or add_adapter put there, else the state_dict"
        )


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"no {path}; expected a folder that save_pretrained wrote")
    try:
        return load_tensors(path, must_be_ours=False)
    except CorruptFileError as error:
        raise ValueError(str(error)) from error


def _state(
    adapters: Mapping[str, QuantumLoRAAdapter], kept: Mapping[str, nn.Module]
) -> Iterator[tuple[str, Tensor]]:
    """List what is saved, by the name that it has in the file."""
    for name, adapter in adapters.items():
        for key, value in adapter.state_dict().items():
            yield f"{name}.{key}", value
    for name, module in kept.items():
        for key, value in module.state_dict().items():
            yield f"{_KEPT}{name}.{key}", value


def _check_fit(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    missing, extra = sorted(state.keys() - tensors.keys()), sorted(tensors.keys() - state.keys())
    if missing or extra:
        first = f"lacks {missing[0]}" if missing else f"has {extra[0]}"
        raise ValueError(
            f"{path} {first}, unlike the model ({len(missing)} missing, {len(extra)} unknown); "
            "load the adapter into the model that it was made for"
        )
    for key, value in state.items():
        if tensors[key].shape != value.shape:
            raise ValueError(
                f"{path}: {key} has shape {tuple(tensors[key].shape)}; expected "
                f"{tuple(value.shape)}: another base model?"
            )
