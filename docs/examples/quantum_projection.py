"""An image as one token in front of a language model, by way of a circuit."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM, set_seed

from qlmbench.data.images.vocabulary import CaptionVocabulary
from qlmbench.vision.hybrid import HybridVisionLanguageModel
from qlmbench.vision.hybrid_training import CaptionTraining, train_captions
from qlmbench.vision.projection import QuantumProjection
from qlmbench.vision.tokenizers import WordTokenizer

# Features of images, here made up: two kinds, told apart by their mean.
captions = ["a red circle", "two blue squares"] * 16
kinds = torch.tensor([1.0, -1.0]).repeat(16)
features = torch.randn(32, 64, generator=torch.Generator().manual_seed(0)) + kinds[:, None]

# A tiny model, so that this runs without a download. Any causal model of transformers will do.
set_seed(0)
words = WordTokenizer(CaptionVocabulary.fit(captions))
sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
config = LlamaConfig(vocab_size=len(words.vocabulary), num_attention_heads=2, **sizes)
projection = QuantumProjection(in_features=64, hidden_size=32, n_qubits=4)
model = HybridVisionLanguageModel(LlamaForCausalLM(config), projection, words)

model.standardise(features)
train_captions(model, (features, captions), CaptionTraining(epochs=20, learning_rate=1e-2))
written = model.generate(features[:2])
print(written)
assert written == captions[:2]
