"""What an adapter is made of: a frozen record that is checked at once and saved as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypedDict

from qlmbench.errors import nearest
from qlmbench.quantum.fock import SPACES, Space
from qlmbench.ranges import check_choice, check_share, check_whole

Ansatz = Literal["simple", "universal", "hardware_efficient", "custom"]
Readout = Literal["mode_expectations", "grouped", "probabilities"]
Bottleneck = Literal["photonic", "linear", "tanh", "cosine", "sine", "relu"]

ENCODINGS: dict[str, int] = {"simple": 1, "universal": 3, "hardware_efficient": 2, "custom": 1}
"""Times that each ansatz encodes its input, unless ``n_blocks`` says otherwise."""
READOUTS: tuple[Readout, ...] = ("mode_expectations", "grouped", "probabilities")
BOTTLENECKS: tuple[Bottleneck, ...] = ("photonic", "linear", "tanh", "cosine", "sine", "relu")
ALL_LINEAR = "all-linear"
PEFT_TYPE = "QUANTUM_LORA"
FORMAT = 1
"""Version of the saved folder."""

_OF_ANSATZES = ("n_blocks", "space", "readout", "indistinguishability")
_OF_CIRCUITS = ("n_photons", "ansatz", "train_circuit", *_OF_ANSATZES)

Patterns = str | Sequence[str] | None


class AdapterOptions(TypedDict, total=False):
    """Options of `QuantumLoRAConfig` that the documented signature of a conversion leaves out."""

    n_blocks: int | None
    space: Space
    readout: Readout
    indistinguishability: float
    train_circuit: bool
    bottleneck: Bottleneck
    dropout: float
    modules_to_save: Patterns
    seed: int


@dataclass(frozen=True)
class QuantumLoRAConfig:
    r"""Settings of one adapter: ``h = W0 x + (alpha / r) Up(Q(Down x))``.

    Attributes
    ----------
    r : int
        Width of the bottleneck: modes of the circuit, values that Down makes.
    n_photons : int
        Photons in the circuit, at most one a mode at its input.
    alpha : float
        Factor of the update, divided by ``r``.
    target_modules : str, sequence of str or None
        Which linear layers are adapted. An item of a sequence is a regular expression that has to
        match the dotted name of a layer, or its end from a dot on, as ``"q_proj"`` does; one
        string has to match the whole name (peft's rule). ``"all-linear"`` means all but the
        output layer of a transformers model, None means all.
        The packed projections of a `torch.nn.MultiheadAttention` have the names ``q_proj``,
        ``k_proj`` and ``v_proj`` there.
    exclude_modules : str, sequence of str or None
        Which of them are left alone, by the same rule. Exclusions win.
    modules_to_save : str, sequence of str or None
        Modules that stay trainable as they are, such as a classifier head, and are saved with the
        adapter. They are not adapted.
    ansatz : {"simple", "universal", "hardware_efficient", "custom"}
        ``simple``: mesh, one phase a mode, mesh. ``universal``: as many meshes as were published
        under that name, with the data uploaded again between them. ``hardware_efficient``: meshes
        of two columns of nearest-neighbour interferometers, the data between them. ``custom``: a
        circuit of one's own, which is not part of the saved settings.
    n_blocks : int or None
        Times that the data is encoded. None: 1, 3 and 2, in the order above.
    space : {"unbunched", "fock"}
        Outcomes that count: at most one photon a mode (post-selected), or all.
    readout : {"mode_expectations", "grouped", "probabilities"}
        What Up sees: the mean photon number of each mode; probabilities summed, neighbours
        together, into r groups; all probabilities, which makes Up larger than that of LoRA. In the
        whole Fock space mean photon numbers are sums over photons, each as if it were alone: they
        show no interference between photons.
    indistinguishability : float
        1 for identical photons, 0 for distinguishable ones.
    train_circuit : bool
        False leaves the circuit as drawn.
    bottleneck : {"photonic", "linear", "tanh", "cosine", "sine", "relu"}
        The circuit, or a control in its place. ``linear`` is LoRA.
    dropout : float
        Share of the adapter's inputs set to zero in training, by torch's own generator, as that of
        the model's other dropouts.
    seed : int
        Initial values depend on it and on the name of the layer alone.

    Raises
    ------
    ValueError
        If an option is unknown or out of its range, or if options do not fit each other.
    """

    r: int = 4
    n_photons: int = 1
    alpha: float = 1.0
    target_modules: Patterns = None
    exclude_modules: Patterns = None
    modules_to_save: Patterns = None
    ansatz: Ansatz = "simple"
    n_blocks: int | None = None
    space: Space = "unbunched"
    readout: Readout = "mode_expectations"
    indistinguishability: float = 1.0
    train_circuit: bool = True
    bottleneck: Bottleneck = "photonic"
    dropout: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("target_modules", "exclude_modules", "modules_to_save"):
            object.__setattr__(self, name, _checked_patterns(name, getattr(self, name)))
        check_whole("r", self.r)
        check_whole("n_photons", self.n_photons)
        check_whole("seed", self.seed, 0)
        if not _is_number(self.alpha) or not math.isfinite(self.alpha):
            raise ValueError(f"alpha={self.alpha!r}; expected a finite number")
        check_share("dropout", self.dropout, below_one=True)
        _known("ansatz", self.ansatz, ENCODINGS)
        _known("readout", self.readout, READOUTS)
        _known("bottleneck", self.bottleneck, BOTTLENECKS)
        check_choice("space", self.space, SPACES)
        check_choice("train_circuit", self.train_circuit, (True, False))
        check_share("indistinguishability", self.indistinguishability)
        if self.n_blocks is not None:
            check_whole("n_blocks", self.n_blocks)
        if self.bottleneck != "photonic":
            self._refuse(_OF_CIRCUITS, f"bottleneck={self.bottleneck!r} has no circuit")
        elif self.ansatz == "custom":
            self._refuse(_OF_ANSATZES, "a circuit of one's own brings its own")
        else:
            self._check_photons()

    @property
    def encodings(self) -> int:
        """Times that the data is encoded."""
        return ENCODINGS[self.ansatz] if self.n_blocks is None else self.n_blocks

    @property
    def scaling(self) -> float:
        """Factor of the update, ``alpha / r``."""
        return self.alpha / self.r

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON has them, with the type and version of the folder."""
        settings = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {"peft_type": PEFT_TYPE, "format": FORMAT, **settings}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> QuantumLoRAConfig:
        """Read what `to_dict` made.

        Raises
        ------
        ValueError
            If it is of another type or version, or a key is unknown or a value wrong.
        """
        given = dict(settings)
        kind, version = given.pop("peft_type", None), given.pop("format", None)
        if kind != PEFT_TYPE:
            raise ValueError(f"peft_type={kind!r}; expected {PEFT_TYPE!r}")
        if version != FORMAT:
            raise ValueError(f"format={version!r}; expected {FORMAT}")
        known = [field.name for field in fields(cls)]
        for key in given:
            if key not in known:
                raise ValueError(
                    f"unknown key {key!r}{nearest(key, known)}; expected one of {', '.join(known)}"
                )
        return cls(**given)

    def _check_photons(self) -> None:
        if self.r < 2:
            raise ValueError(
                "r=1 with a photonic bottleneck; a circuit needs at least 2 modes: take r=2, or "
                "bottleneck='linear'"
            )
        if self.n_photons > self.r:
            raise ValueError(
                f"n_photons={self.n_photons}, r={self.r}; expected at most one photon a "
                "mode: take fewer photons or a larger r"
            )
        if self.n_photons == self.r and self.space == "unbunched":
            raise ValueError(
                f"{self.n_photons} photons in r={self.r} modes have one unbunched outcome whatever "
                "the input; take fewer photons or space='fock'"
            )

    def _refuse(self, settings: Sequence[str], reason: str) -> None:
        """Refuse settings that would do nothing, rather than ignore them."""
        defaults = {field.name: field.default for field in fields(self)}
        for name in settings:
            if getattr(self, name) != defaults[name]:
                raise ValueError(f"{name}={getattr(self, name)!r}, but {reason}; leave it out")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(name: str, value: object, choices: Sequence[str] | Mapping[str, int]) -> None:
    if not isinstance(value, str) or value not in choices:
        hint = nearest(value, list(choices)) if isinstance(value, str) else ""
        raise ValueError(f"{name}={value!r}{hint}; expected one of {', '.join(choices)}")


def _checked_patterns(name: str, value: object) -> str | tuple[str, ...] | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name}={value!r}; expected a string or a list of strings")
    if not value:
        raise ValueError(f"{name} is empty; leave it out, or give at least one pattern")
    return tuple(value)
