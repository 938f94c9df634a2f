from __future__ import annotations

import pytest

from qlmbench.status import about


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"),
        (99.4, "99 s"),
        (100.0, "2 min"),
        (3599.0, "1 h 0 min"),
        (19515.0, "5 h 25 min"),
    ],
)
def test_a_duration_is_said_in_the_largest_units_that_tell(seconds: float, said: str) -> None:
    assert about(seconds) == said
