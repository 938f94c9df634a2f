"""Optimisers in which a circuit rewrites the update of chosen weights, and their controls."""
