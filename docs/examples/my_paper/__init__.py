"""A made-up paper, for the tutorial."""
