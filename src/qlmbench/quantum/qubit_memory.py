"""Refuse a state that does not fit into memory before the machine does."""

from __future__ import annotations

import os
from pathlib import Path

# Asking the system takes longer than running a small circuit: below this nobody asks.
_ALWAYS_THERE = 2**26


def available_memory() -> int:
    """Bytes that a new allocation may take, as far as the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return _physical_memory()
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else _physical_memory()


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**34  # a system that does not tell: assume 16 GiB


def require_memory(n_qubits: int, columns: int, bytes_an_amplitude: int, purpose: str) -> None:
    """Raise if ``columns`` states of ``n_qubits`` qubits do not fit.

    Raises
    ------
    ValueError
        With the bytes needed and available.
    """
    needed = columns * bytes_an_amplitude * 2**n_qubits
    if needed < _ALWAYS_THERE:
        return
    available = available_memory()
    if needed > available:
        raise ValueError(
            f"got {n_qubits} qubits, which need about {needed / 2**30:.3g} GiB {purpose}; expected "
            f"at most the {available / 2**30:.3g} GiB available"
        )
