from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qlmbench.data.folders import read_folder
from qlmbench.errors import UserError

GOOD = "sentence\tlabel\nfine film\t1\npoor film\t0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    (path / "train.tsv").write_text(GOOD)
    return path


def test_only_training_rows_are_needed(folder: Path) -> None:
    assert read_folder(folder) == {"train": [("fine film", "1"), ("poor film", "0")]}


def test_csv_with_quotes_and_line_breaks_and_other_columns_is_read(folder: Path) -> None:
    (folder / "test.csv").write_text('id,label,text\n7,1,"a ""b"", c\nd"\n', encoding="utf-8-sig")
    assert read_folder(folder)["test"] == [('a "b", c\nd', "1")]


def test_a_quotation_mark_in_a_tsv_is_text(folder: Path) -> None:
    (folder / "test.tsv").write_bytes(b'sentence\tlabel\r\n" so it goes\t1\r\nx\x85y\t0\r\n'[:32])
    assert read_folder(folder)["test"] == [('" so it goes', "1")]


CELL = st.text(
    st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"]), min_size=1
).filter(lambda text: bool(text.strip()))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(CELL, min_size=1, max_size=5))
def test_every_text_of_a_tsv_comes_back_as_it_stands(folder: Path, texts: list[str]) -> None:
    lines = "".join(f"{text}\t{i % 2}\n" for i, text in enumerate(texts))
    (folder / "test.tsv").write_bytes(f"sentence\tlabel\n{lines}".encode())
    assert [text for text, _ in read_folder(folder)["test"]] == texts


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train.tsv",
            "text\tlabl\na\t1\n",
            "train.tsv: no column 'label'; the header has 'text', 'l",
        ),
        ("train.tsv", "words\tlabel\na\t1\n", "no column 'sentence' or 'text'"),
        ("train.tsv", "", "the header has nothing"),
        ("train.tsv", "sentence\tlabel\n", "train.tsv: no rows"),
        ("train.tsv", "sentence\tlabel\na\t1\n \t0\n", "train.tsv, line 3: empty sentence"),
        ("train.tsv", "sentence\tlabel\na\t1\nb\t\n", "train.tsv, line 3: empty label"),
        ("train.tsv", "sentence\tlabel\na\t1\nb\n", "line 3: 1 fields, but 2 columns"),
        ("train.tsv", "sentence\tlabel\na\t1\nb\t1\n", "every row of train has the label '1'"),
        ("test.tsv", "sentence\tlabel\na\t-1\n", "test has the label '-1', which train does not"),
        ("train.csv", GOOD, "both train.tsv and train.csv"),
        ("validation.csv", 'sentence,label\n"a', "2 columns"),
    ],
)
def test_a_faulty_file_is_one_line_that_names_it(
    folder: Path, name: str, content: str, message: str
) -> None:
    (folder / name).write_text(content)
    with pytest.raises(UserError) as caught:
        read_folder(folder)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_encoding_is_named_with_its_byte(folder: Path) -> None:
    (folder / "test.tsv").write_bytes(b"sentence\tlabel\nfine\t1\ncaf\xe9\t0\n")
    with pytest.raises(UserError, match=r"test\.tsv: byte 25 \(line 3\) is not UTF-8"):
        read_folder(folder)


def test_no_folder_and_no_training_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        read_folder(tmp_path / "nowhere")
    (tmp_path / "dev.tsv").write_text(GOOD)
    with pytest.raises(UserError, match=r"no train\.tsv or train\.csv; found dev\.tsv"):
        read_folder(tmp_path)
