"""Find out, fairly and fast, whether a quantum circuit inside a language model does anything."""
