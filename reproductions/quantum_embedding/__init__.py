"""A transformer whose token embedding and attention are parameterised quantum circuits."""
