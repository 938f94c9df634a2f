"""A hybrid vision-language model: a circuit between the features of an image and a decoder."""
