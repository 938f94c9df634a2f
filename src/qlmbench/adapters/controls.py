"""The same adapter with something simpler in the circuit's place."""

from __future__ import annotations

from dataclasses import replace

from qlmbench.adapters.config import Bottleneck, QuantumLoRAConfig

CLASSICAL: tuple[Bottleneck, ...] = ("linear", "tanh", "cosine", "sine", "relu")


def control_configs(config: QuantumLoRAConfig) -> dict[str, QuantumLoRAConfig]:
    """Return settings of the controls of an adapter; all else, the seed included, stays equal.

    Parameters
    ----------
    config : QuantumLoRAConfig
        With a photonic bottleneck.

    Returns
    -------
    dict of str to QuantumLoRAConfig
        "linear" (LoRA at the same r), "tanh", "cosine", "sine", "relu"; "frozen" (the circuit
        stays as drawn); with several photons also "one-photon" and "distinguishable".

    Raises
    ------
    ValueError
        If the adapter has no circuit, or one of the user's own.
    """
    if config.bottleneck != "photonic" or config.ansatz == "custom":
        raise ValueError(
            f"bottleneck={config.bottleneck!r}, ansatz={config.ansatz!r}; expected the settings "
            "of an adapter with one of the circuits of this package"
        )
    found: dict[str, QuantumLoRAConfig] = {kind: _classical(config, kind) for kind in CLASSICAL}
    found["frozen"] = replace(config, train_circuit=False)
    if config.n_photons > 1:
        found["one-photon"] = replace(config, n_photons=1)
        found["distinguishable"] = replace(config, indistinguishability=0.0)
    return found


def _classical(config: QuantumLoRAConfig, kind: Bottleneck) -> QuantumLoRAConfig:
    return QuantumLoRAConfig(
        r=config.r,
        alpha=config.alpha,
        target_modules=config.target_modules,
        exclude_modules=config.exclude_modules,
        modules_to_save=config.modules_to_save,
        bottleneck=kind,
        dropout=config.dropout,
        seed=config.seed,
    )
