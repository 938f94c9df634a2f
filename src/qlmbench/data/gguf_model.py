"""A Llama model from a quantised GGUF file, as a folder that transformers and safetensors read.

The file is converted once, in single precision, which holds every dequantised value exactly. The
folder that comes out needs no ``gguf``; it lists the hashes of its files, which are checked at
every use, and is made again where one of them is wrong.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlmbench.data.cache import Progress, cache_folder, writable
from qlmbench.data.digests import identity_digest, sha256_of_file
from qlmbench.data.sources import RegistryPackage, fetch
from qlmbench.errors import CorruptFileError, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

CODE_VERSION = "1"
"""Raised when our code makes other weights or another tokenizer of the same file."""

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
FILES = (CONFIG, WEIGHTS, TOKENIZER)
LIST = "sha256.json"

# Names of the parts of a layer, ``blk.<number>.<part>``, and of the parts outside of layers.
_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTSIDE = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
_CONTROL = 3  # token type of symbols that no text contains


@dataclass(frozen=True)
class GGUFModel:
    """A model inside a package of the registry, in the GGUF format.

    Parameters
    ----------
    name : str
        Name of its folder in the cache.
    source : RegistryPackage
        Where the file is; it lists that file alone.
    """

    name: str
    source: RegistryPackage

    @property
    def digest(self) -> str:
        """What the weights and the tokenizer depend on: the file, and our code."""
        (sha256,) = self.source.files.values()
        return identity_digest(sha256, CODE_VERSION)

    @property
    def path(self) -> Path:
        """Folder that the converted model is kept in; it need not exist yet."""
        return cache_folder() / "converted" / f"{self.name}-{self.digest[:16]}"

    def folder(self, *, progress: Progress | None = None) -> Path:
        """Return the folder of the converted model, converted if it is not there or is damaged.

        Parameters
        ----------
        progress : callable, optional
            Told what is being fetched and converted.

        Raises
        ------
        UserError
            If the file cannot be fetched, ``gguf`` is missing where it is needed, or the cache
            cannot be written.
        """
        folder = self.path
        if is_sound(folder):
            return folder
        file = fetch(self.source, progress=progress)[next(iter(self.source.files))]
        from filelock import FileLock

        with writable(folder.parent), FileLock(folder.with_name(folder.name + ".lock")):
            if not is_sound(folder):  # another process may have made it in the meantime
                if progress:
                    progress(f"converting {self.name}", 0, 1)
                _convert_into(file, folder)
        return folder


def is_sound(folder: Path) -> bool:
    """Whether a converted model is complete and every file is what its hash says."""
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError:
        listed = {}
    if not isinstance(listed, dict):
        listed = {}
    for name in FILES:
        path = folder / name
        if not path.is_file() or listed.get(name) != sha256_of_file(path):
            log.warning("%s does not match its sha256 (damaged?); converting it again", path)
            return False
    return True


def _convert_into(file: Path, folder: Path) -> None:
    """Write the converted model beside its place and move it there once it is whole."""
    prefix = f".convert-{folder.name}-"
    for left_over in folder.parent.glob(prefix + "*"):  # of a killed process: we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=prefix) as temporary:
        made = Path(temporary) / "model"
        made.mkdir()
        convert_gguf(file, made)
        hashes = {name: sha256_of_file(made / name) for name in FILES}
        (made / LIST).write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)


def convert_gguf(file: Path, folder: Path) -> None:
    """Write configuration, weights and tokenizer of a GGUF file into a folder.

    Parameters
    ----------
    file : Path
        A Llama model, quantised or not, with the tokenizer of SmolLM.
    folder : Path
        Gets ``config.json``, ``model.safetensors`` in single precision and ``tokenizer.json``.

    Raises
    ------
    UserError
        If ``gguf`` is not installed, or the model is of another kind.
    CorruptFileError
        If the file cannot be read.
    """
    from safetensors.numpy import save_file

    reader = _reader(file)
    fields = _Fields(file, reader)
    config = llama_config(fields)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / TOKENIZER).write_text(tokenizer_json(fields), encoding="utf-8")
    save_file(_weights(reader, config), folder / WEIGHTS, metadata={"format": "pt"})


def _reader(file: Path) -> Any:
    try:
        from gguf import GGUFReader
    except ImportError:
        raise UserError(
            f"{file.name} is a GGUF file, and the package gguf is not installed",
            do="pip install 'qlmbench[lm]'",
        ) from None
    try:
        return GGUFReader(file)
    except Exception as error:  # whatever a damaged header makes numpy and struct raise
        raise CorruptFileError(f"{file}: not a sound GGUF file: {error}") from error


class _Fields(Mapping[str, Any]):
    """What a GGUF file says of its model, by key."""

    def __init__(self, file: Path, reader: Any) -> None:
        self._file, self._fields = file, reader.fields

    def __getitem__(self, key: str) -> Any:
        if key not in self._fields:
            raise CorruptFileError(f"{self._file}: no field {key!r}")
        return self._fields[key].contents()

    def __contains__(self, key: object) -> bool:
        return key in self._fields

    def __iter__(self) -> Any:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def must_be(self, key: str, *known: object) -> None:
        """Refuse a file that says anything else of this key."""
        if self[key] not in known:
            raise UserError(
                f"{self._file}: {key} is {self[key]!r}",
                expected=" or ".join(repr(value) for value in known),
            )


def llama_config(fields: _Fields) -> dict[str, Any]:
    """Return the model's ``config.json``.

    The scale of the rotary positions is the plain one: files that stretch it are refused.
    """
    fields.must_be("general.architecture", "llama")
    for key in ("llama.rope.scaling.type", "llama.expert_count"):
        if key in fields:
            fields.must_be(key, "none", 0)
    heads, width = fields["llama.attention.head_count"], fields["llama.embedding_length"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": width,
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "head_dim": width // heads,
        "hidden_act": "silu",
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": fields["llama.attention.layer_norm_rms_epsilon"],
        "rope_theta": fields["llama.rope.freq_base"],
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "torch_dtype": "float32",
    }


def _weights(reader: Any, config: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Return the dequantised weights under the names that transformers has for them."""
    import numpy as np
    from gguf import dequantize

    heads = {
        "attn_q": int(config["num_attention_heads"]),
        "attn_k": int(config["num_key_value_heads"]),
    }
    found = {}
    for tensor in reader.tensors:
        part = tensor.name.split(".")[-2]
        values = np.asarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if part in heads:
            values = halves_apart(values, heads[part])
        found[_renamed(tensor.name)] = np.ascontiguousarray(values)
    if "lm_head.weight" in found:
        raise UserError("a GGUF file with an output layer of its own", expected="tied embeddings")
    return found


def _renamed(name: str) -> str:
    head, *rest = name.split(".")
    if head == "blk" and rest[1] in _PARTS:
        return f"model.layers.{rest[0]}.{_PARTS[rest[1]]}.{rest[2]}"
    if head in _OUTSIDE:
        return f"{_OUTSIDE[head]}.{rest[0]}"
    raise UserError(f"a GGUF file with the tensor {name!r}", expected="the tensors of a Llama")


def halves_apart(weight: NDArray[np.float32], num_heads: int) -> NDArray[np.float32]:
    """Order the rows of queries or keys as transformers rotates them.

    Rotary positions turn pairs of rows of a head. In GGUF the two stand side by side; transformers
    takes the first from the first half of the head and the second from its second half.

    Parameters
    ----------
    weight : ndarray of shape (num_heads * 2 * k, width)
        Rows as in the file.
    num_heads : int
        Number of heads that the rows belong to.
    """
    rows, width = weight.shape
    pairs = weight.reshape(num_heads, rows // num_heads // 2, 2, width)
    return pairs.swapaxes(1, 2).reshape(rows, width)


def tokenizer_json(fields: _Fields) -> str:
    """Return the model's ``tokenizer.json``: byte pairs, each digit by itself, nothing added.

    Digits are cut out first, as in SmolLM2's own tokenizer. transformers' reading of GGUF files
    leaves that out; where two blanks stand before a number, it cuts the blanks in another way.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    fields.must_be("tokenizer.ggml.model", "gpt2")
    fields.must_be("tokenizer.ggml.pre", "smollm")
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), byte_level]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in control])
    described: str = tokenizer.to_str()
    return described
