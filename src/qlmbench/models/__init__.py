"""Scikit-learn estimators: baselines, quantum heads, controls, and the one training loop."""
