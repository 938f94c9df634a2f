"""Tensors in a safetensors file that carries a checksum of them.

safetensors checks its header and no value: a flipped bit in a weight would be read as that weight.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qlmbench.errors import CorruptFileError

if TYPE_CHECKING:
    from torch import Tensor

CHECKSUM = "qlmbench.sha256"
"""Key of the checksum among the file's metadata; other readers pass over it."""


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors and their checksum: the old file or the new one is there, whole.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        On any device.
    path : Path
        It is overwritten; its folder is made.
    """
    from safetensors.torch import save_file

    kept = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for each process keeps two that write at once apart.
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(kept, beside, metadata=_metadata(kept))
        _sort_metadata(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _metadata(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {"format": "pt", CHECKSUM: checksum(tensors)}


def _sort_metadata(path: Path) -> None:
    """Put the metadata in order: safetensors writes it in another one each time."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) > size:
            raise ValueError(f"{path}: {len(text)} bytes for a header of {size}")
        file.seek(8)
        file.write(text.ljust(size))


def load_tensors(path: Path, *, must_be_ours: bool = True) -> dict[str, Tensor]:
    """Read tensors, and compare them with the checksum that the file carries.

    Parameters
    ----------
    path : Path
        What `save_tensors` wrote.
    must_be_ours : bool
        Whether a file without a checksum is refused; another program's file has none.

    Raises
    ------
    CorruptFileError
        If the file is no safetensors file, or its tensors are not those of its checksum.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            stated = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:  # no UTF-8 in its header
        raise CorruptFileError(f"{path} is damaged or not a safetensors file: {error}") from None
    ours = CHECKSUM in stated
    if must_be_ours and not ours:
        raise CorruptFileError(f"{path}: no checksum of its tensors", expected="one, as we write")
    if ours and stated != _metadata(tensors):
        raise CorruptFileError(f"{path}: damaged, its tensors are not those of its checksum")
    return tensors


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return one SHA-256 of names, types, shapes and values."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        raw = tensor.reshape(-1).view(torch.uint8).numpy()
        head = f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|{raw.size}|"
        digest.update(head.encode("utf-8", errors="surrogatepass"))
        digest.update(raw.data)
    return digest.hexdigest()
