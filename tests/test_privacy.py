"""What is written down tells nothing of a user: no secret, no home folder, no name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlmbench.privacy import without_private


@pytest.fixture(autouse=True)
def alice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_sesame-open")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hf_sesame-open-wide")
    monkeypatch.setenv("SHORT_TOKEN", "a")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/alice"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("401 for hf_sesame-open", "401 for $HF_TOKEN"),
        ("401 for hf_sesame-open-wide", "401 for $AWS_SECRET_ACCESS_KEY"),
        ("no such file: '/home/alice/data/x.csv'", "no such file: '~/data/x.csv'"),
        ("in /home/alice", "in ~"),
        ("in /home/alice-2/data", "in /home/alice-2/data"),
        ("'/scratch/alice/x' and /srv/alice", "'/scratch/~/x' and /srv/~"),
        ("at https://alice:x@example.org/simple", "at https://example.org/simple"),
        ("see https://example.org/alice/x", "see https://example.org/alice/x"),
        ("[a](alice/x.csv), [b](../alice/y)", "[a](alice/x.csv), [b](../alice/y)"),
        ("Alice and alice read", "Alice and alice read"),
    ],
)
def test_secrets_and_paths_of_the_user_are_replaced_and_nothing_else(
    text: str, expected: str
) -> None:
    assert without_private(text) == expected


@given(st.text(max_size=40), st.sampled_from(["hf_sesame-open", "/home/alice"]), st.text())
def test_whatever_stands_around_it_a_secret_is_gone(before: str, private: str, after: str) -> None:
    end = f"/{after}"  # a longer word may be somebody else's folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "hf_sesame-open")
        patch.setattr(Path, "home", lambda: Path("/home/alice"))
        assert private not in without_private(before + private + end)


def test_a_user_without_a_home_folder_of_their_own_loses_no_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    assert without_private("/data/x / y") == "/data/x / y"
