"""Photonic and qubit circuits as torch modules, stacked over repetitions."""
