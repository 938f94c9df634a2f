"""Settings of an adapter: checked at once, one line for a mistake, the same after JSON."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlmbench.adapters.config import QuantumLoRAConfig


@st.composite
def configs(draw: st.DrawFn) -> QuantumLoRAConfig:
    r = draw(st.integers(2, 8))
    return QuantumLoRAConfig(
        r=r,
        n_photons=draw(st.integers(1, r - 1)),
        alpha=draw(st.floats(-10, 10)),
        target_modules=draw(st.sampled_from([None, "all-linear", ["q_proj", r".*\.v"]])),
        modules_to_save=draw(st.sampled_from([None, ["classifier"]])),
        ansatz=draw(st.sampled_from(["simple", "universal", "hardware_efficient"])),
        n_blocks=draw(st.sampled_from([None, 2])),
        space=draw(st.sampled_from(["unbunched", "fock"])),
        readout=draw(st.sampled_from(["mode_expectations", "grouped", "probabilities"])),
        indistinguishability=draw(st.sampled_from([0.0, 0.5, 1.0])),
        train_circuit=draw(st.booleans()),
        dropout=draw(st.floats(0, 0.9)),
        seed=draw(st.integers(0, 10)),
    )


@given(config=configs())
@settings(max_examples=30, deadline=None)
def test_settings_are_the_same_after_json(config: QuantumLoRAConfig) -> None:
    assert QuantumLoRAConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ansatz": "univrsal"}, r"ansatz='univrsal' \(did you mean 'universal'\?\)"),
        ({"n_photons": 5}, "n_photons=5, r=4; expected at most one photon a mode"),
        ({"n_photons": 4}, "4 photons in r=4 modes have one unbunched outcome"),
        ({"r": 1}, "a circuit needs at least 2 modes"),
        ({"r": 0}, "r=0; expected a whole number, at least 1"),
        ({"r": 2.0}, "r=2.0; expected a whole number"),
        ({"alpha": float("nan")}, "alpha=nan; expected a finite number"),
        ({"dropout": 1.0}, "dropout=1.0; expected a number from 0 to below 1"),
        ({"indistinguishability": 2}, "indistinguishability=2"),
        ({"indistinguishability": "none"}, "indistinguishability='none'"),
        ({"readout": "amplitudes"}, "readout='amplitudes'; expected one of"),
        ({"target_modules": []}, "target_modules is empty"),
        ({"target_modules": [1]}, "expected a string or a list of strings"),
        ({"bottleneck": "tanh", "n_photons": 2}, "n_photons=2, but bottleneck='tanh' has no"),
        ({"ansatz": "custom", "readout": "grouped"}, "a circuit of one's own brings its own"),
    ],
)
def test_a_wrong_setting_is_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        QuantumLoRAConfig(**options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "LORA"}, "peft_type='LORA'; expected 'QUANTUM_LORA'"),
        ({"format": 2}, "format=2; expected 1"),
        ({"alhpa": 2}, r"unknown key 'alhpa' \(did you mean 'alpha'\?\)"),
    ],
)
def test_settings_of_another_kind_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QuantumLoRAConfig.from_dict(QuantumLoRAConfig().to_dict() | change)
