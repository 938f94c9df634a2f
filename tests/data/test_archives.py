import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.conftest import sha256

from qlmbench.data.archives import check_member_name, extract, write_checked
from qlmbench.errors import CorruptFileError

CONTENT = b"some text\n" * 1000


def zipped(path: Path, member: str = "a/b.txt", content: bytes = CONTENT) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(member, content)
    return path


def tarred(path: Path, info: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as file:
        file.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "..", "a\\..\\x", "C:/x", "", "a/.."]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        check_member_name(name)


@given(st.text(alphabet="ab./\\:", max_size=12))
def test_an_accepted_name_stays_inside_the_folder(name: str) -> None:
    folder = Path("/some/folder")
    try:
        check_member_name(name)
    except ValueError:
        return
    assert (folder / name).resolve().is_relative_to(folder)


def test_a_member_lands_under_its_own_path(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "x.zip")
    extract(archive, {"a/b.txt": sha256(CONTENT)}, tmp_path / "out")
    assert (tmp_path / "out/a/b.txt").read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing_behind(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "x.zip")
    with pytest.raises(CorruptFileError, match="sha256"):
        extract(archive, {"a/b.txt": "0" * 64}, tmp_path / "out")
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_a_wrong_hash_leaves_an_older_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "kept.txt"
    target.write_bytes(b"old")
    with pytest.raises(CorruptFileError):
        write_checked([b"new"], target, "0" * 64)
    assert target.read_bytes() == b"old"


def test_a_missing_member_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"nothing\.txt"):
        extract(zipped(tmp_path / "x.zip"), {"nothing.txt": "0" * 64}, tmp_path / "out")


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(CorruptFileError, match="plain file"):
        extract(tmp_path / "x.zip", {"link": sha256(b"/etc/passwd")}, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_a_link_or_folder_in_a_tar_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "/etc/passwd"
    archive = tarred(tmp_path / "x.tar.gz", info)
    with pytest.raises(CorruptFileError, match="plain file"):
        extract(archive, {"link": sha256(b"")}, tmp_path / "out")


def test_an_oversized_member_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qlmbench.data.archives.LARGEST_MEMBER", 100)
    with pytest.raises(CorruptFileError, match="refused"):
        extract(zipped(tmp_path / "x.zip"), {"a/b.txt": sha256(CONTENT)}, tmp_path / "out")


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.8])
def test_a_truncated_archive_is_called_damaged(tmp_path: Path, keep: float) -> None:
    info = tarfile.TarInfo("a")
    info.size = len(CONTENT)
    for archive in (tarred(tmp_path / "t.tar.gz", info, CONTENT), zipped(tmp_path / "z.zip")):
        raw = archive.read_bytes()
        archive.write_bytes(raw[: int(keep * len(raw))])
        member = "a" if archive.suffix == ".gz" else "a/b.txt"
        with pytest.raises(CorruptFileError):
            extract(archive, {member: sha256(CONTENT)}, tmp_path / "out")


@given(st.integers(0, 10**6))
def test_a_flipped_byte_never_gets_through(
    tmp_path_factory: pytest.TempPathFactory, at: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    archive = zipped(folder / "z.zip")
    raw = bytearray(archive.read_bytes())
    raw[at % len(raw)] ^= 0x41
    archive.write_bytes(raw)
    try:
        extract(archive, {"a/b.txt": sha256(CONTENT)}, folder / "out")
    except CorruptFileError:
        return
    assert (folder / "out/a/b.txt").read_bytes() == CONTENT
