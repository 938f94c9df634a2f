"""Fill in: the paper, in a line."""
