"""Scikit-learn estimators, and what they are trained with: baselines, quantum models, controls."""
