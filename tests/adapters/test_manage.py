"""Named adapters: active, disabled, counted, refused and unloaded."""

import copy

import pytest
import torch
from torch import Tensor, nn

from qlmbench.adapters import (
    QuantumLoRAConfig,
    adapters_disabled,
    add_adapter,
    convert_to_quantum_lora,
    disable_adapters,
    enable_adapters,
    get_quantum_lora_model,
    merge_and_unload,
    print_trainable_parameters,
    set_adapter,
    unload,
)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        for p in self.parameters():
            nn.init.normal_(p, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x).tanh()).tanh())


X = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))


def wake(hosts: dict[str, nn.Module], name: str = "default", seed: int = 2) -> None:
    for host in hosts.values():
        up = host.adapter(name).up.weight
        with torch.no_grad():
            up.copy_(torch.randn(up.shape, generator=torch.Generator().manual_seed(seed)))


def test_asking_again_changes_nothing() -> None:
    model = Net()
    options = {"r": 4, "n_photons": 2, "target_modules": ["first", "second"]}
    hosts = convert_to_quantum_lora(model, **options)
    wake(hosts)
    expected, names = model(X), [name for name, _ in model.named_modules()]
    model.head.requires_grad_(True)
    again = convert_to_quantum_lora(model, **options)
    assert again == hosts
    assert [name for name, _ in model.named_modules()] == names
    assert torch.equal(model(X), expected)
    assert model.head.weight.requires_grad


def test_the_same_name_with_other_settings_is_refused() -> None:
    model = Net()
    convert_to_quantum_lora(model, r=4, target_modules=["first"])
    with pytest.raises(ValueError, match=r"at first \(r 4, not 2\); take another adapter_name"):
        convert_to_quantum_lora(model, r=2, target_modules=["first"])


def test_named_adapters_are_switched_and_add_up() -> None:
    model = Net()
    base = model.first(X)
    hosts = convert_to_quantum_lora(model, r=4, target_modules=["first"], adapter_name="a")
    wake(hosts, "a", 3)
    with_a = model.first(X) - base
    add_adapter(model, QuantumLoRAConfig(r=2, target_modules=["first", "second"]), "b")
    wake(hosts, "b", 4)
    with_b = model.first(X) - base
    assert (with_a - with_b).abs().max() > 0.01
    set_adapter(model, "a")
    torch.testing.assert_close(model.first(X) - base, with_a)
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all(".adapters.a." in name for name in trained)
    set_adapter(model, ["a", "b"])
    torch.testing.assert_close(model.first(X) - base, with_a + with_b)
    set_adapter(model, "b", trainable=False)
    assert not any(p.requires_grad for p in model.parameters())


def test_heads_are_trained_with_their_adapter() -> None:
    model = Net()
    kept = QuantumLoRAConfig(target_modules=["first"], modules_to_save=["head"])
    add_adapter(model, kept, "a")
    add_adapter(model, QuantumLoRAConfig(target_modules=["first"]), "b")
    assert not model.head.weight.requires_grad
    set_adapter(model, "a")
    assert model.head.weight.requires_grad


def test_a_module_is_either_adapted_or_kept_trainable() -> None:
    model = Net()
    adapt = QuantumLoRAConfig(target_modules=["head"])
    keep = QuantumLoRAConfig(target_modules=["first"], modules_to_save=["head"])
    add_adapter(model, keep, "keep")
    with pytest.raises(ValueError, match="head is kept trainable by adapter 'keep'"):
        add_adapter(model, adapt, "adapt")
    unload(model)
    add_adapter(model, adapt, "adapt")
    with pytest.raises(ValueError, match="matches head, which has an adapter"):
        add_adapter(model, keep, "keep")


def test_disabled_adapters_leave_the_base_and_come_back() -> None:
    model = Net()
    base = model(X)
    wake(convert_to_quantum_lora(model, r=4))
    adapted = model(X)
    with adapters_disabled(model):
        assert torch.equal(model(X), base)
    assert torch.equal(model(X), adapted)
    disable_adapters(model)
    with adapters_disabled(model):
        pass
    assert torch.equal(model(X), base)
    enable_adapters(model)
    assert torch.equal(model(X), adapted)


def test_unloading_leaves_the_base() -> None:
    model = Net()
    keys, base = list(model.state_dict()), model(X)
    wake(convert_to_quantum_lora(model, r=4))
    assert list(unload(model).state_dict()) == keys
    assert torch.equal(model(X), base)


def test_merging_is_refused_with_the_reason() -> None:
    model = Net()
    convert_to_quantum_lora(model, r=4)
    with pytest.raises(ValueError, match="not linear in x, so no weight matrix equals it"):
        merge_and_unload(model)


def test_parameters_are_printed_as_peft_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    model = Net()
    convert_to_quantum_lora(model, r=4, target_modules=["first"])
    print_trainable_parameters(model)
    # 4 x 8 down, 24 angles, 4 x 8 up; 162 of the base
    expected = "trainable params: 88 || all params: 250 || trainable%: 35.2000\n"
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("name", ["", "a.b", "keys", "training"])
def test_a_name_that_a_module_cannot_have_is_refused(name: str) -> None:
    model = Net()
    with pytest.raises(ValueError, match="expected a word without dots"):
        convert_to_quantum_lora(model, r=4, adapter_name=name)
    assert type(model.first) is nn.Linear


@pytest.mark.parametrize("call", [enable_adapters, disable_adapters])
def test_a_model_without_adapters_has_none_to_switch(call) -> None:
    with pytest.raises(ValueError, match="the model has no adapter; convert it first"):
        call(Net())


def test_an_unknown_adapter_is_named() -> None:
    model = Net()
    convert_to_quantum_lora(model, r=4)
    with pytest.raises(ValueError, match=r"no adapter 'b'; the model has \['default'\]"):
        set_adapter(model, "b")
    with pytest.raises(ValueError, match="no adapter is named"):
        set_adapter(model, [])


def test_the_model_object_has_pefts_methods() -> None:
    model = Net()
    base = model(X)
    wrapped = get_quantum_lora_model(model, QuantumLoRAConfig(target_modules=["first"]), "a")
    assert torch.equal(wrapped(X), base)
    assert wrapped.head is model.head
    wrapped.add_adapter(QuantumLoRAConfig(target_modules=["second"]), "b")
    assert wrapped.active_adapters == ["b"]
    assert list(wrapped.peft_config) == ["a", "b"]
    wrapped.set_adapter(["a", "b"])
    assert wrapped.active_adapters == ["a", "b"]
    with wrapped.disable_adapter():
        assert torch.equal(wrapped(X), base)
    wrapped.disable_adapters()
    wrapped.enable_adapters()
    wrapped.print_trainable_parameters()
    with pytest.raises(ValueError, match="cannot be merged"):
        wrapped.merge_and_unload()
    with pytest.raises(AttributeError, match="no_such_thing"):
        wrapped.no_such_thing  # noqa: B018
    copied = copy.deepcopy(wrapped)
    assert torch.equal(copied(X), wrapped(X))
    assert copied.base_model is not model
    assert wrapped.unload() is model
