"""The published proposal as it was, faults included, so that it can be an arm of a study.

Use `convert_to_quantum_lora` for anything else. Source: pull request 144 of merlinquantum/merlin.
What is wrong here, each shown by a test: ``hardware_efficient`` does not see its input, since a
phase on a Fock state is a global one; ``universal`` is the function class of ``simple``, since
consecutive meshes multiply into one; an input of more than two dimensions raises; patterns see a
layer's own name, not its dotted one; exclusions do nothing; torch's attention breaks; a second
call wraps the adapter's own layers; what is not adapted stays trainable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qlmbench.adapters.adapter import empty_linear
from qlmbench.quantum.mesh import mesh_unitaries
from qlmbench.quantum.photonic import PhotonicCircuit
from qlmbench.ranges import check_choice
from qlmbench.seeding import seed_for

MESHES: dict[str, tuple[int, int]] = {
    "simple": (1, 1),
    "universal": (1, 3),
    "hardware_efficient": (0, 3),
}
"""Meshes before and after the one encoding."""


class AsPublishedCircuit(PhotonicCircuit):
    """The published circuits: meshes, one phase a mode, meshes; unbunched probabilities.

    Parameters
    ----------
    n_modes, n_photons : int
        Number of modes and of photons.
    ansatz : {"simple", "universal", "hardware_efficient"}
        One of `MESHES`.
    seed : int
        Of the angles.
    dtype : torch.dtype
        float32 or float64.

    Attributes
    ----------
    angles : torch.nn.Parameter
        [1, meshes, m (m - 1)] in radians, in merlin's order.
    """

    def __init__(
        self,
        n_modes: int,
        n_photons: int,
        ansatz: str = "simple",
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_choice("ansatz", ansatz, list(MESHES))
        self._before, after = MESHES[ansatz]
        # As many angles as meshes; but there is one encoding, whatever the number of meshes.
        super().__init__(
            n_modes, n_photons, n_blocks=self._before + after - 1, seeds=[seed], dtype=dtype
        )
        self.n_blocks = 1
        self.stages = ("mesh",) * self._before + ("encoding",) + ("mesh",) * after

    def unitaries(self) -> Tensor:
        """Return the products of the meshes before and after the encoding, [1, 2, m, m]."""
        meshes = mesh_unitaries(self.angles, self.n_modes, self.mesh)[0]
        one = torch.eye(self.n_modes, dtype=meshes.dtype, device=meshes.device)
        before, after = one, one
        for number, unitary in enumerate(meshes):
            if number < self._before:
                before = unitary @ before
            else:
                after = unitary @ after
        return torch.stack([before, after])[None]


class AsPublishedQuantumLoRALayer(nn.Module):
    """A linear layer and the published update; see the module for its faults.

    Parameters
    ----------
    original_layer : torch.nn.Linear
        The layer, which is frozen.
    r, n_photons : int
        Number of modes and of photons.
    alpha : float
        Factor of the update, divided by r.
    ansatz : {"simple", "universal", "hardware_efficient"}
        The circuit.
    seed : int
        Of the initial values.
    """

    def __init__(
        self,
        original_layer: nn.Linear,
        r: int,
        n_photons: int,
        alpha: float = 1.0,
        ansatz: str = "simple",
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        dtype = original_layer.weight.dtype
        self.original_layer = original_layer.requires_grad_(False)
        self.scaling = alpha / r
        self.lora_down = empty_linear(original_layer.in_features, r, dtype)
        self.circuit = AsPublishedCircuit(
            r,
            n_photons,
            ansatz,
            seed=seed_for("initialisation", seed=seed, part="circuit"),
            dtype=dtype,
        )
        n_out = original_layer.out_features
        self.lora_up = empty_linear(self.circuit.output_size, n_out, dtype)
        generator = torch.Generator().manual_seed(
            seed_for("initialisation", seed=seed, part="down")
        )
        nn.init.kaiming_uniform_(self.lora_down.weight, a=math.sqrt(5), generator=generator)
        nn.init.zeros_(self.lora_up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in) to (N, out); more dimensions raise ValueError, as published."""
        outputs = self.circuit(self.lora_down(x)[None])[0]
        update: Tensor = self.lora_up(outputs) * self.scaling
        base: Tensor = self.original_layer(x)
        return base + update


def convert_as_published(
    model: nn.Module,
    r: int,
    n_photons: int,
    alpha: float = 1.0,
    target_modules: Sequence[str] | None = None,
    exclude_modules: Sequence[str] | None = None,
    ansatz: str = "simple",
    *,
    seed: int = 0,
) -> nn.Module:
    """Replace linear layers as published: see the module for the faults.

    Parameters
    ----------
    model : torch.nn.Module
        The model, which is changed in place.
    r, n_photons, alpha, ansatz, seed
        See `AsPublishedQuantumLoRALayer`.
    target_modules : sequence of str, optional
        Regular expressions that are searched in a layer's own name.
    exclude_modules : sequence of str, optional
        Without effect.

    Returns
    -------
    torch.nn.Module
        The model.
    """
    for number, (name, child) in enumerate(model.named_children()):
        layer_seed = seed_for("initialisation", seed=seed, layer=name, number=number)
        if not isinstance(child, nn.Linear):
            convert_as_published(
                child, r, n_photons, alpha, target_modules, exclude_modules, ansatz, seed=layer_seed
            )
        elif target_modules is None or any(re.search(p, name) for p in target_modules):
            layer = AsPublishedQuantumLoRALayer(child, r, n_photons, alpha, ansatz, seed=layer_seed)
            setattr(model, name, layer)
    return model
