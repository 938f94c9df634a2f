"""Patterns see dotted names, exclusions win, and what cannot be adapted is said."""

import pytest
from torch import nn

from qlmbench.adapters import QuantumLoRAConfig, QuantumLoRALayer, convert_to_quantum_lora
from qlmbench.adapters.targets import find_targets, matches


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.ModuleDict({n: nn.Linear(4, 4) for n in ("q_proj", "k_proj", "output_proj")})
        self.norm = nn.LayerNorm(4)
        self.mlp = nn.Linear(4, 8)


def model() -> nn.ModuleDict:
    return nn.ModuleDict({"block": Block(), "head": nn.Linear(4, 2), "words": nn.Embedding(5, 4)})


def names(**patterns: object) -> list[str]:
    config = QuantumLoRAConfig(**patterns)  # type: ignore[arg-type]
    return [target.name for target in find_targets(model(), config)]


def test_a_documented_pattern_sees_the_dotted_name_and_the_exclusion_wins() -> None:
    targets = {"target_modules": [r".*attn\..*_proj"], "exclude_modules": ["output_proj"]}
    assert names(**targets) == ["block.attn.q_proj", "block.attn.k_proj"]


def test_an_item_of_a_list_matches_a_name_or_its_end_from_a_dot_on() -> None:
    assert matches(["q_proj"], "block.attn.q_proj")
    assert matches(["attn.q_proj"], "block.attn.q_proj")
    assert matches([r"block\..*proj"], "block.attn.q_proj")
    assert matches(["q|k"], "a.k")
    assert not matches(["proj"], "block.attn.q_proj")
    assert not matches(["q"], "block.attn.q_proj")
    assert not matches(["block"], "block.attn.q_proj")


def test_one_string_has_to_match_the_whole_name_as_in_peft() -> None:
    assert matches(r".*q_proj", "block.attn.q_proj")
    assert not matches("q_proj", "block.attn.q_proj")


def test_without_targets_every_linear_layer_is_adapted() -> None:
    everything = [f"block.attn.{n}" for n in ("q_proj", "k_proj", "output_proj")]
    assert names() == [*everything, "block.mlp", "head"]


def test_modules_that_are_kept_trainable_are_not_adapted() -> None:
    assert names(target_modules=["mlp", "head"], modules_to_save=["head"]) == ["block.mlp"]


def test_a_pattern_may_match_a_container_of_layers_that_it_matches() -> None:
    assert names(target_modules=[r".*attn.*"], exclude_modules=["output_proj"]) == [
        "block.attn.q_proj",
        "block.attn.k_proj",
    ]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"target_modules": ["q_prj"]}, r"matches no linear layer \(did you mean 'q_proj'\?\)"),
        ({"target_modules": "q_proj"}, "matches no linear layer"),
        ({"target_modules": ["head"], "exclude_modules": ["head"]}, "matches no linear layer"),
        ({"target_modules": ["norm", "mlp"]}, "matches block.norm, a LayerNorm, which is not lin"),
        ({"target_modules": ["words"]}, "matches words, a Embedding, which is not linear"),
        ({"target_modules": ["(q"]}, r"pattern '\(q' is not a regular expression"),
        ({"modules_to_save": ["classifier"]}, r"modules_to_save=\['classifier'\] matches no mod"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_one_line(
    patterns: dict[str, object], message: str
) -> None:
    converted = model()
    with pytest.raises(ValueError, match=message) as caught:
        convert_to_quantum_lora(converted, r=4, n_photons=1, **patterns)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not any(isinstance(m, QuantumLoRALayer) for m in converted.modules())


def test_a_pattern_without_effect_beside_others_is_warned_about() -> None:
    with pytest.warns(UserWarning, match="'v_proj' matches no layer") as caught:
        convert_to_quantum_lora(model(), r=4, target_modules=["q_proj", "v_proj"])
    assert [warning.filename for warning in caught] == [__file__]


def test_a_layer_that_is_used_twice_is_adapted_once_and_in_both_places() -> None:
    shared = nn.Linear(4, 4)
    tied = nn.ModuleDict({"a": shared, "b": shared, "c": nn.Linear(4, 4)})
    adapted = convert_to_quantum_lora(tied, r=4, target_modules=["b"])
    assert list(adapted) == ["a"]
    assert tied["a"] is tied["b"] is adapted["a"]


def test_a_model_that_is_a_linear_layer_is_sent_to_the_layer_class() -> None:
    with pytest.raises(ValueError, match="take QuantumLoRALayer"):
        convert_to_quantum_lora(nn.Linear(4, 4), r=4)


def test_a_layer_whose_size_is_not_known_yet_is_not_linear() -> None:
    lazy = nn.ModuleDict({"a": nn.LazyLinear(4)})
    with pytest.raises(ValueError, match="matches a, a LazyLinear"):
        convert_to_quantum_lora(lazy, r=4, target_modules=["a"])
