"""The photonic circuit computed by merlin: one QuantumLayer a repetition, in a loop."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from qlmbench.quantum.photonic import PhotonicCircuit

if TYPE_CHECKING:
    from merlin import QuantumLayer
    from perceval import AProcessor


class MerlinCircuit(torch.nn.Module):
    """A stack of merlin QuantumLayers with the inputs and outputs of ``PhotonicCircuit``.

    It computes the same numbers more slowly, and it is the way to Perceval's processors, local or
    remote: see ``on_processor``.

    Parameters
    ----------
    n_modes, n_photons : int
        As in ``PhotonicCircuit``.
    **options
        ``repetitions``, ``input_state``, ``n_blocks``, ``mesh``, ``space``, ``readout``,
        ``n_groups``, ``trainable``, ``init_scale``, ``seeds`` and ``dtype``, as in
        ``PhotonicCircuit``; the same seeds give the same angles.

    Attributes
    ----------
    layers : torch.nn.ModuleList
        The QuantumLayers, one a repetition.
    output_size : int
        Number of outputs of a sample.

    Raises
    ------
    ValueError
        If an option does not fit, or merlin's layer does not have it (noise, shots).
    """

    def __init__(self, n_modes: int, n_photons: int | None = None, **options: Any) -> None:
        super().__init__()
        # the same circuit of our own checks the options, draws the angles and knows the outputs
        twin = PhotonicCircuit(n_modes, n_photons, **options)
        self.repetitions = twin.repetitions
        self.n_modes, self.n_blocks = twin.n_modes, twin.n_blocks
        self.output_size = twin.output_size
        self.readout = twin.readout
        self.layers = torch.nn.ModuleList(twin.to_merlin(r) for r in range(twin.repetitions))
        self._expected = (twin.repetitions, twin.n_blocks * twin.n_modes, twin.angles.dtype)
        self._angle_shape = twin.angles.shape
        self._readout_matrix = twin.readout_matrix

    @property
    def angles(self) -> Tensor:
        """A detached copy of the angles, [R, n_blocks + 1, angles of a mesh]."""
        flat = [torch.cat([p.detach().flatten() for p in q.parameters()]) for q in self.layers]
        return torch.stack(flat).view(self._angle_shape)

    def load_angles(self, angles: Tensor) -> None:
        """Set the angles of all repetitions.

        Parameters
        ----------
        angles : Tensor
            [R, n_blocks + 1, angles of a mesh], such as ``PhotonicCircuit.angles``.

        Raises
        ------
        ValueError
            If the shape is another one.
        """
        if angles.shape != self._angle_shape:
            raise ValueError(
                f"angles have shape {tuple(angles.shape)}; expected {tuple(self._angle_shape)}"
            )
        with torch.no_grad():
            for layer, values in zip(self.layers, angles, strict=True):
                parameters = list(layer.parameters())
                parts = values.flatten().split([p.numel() for p in parameters])
                for parameter, part in zip(parameters, parts, strict=True):
                    parameter.copy_(part)

    def forward(self, phases: Tensor) -> Tensor:
        """Run every repetition on its own samples, one after the other.

        Parameters
        ----------
        phases : Tensor
            [R, B, n_blocks * n_modes] in radians.

        Returns
        -------
        Tensor
            [R, B, output_size].

        Raises
        ------
        ValueError
            If the shape or the dtype does not fit.
        """
        self._check_phases(phases)
        pairs = zip(self.layers, phases, strict=True)
        return torch.stack([layer(samples) for layer, samples in pairs])

    def on_processor(
        self, phases: Tensor, processor: "AProcessor", n_samples: int | None = None
    ) -> Tensor:
        """Run every repetition on a Perceval processor, without gradients.

        Parameters
        ----------
        phases : Tensor
            [R, B, n_blocks * n_modes] in radians.
        processor : perceval.AProcessor
            Local, such as ``perceval.Processor("SLOS", n_modes)``, or remote, such as
            ``perceval.RemoteProcessor("sim:belenos")``.
        n_samples : int, optional
            Shots for each sample. Without it, exact probabilities where the processor has them.

        Returns
        -------
        Tensor
            [R, B, output_size]. Unbunched probabilities are renormalised, as in ``forward``;
            MerlinProcessor itself returns exact ones as they are.

        Raises
        ------
        ValueError
            If the readout is amplitudes, which no processor measures, or the phases do not fit.
        """
        from merlin import MerlinProcessor

        self._check_phases(phases)
        if self.readout == "amplitudes":
            raise ValueError("a processor measures no amplitudes; take another readout")
        runner = MerlinProcessor(processor=processor)
        with torch.no_grad():
            pairs = zip(self._measured_layers(), phases, strict=True)
            probs = torch.stack(
                [runner.forward(layer, samples, nsample=n_samples) for layer, samples in pairs]
            )
            probs = probs / probs.sum(-1, keepdim=True)
            return probs if self._readout_matrix is None else probs @ self._readout_matrix

    def _measured_layers(self) -> "list[QuantumLayer]":
        """Return layers that give the probability of each state, which is what is measured."""
        measured = PhotonicCircuit.from_merlin(
            list(self.layers), readout="probabilities", n_groups=None
        )
        return [measured.to_merlin(r).eval() for r in range(self.repetitions)]

    def _check_phases(self, phases: Tensor) -> None:
        repetitions, width, dtype = self._expected
        if phases.dim() != 3 or phases.shape[0] != repetitions or phases.shape[2] != width:
            raise ValueError(
                f"phases have shape {tuple(phases.shape)}; expected [{repetitions}, batch, {width}]"
            )
        if phases.dtype != dtype:
            raise ValueError(f"phases are {phases.dtype}, the layers compute in {dtype}")
