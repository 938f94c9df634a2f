"""The paper's model does what its paper says it does."""

from sklearn.datasets import make_blobs

from qlmbench.registry import model_class


def test_the_head_learns_what_a_line_can_separate() -> None:
    """Fill in: add what only this circuit does, such as an answer known by hand."""
    X, y = make_blobs(60, n_features=6, centers=2, random_state=0)
    head = model_class("my_paper", "heads:MyPaperClassifier")
    assert head(epochs=30, learning_rate=0.05).fit(X, y).score(X, y) > 0.9
