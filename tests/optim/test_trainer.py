"""A transformers Trainer takes the optimiser, with a scheduler, and resumes it."""

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from qlmbench.optim.optimizer import QuantumGradientOptimizer

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

CHOSEN = r"transformer\.layer\.0\.attention\.out_lin\.weight$"


class Rows(torch.utils.data.Dataset):
    """Sentences of four tokens, labelled by their first."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        ids = torch.tensor([i % 5, 3, i % 7, 1])
        return {"input_ids": ids, "attention_mask": torch.ones(4).long(), "labels": i % 2}


def trainer(folder, rule, scheduled=True, **arguments):
    transformers.set_seed(0)
    config = transformers.DistilBertConfig(
        vocab_size=10,
        dim=8,
        n_layers=1,
        n_heads=2,
        hidden_dim=8,
        max_position_embeddings=4,
        dropout=0.0,
        attention_dropout=0.0,
        seq_classif_dropout=0.0,
    )
    model = transformers.DistilBertForSequenceClassification(config)
    optimizer = QuantumGradientOptimizer(model.named_parameters(), CHOSEN, rule=rule, lr=1e-3)
    settings = transformers.TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        num_train_epochs=2,
        max_grad_norm=1.0,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **arguments,
    )
    scheduler = LambdaLR(optimizer, lambda step: max(0.0, 1 - step / 4)) if scheduled else None
    built = transformers.Trainer(
        model=model,
        args=settings,
        train_dataset=Rows(),
        optimizers=(optimizer, scheduler),
    )
    return built, optimizer


@pytest.mark.parametrize(("rule", "circuits"), [("as-published", 4), ("corrected", 4 * 13)])
def test_trainer_trains_with_it(tmp_path, rule, circuits):
    built, optimizer = trainer(tmp_path, rule, save_strategy="no")
    before = {name: p.detach().clone() for name, p in built.model.named_parameters()}
    built.train()
    assert all((p != before[name]).any() for name, p in built.model.named_parameters())
    assert optimizer.provenance()["circuits"] == {"local simulator": circuits}
    assert optimizer.param_groups[0]["lr"] == 0.0


def test_trainer_resumes_bit_for_bit(tmp_path):
    straight, _ = trainer(tmp_path / "a", "corrected", save_strategy="epoch")
    straight.train()
    resumed, optimizer = trainer(tmp_path / "b", "corrected", save_strategy="no")
    resumed.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-2"))
    for ours, theirs in zip(resumed.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert optimizer.provenance()["circuits"] == {"local simulator": 4 * 13}


def test_trainer_makes_its_own_scheduler_for_it(tmp_path):
    own, optimizer = trainer(tmp_path, "corrected", scheduled=False, save_strategy="no")
    own.train()
    ours, _ = trainer(tmp_path, "corrected", save_strategy="no")
    ours.train()
    for left, right in zip(own.model.parameters(), ours.model.parameters(), strict=True):
        assert torch.equal(left, right)
    assert optimizer.inner.param_groups[0]["lr"] == 0.0
