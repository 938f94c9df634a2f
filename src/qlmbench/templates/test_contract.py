"""What is asked of every study: it runs, and its records depend on nothing but their seed."""

from pathlib import Path

import pytest

from qlmbench.testing import Check, contract


@pytest.mark.parametrize("check", contract("my_paper"), ids=str)
def test_contract(check: Check, tmp_path: Path) -> None:
    """The study meets one demand."""
    check(tmp_path)
