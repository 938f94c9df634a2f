"""The adapter alone in a folder: two files, no pickle, a clear error for a bad one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.adapters.tiny_models import MODELS, make, run
from torch import Tensor, nn

from qlmbench.adapters import (
    QuantumLoRAConfig,
    QuantumLoRALayer,
    QuantumLoRAModel,
    add_adapter,
    convert_to_quantum_lora,
    get_quantum_lora_model,
    load_adapter,
    save_adapter,
    set_adapter,
)
from qlmbench.quantum.photonic import PhotonicCircuit

FILES = {"adapter_config.json", "adapter_model.safetensors"}
WEIGHTS = "adapter_model.safetensors"


def stir(model: nn.Module) -> None:
    """Give everything that is trained other values."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.copy_(torch.randn(p.shape, generator=generator))


def trained(kind: str = "llama", **options: object) -> nn.Module:
    model = make(kind)
    config = QuantumLoRAConfig(r=4, target_modules=MODELS[kind][1], **options)  # type: ignore[arg-type]
    add_adapter(model, config)
    stir(model)
    return model


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("ansatz", ["simple", "hardware_efficient"])
def test_a_saved_adapter_gives_the_same_outputs_on_a_new_base(
    kind: str, ansatz: str, tmp_path: Path
) -> None:
    model = trained(kind, ansatz=ansatz, n_photons=2)
    save_adapter(model, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == FILES
    fresh = make(kind)
    hosts = load_adapter(fresh, tmp_path)
    assert torch.equal(run(fresh), run(model))
    assert not any(p.requires_grad for p in fresh.parameters())
    assert len(hosts) == MODELS[kind][2]


def test_the_file_holds_the_adapter_alone_by_dotted_names(tmp_path: Path) -> None:
    save_adapter(trained(), tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    parts = ["bottleneck.circuit.angles", "down.weight", "up.weight"]
    first = [key for key in sorted(tensors) if key.startswith("model.layers.0.self_attn.q_proj.")]
    assert first == [f"model.layers.0.self_attn.q_proj.{part}" for part in parts]
    assert len(tensors) == 10 * 3


def test_packed_projections_and_heads_are_saved(tmp_path: Path) -> None:
    def model() -> nn.Module:
        layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True)
        with torch.no_grad():
            for number, p in enumerate(layer.parameters()):
                p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(number)))
        return nn.ModuleDict({"body": layer, "head": nn.Linear(16, 2)})

    first = model()
    config = QuantumLoRAConfig(target_modules=["q_proj", "out_proj"], modules_to_save=["head"])
    add_adapter(first, config)
    stir(first)
    save_adapter(first, tmp_path)
    second = model()
    load_adapter(second, tmp_path, is_trainable=True)
    x = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first["body"](x), second["body"](x))
    assert torch.equal(first["head"](x), second["head"](x))
    assert second["head"].weight.requires_grad
    assert not second["body"].linear1.weight.requires_grad


def test_adapters_are_saved_and_loaded_by_name_beside_each_other(tmp_path: Path) -> None:
    model = make("llama")
    wrapped = get_quantum_lora_model(
        model, QuantumLoRAConfig(target_modules=["q_proj"]), adapter_name="a"
    )
    stir(model)
    out_a = run(model)
    wrapped.add_adapter(QuantumLoRAConfig(r=2, target_modules=["v_proj"]), "b")
    stir(model)
    out_b = run(model)
    wrapped.save_pretrained(tmp_path / "a", "a")
    wrapped.save_pretrained(tmp_path / "b", "b")
    fresh = QuantumLoRAModel.from_pretrained(make("llama"), tmp_path / "a", "a")
    assert torch.equal(run(fresh), out_a)
    fresh.load_adapter(tmp_path / "b", "b", is_trainable=True)
    assert torch.equal(run(fresh), out_b)
    assert fresh.active_adapters == ["b"]
    set_adapter(fresh.base_model, "a")
    assert torch.equal(run(fresh), out_a)
    with pytest.raises(ValueError, match="the model has an adapter 'a'; take another"):
        fresh.load_adapter(tmp_path / "a", "a")


def test_saving_again_overwrites_and_leaves_nothing_beside(tmp_path: Path) -> None:
    model = trained()
    save_adapter(model, tmp_path)
    before = (tmp_path / WEIGHTS).read_bytes()
    save_adapter(model, tmp_path)
    assert (tmp_path / WEIGHTS).read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == FILES


def test_a_circuit_of_ones_own_is_given_again_and_its_numbers_are_read(tmp_path: Path) -> None:
    own = PhotonicCircuit(4, 2, n_blocks=2)
    model = make("llama")
    convert_to_quantum_lora(model, r=4, ansatz=own, target_modules=["q_proj"])
    stir(model)
    save_adapter(model, tmp_path)
    fresh = make("llama")
    with pytest.raises(ValueError, match="ansatz 'custom' needs a circuit: give it as circuit="):
        load_adapter(fresh, tmp_path)
    load_adapter(fresh, tmp_path, circuit=own)
    assert torch.equal(run(fresh), run(model))


def truncate(folder: Path) -> None:
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def cut_header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:5])


def pickled(folder: Path) -> None:
    torch.save({"a": torch.zeros(1)}, folder / WEIGHTS)


def edit(folder: Path, **change: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def rename_tensor(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    key = next(iter(tensors))
    tensors["other." + key] = tensors.pop(key)
    save_file(tensors, folder / WEIGHTS)


def reshape_tensor(folder: Path) -> None:
    def grown(value: Tensor) -> Tensor:
        return torch.cat([value, value])

    tensors = load_file(folder / WEIGHTS)
    save_file({k: grown(v) for k, v in tensors.items()}, folder / WEIGHTS)


DAMAGES = {
    "truncated": (truncate, "is damaged or not a safetensors file"),
    "header cut": (cut_header, "is damaged or not a safetensors file"),
    "pickled": (pickled, "is damaged or not a safetensors file"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), f"no .*{WEIGHTS}; expected a folder"),
    "no config": (lambda f: (f / "adapter_config.json").unlink(), "no .*adapter_config.json"),
    "half a config": (
        lambda f: (f / "adapter_config.json").write_text('{"r": 4'),
        "adapter_config.json is not JSON",
    ),
    "a list": (lambda f: (f / "adapter_config.json").write_text("[]"), "holds a list"),
    "peft's": (lambda f: edit(f, peft_type="LORA"), "peft_type='LORA'"),
    "unknown key": (lambda f: edit(f, alhpa=1), "unknown key 'alhpa'"),
    "wrong value": (lambda f: edit(f, n_photons=9), "n_photons=9, r=4"),
    "wrong type": (lambda f: edit(f, r="4"), "r='4'; expected a whole number"),
    "other layers": (lambda f: edit(f, target_modules=["q_proj"]), r"has model.* unlike the model"),
    "renamed": (rename_tensor, "lacks model"),
    "reshaped": (reshape_tensor, r"has shape \(.*\); expected \(.*\): another base model"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_folder_that_is_damaged_is_one_line_and_leaves_the_model_alone(
    damage: str, tmp_path: Path
) -> None:
    save_adapter(trained(), tmp_path)
    harm, message = DAMAGES[damage]
    harm(tmp_path)
    model = make("llama")
    names = [name for name, _ in model.named_modules()]
    with pytest.raises(ValueError, match=message) as caught:
        load_adapter(model, tmp_path)
    assert "\n" not in str(caught.value)
    assert [name for name, _ in model.named_modules()] == names


def test_a_file_in_the_folders_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(ValueError, match="is a file; expected a folder"):
        save_adapter(trained(), tmp_path / "a")


def test_layers_that_were_put_in_place_by_hand_are_not_saved_as_if_a_pattern_meant_them(
    tmp_path: Path,
) -> None:
    layer = QuantumLoRALayer(nn.Linear(4, 4), r=4)
    for model in (layer, nn.Sequential(layer, nn.Linear(4, 4))):
        with pytest.raises(ValueError, match="the adapter is on 1 layers, its target_modules mean"):
            save_adapter(model, tmp_path)


def test_an_adapter_that_is_not_there_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no adapter 'b'; the model has \['default'\]"):
        save_adapter(trained(), tmp_path, "b")
    assert not list(tmp_path.iterdir())
