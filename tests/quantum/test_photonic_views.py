"""The circuit in merlin, on Perceval's processors, and as a drawing."""

import perceval
import pytest
import torch

from qlmbench.quantum.merlin_backend import MerlinCircuit
from qlmbench.quantum.photonic import PhotonicCircuit

SHAPES = [
    {},
    {"space": "fock", "n_groups": 5},
    {"readout": "mode_expectations"},
    {"n_blocks": 2, "mesh": "mzi+phases"},
]


def phases_for(circuit, width=4):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(circuit.repetitions, 2, width, generator=generator, dtype=torch.float64)


def both(**options):
    options = {"repetitions": 2, "dtype": torch.float64, **options}
    return PhotonicCircuit(4, 2, **options), MerlinCircuit(4, 2, **options)


@pytest.mark.parametrize("options", SHAPES)
def test_merlin_backend_starts_from_the_same_angles_and_gives_the_same_outputs(options):
    ours, merlins = both(**options)
    phases = phases_for(ours, 4 * ours.n_blocks)
    assert torch.equal(ours.angles, merlins.angles)
    assert merlins(phases).shape == (2, 2, merlins.output_size)
    assert torch.allclose(ours(phases), merlins(phases), atol=1e-12)


def test_merlin_backend_takes_angles_and_gives_them_back():
    ours, merlins = both(seeds=[5, 6])
    other = PhotonicCircuit(4, 2, repetitions=2, seeds=[7, 8], dtype=torch.float64)
    merlins.load_angles(other.angles)
    phases = phases_for(ours)
    assert torch.equal(merlins.angles, other.angles)
    assert torch.allclose(merlins(phases), other(phases), atol=1e-12)
    assert torch.equal(PhotonicCircuit.from_merlin(list(merlins.layers)).angles, other.angles)
    with pytest.raises(ValueError, match="angles have shape"):
        merlins.load_angles(other.angles[:1])


def test_merlin_backend_trains_only_where_asked():
    _, merlins = both(trainable=False)
    assert not any(p.requires_grad for p in merlins.parameters())
    _, merlins = both()
    merlins(phases_for(merlins))[..., 0].sum().backward()
    assert all(p.grad is not None for p in merlins.parameters())


@pytest.mark.parametrize("options", SHAPES)
def test_merlin_backend_runs_on_a_local_processor(options):
    ours, merlins = both(**options)
    phases = phases_for(ours, 4 * ours.n_blocks)
    exact = merlins.on_processor(phases, perceval.Processor("SLOS", 4))
    assert torch.allclose(exact, ours(phases), atol=1e-6)


def test_merlin_backend_samples_on_a_local_processor():
    ours, merlins = both()
    phases = phases_for(ours)
    perceval.random_seed(3)
    sampled = merlins.on_processor(phases, perceval.Processor("SLOS", 4), n_samples=5000)
    difference = (sampled - ours(phases)).abs().max().item()
    assert 0 < difference < 0.05


def test_merlin_backend_refuses_what_does_not_fit():
    _, merlins = both()
    with pytest.raises(ValueError, match=r"expected \[2, batch, 4\]"):
        merlins(torch.zeros(2, 3, 5, dtype=torch.float64))
    with pytest.raises(ValueError, match="the layers compute in"):
        merlins(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match="noise or shots"):
        MerlinCircuit(4, 2, shots=10)
    with pytest.raises(ValueError, match="merlin renormalises"):
        MerlinCircuit(4, 2, renormalise=False)
    _, amplitudes = both(readout="amplitudes")
    with pytest.raises(ValueError, match="measures no amplitudes"):
        amplitudes.on_processor(phases_for(merlins), perceval.Processor("SLOS", 4))


def test_a_layer_built_in_another_way_is_refused():
    from merlin import CircuitBuilder, ComputationSpace, MeasurementStrategy, QuantumLayer

    def layer(*parts, width=3):
        builder = CircuitBuilder(n_modes=3)
        for part, name in parts:
            if part == "mesh":
                builder.add_entangling_layer(trainable=True, name=name)
            else:
                builder.add_angle_encoding(modes=list(range(width)), name=name)
        return QuantumLayer(
            input_size=width,
            builder=builder,
            n_photons=1,
            measurement_strategy=MeasurementStrategy.probs(ComputationSpace.UNBUNCHED),
        )

    backwards = layer(("mesh", "UA"), ("mesh", "UB"), ("encoding", "x"))
    with pytest.raises(ValueError, match="not built as mesh, encoding, mesh"):
        PhotonicCircuit.from_merlin(backwards)
    narrow = layer(("mesh", "UA"), ("encoding", "x"), ("mesh", "UB"), width=2)
    with pytest.raises(ValueError, match="one encoded phase on every mode"):
        PhotonicCircuit.from_merlin(narrow)
    good = layer(("mesh", "UA"), ("encoding", "x"), ("mesh", "UB"))
    other = PhotonicCircuit(4, 2).to_merlin()
    with pytest.raises(ValueError, match="one shape for all"):
        PhotonicCircuit.from_merlin([good, other])


def test_open_phases_are_parameters_of_the_exported_circuit():
    exported = PhotonicCircuit(3, n_blocks=2).to_perceval()
    free = [p.name for p in exported.get_parameters()]
    assert free == ["x1", "x2", "x3", "x4", "x5", "x6"]


def test_export_refuses_another_repetition_or_width():
    circuit = PhotonicCircuit(3, repetitions=2)
    with pytest.raises(ValueError, match="from 0 to 1"):
        circuit.to_perceval(2)
    with pytest.raises(ValueError, match=r"expected \(3,\)"):
        circuit.to_perceval(0, [0.1, 0.2])


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_drawing_is_written_without_a_display(tmp_path, suffix, start):
    path = tmp_path / f"circuit{suffix}"
    PhotonicCircuit(4, 2).draw(path)
    assert path.read_bytes().startswith(start)


def test_drawing_refuses_other_formats(tmp_path):
    with pytest.raises(ValueError, match=r"\.svg or \.png"):
        PhotonicCircuit(4, 2).draw(tmp_path / "circuit.gif")
