"""A circuit that rewrites an update, inside transformers' Trainer."""

import tempfile

import torch
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

from qlmbench.optim.optimizer import QuantumGradientOptimizer

# A tiny model, so that this runs without a download. Take any model instead.
set_seed(0)
model = DistilBertForSequenceClassification(
    DistilBertConfig(vocab_size=64, dim=32, hidden_dim=64, n_layers=2, n_heads=4)
)
ids = torch.randint(1, 64, (32, 12))
rows = [{"input_ids": row, "labels": int(row[0] > 31)} for row in ids]

# The circuit updates one attention matrix, AdamW all other weights.
optimizer = QuantumGradientOptimizer(
    model.named_parameters(), r"layer\.0\.attention\.out_lin\.weight$", lr=1e-3, seed=0
)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=5,
        per_device_train_batch_size=8,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, optimizers=(optimizer, None))
    print(f"loss {trainer.train().training_loss:.3f}")
print("circuits measured:", optimizer.provenance()["circuits"])
assert sum(optimizer.provenance()["circuits"].values()) > 0
