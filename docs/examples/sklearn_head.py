"""A photonic head as a scikit-learn classifier: in a pipeline, cross-validated."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from qlmbench.models.photonic import PhotonicClassifier

X, y = load_breast_cancer(return_X_y=True)
head = PhotonicClassifier(n_modes=6, n_photons=2, epochs=20, learning_rate=1e-2)
scores = cross_val_score(make_pipeline(StandardScaler(), head), X, y, cv=3)
print(f"accuracy {scores.mean():.3f}")
