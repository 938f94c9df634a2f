import hashlib
import logging
from pathlib import Path

import pytest
from tests.data.conftest import sha256

from qlmbench.data.sources import HubFiles, fetch
from qlmbench.errors import CorruptFileError, UserError

REVISION = "a" * 40
LARGE, SMALL = b"weights", b'{"a": 1}'


def git_hash(raw: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest()


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a cache as the hub's library keeps it: links to blobs that are named by their hash."""
    root = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root))
    repository = root / "models--some--model"
    (repository / "blobs").mkdir(parents=True)
    (repository / "snapshots" / REVISION).mkdir(parents=True)
    for name, raw, blob in [("w", LARGE, sha256(LARGE)), ("c", SMALL, git_hash(SMALL))]:
        (repository / "blobs" / blob).write_bytes(raw)
        (repository / "snapshots" / REVISION / name).symlink_to(repository / "blobs" / blob)
    return repository


def source(**files: str | None) -> HubFiles:
    return HubFiles("some/model", REVISION, files)


def test_files_in_the_hubs_cache_are_used_offline(hub_cache: Path) -> None:
    paths = fetch(source(w=sha256(LARGE), c=None), offline=True)
    assert paths["w"].read_bytes() == LARGE
    assert paths["c"].read_bytes() == SMALL


@pytest.mark.parametrize("name", ["w", "c"])
def test_a_damaged_file_is_told_from_the_hash_that_the_hub_states(
    hub_cache: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = hub_cache / "snapshots" / REVISION / name
    path.resolve().write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING), pytest.raises(UserError, match="offline"):
        fetch(source(**{name: None}), offline=True)
    assert str(path) in caplog.text


def test_a_damaged_file_is_fetched_again(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hub_cache / "snapshots" / REVISION / "w"
    path.resolve().write_bytes(b"damaged")

    def mend(*args: object) -> Path:
        path.resolve().write_bytes(LARGE)
        return path

    monkeypatch.setattr("qlmbench.data.hub._download", mend)
    assert fetch(source(w=None))["w"].read_bytes() == LARGE


def test_a_fetched_file_with_another_hash_is_refused(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hub_cache / "snapshots" / REVISION / "w"
    monkeypatch.setattr("qlmbench.data.hub._download", lambda *args: path)
    with pytest.raises(CorruptFileError, match="not what its hash says"):
        fetch(source(w="0" * 64))


def test_an_unreachable_hub_is_one_line(hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **kwargs: object) -> str:
        raise ValueError("failed due to the above error") from ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(UserError, match="no route") as caught:
        fetch(source(other=None))
    assert "\n" not in str(caught.value)
