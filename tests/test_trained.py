"""A trained model is kept whole: its weights open elsewhere and score what the record says."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

from qlmbench.cli import main


def train(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["train", *arguments])
    return done.exit_code, done.output


def test_weights_numbers_and_curves_of_a_training_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    options = ["--profile", "smoke", "--arm", "photonic-8m2p-tuned", "--output", str(folder)]
    code, said = train("qllm", *options)
    assert code == 0, said
    names = {path.name for path in folder.iterdir()}
    assert names == {"model.safetensors", "statistics.json", "curves.svg", "curves.png"}
    kept = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
    assert kept["trial"]["arm"] == kept["record"]["arm"] == "photonic-8m2p-tuned"
    assert 0 <= kept["record"]["metrics"]["test_accuracy"] <= 1
    assert len(kept["curves"]["epoch"]) == len(kept["curves"]["train_loss"])
    assert all(
        np.isfinite(values).all() for values in load_file(folder / "model.safetensors").values()
    )


def test_a_fine_tuned_model_opens_in_transformers(tmp_path: Path) -> None:
    from transformers import DistilBertForSequenceClassification

    folder = tmp_path / "kept"
    options = ["--profile", "smoke", "--arm", "as-published", "--output", str(folder)]
    code, said = train("quantum_gradient", *options)
    assert code == 0, said
    opened = DistilBertForSequenceClassification.from_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    name = "distilbert.transformer.layer.0.attention.out_lin.weight"
    np.testing.assert_array_equal(opened.state_dict()[name].numpy(), weights[name])
    kept = json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
    assert kept["optimiser"]["rule"] == "as-published"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--arm", "logreg"], "no trained network"),
        (["--arm", "logrek"], "did you mean 'logreg'"),
        (["--arm", "logreg", "--repetition", "99"], "repetition 99"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_folder(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    options = ["--profile", "smoke", "--output", str(folder)]
    code, output = train("qllm", *arguments, *options)
    assert code == 2
    assert said in output
    assert not folder.exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    code, output = train("qllm", "--arm", "mlp", "--profile", "smoke", "--output", str(tmp_path))
    assert code == 2
    assert "not empty" in output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
