"""One adapter of one layer: down, bottleneck, up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from qlmbench.adapters.bottlenecks import OwnCircuit, make_bottleneck
from qlmbench.adapters.config import QuantumLoRAConfig
from qlmbench.seeding import seed_for

if TYPE_CHECKING:
    from qlmbench.adapters.bottlenecks import BottleneckModule


def empty_linear(n_in: int, n_out: int, dtype: torch.dtype) -> nn.Linear:
    """Make a linear layer without bias whose weights are yet to be set.

    It draws nothing from torch's global generator, as `torch.nn.Linear` would.
    """
    layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, n_in, n_out, bias=False, dtype=dtype
    )
    return layer


class QuantumLoRAAdapter(nn.Module):
    r"""The update of one layer, ``(alpha / r) Up(Q(Down x))``; zero before the first step.

    Down starts as LoRA's (Kaiming uniform with :math:`a = \sqrt 5`; Hu et al., arXiv 2106.09685),
    Up at zero.

    Parameters
    ----------
    n_in, n_out : int
        Widths of the layer.
    config : QuantumLoRAConfig
        The settings.
    name : str
        Name of the layer, which the initial values depend on.
    dtype : torch.dtype
        float32 or float64.
    device : torch.device
        Where it computes.
    circuit : torch.nn.Module or callable, optional
        With ``ansatz="custom"``; see `convert_to_quantum_lora`.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        config: QuantumLoRAConfig,
        *,
        name: str = "",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        circuit: OwnCircuit | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        self.down = empty_linear(n_in, config.r, dtype)
        seed = seed_for("initialisation", seed=config.seed, layer=name, part="circuit")
        self.bottleneck = make_bottleneck(config, seed, dtype, circuit)
        q_out = cast("BottleneckModule", self.bottleneck).n_out
        self.up = empty_linear(q_out, n_out, dtype)
        self._start(seed_for("initialisation", seed=config.seed, layer=name, part="down"))
        self._frozen = {key for key, p in self.named_parameters() if not p.requires_grad}
        self.to(device)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., n_in) to the update (..., n_out)."""
        if not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.down.weight.dtype)
        values: Tensor = self.down(self.dropout(x))
        outputs: Tensor = self.bottleneck(values.reshape(-1, self.config.r))
        # The few values are scaled, not the many that Up makes of them.
        update: Tensor = self.up(outputs.to(self.up.weight.dtype) * self.config.scaling)
        return update.view(*x.shape[:-1], update.shape[-1])

    def set_trainable(self, trainable: bool) -> None:
        """Train or freeze it; a circuit that the settings freeze stays frozen."""
        for key, parameter in self.named_parameters():
            parameter.requires_grad_(trainable and key not in self._frozen)

    def n_parameters(self, part: str = "") -> int:
        """Count parameters: all, or those of "down", "bottleneck" or "up"; frozen ones too."""
        return sum(p.numel() for key, p in self.named_parameters() if key.startswith(part))

    @torch.no_grad()
    def _start(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        # Drawn in float64, so that both precisions start from the same values.
        start = torch.empty(self.down.weight.shape, dtype=torch.float64)
        nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
        self.down.weight.copy_(start)
        self.up.weight.zero_()
