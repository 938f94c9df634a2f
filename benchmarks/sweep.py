"""The whole photonic sweep: all seeds in one stack, against a loop over merlin's QuantumLayer."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import merlin
import numpy as np
import torch
from harness import Report, Setting, Work, interleave, run_alone, total_seconds
from torch import Tensor, nn

from qlmbench.models.photonic import PhotonicClassifier, PhotonicNetwork
from qlmbench.models.training import FloatArray, IntArray
from qlmbench.report.speed_results import OURS, Value
from qlmbench.seeding import seed_for

N_FEATURES = 768
BATCHES = (("16", 16, 16), ("32", 64, 32), ("all 500", 500, None))
"""Label, training rows and rows a step."""
LEARNING_RATE = 1e-2
Rows = list[tuple[FloatArray, IntArray]]


def shapes(quick: bool) -> list[tuple[int, int]]:
    """List modes and photons."""
    modes = (2, 8) if quick else (2, 4, 6, 8)
    return [(m, n) for m in modes for n in range(1, m // 2 + 1)]


def draw_rows(repetitions: int, n_rows: int) -> Rows:
    """Draw features as long as sentence embeddings, and two equally frequent classes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(repetitions, n_rows, N_FEATURES))
    X /= np.linalg.norm(X, axis=2, keepdims=True)
    y = np.tile([0, 1], n_rows // 2)
    return [(X[r], y) for r in range(repetitions)]


class MerlinHead(nn.Module):
    """The head as a user of merlin writes it."""

    def __init__(self, n_modes: int, n_photons: int) -> None:
        super().__init__()
        builder = merlin.CircuitBuilder(n_modes=n_modes)
        builder.add_entangling_layer(trainable=True, name="UA")
        builder.add_angle_encoding(modes=list(range(n_modes)), name="x")
        builder.add_entangling_layer(trainable=True, name="UB")
        space = merlin.ComputationSpace.UNBUNCHED
        self.encoder = nn.Linear(N_FEATURES, n_modes)
        self.quantum = merlin.QuantumLayer(
            input_size=n_modes,
            builder=builder,
            n_photons=n_photons,
            measurement_strategy=merlin.MeasurementStrategy.probs(space),
        )
        self.readout = nn.Linear(math.comb(n_modes, n_photons), 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows to logits."""
        logits: Tensor = self.readout(self.quantum(math.pi * torch.sigmoid(self.encoder(x))))
        return logits

    @torch.no_grad()
    def start_from(self, network: PhotonicNetwork, r: int) -> None:
        """Take the initial parameters of copy r of our stack."""
        ours = dict(network.named_parameters())
        self.encoder.weight.copy_(ours["encoder.0.weight"][r])
        self.encoder.bias.copy_(ours["encoder.0.bias"][r, :, 0])
        self.readout.weight.copy_(ours["readout.weight"][r])
        self.readout.bias.copy_(ours["readout.bias"][r, :, 0])
        meshes = list(self.quantum.parameters())
        for mesh, angles in zip(meshes, ours["circuit.angles"][r], strict=True):
            mesh.copy_(angles)


def train(
    head: MerlinHead, X: Tensor, y: Tensor, size: int | None, epochs: int, seed: int
) -> list[float]:
    """Train one head with torch.optim.Adam, as in merlin's tutorials; return its losses."""
    optimiser = torch.optim.Adam(head.parameters(), lr=LEARNING_RATE)
    order = torch.Generator().manual_seed(seed_for("batches", seed=seed))
    losses = []
    for _ in range(epochs):
        whole = size is None or size >= len(y)
        rows = torch.arange(len(y)) if whole else torch.randperm(len(y), generator=order)
        total = 0.0
        for batch in torch.split(rows, size or len(y)):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(head(X[batch]), y[batch])
            torch.autograd.backward(loss)
            optimiser.step()
            total += float(loss.detach()) * len(batch)
        losses.append(total / len(y))
    return losses


def our_heads(
    shape: tuple[int, int], size: int | None, epochs: int, repetitions: int
) -> list[PhotonicClassifier]:
    """Make the unfitted heads of one arm."""
    return [
        PhotonicClassifier(
            *shape,
            epochs=epochs,
            batch_size=size,
            learning_rate=LEARNING_RATE,
            precision="single",
            random_state=r,
        )
        for r in range(repetitions)
    ]


def our_side(
    shape: tuple[int, int], rows: Rows, size: int | None, epochs: int
) -> list[PhotonicClassifier]:
    """Train all repetitions in one stack; return the fitted heads."""
    heads = our_heads(shape, size, epochs, len(rows))
    for fitted in PhotonicClassifier.fit_many(heads, [(X, y, None, None) for X, y in rows]):
        if isinstance(fitted, Exception):
            raise fitted
    return heads


def merlin_side(
    shape: tuple[int, int], rows: Rows, size: int | None, epochs: int
) -> Callable[[], list[list[float]]]:
    """Prepare the loop over seeds: heads are made here, which is not timed."""
    heads = our_heads(shape, size, epochs, len(rows))
    network = PhotonicClassifier.build(heads, N_FEATURES, 2, torch.float32)
    loop = [MerlinHead(*shape) for _ in rows]
    for r, head in enumerate(loop):
        head.start_from(network, r)
    data = [(torch.tensor(X, dtype=torch.float32), torch.tensor(y)) for X, y in rows]

    def work() -> list[list[float]]:
        pairs = enumerate(zip(loop, data, strict=True))
        return [train(head, X, y, size, epochs, r) for r, (head, (X, y)) in pairs]

    return work


def check(report: Report, quick: bool) -> None:
    """Both sides must have equal losses, epoch by epoch, from equal initial parameters."""
    for label, n_rows, size in BATCHES[:2]:
        worst, rows = 0.0, draw_rows(2, n_rows)
        for shape in shapes(quick):
            ours = [head.history_.train_loss for head in our_side(shape, rows, size, 3)]
            difference = np.abs(np.array(ours) - np.array(merlin_side(shape, rows, size, 3)()))
            worst = max(worst, float(difference.max()))
        what = f"batch {label}: largest difference of a training loss over 3 epochs, any shape"
        report.check(what, worst, 1e-5)


def main(setting: Setting) -> None:
    """Measure."""
    repetitions = 3 if setting.quick else 20
    report = Report(
        "sweep",
        f"Training of the corrected photonic head (768 features, {repetitions} repetitions, "
        "unbunched, single precision, one core) for every number of modes and photons: fit_many "
        "with everything it does, against a plain loop over merlinquantum's QuantumLayer with "
        "torch.optim.Adam, whose set-up is not counted. Few epochs are run and times are per "
        "step of all repetitions, so that they hold for any number of epochs.",
        setting,
    )
    check(report, setting.quick)
    for label, n_rows, size in BATCHES:
        measure(report, label, draw_rows(repetitions, n_rows), size)
    report.finish()


def measure(report: Report, label: str, rows: Rows, size: int | None) -> None:
    """Time both sides on every shape at one batch size."""
    setting, n_rows = report.setting, len(rows[0][1])
    steps = -(-n_rows // (size or n_rows))
    # Set-up and unstacking are in our time: spread over fewer epochs than a real training has.
    many = 100 // steps if n_rows < 100 else 20
    ours, theirs = (10 if setting.quick else many), 1
    timings = []
    for shape in shapes(setting.quick):
        sides: dict[str, Work] = {
            OURS: partial(our_side, shape, rows, size, ours),
            "merlinquantum": merlin_side(shape, rows, size, theirs),
        }
        seconds = interleave(sides, setting.rounds(5 if n_rows < 100 else 3))
        per_step = {
            side: [s / (steps * (ours if side == OURS else theirs)) for s in values]
            for side, values in seconds.items()
        }
        case: dict[str, Value] = {
            "batch": label,
            "modes": shape[0],
            "photons": shape[1],
            "repetitions": len(rows),
        }
        unit = "training step of all repetitions"
        timings.append(report.add("by shape", case, unit, per_step))
    whole_case: dict[str, Value] = {
        "batch": label,
        "repetitions": len(rows),
        "shapes": len(timings),
    }
    unit = "training step of all repetitions, all shapes"
    whole = report.add("whole sweep", whole_case, unit, total_seconds(timings))
    if label == "16":
        report.bar("the whole sweep at batch 16, one core", 50, whole.ratios["merlinquantum"])


if __name__ == "__main__":
    run_alone(main, __doc__)
