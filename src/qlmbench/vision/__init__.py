"""Captions of images by a language model that is shown one token made of the image."""

IMAGE_ENCODER = "efficientnet-lite0-quarters"
"""What makes features of an image unless another is named; see `qlmbench.data.images.encoders`."""
PROMPT = "Describe the image: "
"""What stands between image and caption unless other words are given; the public example's."""
