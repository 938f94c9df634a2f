"""What was trained comes back from its file; what does not fit is refused."""

import pytest
import torch

from qlmbench.errors import UserError
from qlmbench.vision.hybrid_training import CaptionTraining, train_captions
from qlmbench.vision.loading import load_models
from qlmbench.vision.saving import load_trained, save_trained

CAPTIONS = ["one small red circle top left", "two large blue stars top right"]
FEATURES = torch.randn(2, 1280, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model = load_models(n_qubits=2, n_layers=1)
    model.standardise(FEATURES)
    train_captions(model, (FEATURES, CAPTIONS), CaptionTraining(epochs=2))
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    save_trained(model, path)
    return model, path


def test_a_trained_model_comes_back(trained):
    model, path = trained
    again = load_models(n_qubits=2, n_layers=1, seed=5).eval()
    load_trained(again, path)
    for mine, theirs in zip(
        model.log_likelihoods(FEATURES, CAPTIONS),
        again.log_likelihoods(FEATURES, CAPTIONS),
        strict=True,
    ):
        assert torch.equal(mine, theirs)


def test_frozen_weights_of_the_language_model_are_not_written(trained, tmp_path):
    from safetensors.torch import load_file

    model = load_models(n_qubits=2, n_layers=1, projector="frozen")
    model.language_model.requires_grad_(False)
    save_trained(model, tmp_path / "a.safetensors")
    names = set(load_file(tmp_path / "a.safetensors"))
    assert {name for name in names if not name.startswith("projection.")} == {
        "feature_mean",
        "feature_scale",
    }
    assert "projection.circuit.weights" in names


def test_a_file_of_another_model_is_one_line(trained, tmp_path):
    _, path = trained
    with pytest.raises(UserError, match="do not fit the model"):
        load_trained(load_models(n_qubits=3, n_layers=1), path)
    with pytest.raises(UserError, match="do not fit the model"):
        load_trained(load_models(projector="linear"), path)
    with pytest.raises(UserError, match="no such file"):
        load_trained(load_models(), tmp_path / "none")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UserError, match="not a safetensors file"):
        load_trained(load_models(), tmp_path / "text")
