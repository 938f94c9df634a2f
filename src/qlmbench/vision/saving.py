"""What was trained of a hybrid vision-language model, in a file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from qlmbench.errors import UserError
from qlmbench.tensor_files import load_tensors, save_tensors
from qlmbench.vision.hybrid import HybridVisionLanguageModel

_BUFFERS = ("feature_mean", "feature_scale")


def save_trained(model: HybridVisionLanguageModel, path: Path | str) -> None:
    """Write the projection, all else that is trained, and how features are standardised.

    Frozen weights of a language model are not written: they come from where they came from.

    Parameters
    ----------
    model : HybridVisionLanguageModel
    path : Path or str
        A safetensors file with a checksum of its values; it is overwritten, whole or not at all.
    """
    save_tensors(_kept(model), Path(path).expanduser())


def load_trained(model: HybridVisionLanguageModel, path: Path | str) -> None:
    """Read what `save_trained` wrote into a model that was put together in the same way.

    Parameters
    ----------
    model : HybridVisionLanguageModel
        As it was before its training.
    path : Path or str
        The file.

    Raises
    ------
    UserError
        If there is no such file, or its tensors are not those that this model trains.
    CorruptFileError
        If the file is no safetensors file, or is damaged.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"{path}: no such file", expected="what save_trained wrote")
    found = load_tensors(path)
    own = _kept(model)
    strange = sorted(
        name
        for name in own.keys() | found.keys()
        if name not in own or name not in found or not _fits(name, own[name], found[name])
    )
    if strange:
        raise UserError(
            f"{path}: {len(strange)} tensors do not fit the model, such as {strange[0]!r}",
            expected="a model made with the same arguments of load_models",
        )
    with torch.no_grad():
        for name, tensor in found.items():
            if name in _BUFFERS:
                setattr(model, name, tensor.to(own[name]))
            else:
                own[name].copy_(tensor)


def _kept(model: HybridVisionLanguageModel) -> dict[str, Tensor]:
    """Tensors of a file by name: those of the projection also where they are frozen."""
    kept = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad or name.startswith("projection.")
    }
    return kept | {name: getattr(model, name) for name in _BUFFERS}


def _fits(name: str, own: Tensor, found: Tensor) -> bool:
    # Without standardised features a model holds one number for all of them.
    return own.shape == found.shape or (name in _BUFFERS and own.numel() == 1)
