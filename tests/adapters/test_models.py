"""Models of transformers: adapted by name, unchanged at first, every adapter takes part."""

import copy
import inspect
import pickle
from pathlib import Path

import pytest
import torch
import transformers as hf
from tests.adapters.tiny_models import IDS, MASK, MODELS, make, run
from torch import nn

from qlmbench.adapters import (
    QuantumLoRAConfig,
    QuantumLoRALayer,
    QuantumLoRAModel,
    add_adapter,
    convert_to_quantum_lora,
    count_parameters,
    get_quantum_lora_model,
)


def wake_all(hosts: dict[str, nn.Module]) -> None:
    for number, host in enumerate(hosts.values()):
        up = host.adapter().up.weight
        generator = torch.Generator().manual_seed(number)
        with torch.no_grad():
            up.copy_(torch.randn(up.shape, generator=generator))


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_is_unchanged_at_first_and_every_adapter_takes_part(kind: str) -> None:
    _, targets, n_adapted = MODELS[kind]
    model = make(kind)
    expected = run(model)
    hosts = convert_to_quantum_lora(model, r=4, n_photons=2, alpha=4.0, target_modules=targets)
    assert len(hosts) == n_adapted
    assert torch.equal(run(model), expected)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if ".adapters." in name}
    for host in hosts.values():
        before = run(model)
        wake_all({"": host})
        assert (run(model) - before).abs().max() > 1e-4
    run(model).square().mean().backward()
    for host in hosts.values():
        assert host.adapter().bottleneck.circuit.angles.grad.abs().max() > 0


@pytest.mark.parametrize("kind", ["distilbert", "llama"])
def test_a_model_learns_and_its_base_does_not_move(kind: str) -> None:
    model = make(kind).train()
    config = QuantumLoRAConfig(r=4, n_photons=2, target_modules=MODELS[kind][1])
    wrapped = get_quantum_lora_model(model, config)
    base = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    labels = IDS if kind == "llama" else torch.tensor([0, 1])
    optimiser = torch.optim.Adam([p for p in wrapped.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = wrapped.eval()(input_ids=IDS, attention_mask=MASK, labels=labels).loss
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.02
    after = dict(model.named_parameters())
    assert all(torch.equal(after[name], value) for name, value in base.items())


@pytest.mark.parametrize("kind", MODELS)
def test_a_wrapper_takes_the_arguments_of_its_model_by_their_names(kind: str) -> None:
    model = make(kind)
    named = inspect.signature(model.forward)
    config = QuantumLoRAConfig(r=4, target_modules=MODELS[kind][1])
    wrapped = get_quantum_lora_model(model, config)
    assert "input_ids" in named.parameters
    for each in (wrapped, copy.deepcopy(wrapped), pickle.loads(pickle.dumps(wrapped))):  # noqa: S301
        assert inspect.signature(each.forward) == named
        torch.testing.assert_close(each(IDS, attention_mask=MASK)[0], run(wrapped))
    called = []
    model.register_forward_hook(lambda *_: called.append(True))
    QuantumLoRAModel.forward(wrapped, IDS)
    wrapped.forward(IDS)
    assert len(called) == 2


@pytest.mark.slow
def test_a_trainer_drops_the_columns_that_the_model_inside_does_not_take(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    wrapped = get_quantum_lora_model(
        make("llama"), QuantumLoRAConfig(r=4, target_modules=["q_proj"])
    )
    arguments = hf.TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, report_to=[], max_steps=1, disable_tqdm=True
    )
    rows = [{"input_ids": ids, "labels": ids, "text": "no argument of a model"} for ids in IDS]
    trainer = hf.Trainer(model=wrapped, args=arguments, train_dataset=rows)
    assert set(next(iter(trainer.get_train_dataloader()))) == {"input_ids", "labels"}
    assert trainer.train().global_step == 1


def test_a_classifier_head_is_kept_trainable_and_is_not_adapted() -> None:
    model = make("distilbert")
    config = QuantumLoRAConfig(
        target_modules="all-linear", modules_to_save=["pre_classifier", "classifier"]
    )
    hosts = add_adapter(model, config)
    assert len(hosts) == 12
    trained = {n for n, p in model.named_parameters() if p.requires_grad and ".adapters." not in n}
    heads = {"pre_classifier", "classifier"}
    assert trained == {f"{head}.{part}" for head in heads for part in ("weight", "bias")}


def test_all_linear_leaves_the_output_layer_of_a_language_model_alone() -> None:
    hosts = convert_to_quantum_lora(make("llama"), r=4, target_modules="all-linear")
    assert len(hosts) == 14
    assert "lm_head" not in hosts


def test_the_adapter_goes_with_the_model_to_bfloat16_and_into_copies() -> None:
    model = make("llama")
    wake_all(convert_to_quantum_lora(model, r=4, target_modules=["q_proj", "v_proj"]))
    torch.testing.assert_close(run(copy.deepcopy(model)), run(model))
    losses = []
    for each in (make("llama"), model):
        expected, half = run(each), run(each.to(torch.bfloat16))
        assert half.dtype == torch.bfloat16
        losses.append((half.float() - expected).abs().mean())
    # What rounding costs is about what it costs the base alone.
    assert losses[1] < 2 * losses[0]


def test_generation_goes_through_the_adapters() -> None:
    model = make("llama")
    config = QuantumLoRAConfig(target_modules=["q_proj", "v_proj", "down_proj"], alpha=20.0)
    wrapped = get_quantum_lora_model(model, config)
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    before = wrapped.generate(IDS, **options)
    wake_all({n: m for n, m in model.named_modules() if isinstance(m, QuantumLoRALayer)})
    after = wrapped.generate(IDS, **options)
    assert before.shape == after.shape == (2, 12)
    assert not torch.equal(before, after)


def test_checkpointed_gradients_are_the_same() -> None:
    model = make("llama").train()
    hosts = convert_to_quantum_lora(model, r=4, n_photons=2, target_modules=["q_proj"])
    wake_all(hosts)

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(input_ids=IDS, labels=IDS).loss.backward()
        return [p.grad.clone() for p in model.parameters() if p.requires_grad]

    expected = gradients()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    for got, want in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_parameters_are_counted_by_part() -> None:
    model = make("llama")
    convert_to_quantum_lora(model, r=4, n_photons=2, target_modules=["q_proj", "v_proj"])
    counts = count_parameters(model)
    assert counts.down == 4 * 4 * 16
    assert counts.bottleneck == 4 * 24
    assert counts.up == 2 * 4 * (16 + 8)
    assert counts.trainable == counts.down + counts.bottleneck + counts.up
