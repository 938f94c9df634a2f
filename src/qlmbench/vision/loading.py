"""The parts of a hybrid vision-language model by name, put together; and a caption of a file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from qlmbench.data.caption_tokens import tokenizer_of
from qlmbench.data.images.encoders import image_encoder_identity
from qlmbench.data.images.features import image_features
from qlmbench.data.images.pictures import load_image
from qlmbench.data.images.scenes import LONGEST_CAPTION
from qlmbench.data.images.vocabulary import CaptionVocabulary
from qlmbench.data.pretrained import pretrained_folder
from qlmbench.data.transformer import no_progress_bar
from qlmbench.errors import UserError
from qlmbench.seeding import seed_for
from qlmbench.vision import IMAGE_ENCODER, PROMPT
from qlmbench.vision.decoder import SmallDecoder
from qlmbench.vision.hybrid import HybridVisionLanguageModel, hidden_size_of
from qlmbench.vision.projection import QuantumProjection
from qlmbench.vision.projectors import CIRCUITS, ClassicalProjection, Projector
from qlmbench.vision.tokenizers import Tokenizer, WordTokenizer

SMALL = "small"
"""Name of the decoder that is trained from scratch on the words of scenes."""


@dataclass(frozen=True)
class LoRA:
    """Low-rank adapters of a language model, with the values of the public example.

    Parameters
    ----------
    r, alpha : int
        Width of an adapter; its result is scaled by alpha / r.
    dropout : float
        Of what an adapter reads.
    targets : sequence of str
        Names of the linear maps that get one.
    """

    r: int = 8
    alpha: int = 16
    dropout: float = 0.1
    targets: Sequence[str] = ("q_proj", "v_proj")


def load_models(
    language_model: str = SMALL,
    *,
    projector: Projector = "published",
    n_qubits: int = 4,
    n_layers: int = 3,
    image_encoder: str = IMAGE_ENCODER,
    lora: LoRA | None = None,
    prompt: str = PROMPT,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> HybridVisionLanguageModel:
    """Put a hybrid vision-language model together; nothing of it has seen an image yet.

    Parameters
    ----------
    language_model : str
        "small", a decoder with random weights on the words of scenes; "SmolLM2-135M-Instruct",
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0", or the path of a folder with ``config.json``,
        ``model.safetensors`` and ``tokenizer.json``. The hidden size is read from the model.
    projector : str
        See `StackedProjector`; those with a circuit are a `QuantumProjection`.
    n_qubits, n_layers : int
        Of the circuit; the first is also the width of classical projections with a narrow middle.
    image_encoder : str
        See `qlmbench.data.images.encoders`; it is loaded when an image is first shown.
    lora : LoRA, optional
        Adapters of a pretrained model, whose own weights are frozen. Without, all of it trains.
    prompt : str
        Its words are added to the vocabulary of the small decoder.
    seed : int
        Of all initial values.
    dtype : torch.dtype
        Type of the language model's weights.

    Returns
    -------
    HybridVisionLanguageModel

    Raises
    ------
    UserError
        If a name is unknown, a file cannot be fetched or is missing, or peft is not installed.
    ValueError
        If adapters are asked of the small decoder, which is trained as a whole, or there are no
        linear maps of those names.
    """
    network: nn.Module
    tokenizer: Tokenizer
    if language_model == SMALL:
        if lora is not None:
            raise ValueError("got adapters for the small decoder; expected lora=None")
        vocabulary = CaptionVocabulary.of_scenes(prompt)
        places = 2 + len(vocabulary.ids_of(prompt)) + LONGEST_CAPTION
        network = SmallDecoder(len(vocabulary), places, seed=seed).to(dtype)
        tokenizer = WordTokenizer(vocabulary)
    else:
        network, tokenizer = load_language_model(language_model, dtype)
    if lora is not None:
        network = add_lora(network, lora, seed)
    width = int(image_encoder_identity(image_encoder)["width"])
    projection = make_projection(
        projector, width, hidden_size_of(network), n_qubits, n_layers, seed
    )
    return HybridVisionLanguageModel(network, projection, tokenizer, image_encoder)


def make_projection(
    kind: Projector, in_features: int, hidden_size: int, n_qubits: int, n_layers: int, seed: int
) -> QuantumProjection | ClassicalProjection:
    """Make one projection of any kind; see `StackedProjector`."""
    if kind not in CIRCUITS:
        return ClassicalProjection(kind, in_features, hidden_size, width=n_qubits, seed=seed)
    projection = QuantumProjection(
        in_features,
        hidden_size,
        n_qubits,
        n_layers,
        CIRCUITS[kind],
        train_circuit=not kind.startswith("frozen"),
        seed=seed,
    )
    if kind == "frozen":
        projection.requires_grad_(False)
    return projection


def generate_caption(
    model: HybridVisionLanguageModel,
    image: Path | str,
    prompt: str = PROMPT,
    max_new_tokens: int = 32,
) -> str:
    """Write what an image file shows.

    Parameters
    ----------
    model : HybridVisionLanguageModel
        As `load_models` gives it, and trained.
    image : Path or str
        Any image file; see `load_image`.
    prompt : str
        May be empty.
    max_new_tokens : int
        After so many, the caption stops without an end.

    Raises
    ------
    UserError
        If the file is no image, or the image encoder cannot be fetched.
    """
    features = image_features(model.image_encoder, [load_image(image)])
    return model.generate(torch.tensor(features), prompt, max_new_tokens)[0]


def add_lora(language_model: nn.Module, lora: LoRA, seed: int) -> nn.Module:
    """Freeze a language model and give it low-rank adapters, which start without effect.

    Raises
    ------
    UserError
        If peft is not installed.
    ValueError
        If the model has no linear maps of these names.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise UserError("low-rank adapters need peft", do="pip install 'qlmbench[lm]'") from None
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # peft asks transformers for something by its old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        torch.manual_seed(seed_for("initialisation", seed=seed, layer="lora"))
        adapted: nn.Module = get_peft_model(language_model, config)
    return adapted


def load_language_model(
    name: str, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, Tokenizer]:
    """Load a pretrained language model and its tokenizer.

    Parameters
    ----------
    name : str
        A registered name, or the path of a folder; see `load_models`.
    dtype : torch.dtype
        Type of its weights.

    Raises
    ------
    UserError
        If there is no such model, it cannot be fetched, or a file is missing or not valid.
    """
    from transformers import AutoModelForCausalLM

    folder = pretrained_folder(name)
    weights = folder / "model.safetensors"
    tokenizer = tokenizer_of(folder)
    if not weights.is_file():
        raise UserError(f"{weights}: no such file", expected="a language model's folder")
    with no_progress_bar():
        network: nn.Module = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
    return network, tokenizer
