"""Captions of images by a language model that is shown one token made of the image."""
