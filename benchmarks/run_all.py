"""All benchmarks, one after the other, and the page "How fast"."""

from __future__ import annotations

import adapter_step
import parameter_update
import photonic_layer
import qubits
import sampling
import scaling
import suite
import sweep
import token_embedding
from harness import parse, write_page

BENCHMARKS = (
    sweep,
    photonic_layer,
    qubits,
    token_embedding,
    sampling,
    parameter_update,
    adapter_step,
    scaling,
    suite,
)


def main() -> None:
    """Run every question."""
    setting = parse(__doc__)
    for benchmark in BENCHMARKS:
        benchmark.main(setting)
    write_page(setting)


if __name__ == "__main__":
    main()
