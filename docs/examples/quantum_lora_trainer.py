"""Quantum LoRA in a language model, trained by transformers' Trainer and saved by itself."""

import tempfile

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

from qlmbench.adapters import QuantumLoRAConfig, QuantumLoRAModel, get_quantum_lora_model

# A tiny model, so that this runs without a download. Take any causal model instead:
# base = AutoModelForCausalLM.from_pretrained("HuggingFaceTB/SmolLM2-135M")
config = LlamaConfig(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
)


def make_base() -> LlamaForCausalLM:
    """Make the model that is adapted, the same one at every call."""
    set_seed(0)
    return LlamaForCausalLM(config).eval()


adapter = QuantumLoRAConfig(r=4, n_photons=2, alpha=4, target_modules=["q_proj", "v_proj"])
model = get_quantum_lora_model(make_base(), adapter)
model.print_trainable_parameters()

ids = torch.randint(1, 64, (32, 12), generator=torch.Generator().manual_seed(0))
rows = [{"input_ids": row, "labels": row} for row in ids]
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=5,
        learning_rate=1e-2,
        per_device_train_batch_size=8,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trained = Trainer(model=model, args=arguments, train_dataset=rows).train()
    print(f"loss {trained.training_loss:.3f}")

    model.save_pretrained(folder)  # the adapter alone: its settings and its weights
    again = QuantumLoRAModel.from_pretrained(make_base(), folder).eval()
    with torch.no_grad():
        same = torch.equal(model.eval()(input_ids=ids).logits, again(input_ids=ids).logits)
    print("loaded again, equal outputs:", same)
    assert same
